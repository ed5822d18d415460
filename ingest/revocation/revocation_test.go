package revocation

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/privacy"
)

var key = []byte("key")

func shown(token string) string {
	return string(privacy.New(privacy.Options{Key: key}).AppendToken(nil, token))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// open reads one list with the text.
func open(t *testing.T, text string, log *slog.Logger) (*List, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "revoked.txt")
	write(t, path, text)
	c := DefaultConfig()
	c.Files = []string{path}
	l, err := Open(c, Options{Key: key, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	return l, path
}

func at(text string) event.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return event.TimeOf(t)
}

func TestForms(t *testing.T) {
	l, _ := open(t, "\ufefftoken_id,revoked_at\r\n"+
		"jti-1,2026-11-22T10:00:00Z\r\n"+
		"jti-2\r\n"+
		"# a comment, with a comma\r\n"+
		"\r\n"+
		"  jti-3 , 1795341600 \n"+
		"\"jti-4\",\"1795341600000\"\n"+
		"{\"token_id\":\"jti-5\",\"revoked_at\":\"2026-11-22T10:00:00+01:00\",\"reason\":\"lost\"}\n"+
		"{\"token_id\":\"jti-6\"}\n"+
		"{\"token_id\":\"jti-7\",\"revoked_at\":1795341600}\n"+
		"{\"token_id\":\"jti-8\",\"revoked_at\":null}\n"+
		shown("jti-9")+",2026-11-22T10:00:00Z\n"+
		"jti-10,\n"+
		"token_id\n"+
		"jti-11", nil)
	for token, want := range map[string]event.Time{
		"jti-1": at("2026-11-22T10:00:00Z"), "jti-2": event.RevokedSinceEver, "jti-3": 1795341600000, "jti-4": 1795341600000, "jti-5": at("2026-11-22T09:00:00Z"),
		"jti-6": event.RevokedSinceEver, "jti-7": 1795341600000, "jti-8": event.RevokedSinceEver, "jti-9": at("2026-11-22T10:00:00Z"), "jti-10": event.RevokedSinceEver,
		"jti-11": event.RevokedSinceEver, "token_id": event.RevokedSinceEver, "jti-12": 0, "": 0,
	} {
		if got := l.RevokedAt(shown(token)); got != want {
			t.Errorf("%s: revoked at %d, want %d", token, got, want)
		}
	}
	if bad := l.current.Load().bad; bad != 0 {
		t.Errorf("%d bad lines: %v", bad, l.current.Load().told)
	}
	if l.RevokedAt("jti-1") != 0 || l.RevokedAt("") != 0 {
		t.Error("raw tokens are found")
	}
}

// TestEarliestCounts names tokens several times, raw and as a pseudonym.
func TestEarliestCounts(t *testing.T) {
	l, _ := open(t, "a,2026-11-22T10:00:00Z\n"+shown("a")+",2026-11-22T09:00:00Z\na,2026-11-22T11:00:00Z\nb,2026-11-22T11:00:00Z\nb\nb,2026-11-22T10:00:00Z\n", nil)
	if got := l.RevokedAt(shown("a")); got != at("2026-11-22T09:00:00Z") {
		t.Errorf("a: %s", got)
	}
	if got := l.RevokedAt(shown("b")); got != event.RevokedSinceEver {
		t.Errorf("b: %s", got)
	}
}

// TestHostileLines puts lines that cannot be read around one that can. What is told holds nothing of the lines.
func TestHostileLines(t *testing.T) {
	const secret = "s3cr3t-t0ken"
	for name, c := range map[string]struct {
		line string
		why  problem
	}{
		"no JSON":            {"{" + secret, notJSON},
		"JSON without token": {`{"jti":"` + secret + `"}`, noToken},
		"list":               {`{"token_id":["` + secret + `"]}`, noToken},
		"boolean":            {`{"token_id":true,"x":"` + secret + `"}`, noToken},
		"two objects":        {`{"token_id":"` + secret + `"}{}`, notJSON},
		"only a time":        {",2026-11-22T10:00:00Z", noToken},
		"three columns":      {secret + ",2026-11-22T10:00:00Z,lost", tooMany},
		"control character":  {secret + "\x00", badEncoding},
		"escape":             {"\x1b[2J" + secret, badEncoding},
		"long token":         {strings.Repeat("a", maxToken+1), tooLong},
		"long line":          {strings.Repeat("a", 5*maxLine), tooLong},
		"bad time":           {secret + ",yesterday", badTime},
		"old time":           {secret + ",1970-01-02T00:00:00Z", badTime},
		"object as time":     {`{"token_id":"` + secret + `","revoked_at":{}}`, badTime},
		"nested":             {strings.Repeat(`{"a":`, 11_000), notJSON},
	} {
		var out bytes.Buffer
		l, _ := open(t, "before\n"+c.line+"\nafter\n", slog.New(slog.NewTextHandler(&out, nil)))
		told := l.current.Load().told
		if len(told) != 1 || told[0].why != c.why || told[0].line != 2 {
			t.Errorf("%s: %v", name, told)
		}
		if l.RevokedAt(shown("before")) == 0 || l.RevokedAt(shown("after")) == 0 {
			t.Errorf("%s: the other lines are not read", name)
		}
		if got := l.RevokedAt(shown(secret)) != 0; got != (c.why == badTime) {
			t.Errorf("%s: the token is revoked: %v", name, got)
		}
		if strings.Contains(out.String(), secret) || strings.Contains(out.String(), "aaaa") || !strings.Contains(out.String(), "line=2") {
			t.Errorf("%s: logged %q", name, out.String())
		}
	}
}

func TestBadLastLine(t *testing.T) {
	l, _ := open(t, "a\n"+strings.Repeat("b", 2*maxLine), nil)
	if l.Len() != 1 || l.current.Load().bad != 1 {
		t.Errorf("%d tokens, %d bad lines", l.Len(), l.current.Load().bad)
	}
}

func TestTooManyTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revoked.txt")
	c := Config{Files: []string{path}, MaxEntries: 100}
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "jti-%d\njti-%d\n", i, i)
	}
	write(t, path, b.String())
	if l, err := Open(c, Options{}); err != nil || l.Len() != 100 {
		t.Fatal(err)
	}
	write(t, path, b.String()+"one more\n")
	if _, err := Open(c, Options{}); err == nil || !strings.Contains(err.Error(), "max_entries") {
		t.Error(err)
	}
}

func TestNoFile(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if _, err := Open(Config{Files: []string{path}, MaxEntries: 1}, Options{}); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
}

// TestReload changes the file, breaks it, and mends it: what is broken changes nothing.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revoked.txt")
	write(t, path, "a\n")
	registry := prometheus.NewRegistry()
	l, err := Open(Config{Files: []string{path}, MaxEntries: 3}, Options{Key: key, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Reload(); err != nil || l.RevokedAt(shown("a")) == 0 {
		t.Error(err)
	}
	write(t, path, "bb\n\x00\n")
	if err := l.Reload(); err != nil || l.RevokedAt(shown("a")) != 0 || l.RevokedAt(shown("bb")) == 0 {
		t.Error(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := l.Reload(); !errors.Is(err, os.ErrNotExist) || l.RevokedAt(shown("bb")) == 0 {
		t.Error(err)
	}
	write(t, path, "1\n2\n3\n4\n")
	if err := l.Reload(); err == nil || l.RevokedAt(shown("bb")) == 0 {
		t.Error(err)
	}
	write(t, path, "1\n2\n3\n")
	if err := l.Reload(); err != nil || l.Len() != 3 {
		t.Error(err)
	}
	want := `
# HELP gatewatch_revocation_bad_lines Lines of revocation lists that cannot be read.
# TYPE gatewatch_revocation_bad_lines gauge
gatewatch_revocation_bad_lines 0
# HELP gatewatch_revocation_reloads_total Changed revocation lists that were read again.
# TYPE gatewatch_revocation_reloads_total counter
gatewatch_revocation_reloads_total{result="failed"} 2
gatewatch_revocation_reloads_total{result="loaded"} 2
# HELP gatewatch_revocation_tokens Tokens that revocation lists name.
# TYPE gatewatch_revocation_tokens gauge
gatewatch_revocation_tokens 3
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []Config{
		{Files: []string{""}, MaxEntries: 1}, {Files: []string{"a", "a"}, MaxEntries: 1}, {MaxEntries: 0}, {MaxEntries: mostEntries + 1},
		{Files: strings.Split("abcdefghi", ""), MaxEntries: 1},
	} {
		if c.Validate() == nil {
			t.Errorf("%+v is valid", c)
		}
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestRevokedAtDoesNotAllocate(t *testing.T) {
	l, _ := open(t, "a\n", nil)
	token := shown("a")
	if n := testing.AllocsPerRun(100, func() { l.RevokedAt(token) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParseLine reads anything: a token that is not empty, or a reason.
func FuzzParseLine(f *testing.F) {
	for _, line := range []string{"", "a", "a,2026-11-22T10:00:00Z", `{"token_id":"a","revoked_at":1}`, `"a","b"`, "\ufeffa", ",,,", `{"token_id":`} {
		f.Add([]byte(line), true)
	}
	f.Fuzz(func(t *testing.T, line []byte, first bool) {
		x, why := parseLine(line, first)
		if x.token == "" && x.at != 0 || x.token != "" && x.at < event.RevokedSinceEver || len(x.token) > maxToken {
			t.Errorf("%q gives %+v", line, x)
		}
		if why != fine && why != badTime && x.token != "" {
			t.Errorf("%q: %s, but %+v", line, why, x)
		}
	})
}
