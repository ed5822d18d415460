package ingest

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestExcerpt(t *testing.T) {
	for record, want := range map[string]string{
		`{"time":"2026-11-22T10:00:00Z","status":200,"secret":"s3cr3t!"}`: `{"time":"0000-00-00x00:00:00x","status":000,"xxxxxx":"x0xx0x!"}`,
		`{"path":"time","x":"path" , "path" : null}`:                      `{"path":"xxxx","x":"xxxx" , "path" : xxxx}`,
		`{"started_at":1,"client_ip":"192.0.2.1","latency":{"x":1}}`:      `{"started_at":0,"client_ip":"000.0.0.0","latency":{"x":0}}`,
		`{"records":[{"method":"GET`:                                      `{"records":[{"method":"XXX`,
		"GET /a?token=abc\n\x00é":                                         "xxx /x?xxxxx=xxx  x",
		`"time`:                                                           `"xxxx`,
		`"time"`:                                                          `"xxxx"`,
		"":                                                                "",
		"\xff\xfe1":                                                       "xx0",
	} {
		want = strings.ReplaceAll(want, "XXX", "xxx")
		if got := Excerpt([]byte(record)); got != want {
			t.Errorf("%q\n got %q\nwant %q", record, got, want)
		}
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add([]byte(line))
	f.Add([]byte(`{"time" :"a","token_id":"x"`))
	f.Fuzz(func(t *testing.T, record []byte) {
		out := Excerpt(record)
		if len(out) > MaxExcerpt || !utf8.ValidString(out) {
			t.Fatalf("%d bytes, %q", len(out), out)
		}
		for name := range publicNames {
			out = strings.ReplaceAll(out, `"`+name+`"`, "")
		}
		if strings.ContainsFunc(out, func(r rune) bool {
			return r >= '1' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' && r != 'x' || r > '~'
		}) {
			t.Fatalf("%q of %q is not masked", out, record)
		}
	})
}
