package accesslog

// cloudTrail is AWS CloudTrail. An event there is an operation, not an HTTP request: reading ones become GET and the others
// POST, service and operation become the path, and errors become the status that fits best.
//
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference.html
var cloudTrail = definition{
	name:       "cloudtrail",
	signatures: [][]string{{"eventVersion", "eventSource", "eventName", "eventTime"}},
	mapping: Mapping{
		"time":        path("eventTime"),
		"method":      {{Path: "readOnly", Values: map[string]string{"true": "GET", "*": "POST"}, Default: "POST"}},
		"path":        {{Template: "/{eventSource}/{eventName}"}},
		"status":      {{Path: "errorCode", Values: cloudTrailErrors}, {Path: "errorMessage", Values: cloudTrailErrors}, {Default: "200"}},
		"environment": path("recipientAccountId"),
		"api":         path("eventSource"),
		"client_id":   path("userIdentity.invokedBy", "userIdentity.accountId"),
		"subject":     path("userIdentity.arn", "userIdentity.userName", "userIdentity.principalId"),
		"token_id":    path("userIdentity.accessKeyId"),
		"source_ip":   path("sourceIPAddress"),
		"user_agent":  path("userAgent"),
		"request_id":  path("eventID", "requestID"),

		"attributes.region": path("awsRegion"),
	},
}

var cloudTrailErrors = map[string]string{
	"AccessDenied": "403", "AccessDeniedException": "403", "UnauthorizedOperation": "403", "Client.UnauthorizedOperation": "403",
	"UnauthorizedAccess": "403", "InvalidClientTokenId": "403", "ExpiredToken": "403", "SignatureDoesNotMatch": "403",
	"Failed authentication": "401", "Throttling": "429", "ThrottlingException": "429", "RequestLimitExceeded": "429",
	"NoSuchKey": "404", "NoSuchBucket": "404", "ResourceNotFoundException": "404", "NoSuchEntityException": "404",
	"InternalFailure": "500", "InternalError": "500", "ServiceUnavailable": "503", "*": "400",
}
