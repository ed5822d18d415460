package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/parser"
)

// TestExampleNamesEveryOptionWithItsDefault keeps deploy/gatewatch.yaml complete and true.
func TestExampleNamesEveryOptionWithItsDefault(t *testing.T) {
	text, err := os.ReadFile("../../deploy/gatewatch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	example, err := parseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		t.Fatal(err)
	}
	withoutDefault := map[string]bool{
		"sinks.file.path": true, "sinks.syslog.address": true, "sinks.splunk.url": true, "sinks.splunk.token": true, "sinks.elastic.url": true,
		"sinks.datadog.api_key": true, "sinks.sentinel.url": true, "sinks.sentinel.rule": true, "sinks.sentinel.tenant_id": true,
		"sinks.sentinel.client_id": true, "sinks.sentinel.client_secret": true, "sinks.chronicle.project": true,
		"sinks.chronicle.instance": true, "sinks.chronicle.credentials_file": true, "sinks.webhook.url": true,
		"sinks.webhook.secret": true, "sinks.pagerduty.routing_key": true, "sinks.slack.url": true,
	}
	defaults := defaultConfig()
	options := 0
	eachOption(reflect.ValueOf(defaults), reflect.ValueOf(example), "", func(path string, want, got reflect.Value) {
		options++
		node := file.Docs[0].Body
		for _, key := range strings.Split(path, ".") {
			node = child(node, key)
		}
		if node == nil {
			t.Errorf("the example does not name %s", path)
		} else if !withoutDefault[path] && !reflect.DeepEqual(want.Interface(), got.Interface()) {
			t.Errorf("the example says %s: %v, the default is %v", path, got, want)
		}
	})
	if options < 80 {
		t.Errorf("only %d options were compared", options)
	}
}

// eachOption walks the options of two configurations side by side.
func eachOption(want, got reflect.Value, path string, visit func(path string, want, got reflect.Value)) {
	for i := range want.NumField() {
		field := want.Type().Field(i)
		tag, inline := strings.CutSuffix(field.Tag.Get("yaml"), ",inline")
		if !field.IsExported() {
			continue
		}
		name := strings.TrimPrefix(path+"."+tag, ".")
		if inline {
			name = path
		}
		if field.Type.Kind() == reflect.Struct {
			eachOption(want.Field(i), got.Field(i), name, visit)
			continue
		}
		visit(name, want.Field(i), got.Field(i))
	}
}

func TestConfigMistakesAreNamed(t *testing.T) {
	const base = "kafka: {topics: [t]}\nsinks: {stdout: {}}\n"
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", base + "kafak: 1\n", "[3:1] unknown field \"kafak\" (did you mean \"kafka\"?)"},
		{"number that is none", "kafka: {topics: [t]}\nsinks: {file: {path: a, max_size: much}}\n", "[2:35] sinks.file.max_size must be a whole number"},
		{"text in place of a list", base + "inventory: {openapi: a.yaml}\n", "[3:22] inventory.openapi must be a list, such as [a, b]"},
		{"keys in place of text", "kafka: {topics: [{a: b}]}\nsinks: {stdout: {}}\n", "[1:18] kafka.topics must be text"},
		{"text in place of keys", "kafka: {topics: [t]}\nsinks: {clickhouse: 5}\n", "[2:21] sinks.clickhouse must be keys with values"},
		{"unknown nested key", "kafka: {topics: [t], toppics: x}\nsinks: {stdout: {}}\n", "toppics"},
		{"wrong type", "kafka: {topics: 5}\nsinks: {stdout: {}}\n", "kafka"},
		{"no topics", "kafka: {topics: []}\nsinks: {stdout: {}}\n", "kafka: topics"},
		{"no sinks", "kafka: {topics: [t]}\n", "sinks: is empty"},
		{"unknown sink", "kafka: {topics: [t]}\nsinks: {splonk: {}}\n", "splonk"},
		{"bad duration", base + "engine: {disorder: fast}\n", "disorder"},
		{"out of range", base + "engine: {disorder: 5h}\n", "engine: disorder is 5h0m0s"},
		{"unknown format of a file", "kafka: {topics: [t]}\nsinks: {file: {path: a, format: cef}}\n", `sinks.file: format is "cef", must be "json" or "ocsf"`},
		{"sink without path", "kafka: {topics: [t]}\nsinks: {file: {}}\n", "sinks.file: path is missing"},
		{"splunk without token", "kafka: {topics: [t]}\nsinks: {splunk: {url: \"https://splunk:8088\"}}\n", "sinks.splunk: token is missing"},
		{"unknown key of slack", "kafka: {topics: [t]}\nsinks: {slack: {chanel: x}}\n", "chanel"},
		{"bad duration of splunk", "kafka: {topics: [t]}\nsinks: {splunk: {ack_timeout: long}}\n", "ack_timeout"},
		{"no time for acknowledgements", "kafka: {topics: [t]}\nsinks: {splunk: {url: \"https://splunk:8088\", token: t, acknowledge: true, queue: {timeout: 1m}}}\n", "sinks.splunk: queue.timeout 1m0s must be longer than ack_timeout 2m0s"},
		{"no switch for verification", "kafka: {topics: [t]}\nsinks: {elastic: {tls: {insecure_skip_verify: true}}}\n", "insecure_skip_verify"},
		{"secret not set", "kafka: {topics: [t], sasl: {mechanism: PLAIN, username: u, password: {env: NO_SUCH_VARIABLE}}}\nsinks: {stdout: {}}\n", "NO_SUCH_VARIABLE is not set"},
		{"secret file missing", "kafka: {topics: [t], sasl: {mechanism: PLAIN, username: u, password: {file: /no/such/file}}}\nsinks: {stdout: {}}\n", "/no/such/file"},
		{"not YAML", "kafka: [\n", "1"},
		{"two documents", base + "---\n" + base, "several documents"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseConfig([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestMistakesQuoteNoSecret holds that a mistake beside a password does not bring it into the log.
func TestMistakesQuoteNoSecret(t *testing.T) {
	for _, text := range []string{
		"sinks: {splunk: {url: x, token: hunter2, indx: a}}\n",
		"sinks:\n  splunk:\n    token: hunter2\n    max_in_flight: many\n    acknowledge: hunter2\n",
		"kafka: {sasl: {password: [hunter2]}}\n",
		"kafka: {sasl: {password: hunter2, }]\n",
	} {
		_, err := parseConfig([]byte(text))
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line without the secret", text, err)
		}
	}
}

// TestAddressesNeedNoQuotes reads lists as YAML means them, in whatever they stand.
func TestAddressesNeedNoQuotes(t *testing.T) {
	c, err := parseConfig([]byte("kafka: {brokers: [kafka-1:9092, 10.0.0.1:9092], topics: [t]}\nsinks: {stdout: {}}\n"))
	if err != nil || !reflect.DeepEqual(c.Kafka.Brokers, []string{"kafka-1:9092", "10.0.0.1:9092"}) {
		t.Errorf("brokers %q, %v", c.Kafka.Brokers, err)
	}
}

func TestSecretsComeFromEnvironmentAndFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("from: \"file\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_SECRET", "from, [env]")
	c, err := parseConfig([]byte("kafka:\n  topics: [t]\n  sasl: {mechanism: PLAIN, username: u, password: {env: TEST_SECRET}}\n" +
		"ingest:\n  privacy_key:\n    file: " + path + "\nsinks: {stdout: {}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Kafka.SASL.Password != "from, [env]" || c.Ingest.PrivacyKey != `from: "file"` {
		t.Errorf("password %q, key %q", c.Kafka.SASL.Password, c.Ingest.PrivacyKey)
	}
}

// TestDeployedConfigurationsAreValid reads the configurations of deploy/kubernetes and deploy/endtoend as gatewatch does.
func TestDeployedConfigurationsAreValid(t *testing.T) {
	for _, name := range []string{"CLICKHOUSE_PASSWORD", "GATEWATCH_PRIVACY_KEY"} {
		t.Setenv(name, "x")
	}
	files, err := filepath.Glob("../../deploy/kubernetes/*/gatewatch.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d configurations: %v", len(files), err)
	}
	for _, file := range append(files, "../../deploy/endtoend/gatewatch.yaml") {
		if _, err := readConfig(file); err != nil {
			t.Error(err)
		}
	}
}

// TestMistakesShowNoSecrets looks at the lines around a mistake, which the error shows.
func TestMistakesShowNoSecrets(t *testing.T) {
	for name, text := range map[string]string{
		"beside it":         "    token: hunter2\n    tokn: x\n",
		"with a comma":      "    token: a,hunter2\n    tokn: x\n",
		"quoted":            "    \"token\": 'a hunter2'\n    tokn: x\n",
		"in one line":       "    {url: \"https://h\", token: hunter2, tokn: x}\n",
		"behind a source":   "    {url: {env: PATH}, token: hunter2, tokn: x}\n",
		"on the next line":  "    token:\n      hunter2\n    tokn: x\n",
		"as a block":        "    token: |-\n      hunter2\n    tokn: x\n",
		"of a wrong type":   "    token: [hunter2]\n",
		"in broken YAML":    "    token: hunter2\n   tokn: [x\n",
		"as an address":     "    url: https://h/hunter2\n    tokn: x\n",
		"as the proxy":      "    proxy: http://me:hunter2@h\n    tokn: x\n",
		"as a long comment": "    api_key: x # hunter2\n",
	} {
		_, err := parseConfig([]byte("sinks:\n  splunk:\n" + text))
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "[") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestConfigurationsShowNoSecrets prints each section in every way.
func TestConfigurationsShowNoSecrets(t *testing.T) {
	c := defaultConfig()
	secrets := 0
	var fill func(reflect.Value)
	fill = func(v reflect.Value) {
		for i := range v.NumField() {
			switch name, f := v.Type().Field(i).Tag.Get("yaml"), v.Field(i); {
			case secretKeys[name] && name != "username":
				f.SetString("https://h/hunter2")
				secrets++
			case f.Kind() == reflect.Struct:
				fill(f)
			}
		}
	}
	fill(reflect.ValueOf(&c).Elem())
	if secrets < 25 {
		t.Errorf("only %d secrets were found", secrets)
	}
	var log bytes.Buffer
	for _, d := range []any{c.Kafka.SASL, c.Ingest.Config, c.Ingest.HTTP, c.Sinks.ClickHouse.Config, c.Sinks.HTTP, c} {
		slog.New(slog.NewTextHandler(&log, nil)).Info("", "c", d)
		fmt.Fprintf(&log, "%v %+v %#v\n", d, d, d)
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("a secret shows: %s", log.String())
	}
}
