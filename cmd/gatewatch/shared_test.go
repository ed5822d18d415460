package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/pipeline"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
	"github.com/gatewatch/gatewatch/rules"
)

const keyedRules = `rules:
- {id: clients, title: t, detect: rate, by: client_id, window: 1m, limit: 3}
- {id: pairs, title: t, detect: rate, by: [client_id, token_id], window: 1m, limit: 3}
- {id: users, title: t, detect: rate, by: subject, window: 1m, limit: 3}
`

func keyedSet(t *testing.T) *rules.Set {
	t.Helper()
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Data: []byte(keyedRules)})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestRulesMustFitTheKeys names each rule whose events a shared topic does not bring together, and what it lacks. A rule that
// groups by more than the key is served: all events of a client and its token are where those of the client are.
func TestRulesMustFitTheKeys(t *testing.T) {
	set := keyedSet(t)
	err := checkKeyed(set, []string{"client_id"})
	if err == nil || !strings.Contains(err.Error(), "rule users groups by subject") || strings.Contains(err.Error(), "rule pairs") ||
		!strings.Contains(err.Error(), "gatewatch route") {
		t.Errorf("of a topic keyed by the client: %v", err)
	}
	err = pipeline.CheckKinds(set, []string{"client_id", "subject"})
	if err == nil || !strings.Contains(err.Error(), "rule pairs groups by client_id+token_id") || strings.Contains(err.Error(), "rule users") {
		t.Errorf("of a topic that routers write: %v", err)
	}
	if err := pipeline.CheckKinds(set, []string{"subject", "client_id", "client_id+token_id"}); err != nil {
		t.Error(err)
	}
}

func TestSharedTopic(t *testing.T) {
	for _, c := range []struct {
		text, topic, problem string
		routed               bool
	}{
		{"route: {topic: keyed}", "keyed", "", true},
		{"kafka: {topics: [own], keyed_by: [client_id]}", "own", "", false},
		{"kafka: {topics: [a, b], keyed_by: [client_id]}", "", "one topic", false},
		{"kafka: {topics: [own]}", "", "kafka.keyed_by", false},
		{"kafka: {topics: [own], keyed_by: [client_id]}\ningest: {http: {listen: \":8088\", token: a-token-of-some-length}}", "", "ingest.http", false},
	} {
		config, err := parseConfig([]byte("state: kafka://s\nsinks: {stdout: {}}\n" + c.text))
		if err != nil {
			t.Fatal(err)
		}
		topic, routed, err := config.sharedTopic()
		if topic != c.topic || routed != c.routed || (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: %q, %v, %v", c.text, topic, routed, err)
		}
	}
}

func TestStateLocation(t *testing.T) {
	for _, c := range []struct {
		text, folder, topic string
		brokers             []string
		problem             string
	}{
		{text: "", folder: "/etc/gw/gatewatch-state"},
		{text: "state: kept", folder: "/etc/gw/kept"},
		{text: "state: /var/lib/gw", folder: "/var/lib/gw"},
		{text: "state: {location: /var/lib/gw, interval: 1s}", folder: "/var/lib/gw"},
		{text: "state: kafka://topic", topic: "topic", brokers: []string{"source:9092"}},
		{text: "state: kafka:///topic", topic: "topic", brokers: []string{"source:9092"}},
		{text: "state: kafka://a:1,b:2/topic", topic: "topic", brokers: []string{"a:1", "b:2"}},
		{text: "state: kafka://", problem: "names no topic"},
		{text: "state: s3://bucket", problem: "kafka://TOPIC"},
		{text: "state: {location: x, interval: 0s}", problem: "interval"},
		{text: "state: {place: x}", problem: "place"},
	} {
		config, err := parseConfig([]byte("kafka: {brokers: [\"source:9092\"]}\nsinks: {stdout: {}}\n" + c.text))
		if c.problem != "" {
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%s: %v, want a word of %q", c.text, err, c.problem)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if config.State.shared() != (c.topic != "") {
			t.Errorf("%s: shared is %v", c.text, config.State.shared())
		}
		if c.folder != "" && config.State.folder("/etc/gw") != c.folder {
			t.Errorf("%s: folder %s, want %s", c.text, config.State.folder("/etc/gw"), c.folder)
		}
		if c.topic != "" {
			cluster, topic := config.State.topic(connection.Config{Brokers: []string{"source:9092"}})
			if topic != c.topic || !slices.Equal(cluster.Brokers, c.brokers) {
				t.Errorf("%s: topic %s at %v", c.text, topic, cluster.Brokers)
			}
		}
	}
}
