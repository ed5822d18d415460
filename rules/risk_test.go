package rules

import "testing"

// TestEvidence tells which rules show the same act, of which an incident needs several.
func TestEvidence(t *testing.T) {
	set, err := Parse(File{Name: "rules.yaml", Data: []byte(`
rules:
  - {id: a, detect: distinct, by: token_id, count: source_ip, window: 1m, limit: 3, tags: ["owasp:API2:2023"]}
  - {id: b, detect: contract, by: token_id, find: several_addresses, tags: ["attack:T1528", "owasp:API2:2023"]}
  - {id: c, detect: contract, by: token_id, find: expired_token, tags: ["owasp:API2:2023"]}
  - {id: d, detect: enumeration, by: token_id, count: path.id, window: 1m, denied: {limit: 3}, tags: ["owasp:API1:2023"]}
  - {id: e, detect: travel, by: token_id}
  - {id: f, detect: simultaneous, by: token_id, across: country}
`)})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"distinct owasp:API2:2023", "distinct owasp:API2:2023", "contract owasp:API2:2023", "distinct owasp:API1:2023", "travel", "travel",
	} {
		if got := set.Rules[i].Evidence(); got != want {
			t.Errorf("%s: %q, want %q", set.Rules[i].ID, got, want)
		}
	}
}
