package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLimits(t *testing.T) {
	const five = 5_000_000
	for _, test := range []struct {
		text string
		want limitsConfig
	}{
		{"{}", limitsConfig{entityLimits{"default": five}, 4 << 30, 65534}},
		{"{entities: 1000, memory: 512MiB}", limitsConfig{entityLimits{"default": 1000}, 512 << 20, 65534}},
		{"{entities: {client_id: 7}, memory: 1.5GB, values: 256}", limitsConfig{entityLimits{"default": five, "client_id": 7}, 1_500_000_000, 256}},
		{"{entities: {default: 0, client_id+source_ip: 7}, memory: 33554432}", limitsConfig{entityLimits{"default": 0, "client_id+source_ip": 7}, 32 << 20, 65534}},
		{"{entities: 0, memory: 0, values: 0}", limitsConfig{entityLimits{"default": 0}, 0, 0}},
		{`{memory: "2 GiB"}`, limitsConfig{entityLimits{"default": five}, 2 << 30, 65534}},
	} {
		c, err := parseConfig([]byte("limits: " + test.text + "\nsinks: {stdout: {}}\n"))
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
		} else if diff := cmp.Diff(test.want, c.Limits); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestBadLimits(t *testing.T) {
	for text, want := range map[string]string{
		"{entities: many}":            "write a number, or a map of kinds",
		"{entities: -1}":              "entities: default: -1 is negative",
		"{entities: {client_id: -1}}": `entities: client_id: -1 is negative`,
		"{entities: {client_id: x}}":  "write a number, or a map of kinds",
		"{memory: 4Gib}":              `"4Gib" is no size`,
		"{memory: -4GiB}":             "is no size",
		"{memory: lots}":              "is no size",
		"{memory: 1MiB}":              "must be at least 16777216 (16 MiB)",
		"{values: 10}":                "must be between 256 and 65534",
		"{values: 70000}":             "must be between 256 and 65534",
		"{bytes: 1}":                  "unknown field",
	} {
		if _, err := parseConfig([]byte("limits: " + text + "\nsinks: {stdout: {}}\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
}

func TestLimitOfUnknownKind(t *testing.T) {
	set, err := loadRules(nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	limitsConfig{Entities: entityLimits{"default": 1, "token_id": 2, "tokens": 3}}.warnUnknown(log, set)
	if lines := strings.Count(out.String(), "\n"); lines != 1 || !strings.Contains(out.String(), "kind=tokens") {
		t.Errorf("log: %s", out.String())
	}
}
