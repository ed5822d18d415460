package ocsf

import (
	"maps"
	"slices"
)

// observable is a value of the event and where it stands: a value that stands in several places is named once.
type observable struct {
	Name   string `json:"name"`
	TypeID int    `json:"type_id"`
	Type   string `json:"type"`
	Value  string `json:"value"`
}

// other is the type of what the schema has no type for; the caption is then free.
const other = 99

var (
	ofAddress    = choice{2, "IP Address"}
	ofCountry    = choice{14, "Country"}
	ofUserAgent  = choice{16, "HTTP User-Agent"}
	ofCredential = choice{19, "User Credential ID"}
	ofUser       = choice{31, "User Object: uid"}
	ofResource   = choice{38, "Resource Details Object: name"}
	ofEndpoint   = choice{48, "Network Endpoint Object: uid"}
	ofClient     = choice{other, "client_id"}
	ofSession    = choice{other, "session_id"}
)

// relatedTypes are the types of what alerts name as related, apart from addresses.
var relatedTypes = map[string]choice{
	"client_id": ofClient, "country": ofCountry, "route": ofResource, "session_id": ofSession, "subject": ofUser,
	"token_id": ofCredential, "user_agent": ofUserAgent,
}

// observables lists the values of the evidence and then, in the order of their kinds, what else is related.
func observables(evidences []evidence, related map[string][]string) []observable {
	var l list
	for i := range evidences {
		l.addEvidence(&evidences[i])
	}
	for _, kind := range slices.Sorted(maps.Keys(related)) {
		for _, value := range related[kind] {
			l.add(relatedPath(kind), relatedType(kind, value), value)
		}
	}
	return l
}

// list grows by values that it has not yet.
type list []observable

func (l *list) add(path string, kind choice, value string) {
	if value == "" {
		return
	}
	for _, o := range *l {
		if o.TypeID == kind.id && o.Type == kind.caption && o.Value == value {
			return
		}
	}
	*l = append(*l, observable{path, kind.id, kind.caption, value})
}

func (l *list) addEvidence(e *evidence) {
	if s := e.SrcEndpoint; s != nil {
		l.add("evidences[].src_endpoint.ip", ofAddress, s.IP)
		l.add("evidences[].src_endpoint.uid", ofEndpoint, s.UID)
		if s.Location != nil {
			l.add("evidences[].src_endpoint.location.country", ofCountry, s.Location.Country)
		}
	}
	l.add("evidences[].http_request.user_agent", ofUserAgent, e.HTTPRequest.UserAgent)
	if e.Actor != nil {
		l.addActor(e.Actor)
	}
}

func (l *list) addActor(a *actor) {
	l.add("evidences[].actor.app_uid", ofClient, a.AppUID)
	if a.User != nil {
		l.add("evidences[].actor.user.uid", ofUser, a.User.UID)
	}
	if a.Session != nil {
		l.add("evidences[].actor.session.uid", ofSession, a.Session.UID)
		l.add("evidences[].actor.session.credential_uid", ofCredential, a.Session.CredentialUID)
	}
}

func relatedPath(kind string) string {
	if kind == "route" {
		return "resources[].name"
	}
	return "unmapped.related." + kind
}

func relatedType(kind, value string) choice {
	if kind == "source_ip" && isAddress(value) {
		return ofAddress
	}
	if kind == "source_ip" {
		return ofEndpoint
	}
	if c, ok := relatedTypes[kind]; ok {
		return c
	}
	return choice{other, kind}
}
