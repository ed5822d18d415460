// Package opensearch tests the Elasticsearch and OpenSearch sink, and the index template that is shipped, against a real OpenSearch.
package opensearch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatewatch/gatewatch/deploy/realtest"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks/elastic"
)

// Set by TestMain.
var (
	node     *realtest.OpenSearch
	template []byte // that is shipped
)

func TestMain(m *testing.M) {
	os.Exit(realtest.Main(m, func(s *realtest.Servers) (err error) {
		if node, err = s.OpenSearch(); err != nil {
			return err
		}
		if template, err = os.ReadFile(filepath.Join("..", "..", "elastic", "opensearch", "index-template.json")); err != nil {
			return err
		}
		_, err = call(http.MethodPut, "/_index_template/gatewatch", string(template))
		return err
	}))
}

// makeIndex makes an index with the mappings of the template.
func makeIndex(t *testing.T, name string) {
	t.Helper()
	var shipped struct {
		Template struct{ Mappings json.RawMessage }
	}
	must(t, json.Unmarshal(template, &shipped))
	do(t, http.MethodPut, "/"+name, `{"mappings":`+string(shipped.Template.Mappings)+`}`)
}

// call speaks to the node and fails when it refuses.
func call(method, path, body string) ([]byte, error) {
	request, err := http.NewRequest(method, "http://"+node.Address()+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	return answer, err
}

func do(t *testing.T, method, path, body string) []byte {
	t.Helper()
	answer, err := call(method, path, body)
	must(t, err)
	return answer
}

var names atomic.Int64

// streams names data streams of its own for a test.
func streams() elastic.Config {
	c := elastic.DefaultConfig()
	n := names.Add(1)
	c.Index, c.BlindSpotsIndex = fmt.Sprintf("logs-gatewatch.alerts-%d", n), fmt.Sprintf("logs-gatewatch.blind_spots-%d", n)
	return c
}

// indices names indices of its own for a test. The template is not for them.
func indices() elastic.Config {
	c := elastic.DefaultConfig()
	n := names.Add(1)
	c.Mode, c.Index, c.BlindSpotsIndex = elastic.Index, fmt.Sprintf("gatewatch-alerts-%d", n), fmt.Sprintf("gatewatch-blind-spots-%d", n)
	return c
}

func open(t *testing.T, c elastic.Config, address string) *elastic.Sink {
	t.Helper()
	c.URL, c.Proxy = "http://"+address, "-"
	must(t, c.Validate())
	s, err := elastic.New(c)
	must(t, err)
	return s
}

// whole is the part of a document that holds all of what was sent.
type whole struct {
	Alert     *alert.Alert
	BlindSpot *alert.BlindSpot `json:"blind_spot"`
}

// search returns the documents that a query finds, in the order in which they were stored; none when there is no such index.
func search(t *testing.T, index, query string) (found []whole) {
	t.Helper()
	do(t, http.MethodPost, "/"+index+"/_refresh?ignore_unavailable=true", "")
	answer := do(t, http.MethodPost, "/"+index+"/_search?ignore_unavailable=true",
		`{"size":10000,"sort":[{"_seq_no":{"order":"asc","unmapped_type":"long"}}],"query":`+query+`}`)
	var result struct {
		Hits struct {
			Hits []struct {
				Source struct{ Gatewatch whole } `json:"_source"`
			}
		}
	}
	d := json.NewDecoder(bytes.NewReader(answer))
	must(t, d.Decode(&result))
	for _, hit := range result.Hits.Hits {
		found = append(found, hit.Source.Gatewatch)
	}
	return found
}

const everything = `{"match_all":{}}`

func alerts(t *testing.T, index, query string) (all []*alert.Alert) {
	t.Helper()
	for _, w := range search(t, index, query) {
		all = append(all, w.Alert)
	}
	return all
}

func blindSpots(t *testing.T, index string) (all []*alert.BlindSpot) {
	t.Helper()
	for _, w := range search(t, index, everything) {
		all = append(all, w.BlindSpot)
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
