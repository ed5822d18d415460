package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// receiver takes everything that is posted and answers as Elasticsearch and Splunk do.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	bodies map[string]string // what came, by path
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{bodies: map[string]string{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		var body io.Reader = q.Body
		if q.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(q.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			body = z
		}
		text, err := io.ReadAll(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies[q.URL.Path] += fmt.Sprint(q.Header.Get("Authorization"), string(text))
		io.WriteString(w, `{"errors":false,"code":0,"access_token":"t","expires_in":3600}`)
	}))
	t.Cleanup(r.Close)
	return r
}

// TestHTTPDestinationsOfOneService delivers alerts of a running service to several destinations, whose secrets come from the
// environment.
func TestHTTPDestinationsOfOneService(t *testing.T) {
	r := newReceiver(t)
	t.Setenv("HEC_TOKEN", "hec-token-1f7a")
	t.Setenv("SLACK_URL", r.URL+"/services/slack-secret-1f7a")
	dir := t.TempDir()
	writeRules(t, dir, ruleText(5))
	destinations := fmt.Sprintf(`file: {path: DIR/alerts.jsonl, sync: never}
  splunk: {url: "%[1]s", token: {env: HEC_TOKEN}}
  elastic: {url: "%[1]s"}
  datadog: {url: "%[1]s", api_key: k}
  sentinel: {url: "%[1]s", login_url: "%[1]s", rule: dcr-1, tenant_id: t, client_id: c, client_secret: s}
  webhook: {url: "%[1]s/hook", secret: whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=}
  pagerduty: {url: "%[1]s", routing_key: k, min_severity: info}
  slack: {url: {env: SLACK_URL}, min_severity: info, queue: {batch_delay: 1ms}}`, r.URL)
	config := strings.NewReplacer("sinks: {file: {path: DIR/alerts.jsonl, sync: never}}", "sinks:\n  "+destinations,
		"DIR/rules.yaml", filepath.Join(dir, "rules.yaml")).Replace(serviceConfig)
	s := startService(t, config)
	for i := range 10 {
		s.produce(t, call("some-token-of-a-client", i))
	}
	var raised struct{ ID string }
	if err := json.Unmarshal([]byte(s.await(t, "alerts.jsonl", `"state":"open"`, 1)[0]), &raised); err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil { // which delivers what is waiting
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for path, also := range map[string]string{
		"/services/collector/event": "Splunk hec-token-1f7a",
		"/_bulk":                    "logs-gatewatch.alerts-default",
		"/api/v2/logs":              `"ddsource":"gatewatch"`,
		"/dataCollectionRules/dcr-1/streams/Custom-GatewatchAlerts_CL": "Bearer t",
		"/hook":                       "alert.open",
		"/v2/enqueue":                 "dedup_key",
		"/services/slack-secret-1f7a": "opened",
	} {
		if body := r.bodies[path]; !strings.Contains(body, raised.ID) || !strings.Contains(body, also) {
			t.Errorf("%s got %.300q", path, body)
		}
	}
	if log := s.log.String(); strings.Contains(log, "1f7a") {
		t.Errorf("a secret shows in the log: %s", log)
	}
}

// TestDestinationsAreNamedAsInTheFile opens every one: metrics, logs and outboxes know a sink by that name.
func TestDestinationsAreNamedAsInTheFile(t *testing.T) {
	text, err := os.ReadFile("../../deploy/gatewatch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range c.Sinks.HTTP.destinations() {
		if err := d.queue.Validate(); err != nil {
			t.Errorf("%s: %v", d.name, err)
		}
		s, err := d.open()
		switch {
		case d.name == "chronicle":
			if err == nil || !strings.Contains(err.Error(), "service account") {
				t.Errorf("chronicle opened without its key: %v", err)
			}
		case err != nil:
			t.Errorf("%s: %v", d.name, err)
		case s.Name() != d.name:
			t.Errorf("%s calls itself %s", d.name, s.Name())
		}
	}
}

var (
	fenced = regexp.MustCompile("(?ms)^```yaml\n(sinks:.*?)^```")
	secret = regexp.MustCompile(`\{(env|file): [^}]*\}`)
)

// TestDocumentedDestinationsAreValid reads what the README and the folders of deploy say to configure.
func TestDocumentedDestinationsAreValid(t *testing.T) {
	const value = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" // good for every secret but an address
	t.Setenv("SOME_SECRET", value)
	found := map[string]bool{}
	files, err := filepath.Glob("../../deploy/*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(files, "../../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range fenced.FindAllStringSubmatch(string(text), -1) {
			yaml := strings.ReplaceAll(block[1], "{env: SLACK_WEBHOOK_URL}", `"https://hooks.slack.com/services/x"`)
			c, err := parseConfig([]byte("kafka: {topics: [t]}\n" + secret.ReplaceAllString(yaml, "{env: SOME_SECRET}")))
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			for name := range c.Sinks.named {
				found[name] = true
			}
		}
	}
	for _, d := range new(httpSinksConfig).destinations() {
		if !found[d.name] {
			t.Errorf("nobody says how to configure %s", d.name)
		}
	}
}
