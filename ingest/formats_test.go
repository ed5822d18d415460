package ingest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/ingest/accesslog"
)

// TestNoTokenComesOutOfAnyFormat puts a token in place of every text of a record of every format, one after the other.
func TestNoTokenComesOutOfAnyFormat(t *testing.T) {
	const token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N-XgL0n3I9PlFUP0THsR8U"
	files, err := filepath.Glob("accesslog/testdata/*/*.json*")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d samples: %v", len(files), err)
	}
	d := newTestDecoder(t, Options{Query: accesslog.NewQueryNames("q"), ReadJWT: true})
	events, offset := 0, int64(0)
	for _, file := range files {
		if strings.HasSuffix(file, ".events") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for dec := json.NewDecoder(strings.NewReader(string(text))); ; {
			var object any
			if dec.Decode(&object) != nil {
				break
			}
			for _, secret := range []string{token, "Bearer " + token, "/a/" + token + "?q=" + token} {
				eachText(object, func(set func(string)) {
					set(secret)
					record, err := json.Marshal(object)
					if err != nil {
						t.Fatal(err)
					}
					for _, form := range []string{string(record), strings.ReplaceAll(string(record), "eyJ", `\u0065yJ`)} {
						offset++
						d.Add(offset, []byte(form))
						b, rejected := d.Take()
						events += len(b.Events)
						if out := fmt.Sprintf("%+v %+v", b.Events, rejected); strings.Contains(out, "dozjgNryP4J3jVmNHl0w5N") || strings.Contains(out, "eyJ") {
							t.Fatalf("the token came out of\n%s\nas\n%s", form, out)
						}
						b.Release()
					}
				})
			}
		}
	}
	if events < 3_000 {
		t.Errorf("only %d events", events)
	}
}

// eachText calls f for every text in v with a function that replaces it; afterwards the text is as before.
func eachText(v any, f func(set func(string))) {
	visit := func(item any, put func(any)) {
		if text, ok := item.(string); ok {
			f(func(s string) { put(s) })
			put(text)
			return
		}
		eachText(item, f)
	}
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			visit(item, func(to any) { v[k] = to })
		}
	case []any:
		for i, item := range v {
			visit(item, func(to any) { v[i] = to })
		}
	}
}

func TestConfigOfFormats(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`max_unpacked_bytes: 1 is not between`:                            func(c *Config) { c.MaxUnpackedBytes = 1 },
		`trusted_proxies: "10.0.0.0/99" is no network such as 10.0.0.0/8`: func(c *Config) { c.TrustedProxies = []string{"10.0.0.1", "10.0.0.0/99"} },
		`mapping: needs a format`:                                         func(c *Config) { c.Mapping = accesslog.Mapping{"time": {{Path: "t"}}} },
		`mapping: is empty`:                                               func(c *Config) { c.Format = "mapping" },
		`mapping.status: is missing; every event has one`: func(c *Config) {
			c.Format = "mapping"
			c.Mapping = accesslog.Mapping{"time": {{Path: "t"}}, "request_line": {{Path: "r"}}}
		},
		`mapping.client_id: "X-Api-Key" is named like a secret`: func(c *Config) {
			c.Format, c.Mapping = "kong", accesslog.Mapping{"client_id": {{Path: "consumer.id"}, {Path: "request.headers.X-Api-Key"}}}
		},
		`mapping.session_id: "cookie" is named like a secret`: func(c *Config) {
			c.Format, c.Mapping = "kong", accesslog.Mapping{"session_id": {{Path: "$header.cookie"}}}
		},
		`mapping.attributes.plan: "password" is named like a secret`: func(c *Config) {
			c.Format, c.Mapping = "kong", accesslog.Mapping{"attributes.plan": {{Template: "{a}-{b.password[0]}"}}}
		},
		`mapping.clientid: is no event field; the nearest one is client_id`: func(c *Config) {
			c.Format = "kong"
			c.Mapping = accesslog.Mapping{"clientid": {{Path: "t"}}}
		},
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	c := DefaultConfig()
	c.Format, c.TrustedProxies = "traefik", []string{"192.0.2.1", "10.0.0.0/8"}
	c.Mapping = accesslog.Mapping{
		"client_id": {{Path: "request_X-App"}}, "token_id": {{Path: "api_key"}}, "authorization": {{Path: "request_Authorization"}},
		"session_id": {{Path: "cookie"}}, "attributes.api_key": {{Path: "api_key"}}, "subject": {{Path: "jwt", Claim: "sub"}},
		"attributes.with": {{Path: "cookie", Values: map[string]string{"*": "yes"}}},
	}
	c.Pseudonymise = []string{"session_id"}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	d := newTestDecoder(t, c.Options())
	d.Add(1, []byte(`{"ClientAddr":"192.0.2.1:1","ClientHost":"203.0.113.9","DownstreamStatus":200,"RequestMethod":"GET","RequestPath":"/a","StartUTC":"2026-11-22T09:59:58Z","request_X-App":"app"}`))
	if b, _ := d.Take(); len(b.Events) != 1 || b.Events[0].ClientID != "app" || b.Events[0].IPText != "203.0.113.9" {
		t.Errorf("%+v", b.Events)
	}
}
