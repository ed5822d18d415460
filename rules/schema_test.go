package rules

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// notOfShape are the bad files whose defect is none of shape: what several values make wrong together, what only a parser
// of the value can know, and what is lost when YAML is read by a program that does not care.
var notOfShape = []string{
	"alias", "anchor", "merge-key", "tag", "directive", "complex-key", "duplicate-key", "where-duplicate-field", "two-documents", "tab-indentation",
	"control-character", "not-utf8", "unclosed-quote", "unclosed-brace", "bad-indentation", "colon-in-text",
	"duplicate-id", "entity-is-a-measure", "entity-request-id", "count-is-entity", "count-is-measure", "new-value-entity", "new-value-measure", "count-request-id",
	"limit-impossible", "risk-half-life", "limit-octal", "simultaneous-limit", "window-too-short", "window-too-long", "close-after",
	"rate-sum-and-share", "rate-sum-limit", "rate-min-without-share", "rate-share-limit", "rate-share-of-everything", "rate-size-without-sum", "rate-share-without-share",
	"route-half-parameter", "route-parameter-twice", "route-stars-in-segment", "route-colon-parameter", "route-dots",
	"status-range-upside-down", "number", "number-unit", "duration-matcher", "network-bits", "address", "country-uk", "asn",
	"expression-", "hours-empty", "hours-always", "hours-and-learn", "days-without-hours", "time-zone", "ignore-asn", "empty-text", "empty-value",
	"workflow-",
	"sequence-",
	"expect-value-range", "expect-within-before-after", "expect-without-rule", "expect-rule-not-run", "from-country", "from-radius", "test-name-twice",
	"test-too-many-requests", "test-unknown-rule", "tests-without-rules", "traffic-at", "traffic-sunset", "traffic-counter", "traffic-counter-modulo", "traffic-pace",
	"traffic-repeat-times", "traffic-too-long", "traffic-field-",
	"workflow-", "enumeration-newcomer", "enumeration-share", "enumeration-share-form", "enumeration-no-object", "enumeration-nothing-judged", "enumeration-learn-without-found",
	"contract-unknown", "contract-none", "contract-duplicate-id", "contract-days", "contract-network", "contract-route", "contract-find-twice", "contract-groups-by",
	"contract-window", "contract-limit-several", "contract-lifetime-unused", "contract-leeway-unused", "contract-names-unused", "contract-only",
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("rules.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("rules.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance reads YAML as an editor does, by way of JSON.
func instance(t *testing.T, name string) (any, bool) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if err := yaml.Unmarshal(data, &v); err != nil {
		return nil, false
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, false
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	return doc, err == nil
}

func TestSchemaAcceptsGoodFiles(t *testing.T) {
	schema := compiledSchema(t)
	var files []string
	for _, pattern := range []string{"testdata/good/*.yaml", "pack/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no files like %s (%v)", pattern, err)
		}
		files = append(files, found...)
	}
	for _, name := range files {
		doc, ok := instance(t, name)
		if !ok {
			t.Errorf("%s cannot be read", name)
		} else if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSchemaRefusesBadShapes(t *testing.T) {
	schema := compiledSchema(t)
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, name := range files {
		base := strings.TrimSuffix(filepath.Base(name), ".yaml")
		doc, ok := instance(t, name)
		accepted := ok && schema.Validate(doc) == nil
		shapeless := slices.ContainsFunc(notOfShape, func(s string) bool { return base == s || strings.HasSuffix(s, "-") && strings.HasPrefix(base, s) })
		if accepted && !shapeless {
			t.Errorf("the schema accepts %s", name)
		}
		if !accepted {
			refused++
		}
	}
	if refused < 50 {
		t.Errorf("the schema refuses only %d of %d bad files", refused, len(files))
	}
}

// TestSchemaKnowsEveryKey compares the schema's keys with those of the parser.
func TestSchemaKnowsEveryKey(t *testing.T) {
	for _, kind := range Kinds() {
		properties := kindSchema(kind)["properties"].(schema)
		for _, key := range slices.Concat(commonKeys, kindKeys()[kind]) {
			if _, ok := properties[key]; !ok {
				t.Errorf("%s: the schema lacks %s", kind, key)
			}
			delete(properties, key)
		}
		for key := range properties {
			t.Errorf("%s: the schema has %s, which the parser does not know", kind, key)
		}
	}
}
