package ocsf

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/google/go-cmp/cmp"
)

var example = regexp.MustCompile("(?s)```json\n(\\{.*?\\})\n```")

// The README shows an alert and its finding.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	must(t, err)
	var shown *alert.Alert
	var finding map[string]any
	for _, block := range example.FindAllSubmatch(text, -1) {
		switch {
		case bytes.Contains(block[1], []byte(`"class_uid"`)):
			must(t, json.Unmarshal(block[1], &finding))
		case bytes.Contains(block[1], []byte(`"detected_at"`)) && shown == nil:
			must(t, json.Unmarshal(block[1], &shown))
		}
	}
	if shown == nil {
		t.Fatal("the README shows no alert")
	}
	want := object(t, shown)
	if diff := cmp.Diff(want, finding); diff != "" {
		t.Errorf("the README shows another finding:\n%s\nit is %s", diff, write(t, shown))
	}
}
