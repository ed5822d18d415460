package elastic

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/gatewatch/gatewatch/sinks/post"
)

// Lucene refuses a document with a term beyond 32,766 bytes. Elasticsearch leaves such values unindexed where the mapping says
// so; flat_object, which OpenSearch has for whole alerts, cannot be told to.
const (
	maxTerm  = 32_766
	keptTerm = 8191 // bytes of a value that was too long
)

// clipTerms cuts texts that are too long for a term: how long they are, callers can choose, and that must not cost the alert.
func clipTerms(document []byte) ([]byte, error) {
	if len(document) <= maxTerm/2 {
		return document, nil
	}
	var all any
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		return nil, err
	}
	if !clipValues(all) {
		return document, nil
	}
	return post.JSON(all)
}

// clipValues cuts the texts in an object or array, and reports whether there was one to cut.
func clipValues(v any) (cut bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			if text, ok := inner.(string); ok && tooLong(text) {
				v[name], cut = clip(text), true
			}
			cut = clipValues(inner) || cut
		}
	case []any:
		for i, inner := range v {
			if text, ok := inner.(string); ok && tooLong(text) {
				v[i], cut = clip(text), true
			}
			cut = clipValues(inner) || cut
		}
	}
	return cut
}

// tooLong leaves room for the name of a field, which is part of some terms.
func tooLong(text string) bool { return len(text) > maxTerm/2 }

func clip(text string) string { return strings.ToValidUTF8(text[:keptTerm], "") + "…" }
