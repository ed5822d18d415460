package detector

import (
	"strings"
	"testing"
)

func TestShortName(t *testing.T) {
	for text, want := range map[string]string{
		"okhttp":                      "okhttp",
		"evil\x1b[31m":                "evil\uFFFD[31m",
		"a\xffb":                      "a\uFFFDb",
		strings.Repeat("é", 40):       strings.Repeat("é", 32),
		"a" + strings.Repeat("é", 40): "a" + strings.Repeat("é", 31) + "\uFFFD",
	} {
		if got := shortName(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
