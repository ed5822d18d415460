package flowseq

import (
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
)

// TestTokens holds that flow sequences mean the same wherever they stand.
func TestTokens(t *testing.T) {
	for _, c := range []struct {
		text string
		want []any
	}{
		{`[kafka-1:9092, "kafka-2:9092"]`, []any{"kafka-1:9092", "kafka-2:9092"}},
		{`[127.0.0.1:9092]`, []any{"127.0.0.1:9092"}},
		{`[owasp:API1:2023, 12:30, a]`, []any{"owasp:API1:2023", "12:30", "a"}},
		{`[{a: b}, c: d, 'e': 1]`, []any{map[string]any{"a": "b"}, map[string]any{"c": "d"}, map[string]any{"e": uint64(1)}}},
		{`[[a:1], {b: [c:2]}]`, []any{[]any{"a:1"}, map[string]any{"b": []any{"c:2"}}}},
		{`[]`, []any{}},
	} {
		for _, around := range []string{"x: %", "x: {y: %, z: [t]}", "x: {y: {y: %}}"} {
			text := []byte(strings.Replace(around, "%", c.text, 1) + "\n")
			file, err := parser.Parse(Tokens(lexer.Tokenize(string(text))), 0)
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			var got map[string]any
			if err := yaml.NodeToValue(file.Docs[0].Body, &got); err != nil {
				t.Errorf("%s: %v", text, err)
			}
			if value := innermost(got["x"]); !reflect.DeepEqual(value, any(c.want)) {
				t.Errorf("%s: %#v, want %#v", text, value, c.want)
			}
		}
	}
}

func innermost(v any) any {
	for {
		m, ok := v.(map[string]any)
		if !ok {
			return v
		}
		v = m["y"]
	}
}
