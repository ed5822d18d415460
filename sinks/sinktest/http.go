package sinktest

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
)

// HTTP is a destination that is reached over HTTP, and a strict fake of it.
type HTTP struct {
	// Open makes a sink that reaches the fake, as the program would.
	Open func(t *testing.T, e Endpoint) sinks.Sink

	// New makes an empty fake.
	New func() Handler

	// Delivers tells the requests that bring records from others (for tokens, acknowledgements). nil: all do.
	Delivers func(r *http.Request) bool

	Retry  []Reply // documented answers after which the same is to be sent again
	Wait   []Reply // those that an operator has to repair: nothing is refused meanwhile
	Refuse []Reply // those after which one record is never sent again

	OneByOne     bool // the destination judges each record: a refusal of a whole request is not tried
	MaxItem      int  // bytes of one record beyond which the destination takes none; 0: the sink cuts
	AnySuccess   bool // whatever the body says, a status of success is one
	BlindSpots   bool // the sink takes blind spots
	Excerpt      bool // as in [Target]
	Deduplicates bool // as in [Target]

	Secrets []string // of the configuration
}

// RunHTTP runs the suite that all sinks pass, and what is asked of those that speak HTTP.
func RunHTTP(t *testing.T, h HTTP) {
	Run(t, func(t *testing.T) Target { return newServer(t, h).target(t, h) })
	for name, run := range map[string]func(*testing.T, HTTP){
		"fills requests within the limits":      fillsRequests,
		"keeps order through failures":          keepsOrderThroughFailures,
		"retries what the vendor documents":     retriesDocumented,
		"waits for the operator":                waitsForOperator,
		"refuses only for good":                 refusesForGood,
		"asks again after a lost answer":        asksAgain,
		"shows no secrets":                      showsNoSecrets,
		"trusts only known authorities":         trustsKnownAuthorities,
		"uses the proxy":                        usesProxy,
		"follows no redirect":                   followsNoRedirect,
		"stops while the destination is silent": stopsWhileSilent,
		"a bad record harms only itself":        badRecordHarmsOnlyItself,
		"a huge alert harms only itself":        hugeAlert,
		"leaves no connection":                  leavesNoConnection,
	} {
		t.Run(name, func(t *testing.T) { run(t, h) })
	}
}

// target is the server as the suite of all sinks sees it, behind a proxy that can break.
func (s *server) target(t *testing.T, h HTTP) Target {
	proxy := NewProxy(t, s.Listener.Addr().String())
	e := s.endpoint
	e.URL = "https://" + proxy.Addr
	target := s.direct(h, e)
	target.Down, target.Hang = proxy.Down, proxy.Hang
	t.Cleanup(func() {
		for _, c := range s.complaints() {
			t.Errorf("the destination would have refused: %s", c)
		}
	})
	return target
}

func (s *server) direct(h HTTP, e Endpoint) Target {
	target := Target{
		Open:     func(t *testing.T) sinks.Sink { return h.Open(t, e) },
		Received: func(*testing.T) []*alert.Alert { return s.alerts() },
		Excerpt:  h.Excerpt, Deduplicates: h.Deduplicates, Secrets: append([]string{tunnelPassword}, h.Secrets...),
	}
	if h.BlindSpots {
		target.BlindSpots = func(*testing.T) []*alert.BlindSpot { return s.blindSpots() }
	}
	return target
}

// deliverTo sends a batch to a fake of its own that goes wrong in the given ways.
func deliverTo(t *testing.T, h HTTP, batch []*alert.Alert, faults ...fault) (*server, error) {
	t.Helper()
	s := newServer(t, h)
	s.fail(faults...)
	sink := h.Open(t, s.endpoint)
	err := sink.Deliver(limit(t, patience), batch)
	if err := sink.Close(limit(t, patience)); err != nil {
		t.Error(err)
	}
	return s, err
}

// large returns an alert of about n bytes.
func large(i, n int) *alert.Alert {
	a := Alert(i, 1)
	var filler []any // of short texts: a destination may cut long ones
	for ; n > 0; n -= 1000 {
		filler = append(filler, strings.Repeat("x", min(n, 1000)))
	}
	a.Observed.Detail = map[string]any{"filler": filler}
	return a
}

func fillsRequests(t *testing.T, h HTTP) {
	size := 20_000
	if h.MaxItem > 0 {
		size = min(size, h.MaxItem/4)
	}
	var batch []*alert.Alert
	for i := range 400 {
		batch = append(batch, large(i, size))
	}
	s, err := deliverTo(t, h, batch)
	if err != nil {
		t.Error(err)
	}
	if got, want := keys(s.alerts()), keys(batch); !slices.Equal(got, want) {
		t.Errorf("%d of %d alerts arrived", len(got), len(want))
	}
	for _, c := range s.complaints() {
		t.Errorf("the destination would have refused: %s", c)
	}
	if n := s.count(); n < 2 {
		t.Errorf("%d requests: the test is too small for the limits", n)
	}
}

func keepsOrderThroughFailures(t *testing.T, h HTTP) {
	s := newServer(t, h)
	broken := fault{reply: Reply{Status: http.StatusServiceUnavailable}}
	s.fail(broken, fault{}, broken, broken, fault{lose: true}, fault{}, broken, fault{lose: true})
	d := start(t, s.direct(h, s.endpoint))
	for version := 1; version <= 6; version++ {
		d.enqueue([]*alert.Alert{Alert(1, version), Alert(2, version), Alert(3, version)})
	}
	d.close(patience)
	latest := map[string]int{}
	for _, a := range s.alerts() {
		if last := latest[a.ID]; a.Version != last && a.Version != last+1 {
			t.Errorf("alert %s: version %d came after %d", a.ID, a.Version, last)
		}
		latest[a.ID] = a.Version
	}
	for _, id := range slices.Sorted(maps.Keys(latest)) {
		if latest[id] != 6 {
			t.Errorf("alert %s: the latest version is %d", id, latest[id])
		}
	}
	if len(latest) != 3 || len(d.letters) > 0 {
		t.Errorf("%d of 3 alerts arrived, %d dead letters", len(latest), len(d.letters))
	}
}

// always is what no destination documents because it is HTTP.
var always = []Reply{{Status: 408}, {Status: 425}, {Status: 429}, {Status: 500}, {Status: 502}, {Status: 503}, {Status: 504}}

func retriesDocumented(t *testing.T, h HTTP) {
	for _, reply := range append(h.Retry[:len(h.Retry):len(h.Retry)], always...) {
		t.Run(fmt.Sprint(reply.Status, " ", reply.Body), func(t *testing.T) {
			reply.Header = map[string]string{"Retry-After": "7"}
			s, err := deliverTo(t, h, []*alert.Alert{Alert(1, 1), Alert(2, 1)}, fault{reply: reply}, fault{reply: reply})
			partial, ok := errors.AsType[*sinks.PartialError](err)
			if !ok || !slices.Contains(partial.Retry, 0) || len(partial.Refused) > 0 {
				t.Fatalf("the error is %v", err)
			}
			if partial.After < 7*time.Second {
				t.Errorf("asked to wait 7s, the error says %v", partial.After)
			}
			if n := len(s.alerts()); n > 0 {
				t.Errorf("%d alerts arrived", n)
			}
		})
	}
}

func waitsForOperator(t *testing.T, h HTTP) {
	if !h.AnySuccess {
		h.Wait = append(h.Wait[:len(h.Wait):len(h.Wait)], Reply{Status: 200, Body: "\n<!doctype html><title>Blocked</title>"})
	}
	for _, reply := range append(h.Wait[:len(h.Wait):len(h.Wait)], Reply{Status: 401}, Reply{Status: 403}, Reply{Status: 404}, Reply{Status: 415}) {
		t.Run(fmt.Sprint(reply.Status, " ", reply.Body), func(t *testing.T) {
			s := newServer(t, h)
			s.fail(fault{reply: reply}, fault{reply: reply}, fault{reply: reply})
			d := start(t, s.direct(h, s.endpoint))
			d.enqueue([]*alert.Alert{Alert(1, 1), Alert(2, 1)})
			d.close(patience)
			if got, want := keys(s.alerts()), keys([]*alert.Alert{Alert(1, 1), Alert(2, 1)}); !slices.Equal(got, want) {
				t.Errorf("arrived: %v, want %v", got, want)
			}
			for _, l := range d.letters {
				t.Errorf("dead letter: %s", l.Reason)
			}
		})
	}
}

func refusesForGood(t *testing.T, h HTTP) {
	for _, reply := range append(h.Refuse[:len(h.Refuse):len(h.Refuse)], Reply{Status: 413}, Reply{Status: 422}) {
		t.Run(fmt.Sprint(reply.Status, " ", reply.Body), func(t *testing.T) {
			s := newServer(t, h)
			s.fail(fault{reply: reply})
			d := start(t, s.direct(h, s.endpoint))
			d.enqueue([]*alert.Alert{Alert(1, 1)})
			if err := d.queue.Drain(limit(t, patience)); err != nil {
				t.Fatal(err)
			}
			d.enqueue([]*alert.Alert{Alert(1, 2)})
			d.close(patience)
			if got, want := keys(s.alerts()), keys([]*alert.Alert{Alert(1, 2)}); !slices.Equal(got, want) {
				t.Errorf("arrived: %v, want %v", got, want)
			}
			if len(d.letters) != 1 || !strings.Contains(d.letters[0].Reason, fmt.Sprint(reply.Status)) && reply.Status/100 != 2 {
				t.Errorf("dead letters: %+v", d.letters)
			}
		})
	}
}

// badRecordHarmsOnlyItself is for destinations that take a request as a whole or not at all.
func badRecordHarmsOnlyItself(t *testing.T, h HTTP) {
	if h.OneByOne {
		t.Skip("this destination judges records one by one")
	}
	s := newServer(t, h)
	s.poison, s.refusal = Alert(13, 1).ID, h.Refuse[0]
	var batch []*alert.Alert
	for i := range 20 {
		batch = append(batch, Alert(i, 1))
	}
	sink := h.Open(t, s.endpoint)
	defer sink.Close(t.Context())
	partial, ok := errors.AsType[*sinks.PartialError](sink.Deliver(limit(t, patience), batch))
	if !ok || len(partial.Refused) != 1 || partial.Refused[0].Index != 13 || len(partial.Retry) > 0 {
		t.Errorf("%+v", partial)
	}
	if got, want := s.alerts(), slices.Delete(slices.Clone(batch), 13, 14); len(got) != len(want) || !slices.Equal(keys(got), keys(want)) {
		t.Errorf("%d alerts arrived: %v", len(got), keys(got))
	}
}

func asksAgain(t *testing.T, h HTTP) {
	s := newServer(t, h)
	s.fail(fault{lose: true})
	d := start(t, s.direct(h, s.endpoint))
	batch := []*alert.Alert{Alert(1, 1), Alert(2, 1)}
	d.enqueue(batch)
	d.close(patience)
	got := s.alerts()
	if !slices.Equal(keys(got), keys(batch)) || h.Deduplicates && len(got) != len(batch) {
		t.Errorf("%d alerts arrived: %v", len(got), keys(got))
	}
	if len(d.letters) > 0 {
		t.Errorf("dead letter: %s", d.letters[0].Reason)
	}
}

func showsNoSecrets(t *testing.T, h HTTP) {
	for _, status := range []int{302, 400, 401, 403, 429, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			s := newServer(t, h)
			s.fail(fault{reply: Reply{Status: status}, echo: true}, fault{reply: Reply{Status: status}, echo: true})
			d := start(t, s.direct(h, s.endpoint))
			d.enqueue([]*alert.Alert{Alert(1, 1)})
			d.close(patience)
			if !strings.Contains(d.log.String(), fmt.Sprint(status)) {
				t.Errorf("the log does not name the status: %s", d.log.String())
			}
		})
	}
}

func trustsKnownAuthorities(t *testing.T, h HTTP) {
	s := newServer(t, h)
	e := s.endpoint
	e.CAFile = ""
	sink := h.Open(t, e)
	defer sink.Close(t.Context())
	err := sink.Deliver(limit(t, patience), []*alert.Alert{Alert(1, 1)})
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("the error is %v", err)
	}
	if n := s.count(); n > 0 {
		t.Errorf("%d requests went to a server that nobody vouches for", n)
	}
}

func usesProxy(t *testing.T, h HTTP) {
	s := newServer(t, h)
	p := newTunnel(t, s.Listener.Addr().String())
	e := Endpoint{URL: "https://example.com", CAFile: s.endpoint.CAFile, Proxy: p.address()}
	target := s.direct(h, e)
	deliver(t, target, []*alert.Alert{Alert(1, 1)})
	if n := len(s.alerts()); n != 1 {
		t.Errorf("%d alerts arrived", n)
	}
	if targets := p.targets(); !slices.Contains(targets, "example.com:443") {
		t.Errorf("the proxy was asked for %v", targets)
	}
	e.Proxy = strings.Replace(e.Proxy, tunnelUser, "nobody", 1)
	sink := h.Open(t, e)
	defer sink.Close(t.Context())
	err := sink.Deliver(limit(t, patience), []*alert.Alert{Alert(2, 1)})
	if err == nil {
		t.Fatal("delivered past the proxy")
	}
	noSecrets(t, target, err.Error())
}

func followsNoRedirect(t *testing.T, h HTTP) {
	elsewhere := newServer(t, h)
	for _, status := range []int{301, 302, 307, 308} {
		away := fault{reply: Reply{Status: status, Header: map[string]string{"Location": elsewhere.URL + "/elsewhere"}}}
		_, err := deliverTo(t, h, []*alert.Alert{Alert(1, 1)}, away)
		if err == nil || !strings.Contains(err.Error(), "redirects to") {
			t.Errorf("%d: the error is %v", status, err)
		}
		if _, refused := errors.AsType[*sinks.RefusedError](err); refused {
			t.Errorf("%d is taken for a refusal", status)
		}
	}
	if n := elsewhere.count(); n > 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

func stopsWhileSilent(t *testing.T, h HTTP) {
	s := newServer(t, h)
	target := s.target(t, h)
	release := target.Hang(t)
	defer release()
	d := start(t, target)
	d.enqueue([]*alert.Alert{Alert(1, 1)})
	begin := time.Now()
	if err := d.queue.Close(limit(t, 50*time.Millisecond)); err == nil {
		t.Error("nothing was delivered, and closing said nothing")
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("closing took %v", took)
	}
}

func hugeAlert(t *testing.T, h HTTP) {
	size := h.MaxItem
	if size == 0 {
		size = 6 << 20
	}
	s := newServer(t, h)
	d := start(t, s.direct(h, s.endpoint))
	want := []*alert.Alert{Alert(1, 1), Alert(3, 1)}
	d.enqueue([]*alert.Alert{want[0], large(2, size), want[1]})
	d.close(patience)
	if h.MaxItem == 0 {
		want = append(want, Alert(2, 1))
	} else if len(d.letters) != 1 || !strings.Contains(d.letters[0].Reason, "bytes") {
		t.Errorf("dead letters: %+v", d.letters)
	}
	if got := keys(s.alerts()); !slices.Equal(got, keys(want)) {
		t.Errorf("arrived: %v, want %v", got, keys(want))
	}
	for _, c := range s.complaints() {
		t.Errorf("the destination would have refused: %s", c)
	}
}

func leavesNoConnection(t *testing.T, h HTTP) {
	s, err := deliverTo(t, h, []*alert.Alert{Alert(1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx := limit(t, 5*time.Second)
	for tick := time.NewTicker(time.Millisecond); s.open.Load() > 0; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d connections are open after Close", s.open.Load())
		}
	}
}
