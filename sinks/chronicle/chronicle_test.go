package chronicle

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

const (
	instance  = "projects/soc/locations/us/instances/6f1f2f7e-0000-4000-8000-000000000001"
	forwarder = instance + "/forwarders/6f1f2f7e-0000-4000-8000-000000000002"
)

// serviceKey is made once: it takes a while.
var serviceKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// keyFile writes a key of a service account whose tokens come from an address.
func keyFile(t *testing.T, tokens string) (path string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(serviceKey())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "gatewatch@soc.iam.gserviceaccount.com", "private_key_id": "k1", "token_uri": tokens,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, e sinktest.Endpoint) *Sink {
	t.Helper()
	c := DefaultConfig()
	c.URL, c.TLS.CAFile, c.Proxy = e.URL, e.CAFile, e.Proxy
	c.Project, c.Instance, c.Forwarder = "soc", "6f1f2f7e-0000-4000-8000-000000000001", "6f1f2f7e-0000-4000-8000-000000000002"
	c.Namespace, c.ThrottlePause, c.CredentialsFile = "prod", time.Millisecond, keyFile(t, e.URL+"/token")
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	sinktest.RunHTTP(t, sinktest.HTTP{
		Open:     func(t *testing.T, e sinktest.Endpoint) sinks.Sink { return open(t, e) },
		New:      func() sinktest.Handler { return (&google{}).serve },
		Delivers: func(r *http.Request) bool { return r.URL.Path != "/token" },
		Retry:    []sinktest.Reply{{Status: 429, Body: `{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}`}},
		Wait:     []sinktest.Reply{{Status: 403, Body: `{"error":{"code":403,"status":"PERMISSION_DENIED"}}`}, {Status: 400, Body: `{"error":{"code":400,"status":"FAILED_PRECONDITION"}}`}},
		Refuse:   []sinktest.Reply{{Status: 400, Body: `{"error":{"code":400,"status":"INVALID_ARGUMENT"}}`}},
		MaxItem:  1_400_000, BlindSpots: true,
		Secrets: []string{"token-5b1c", "PRIVATE KEY"},
	})
}

// google is Google's token endpoint and logs.import as their references describe them.
type google struct{ tokens int }

func (f *google) serve(s *sinktest.Store, r *http.Request, body []byte) sinktest.Reply {
	if r.URL.Path == "/token" {
		if err := checkAssertion(r, body); err != nil {
			return sinktest.Reply{Status: 400, Body: `{"error":"invalid_grant","error_description":"` + err.Error() + `"}`}
		}
		f.tokens++
		return sinktest.Reply{Status: 200, Body: fmt.Sprintf(`{"access_token":"token-5b1c-%d","expires_in":3599,"token_type":"Bearer"}`, f.tokens)}
	}
	switch {
	case r.Header.Get("Authorization") != fmt.Sprintf("Bearer token-5b1c-%d", f.tokens):
		return sinktest.Reply{Status: 401}
	case r.URL.Path != "/v1beta/"+instance+"/logTypes/GATEWATCH/logs:import" || r.Method != http.MethodPost:
		return sinktest.Reply{Status: 404}
	case r.Header.Get("Content-Type") != "application/json":
		return sinktest.Reply{Status: 415}
	case len(body) > 4_000_000:
		return sinktest.Reply{Status: 413}
	}
	var request struct {
		InlineSource struct {
			Forwarder string
			Logs      []struct {
				Data                         []byte
				LogEntryTime, CollectionTime time.Time
				EnvironmentNamespace         string
			}
		}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&request); err != nil || request.InlineSource.Forwarder != forwarder || len(request.InlineSource.Logs) == 0 {
		return sinktest.Reply{Status: 400, Body: "INVALID_ARGUMENT"}
	}
	for _, l := range request.InlineSource.Logs {
		if !l.CollectionTime.After(l.LogEntryTime) || l.EnvironmentNamespace != "prod" || take(s, l.Data) != nil {
			return sinktest.Reply{Status: 400, Body: "INVALID_ARGUMENT"}
		}
	}
	return sinktest.Reply{Status: 200, Body: "{}"}
}

// checkAssertion verifies the signed claim.
func checkAssertion(r *http.Request, body []byte) error {
	form, err := url.ParseQuery(string(body))
	parts := strings.Split(form.Get("assertion"), ".")
	if err != nil || form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || len(parts) != 3 {
		return errors.New("no assertion")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&serviceKey().PublicKey, crypto.SHA256, sum[:], signature); err != nil {
		return err
	}
	var claims struct {
		Iss, Scope, Aud string
		Iat, Exp        int64
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return errors.New("no claims")
	}
	now := time.Now().Unix()
	if claims.Iss != "gatewatch@soc.iam.gserviceaccount.com" || !strings.HasSuffix(claims.Aud, "/token") || claims.Scope != scope ||
		claims.Iat > now+5 || claims.Exp <= now || claims.Exp-claims.Iat > 3600 {
		return errors.New("bad claims")
	}
	return nil
}

// take reads a raw log as the shipped parser does: only blind spots have a cause.
func take(s *sinktest.Store, data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if bytes.Contains(data, []byte(`"cause":`)) {
		b := &alert.BlindSpot{}
		s.BlindSpots = append(s.BlindSpots, b)
		return d.Decode(b)
	}
	a := &alert.Alert{}
	s.Alerts = append(s.Alerts, a)
	return d.Decode(a)
}

func TestThrottlingWaits(t *testing.T) {
	f, store, throttled := &google{}, &sinktest.Store{}, true
	address := sinktest.Serve(t, func(r *http.Request, body []byte) sinktest.Reply {
		if throttled && r.URL.Path != "/token" {
			return sinktest.Reply{Status: 429}
		}
		return f.serve(store, r, body)
	})
	s := open(t, sinktest.Endpoint{URL: address, Proxy: "-"})
	s.config.ThrottlePause = 5 * time.Minute
	partial, ok := errors.AsType[*sinks.PartialError](s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}))
	if !ok || partial.After != 5*time.Minute {
		t.Errorf("%+v", partial)
	}
}

func TestKeyFiles(t *testing.T) {
	good := keyFile(t, "https://oauth2.googleapis.com/token")
	if _, err := readAccount(good); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"no JSON":           "hunter2",
		"of something else": `{"type":"authorized_user"}`,
		"holds no private":  strings.Replace(string(text), "BEGIN PRIVATE", "BEGIN", 1),
		"cannot be read":    strings.Replace(string(text), "MII", "", 1),
	} {
		path := filepath.Join(t.TempDir(), "key.json")
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readAccount(path)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
	c := DefaultConfig()
	c.CredentialsFile = keyFile(t, "http://oauth2.googleapis.com/token")
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "token_uri") {
		t.Errorf("tokens over http: %v", err)
	}
}

func TestConfig(t *testing.T) {
	c := DefaultConfig()
	c.Project, c.Instance, c.CredentialsFile = "soc", "6f1f2f7e-0000-4000-8000-000000000001", "key.json"
	if err := errors.Join(c.Validate(), DefaultQueue().Validate()); err != nil {
		t.Error(err)
	}
	c.Project, c.Instance, c.Forwarder, c.CredentialsFile, c.ThrottlePause = "", "a/b", "a/b", "", -1
	err := c.Validate()
	for _, want := range []string{"project", `instance "a/b"`, `forwarder "a/b"`, "credentials_file is missing", "throttle_pause"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// TestAssertionsAreSecret lets the issuer of tokens show what it was given: a signed claim is as good as a token for an hour.
func TestAssertionsAreSecret(t *testing.T) {
	assertion := ""
	address := sinktest.Serve(t, func(r *http.Request, body []byte) sinktest.Reply {
		form, _ := url.ParseQuery(string(body))
		assertion = form.Get("assertion")
		return sinktest.Reply{Status: 400, Body: "bad " + string(body)}
	})
	s := open(t, sinktest.Endpoint{URL: address, Proxy: "-"})
	err := s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)})
	if err == nil || assertion == "" || !strings.Contains(err.Error(), "***") || strings.Contains(err.Error(), assertion[:40]) {
		t.Errorf("%v", err)
	}
}
