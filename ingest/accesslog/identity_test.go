package accesslog

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

// jwtOf makes a token with these claims. Nobody verifies its signature.
func jwtOf(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(claims)) + ".c2ln"
}

const claims = `{"iss":"https://id.example.com","sub":"user-\u0034\u0032","azp":"mobile-app","jti":"j-1","scope":"profile.read orders.read","aud":["a","b"],"iat":1795341000,"exp":1795344600}`

// decodeOne decodes a record that must be one event.
func decodeOne(t *testing.T, o Options, record string) event.Event {
	t.Helper()
	o.Now = testNow
	var mem arena.Arena
	d := New(o)
	events := d.Decode([]byte(record), &mem, nil)
	if len(events) != 1 {
		t.Fatalf("%s gives %d events, problems %v", record, len(events), d.Problems())
	}
	return events[0]
}

func apisixWith(status int, authorization string) string {
	return fmt.Sprintf(`{"start_time":1795341598550,"client_ip":"192.0.2.10","request":{"method":"GET","uri":"/a","headers":{"Authorization":%q}},"response":{"status":%d}}`,
		authorization, status)
}

func TestTokenOfAuthorizationHeader(t *testing.T) {
	token := jwtOf(claims)
	for header, want := range map[string]string{
		"Bearer " + token:            token,
		"bearer  opaque-token-1 ":    "opaque-token-1",
		"Basic dXNlcjpwYXNzd29yZA==": "dXNlcjpwYXNzd29yZA==",
		token:                        token,
		"REDACTED":                   "",
		"Bearer [REDACTED]":          "",
		"Bearer ********":            "",
		"Bearer short":               "",
		"Bearer xxxxxxxxxxxx":        "",
		"__REMOVED__":                "",
		"Negotiate YIIJvwYGKwYBBQUC": "",
		"ntlm TlRMTVNTUAABAAAAB4I=":  "",
		`Digest username="erin", nonce="ZGNk", response="6629fae4"`:                                             "",
		"AWS4-HMAC-SHA256 Credential=AKIA/20261122/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=fe": "",
		"-": "",
		"":  "",
	} {
		e := decodeOne(t, Options{}, apisixWith(200, header))
		if e.TokenID != want || e.Subject != "" || e.ClientID != "" || e.Attributes != nil {
			t.Errorf("%s: %+v, want token %q and nothing else", header, e, want)
		}
	}
}

// TestClaimsOfVerifiedTokens holds that claims count only where the operator says that the gateway verifies tokens, and only for
// requests that it let through.
func TestClaimsOfVerifiedTokens(t *testing.T) {
	token := jwtOf(claims)
	e := decodeOne(t, Options{ReadJWT: true}, apisixWith(204, "Bearer "+token))
	want := event.Event{
		Time: 1795341598550, Status: 204, SourceIP: e.SourceIP, IPText: "192.0.2.10", Method: "GET", Path: "/a", TokenID: token,
		Subject: "user-42", ClientID: "mobile-app", Scopes: []string{"profile.read", "orders.read"},
		TokenIssuedAt: 1795341000000, TokenExpiresAt: 1795344600000, Attributes: []event.Attribute{{Key: "jti", Value: "j-1"}},
	}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("got %+v\nwant %+v", e, want)
	}
	for name, e := range map[string]event.Event{
		"refused":   decodeOne(t, Options{ReadJWT: true}, apisixWith(401, "Bearer "+token)),
		"forbidden": decodeOne(t, Options{ReadJWT: true}, apisixWith(403, "Bearer "+token)),
		"no":        decodeOne(t, Options{}, apisixWith(200, "Bearer "+token)),
	} {
		if e.Subject != "" || e.ClientID != "" || e.Scopes != nil || e.TokenExpiresAt != 0 || e.TokenID != token {
			t.Errorf("%s: %+v", name, e)
		}
	}
	for _, broken := range []string{
		"a.b", "eyJ.", "eyJhbGciOiJub25lIn0.!!!.x", jwtOf(`["sub"]`), jwtOf(`{"sub":`), jwtOf(`{"sub":{"a":1},"azp":[],"scp":[1,"x"]}`), jwtOf("{\"sub\":\"\xff\"}"),
		"eyJhbGciOiJub25lIn0." + strings.Repeat("A", maxPayload+1) + ".x",
	} {
		if e := decodeOne(t, Options{ReadJWT: true}, apisixWith(200, "Bearer "+broken)); e.Subject != "" || e.ClientID != "" {
			t.Errorf("%s: %+v", broken, e)
		}
	}
	scp := decodeOne(t, Options{ReadJWT: true}, apisixWith(200, "Bearer "+jwtOf(`{"sub":7,"client_id":"c","scp":["a b","c"]}`)))
	if scp.Subject != "7" || scp.ClientID != "c" || !reflect.DeepEqual(scp.Scopes, []string{"a b", "c"}) {
		t.Errorf("%+v", scp)
	}
}

// TestRenamedTokenOfAuthorization holds that a token has one id, whatever becomes of its requests.
func TestTokenHasOneID(t *testing.T) {
	token := jwtOf(claims)
	ok := decodeOne(t, Options{ReadJWT: true}, apisixWith(200, "Bearer "+token))
	refused := decodeOne(t, Options{ReadJWT: true}, apisixWith(403, "bearer "+token))
	if ok.TokenID != refused.TokenID {
		t.Errorf("%s and %s", ok.TokenID, refused.TokenID)
	}
}

func TestDistinguishedNames(t *testing.T) {
	d := newTestDecoder()
	for name, want := range map[string]string{
		"CN=mobile-app,O=Example":              "mobile-app",
		"O=Example, cn = mobile app ":          "mobile app",
		"/C=GB/O=Example/CN=mobile-app":        "mobile-app",
		`O=Example\, CN=evil,CN=real`:          "real",
		`CN=a\,b\2Cc\\,O=x`:                    `a,b,c\`,
		"O=Example+CN=two":                     "two",
		"O=Example":                            "",
		`CN`:                                   "",
		`\`:                                    "",
		"emailAddress=CN=fake,CN=erin@example": "erin@example",
	} {
		var mem arena.Arena
		d.mem = &mem
		if got, _ := d.nameAttribute([]byte(name), "CN"); string(got) != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestIPv4AsNetip(t *testing.T) {
	for _, text := range []string{
		"", "1", "1.2.3", "1.2.3.4", "0.0.0.0", "255.255.255.255", "256.1.1.1", "1.2.3.04", "01.2.3.4", "00.0.0.0", "1.2.3.4.", ".1.2.3.4",
		"1.2.3.4.5", "1..3.4", "1.2.3.", "1.2.3.4x", "1.2.3.4:80", "1.2.3.1000", "99999999999999999999.1.1.1", "::1", "-1.2.3.4", "1.2.3.4 ",
	} {
		want, err := netip.ParseAddr(text)
		got, ok := parseIPv4(text)
		if good := err == nil && want.Is4(); ok != good || ok && got != want {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
}

func TestRoutesOfGateways(t *testing.T) {
	for route, want := range map[string]string{
		"/users/{id}": "/users/{id}", "GET /users/{id}": "/users/{id}", "/users/:id": "/users/{id}", "/:a/b/:c": "/{a}/b/{c}", "/a:b/:/c": "/a:b/:/c",
		"/users/42": "", "/{proxy+}": "", "ANY /a/{proxy+}": "", "/files/*": "", "/users/<id>": "", "$default": "", "users": "", "/:": "/:",
	} {
		e := decodeOne(t, Options{}, fmt.Sprintf(`{"requestId":"r","httpMethod":"GET","requestTimeEpoch":"1795341598000","path":"/users/42","status":"200","ip":"192.0.2.1","resourcePath":%q}`, route))
		if e.Route != want {
			t.Errorf("%s: %q, want %q", route, e.Route, want)
		}
	}
}
