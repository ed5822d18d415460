package ocsf

import (
	"net/netip"
	"slices"

	"github.com/gatewatch/gatewatch/detector/alert"
)

type evidence struct {
	Actor        *actor        `json:"actor,omitempty"`
	SrcEndpoint  *endpoint     `json:"src_endpoint,omitempty"`
	HTTPRequest  httpRequest   `json:"http_request"`
	HTTPResponse *httpResponse `json:"http_response,omitempty"`
	API          *api          `json:"api,omitempty"`
	Data         evidenceData  `json:"data"`
}

type actor struct {
	User    *user    `json:"user,omitempty"`
	Session *session `json:"session,omitempty"`
	AppUID  string   `json:"app_uid,omitempty"`
}

type user struct {
	UID string `json:"uid"`
}

type session struct {
	UID           string `json:"uid,omitempty"`
	CredentialUID string `json:"credential_uid,omitempty"`
}

type endpoint struct {
	IP       string    `json:"ip,omitempty"`
	UID      string    `json:"uid,omitempty"`
	Location *location `json:"location,omitempty"`
}

type location struct {
	Country string `json:"country"`
}

type httpRequest struct {
	UID        string `json:"uid,omitempty"`
	HTTPMethod string `json:"http_method,omitempty"`
	URL        *url   `json:"url,omitempty"`
	UserAgent  string `json:"user_agent,omitempty"`
}

type url struct {
	Path string `json:"path"`
}

type httpResponse struct {
	Code int `json:"code"`
}

type api struct {
	Operation string `json:"operation"`
}

// evidenceData is what the schema's evidence has no place for.
type evidenceData struct {
	Time    alert.Time    `json:"time"`
	Method  string        `json:"method,omitempty"`  // one that the schema does not know
	Country string        `json:"country,omitempty"` // of no known address
	Source  *alert.Source `json:"source,omitempty"`
}

// methods are those that the schema knows.
var methods = []string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}

func evidences(events []alert.Evidence) (all []evidence) {
	for _, e := range events {
		all = append(all, newEvidence(e))
	}
	return all
}

func newEvidence(e alert.Evidence) evidence {
	out := evidence{
		Actor: newActor(e), SrcEndpoint: newEndpoint(e), HTTPRequest: httpRequest{UID: e.RequestID, UserAgent: e.UserAgent},
		Data: evidenceData{Time: e.Time, Source: e.Source},
	}
	if slices.Contains(methods, e.Method) {
		out.HTTPRequest.HTTPMethod = e.Method
	} else {
		out.Data.Method = e.Method
	}
	if e.Path != "" {
		out.HTTPRequest.URL = &url{e.Path}
	}
	if e.Route != "" {
		out.API = &api{e.Method + " " + e.Route}
	}
	if e.Status != 0 {
		out.HTTPResponse = &httpResponse{e.Status}
	}
	if out.SrcEndpoint == nil {
		out.Data.Country = e.Country
	}
	return out
}

func newActor(e alert.Evidence) *actor {
	var a actor
	if a.AppUID = e.ClientID; e.Subject != "" {
		a.User = &user{e.Subject}
	}
	if e.SessionID != "" || e.TokenID != "" {
		a.Session = &session{e.SessionID, e.TokenID}
	}
	if a == (actor{}) {
		return nil
	}
	return &a
}

func newEndpoint(e alert.Evidence) *endpoint {
	if e.SourceIP == "" {
		return nil
	}
	var out endpoint
	if isAddress(e.SourceIP) {
		out.IP = e.SourceIP
	} else {
		out.UID = e.SourceIP
	}
	if e.Country != "" {
		out.Location = &location{e.Country}
	}
	return &out
}

// isAddress tells an address that the schema accepts from a pseudonym and other text. It bounds them to 40 characters, which
// a zone or a long way of writing one exceeds.
func isAddress(text string) bool {
	ip, err := netip.ParseAddr(text)
	return err == nil && ip.Zone() == "" && len(text) <= 40
}
