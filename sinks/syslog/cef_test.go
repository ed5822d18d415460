package syslog

import (
	"regexp"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

// readCEF takes a record apart as receivers do.
func readCEF(t *testing.T, text string) (head []string, extension map[string]string) {
	t.Helper()
	parts := regexp.MustCompile(`(?:[^|\\]|\\.)*`).FindAllString(text, 8)
	if len(parts) != 8 || parts[0] != "CEF:0" {
		t.Fatalf("head %q", parts)
	}
	rest := text
	for range 7 {
		rest = rest[len(regexp.MustCompile(`^(?:[^|\\]|\\.)*\|`).FindString(rest)):]
	}
	extension = map[string]string{}
	keys := regexp.MustCompile(`(?:^| )([A-Za-z0-9]+)=`).FindAllStringSubmatchIndex(rest, -1)
	for i, k := range keys {
		end := len(rest)
		if i+1 < len(keys) {
			end = keys[i+1][0]
		}
		extension[rest[k[2]:k[3]]] = strings.NewReplacer(`\=`, "=", `\\`, `\`).Replace(rest[k[1]:end])
	}
	return parts[1:7], extension
}

func TestCEF(t *testing.T) {
	a := sinktest.Alert(1, 3)
	a.Rule.Title, a.Summary, a.Rule.Severity = `many | profiles \ read`, "x=1 \\ and\nmore", alert.High
	a.Rule.Tags = []string{"attack:T1087", "owasp:API1:2023"}
	a.Entity = alert.Entity{Kind: "subject", ID: "user=1"}
	a.Baseline = map[string]any{"usual": 3.0, "windows": 40}
	head, ext := readCEF(t, alertCEF(a, maxValue))
	if head[3] != a.Rule.ID || head[4] != `many \| profiles \\ read` || head[5] != "8" {
		t.Errorf("head %q", head)
	}
	for key, want := range map[string]string{
		"externalId": a.ID, "act": string(a.State), "cat": "owasp:API1:2023", "suser": "user=1", "cs1": "subject user=1", "cs1Label": "entity",
		"msg": `x=1 \ and more`, "cn1": "3", "cn1Label": "version",
		"cfp4": "3", "cfp4Label": "usual",
	} {
		if ext[key] != want {
			t.Errorf("%s is %q, not %q", key, ext[key], want)
		}
	}
	for key := range ext {
		if label, ok := strings.CutSuffix(key, "Label"); ok && ext[label] == "" {
			t.Errorf("%s labels nothing", key)
		}
	}
}

func TestCEFOfBlindSpots(t *testing.T) {
	b := sinktest.BlindSpot(1, 1)
	head, ext := readCEF(t, blindSpotCEF(b, maxValue))
	if head[3] != "blind-spot-"+string(b.Cause) || ext["externalId"] != b.ID || ext["msg"] == "" {
		t.Errorf("%q %v", head, ext)
	}
}

// FuzzCEF looks for values that leave their place.
func FuzzCEF(f *testing.F) {
	f.Add("plain", "plain")
	f.Add("a|b\\|", "c=d e=f\n\\")
	f.Add("\x00\xff\u0085", " =x")
	f.Fuzz(func(t *testing.T, title, summary string) {
		a := sinktest.Alert(1, 1)
		a.Rule.Title, a.Summary = title, summary
		text := alertCEF(a, maxValue)
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
			t.Fatalf("control characters in %q", text)
		}
		head, ext := readCEF(t, text)
		if head[5] != cefSeverities[a.Rule.Severity] {
			t.Fatalf("the title has moved the head: %q", text)
		}
		if ext["externalId"] != a.ID || !strings.HasPrefix(text, "CEF:0|gatewatch|") {
			t.Fatalf("the summary has moved the extension: %q", text)
		}
	})
}
