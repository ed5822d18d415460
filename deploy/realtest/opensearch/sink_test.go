package opensearch

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/elastic"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

// The suite of every sink: every field comes back out of gatewatch.alert, versions are in order, what comes again is one
// document, and 1,200 alerts are divided into requests that the node takes.
func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Target {
		proxy, c := sinktest.NewProxy(t, node.Address()), streams()
		return sinktest.Target{
			Open:         func(t *testing.T) sinks.Sink { return open(t, c, proxy.Addr) },
			Received:     func(t *testing.T) []*alert.Alert { return alerts(t, c.Index, everything) },
			BlindSpots:   func(t *testing.T) []*alert.BlindSpot { return blindSpots(t, c.BlindSpotsIndex) },
			Deduplicates: true,
			Down:         proxy.Down,
			Hang:         proxy.Hang,
		}
	})
}

// Analysts find alerts by the fields of the Elastic Common Schema, and by any value of the whole alert.
func TestSearch(t *testing.T) {
	c := streams()
	first, second := sinktest.Alert(1, 1), sinktest.Alert(2, 1)
	for _, a := range []*alert.Alert{first, second} {
		a.Evidence = a.Evidence[:1] // source, user and request are those of the latest
	}
	must(t, open(t, c, node.Address()).Deliver(t.Context(), []*alert.Alert{first, second}))
	for query, want := range map[string]int{
		`{"term":{"rule.id":"profile-enumeration"}}`:                                         2,
		`{"term":{"rule.id":"another"}}`:                                                     0,
		`{"term":{"event.id":"` + second.ID + `"}}`:                                          1,
		`{"term":{"gatewatch.entity.id":"` + second.Entity.ID + `"}}`:                        1,
		`{"term":{"event.kind":"alert"}}`:                                                    2,
		`{"term":{"threat.technique.id":"T1087"}}`:                                           2,
		`{"range":{"event.severity":{"gte":73}}}`:                                            2,
		`{"range":{"@timestamp":{"lt":` + fmt.Sprint(int64(second.DetectedAt)) + `}}}`:       1,
		`{"term":{"source.ip":"2001:db8::/32"}}`:                                             2,
		`{"term":{"related.user":"user-123"}}`:                                               2,
		`{"wildcard":{"url.path":"/users/*"}}`:                                               2,
		`{"match":{"message":"profiles"}}`:                                                   2,
		`{"term":{"gatewatch.alert.rule.severity":"high"}}`:                                  2,
		`{"term":{"gatewatch.alert.related.country":"FR"}}`:                                  2,
		`{"range":{"gatewatch.observed.value":{"gt":63}}}`:                                   2,
		`{"term":{"event.dataset":"gatewatch.blind_spots"}}`:                                 0,
		`{"bool":{"filter":[{"term":{"tags":"owasp:API1:2023"}},{"term":{"user.id":"x"}}]}}`: 0,
	} {
		if got := alerts(t, c.Index, query); len(got) != want {
			t.Errorf("%s finds %d alerts, want %d", query, len(got), want)
		}
	}
}

// An index holds the latest version, whatever comes again or too late.
func TestIndex(t *testing.T) {
	c := indices()
	makeIndex(t, c.Index)
	makeIndex(t, c.BlindSpotsIndex)
	s := open(t, c, node.Address())
	for _, version := range []int{1, 3, 3, 2, 1} {
		must(t, s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, version), sinktest.Alert(2, 1)}))
		must(t, s.DeliverBlindSpots(t.Context(), []*alert.BlindSpot{sinktest.BlindSpot(1, version)}))
	}
	var got []string
	for _, a := range alerts(t, c.Index, everything) {
		got = append(got, sinktest.Key(a))
	}
	slices.Sort(got)
	want := []string{sinktest.Key(sinktest.Alert(1, 3)), sinktest.Key(sinktest.Alert(2, 1))}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the index holds %v, want %v", got, want)
	}
	if spots := blindSpots(t, c.BlindSpotsIndex); len(spots) != 1 || spots[0].Version != 3 {
		t.Errorf("the index holds %d blind spots, want version 3 of one", len(spots))
	}
}

// partial delivers and returns what became of the batch.
func partial(t *testing.T, s *elastic.Sink, batch ...*alert.Alert) *sinks.PartialError {
	t.Helper()
	err := s.Deliver(t.Context(), batch)
	p, ok := errors.AsType[*sinks.PartialError](err)
	if !ok {
		t.Fatalf("the error is %v", err)
	}
	return p
}

// What a mapping refuses is for the dead letters alone, even if what it refuses, which a caller may have chosen, looks like
// another error.
func TestMappingRefuses(t *testing.T) {
	c := indices()
	do(t, http.MethodPut, "/"+c.Index, `{"mappings":{"dynamic":false,"properties":{"source":{"properties":{"address":{"type":"ip"}}}}}}`)
	s := open(t, c, node.Address())
	for _, address := range []string{"ip_2f1d", "only data stream", "index_closed_exception"} {
		bad := sinktest.Alert(2, 1)
		bad.Evidence = []alert.Evidence{{SourceIP: address}}
		p := partial(t, s, sinktest.Alert(1, 1), bad, sinktest.Alert(3, 1))
		if len(p.Retry) > 0 || len(p.Refused) != 1 || p.Refused[0].Index != 1 || !strings.Contains(p.Error(), "source.address") {
			t.Errorf("%q: refused %v, again %v: %v", address, p.Refused, p.Retry, p)
		}
	}
	if n := len(alerts(t, c.Index, everything)); n != 2 {
		t.Errorf("the index holds %d alerts, want 2", n)
	}
}

// The template that is shipped takes whatever callers may send, however long.
func TestTemplateTakesLongValues(t *testing.T) {
	c := streams()
	long := sinktest.Alert(1, 1)
	text := strings.Repeat("☂ long ", 10_000)
	long.Evidence[1].Path, long.Evidence[1].Subject, long.Evidence[1].SourceIP, long.Evidence[1].Method = "/"+text, text, text, text
	long.Entity.ID, long.Summary, long.Observed.Detail["path"] = text, text, []any{text}
	long.Related["subject"] = []string{text}
	must(t, open(t, c, node.Address()).Deliver(t.Context(), []*alert.Alert{long}))
	got := alerts(t, c.Index, `{"term":{"event.id":"`+long.ID+`"}}`)
	if len(got) != 1 {
		t.Fatalf("the data stream holds %d alerts, want 1", len(got))
	}
	if id := got[0].Entity.ID; !strings.HasPrefix(text, strings.TrimSuffix(id, "…")) || len(id) < 8000 {
		t.Errorf("the entity became %q", id)
	}
}

// What an operator can repair makes alerts wait: nothing is refused, and after the repair they arrive.
func TestWaitsForRepair(t *testing.T) {
	for _, c := range []struct{ name, breaks, repairs, says string }{
		{"disk full", `PUT /%s/_settings {"index.blocks.read_only_allow_delete":true}`, `PUT /%s/_settings {"index.blocks.read_only_allow_delete":null}`, "429"},
		{"writing blocked", `PUT /%s/_settings {"index.blocks.write":true}`, `PUT /%s/_settings {"index.blocks.write":null}`, "403"},
		{"closed", `POST /%s/_close `, `POST /%s/_open `, "closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := indices()
			s := open(t, target, node.Address())
			must(t, s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}))
			change(t, c.breaks, target.Index)
			p := partial(t, s, sinktest.Alert(1, 2), sinktest.Alert(2, 1))
			if len(p.Refused) > 0 || len(p.Retry) != 2 || !strings.Contains(p.Error(), c.says) {
				t.Errorf("refused %v, again %v: %v", p.Refused, p.Retry, p)
			}
			change(t, c.repairs, target.Index)
			must(t, s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 2), sinktest.Alert(2, 1)}))
			if n := len(alerts(t, target.Index, everything)); n != 2 {
				t.Errorf("the index holds %d alerts, want 2", n)
			}
		})
	}
}

// change sends METHOD PATH BODY for an index.
func change(t *testing.T, request, index string) {
	t.Helper()
	parts := strings.SplitN(fmt.Sprintf(request, index), " ", 3)
	do(t, parts[0], parts[1], parts[2])
}

// A mode that does not fit what is there is no fault of the alerts.
func TestWrongModeWaits(t *testing.T) {
	c := streams()
	must(t, open(t, c, node.Address()).Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}))
	c.Mode = elastic.Index
	if p := partial(t, open(t, c, node.Address()), sinktest.Alert(2, 1)); len(p.Refused) > 0 || len(p.Retry) != 1 {
		t.Errorf("refused %v, again %v: %v", p.Refused, p.Retry, p)
	}
}

// The node takes 1 MB in a request, the sink sends up to 8: what is refused as too large is divided, with and without
// compression.
func TestRequestsTooLargeAreDivided(t *testing.T) {
	for _, gzip := range []bool{false, true} {
		t.Run(fmt.Sprintf("gzip %v", gzip), func(t *testing.T) {
			c := streams()
			c.Gzip = gzip
			batch := make([]*alert.Alert, 60)
			for i := range batch {
				batch[i] = sinktest.Alert(i, 1)
				for range 4 {
					batch[i].Related["subject"] = append(batch[i].Related["subject"], strings.Repeat("a ", 7_000))
				}
			}
			must(t, open(t, c, node.Address()).Deliver(t.Context(), batch))
			if n := len(alerts(t, c.Index, everything)); n != len(batch) {
				t.Errorf("the data stream holds %d alerts, want %d", n, len(batch))
			}
		})
	}
}
