package privacy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

const (
	token  = "opaque-7Hq2Zx91LmWq"
	header = "eyJhbGciOiJIUzI1NiJ9"
	jwt    = header + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
)

// apply filters e as if it came from a record that holds its values as they are.
func apply(opts Options, e *event.Event) {
	var mem arena.Arena
	New(opts).Apply(e, fmt.Appendf(nil, "%+v", *e), &mem)
}

func TestPseudonymIsReproducible(t *testing.T) {
	e := &event.Event{TokenID: "jti-1", Subject: "ann", SessionID: "s", SourceIP: netip.MustParseAddr("81.2.69.142")}
	apply(Options{Key: []byte("key"), Subject: true, SessionID: true, SourceIP: true}, e)
	// printf %s jti-1 | openssl dgst -sha256 -hmac key, and so on
	for got, want := range map[string]string{
		e.TokenID:   "tok_5ae187488aa819d35eb43eb2d682a75a",
		e.Subject:   "sub_9d77c3180ff81edfbc099a7e91843e41",
		e.SessionID: "ses_2d5079b09a4a16f0058652b0abf52e7a",
		e.IPText:    "ip_d1a06e36f6f64550f877a282f63e456e",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestParseToken(t *testing.T) {
	f := New(Options{Key: []byte("key")})
	shown := string(f.AppendToken(nil, "jti-1"))
	e := &event.Event{TokenID: "jti-1"}
	apply(Options{Key: []byte("key")}, e)
	if shown != e.TokenID {
		t.Errorf("%s, but events have %s", shown, e.TokenID)
	}
	sum, ok := ParseToken(shown)
	if !ok || fmt.Sprintf("tok_%x", sum) != shown {
		t.Errorf("%x %v", sum, ok)
	}
	for _, other := range []string{"", "tok_", "jti-1", shown[:35], shown + "0", "sub_" + shown[4:], strings.ToUpper(shown), shown[:35] + "g", shown[:35] + "A"} {
		if _, ok := ParseToken(other); ok {
			t.Errorf("%q is read", other)
		}
	}
}

func TestKeyChangesPseudonyms(t *testing.T) {
	seen := map[string]bool{}
	for _, key := range []string{"", "a", "b", strings.Repeat("k", 100)} {
		e := &event.Event{TokenID: token}
		apply(Options{Key: []byte(key)}, e)
		if seen[e.TokenID] {
			t.Errorf("key %q gives a pseudonym that another key gave", key)
		}
		seen[e.TokenID] = true
	}
}

func TestHashedTokensAreHashedAgain(t *testing.T) {
	e := &event.Event{TokenID: token}
	apply(Options{}, e)
	again := &event.Event{TokenID: e.TokenID}
	apply(Options{}, again)
	if again.TokenID == e.TokenID {
		t.Error("who sends a pseudonym could switch pseudonyms off")
	}
}

func TestOnlyWhatIsAskedForIsReplaced(t *testing.T) {
	e := &event.Event{Subject: "ann", SessionID: "s-1", SourceIP: netip.MustParseAddr("2001:DB8::1"), Path: "/users/ann", UserAgent: "okhttp/4 (x; y)"}
	apply(Options{}, e)
	if e.Subject != "ann" || e.SessionID != "s-1" || e.IPText != "2001:db8::1" || e.Path != "/users/ann" || e.UserAgent != "okhttp/4 (x; y)" || e.TokenID != "" {
		t.Errorf("got %+v", e)
	}
}

// fill returns an event that has s in one of its texts, and the name of that text; nil when n is too large.
func fill(n int, s string) (*event.Event, string) {
	e := &event.Event{ClientID: "c", Path: "/p", Method: "GET", TokenID: token}
	places := []struct {
		name string
		text *string
	}{
		{"environment", &e.Environment}, {"api", &e.API}, {"client_id", &e.ClientID}, {"subject", &e.Subject},
		{"session_id", &e.SessionID}, {"path", &e.Path}, {"route", &e.Route}, {"user_agent", &e.UserAgent}, {"request_id", &e.RequestID},
	}
	if n < len(places) {
		*places[n].text = s
		return e, places[n].name
	}
	switch n - len(places) {
	case 0:
		e.Scopes = []string{"a", s}
		return e, "scopes"
	case 1:
		e.Attributes = []event.Attribute{{Key: "a", Value: s}}
		return e, "attribute value"
	case 2:
		e.Attributes = []event.Attribute{{Key: s, Value: "a"}}
		return e, "attribute name"
	}
	return nil, ""
}

func TestSecretsAreFoundEverywhere(t *testing.T) {
	for _, secret := range []struct{ text, raw string }{
		{jwt, jwt},
		{"/a/" + jwt + "/b", jwt},
		{"x" + jwt + ",y", jwt},
		{strings.ReplaceAll(jwt, ".", "%2E"), header},
		{jwt[:40], header},
		{jwt + "." + jwt, header},
		{"Bearer abcdef0123", "abcdef0123"},
		{"bEARER  abc/def+g==", "abc/def+g"},
		{"a Bearer%20abcdef/x", "abcdef"},
		{"/login/Bearer+abcdef", "abcdef"},
		{"Bearer " + jwt, jwt},
		{token, token},
		{"/t/" + token + "/" + token, token},
		{"token=" + token, token},
		{jwt + " " + token + " Bearer abcdef0123 " + jwt, header},
	} {
		for n := 0; ; n++ {
			e, place := fill(n, secret.text)
			if e == nil {
				break
			}
			apply(Options{}, e)
			if out := fmt.Sprintf("%+v", *e); strings.Contains(out, secret.raw) || strings.Contains(out, token) {
				t.Errorf("%q in %s: still there in %s", secret.text, place, out)
			} else if !strings.Contains(strings.Replace(out, e.TokenID, "", 1), "tok_") {
				t.Errorf("%q in %s: no pseudonym in %s", secret.text, place, out)
			}
		}
	}
}

func TestScrubbedTokenKeepsItsPseudonym(t *testing.T) {
	e := &event.Event{TokenID: token, Path: "/t/" + token + "/x", UserAgent: "Bearer " + token, Scopes: []string{token}}
	apply(Options{}, e)
	if e.Path != "/t/"+e.TokenID+"/x" || e.UserAgent != "Bearer "+e.TokenID || e.Scopes[0] != e.TokenID {
		t.Errorf("got %+v", e)
	}
}

func TestShortTokensAreReplacedAsWholeValues(t *testing.T) {
	e := &event.Event{TokenID: "v1", Path: "/v1/v12/v1", ClientID: "v1", UserAgent: "v1 v1"}
	apply(Options{}, e)
	if e.Path != "/"+e.TokenID+"/v12/"+e.TokenID || e.ClientID != e.TokenID || e.UserAgent != "v1 v1" {
		t.Errorf("got %+v", e)
	}
}

func TestEncodedTokenInPath(t *testing.T) {
	e := &event.Event{TokenID: "ab+cd/ef==gh", Path: "/t/ab%2Bcd%2fef%3D%3Dgh/caf%C3%A9"}
	apply(Options{}, e)
	if e.Path != "/t/"+e.TokenID+"/caf%C3%A9" {
		t.Errorf("path %s", e.Path)
	}
}

func TestMethodThatIsTheToken(t *testing.T) {
	e := &event.Event{TokenID: "AbCdEfGhIj", Method: "ABCDEFGHIJ"}
	apply(Options{}, e)
	if e.Method != e.TokenID {
		t.Errorf("method %s", e.Method)
	}
}

func TestSecretKeys(t *testing.T) {
	for key, want := range map[string]bool{
		"authorization": true, "Authorization": true, "cookie": true, "set-cookie": true, "Set-Cookie": true, "api_key": true,
		"apikey": true, "x-api-key": true, "X-Api-Key": true, "access_token": true, "refresh_token": true, "id_token": true, "token": true,
		"jwt": true, "password": true, "client_secret": true, "secret": true, "query.token": true, "http.request.header.authorization": true,
		"accessToken": true, "clientSecret": true, "apiKey": true,
		"tier": false, "tokens_used": false, "tokenizer": false, "subtoken": false, "secretary": false, "monkey": false, "nokey": false,
		"": false, "n": false, "cookies_accepted": false,
	} {
		e := &event.Event{Attributes: []event.Attribute{{Key: key, Value: "value"}}}
		apply(Options{}, e)
		if got := strings.HasPrefix(e.Attributes[0].Value, "tok_"); got != want {
			t.Errorf("%q: hashed %v, want %v", key, got, want)
		}
	}
}

func TestOrdinaryTextStays(t *testing.T) {
	for _, s := range []string{
		"eyJ", "heyJude.mp3", "eyJustice and more", "the bearer", "forbearers of news", "Bearer", "bearer ", "50% of J", "a+b", "/users/%20/x", "eyJpZCI6MX0",
	} {
		e := &event.Event{UserAgent: s, Path: s, TokenID: token}
		apply(Options{}, e)
		if e.UserAgent != s || e.Path != s {
			t.Errorf("%q became %q and %q", s, e.UserAgent, e.Path)
		}
	}
}

func TestLongTextsWithManySecrets(t *testing.T) {
	for _, part := range []string{"eyJ", "eyJ.", jwt + " ", token, "bearer ", "Bearer a ", "%2E", "eyJ%2E"} {
		e := &event.Event{TokenID: token, UserAgent: strings.Repeat(part, 1<<20/len(part))}
		apply(Options{}, e) // quadratic time would be hours here
		if strings.Contains(e.UserAgent, token) || strings.Contains(e.UserAgent, jwt) {
			t.Errorf("a secret stayed in many %q", part)
		}
	}
}

func TestApplyDoesNotAllocate(t *testing.T) {
	var mem arena.Arena
	f := New(Options{Subject: true, SessionID: true, SourceIP: true})
	addr := netip.MustParseAddr("81.2.69.142")
	text := []byte(`{"user_agent":"okhttp/4 (J; x y)"}`)
	apply := func() {
		mem.Reset()
		e := event.Event{TokenID: token, Subject: "ann", SessionID: "s", SourceIP: addr, Path: "/users/42", UserAgent: "okhttp/4"}
		f.Apply(&e, text, &mem)
	}
	apply()
	if n := testing.AllocsPerRun(100, apply); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkApply(b *testing.B) {
	var mem arena.Arena
	f := New(Options{})
	addr := netip.MustParseAddr("81.2.69.142")
	text := []byte(strings.Repeat(`"name":"value 1"`, 25))
	b.ReportAllocs()
	for b.Loop() {
		mem.Reset()
		e := event.Event{TokenID: token, Subject: "ann", SessionID: "s", SourceIP: addr, Path: "/users/42/profile", UserAgent: "okhttp/4", RequestID: "r-123456"}
		f.Apply(&e, text, &mem)
	}
}
