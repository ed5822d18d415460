package elastic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

// schema is testdata/ecs.json.
type schema struct {
	Fields map[string]string
	Arrays []string
	Values map[string][]string
}

func readSchema(t *testing.T) (s schema) {
	t.Helper()
	text, err := os.ReadFile("testdata/ecs.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// check returns what is wrong with the fields of a document, those of gatewatch's own apart.
func (s schema) check(at string, v any) (wrong []string) {
	if inner, ok := v.(map[string]any); ok {
		for _, name := range slices.Sorted(maps.Keys(inner)) {
			path := strings.TrimPrefix(at+"."+name, ".")
			if path != "gatewatch" {
				wrong = append(wrong, s.check(path, inner[name])...)
			}
		}
		return wrong
	}
	list, isList := v.([]any)
	if isList != slices.Contains(s.Arrays, at) {
		return []string{fmt.Sprintf("%s is an array: %v", at, isList)}
	}
	if !isList {
		list = []any{v}
	}
	for _, value := range list {
		if problem := s.checkValue(at, value); problem != "" {
			wrong = append(wrong, problem)
		}
	}
	return wrong
}

func (s schema) checkValue(at string, v any) string {
	text, isText := v.(string)
	number, isNumber := v.(float64)
	ok := false
	switch s.Fields[at] {
	case "keyword", "match_only_text", "wildcard":
		ok = isText
	case "long":
		ok = isNumber && number == float64(int64(number))
	case "float":
		ok = isNumber
	case "date":
		_, err := time.Parse(time.RFC3339, text)
		ok = err == nil
	case "ip":
		_, err := netip.ParseAddr(text)
		ok = err == nil
	}
	if allowed := s.Values[at]; len(allowed) > 0 && !slices.Contains(allowed, text) || !ok {
		return fmt.Sprintf("%s cannot be %v", at, v)
	}
	return ""
}

const credentials = "ApiKey dGVzdDpzZWNyZXQtNGQxZg=="

// cluster is the bulk API of Elasticsearch 8 with two data streams and an index, as its reference describes it.
type cluster struct {
	schema   schema
	versions map[string]int   // by index and id
	troubles map[string][]int // statuses that documents with this in their id get, one after the other
	missing  bool             // there are no blind spots
}

func (f *cluster) serve(s *sinktest.Store, r *http.Request, body []byte) sinktest.Reply {
	switch {
	case r.Header.Get("Authorization") != credentials:
		return sinktest.Reply{Status: 401, Body: `{"error":{"type":"security_exception"},"status":401}`}
	case r.URL.Path != "/_bulk" || r.Method != http.MethodPost:
		return sinktest.Reply{Status: 405}
	case r.Header.Get("Content-Type") != "application/x-ndjson":
		return sinktest.Reply{Status: 406}
	case !bytes.HasSuffix(body, []byte("\n")):
		return sinktest.Reply{Status: 400, Body: "the bulk request must be terminated by a newline"}
	case len(body) > 10<<20:
		return sinktest.Reply{Status: 413}
	}
	lines := bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
	failed := false
	var items []any
	for i := 0; i+1 < len(lines); i += 2 {
		operation, item := f.write(s, lines[i], lines[i+1])
		failed = failed || item["status"].(int) > 299
		items = append(items, map[string]any{operation: item})
	}
	text, _ := json.Marshal(map[string]any{"took": 1, "errors": failed, "items": items})
	return sinktest.Reply{Status: 200, Body: string(text)}
}

func (f *cluster) write(s *sinktest.Store, head, body []byte) (operation string, item map[string]any) {
	var actions map[string]action
	if err := json.Unmarshal(head, &actions); err != nil || len(actions) != 1 {
		return "create", problem(400, "illegal_argument_exception", "malformed action")
	}
	operation = slices.Collect(maps.Keys(actions))[0]
	a := actions[operation]
	for part, statuses := range f.troubles {
		if strings.Contains(a.ID, part) && len(statuses) > 0 {
			f.troubles[part] = statuses[1:]
			if statuses[0] != 200 {
				return operation, problem(statuses[0], "trouble", "in trouble")
			}
		}
	}
	stream := strings.HasPrefix(a.Index, "logs-")
	key := a.Index + "/" + a.ID
	switch {
	case (a.Version > 0) != (a.VersionType == "external"):
		return operation, problem(400, "illegal_argument_exception", "internal versioning can not be used for optimistic concurrency control")
	case f.missing && strings.Contains(a.Index, "blind_spots"):
		return operation, problem(404, "index_not_found_exception", "no such index")
	case stream && operation != "create":
		return operation, problem(400, "illegal_argument_exception", "only write ops with an op_type of create are allowed in data streams")
	case stream && f.versions[key] > 0, !stream && a.Version <= f.versions[key]:
		return operation, problem(409, "version_conflict_engine_exception", "version conflict")
	}
	if err := f.take(s, body); err != nil {
		return operation, problem(400, "document_parsing_exception", err.Error())
	}
	f.versions[key] = max(a.Version, 1)
	return operation, map[string]any{"_index": a.Index, "_id": a.ID, "status": 201}
}

func problem(status int, kind, reason string) map[string]any {
	return map[string]any{"status": status, "error": map[string]any{"type": kind, "reason": reason}}
}

func (f *cluster) take(s *sinktest.Store, body []byte) error {
	var all map[string]any
	if err := json.Unmarshal(body, &all); err != nil {
		return err
	}
	if wrong := f.schema.check("", all); len(wrong) > 0 {
		return fmt.Errorf("%v", wrong)
	}
	var own struct {
		Gatewatch struct {
			Alert     *alert.Alert
			BlindSpot *alert.BlindSpot `json:"blind_spot"`
		}
	}
	if err := json.Unmarshal(body, &own); err != nil {
		return err
	}
	if own.Gatewatch.Alert != nil {
		s.Alerts = append(s.Alerts, own.Gatewatch.Alert)
	}
	if own.Gatewatch.BlindSpot != nil {
		s.BlindSpots = append(s.BlindSpots, own.Gatewatch.BlindSpot)
	}
	return nil
}
