// Package sinktest is the suite that every sink runs: what the delivery queue and the analyst rely on, whatever the
// destination.
package sinktest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/google/go-cmp/cmp"
)

// patience bounds how long the suite waits for anything; nothing waits that long when all is well.
const patience = 30 * time.Second

// Target is one empty destination and a way to look into it.
type Target struct {
	// Open makes a sink to the destination, as the program would.
	Open func(t *testing.T) sinks.Sink

	// Received returns what the destination holds, in order of arrival as far as it keeps that.
	Received func(t *testing.T) []*alert.Alert

	// BlindSpots returns the blind spots that the destination holds. nil: the sink takes none.
	BlindSpots func(t *testing.T) []*alert.BlindSpot

	// WholeSeconds says that the destination cuts times below a second.
	WholeSeconds bool

	// Excerpt says that the destination shows what people need of an alert: id, version and less than all the rest.
	Excerpt bool

	// Deduplicates says that the destination keeps one of several alerts with equal id and version.
	Deduplicates bool

	// Down makes the destination unreachable until up is called. nil: it cannot be.
	Down func(t *testing.T) (up func())

	// Hang makes the destination accept calls and answer none until release is called. nil: it cannot.
	Hang func(t *testing.T) (release func())

	// Secrets are texts of the sink's configuration that must show nowhere.
	Secrets []string
}

// Run runs the suite; open makes a fresh target for each of its tests.
func Run(t *testing.T, open func(t *testing.T) Target) {
	tests := []struct {
		name string
		run  func(*testing.T, Target)
	}{
		{"delivers every field", deliversEveryField},
		{"keeps the order of versions", keepsOrder},
		{"takes large batches", takesLargeBatches},
		{"leaves the alerts alone", leavesAlertsAlone},
		{"refuses only what has no JSON form", refusesOnlyTheBad},
		{"the same again is recognisable", sameAgain},
		{"another sink continues", anotherContinues},
		{"down and back", downAndBack},
		{"stops while down", stopsWhileDown},
		{"gives up when told", givesUpWhenTold},
		{"closes unused", closesUnused},
		{"delivers every field of blind spots", deliversBlindSpots},
		{"keeps blind spots apart from alerts", keepsBlindSpotsApart},
		{"the same blind spot again is recognisable", sameBlindSpotAgain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

func deliversEveryField(t *testing.T, target Target) {
	want := []*alert.Alert{Alert(1, 1), {
		Schema: 1, ID: "bare", Version: 1, State: alert.Closed, Rule: alert.Rule{Tags: []string{}},
		Evidence: []alert.Evidence{}, Related: map[string][]string{}, EmittedAt: emitted(5),
	}}
	deliver(t, target, want)
	equal(t, target, want)
}

func keepsOrder(t *testing.T, target Target) {
	var want []*alert.Alert
	for version := 1; version <= 4; version++ {
		for n := range 5 {
			want = append(want, Alert(n, version))
		}
	}
	d := start(t, target)
	d.enqueue(want)
	d.close(patience)
	latest := map[string]int{}
	for _, a := range target.Received(t) {
		if a.Version != latest[a.ID]+1 {
			t.Errorf("alert %s: version %d came after %d", a.ID, a.Version, latest[a.ID])
		}
		latest[a.ID] = a.Version
	}
	if len(latest) != 5 {
		t.Errorf("%d of 5 alerts arrived", len(latest))
	}
}

func takesLargeBatches(t *testing.T, target Target) {
	batch := make([]*alert.Alert, 1000)
	for i := range batch {
		batch[i] = Alert(i, 1)
	}
	deliver(t, target, batch)
	if n := len(keys(target.Received(t))); n != len(batch) {
		t.Errorf("%d of %d alerts arrived", n, len(batch))
	}
}

func leavesAlertsAlone(t *testing.T, target Target) {
	given, want := Alert(1, 1), Alert(1, 1)
	sink := target.Open(t)
	if err := sink.Deliver(t.Context(), []*alert.Alert{given}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, given); diff != "" {
		t.Errorf("the sink changed the alert:\n%s", diff)
	}
	given.Summary, given.Evidence[0].Path, given.Rule.Tags[0] = "overwritten", "overwritten", "overwritten"
	if err := sink.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, target, []*alert.Alert{want})
}

func refusesOnlyTheBad(t *testing.T, target Target) {
	if target.Excerpt {
		t.Skip("this destination takes what has no JSON form too")
	}
	bad := Alert(2, 1)
	bad.Observed.Detail = map[string]any{"share": math.NaN()}
	d := start(t, target)
	d.enqueue([]*alert.Alert{Alert(1, 1), bad, Alert(3, 1)})
	d.close(patience)
	if got, want := keys(target.Received(t)), keys([]*alert.Alert{Alert(1, 1), Alert(3, 1)}); !slices.Equal(got, want) {
		t.Errorf("arrived: %v, want %v", got, want)
	}
	if len(d.letters) != 1 || d.letters[0].Alert.ID != bad.ID {
		t.Errorf("dead letters: %+v", d.letters)
	}
}

func sameAgain(t *testing.T, target Target) {
	batch := []*alert.Alert{Alert(1, 1), Alert(2, 1)}
	for round := range 3 {
		for _, a := range batch {
			a.EmittedAt = emitted(round)
		}
		deliver(t, target, batch)
	}
	got := target.Received(t)
	if n := len(keys(got)); n != len(batch) {
		t.Errorf("%d different alerts arrived, want %d", n, len(batch))
	}
	if target.Deduplicates && len(got) != len(batch) {
		t.Errorf("the destination holds %d alerts, want %d", len(got), len(batch))
	}
}

func anotherContinues(t *testing.T, target Target) {
	deliver(t, target, []*alert.Alert{Alert(1, 1)})
	deliver(t, target, []*alert.Alert{Alert(1, 2)})
	equal(t, target, []*alert.Alert{Alert(1, 1), Alert(1, 2)})
}

func downAndBack(t *testing.T, target Target) {
	if target.Down == nil {
		t.Skip("this destination is always there")
	}
	d := start(t, target)
	d.enqueue([]*alert.Alert{Alert(1, 1)})
	if err := d.queue.Drain(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	up := target.Down(t)
	d.enqueue([]*alert.Alert{Alert(1, 2), Alert(2, 1)})
	d.awaitFailure()
	if n := d.feed.Acknowledged(); n != 1 {
		t.Errorf("acknowledged %d while down, want 1", n)
	}
	up()
	d.close(patience)
	got, want := keys(target.Received(t)), keys([]*alert.Alert{Alert(1, 1), Alert(1, 2), Alert(2, 1)})
	if !slices.Equal(got, want) {
		t.Errorf("arrived: %v, want %v", got, want)
	}
	if len(d.letters) > 0 {
		t.Errorf("dead letters although the destination was only down: %s", d.letters[0].Reason)
	}
}

func stopsWhileDown(t *testing.T, target Target) {
	if target.Down == nil {
		t.Skip("this destination is always there")
	}
	up := target.Down(t)
	defer up()
	d := start(t, target)
	d.enqueue([]*alert.Alert{Alert(1, 1)})
	d.awaitFailure()
	begin := time.Now()
	err := d.queue.Close(limit(t, 100*time.Millisecond))
	if err == nil || !strings.Contains(err.Error(), "1 alerts not delivered") {
		t.Errorf("close: %v", err)
	}
	if took := time.Since(begin); took > 6*time.Second {
		t.Errorf("close took %v", took)
	}
}

func givesUpWhenTold(t *testing.T, target Target) {
	if target.Hang == nil {
		t.Skip("this destination does not hang")
	}
	release := target.Hang(t)
	defer release()
	sink := target.Open(t)
	begin := time.Now()
	err := sink.Deliver(limit(t, 100*time.Millisecond), []*alert.Alert{Alert(1, 1)})
	if err == nil {
		t.Error("delivered to a destination that does not answer")
	}
	if refused := (*sinks.RefusedError)(nil); errors.As(err, &refused) {
		t.Errorf("silence taken for a refusal: %v", err)
	}
	if err := sink.Close(limit(t, 100*time.Millisecond)); err != nil {
		t.Logf("close: %v", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("giving up took %v", took)
	}
	noSecrets(t, target, err.Error())
}

func closesUnused(t *testing.T, target Target) {
	if err := target.Open(t).Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// delivery is a queue with one sink under test.
type delivery struct {
	t       *testing.T
	target  Target
	queue   *sinks.Queue
	feed    *sinks.Feed
	log     bytes.Buffer
	letters []sinks.Letter
}

// Bury implements [sinks.DeadLetters]; one sink, one caller.
func (d *delivery) Bury(letters []sinks.Letter) error {
	d.letters = append(d.letters, letters...)
	return nil
}

func start(t *testing.T, target Target) *delivery {
	t.Helper()
	d := &delivery{t: t, target: target}
	config := sinks.DefaultConfig()
	config.BatchDelay, config.RetryMin, config.RetryMax = 0, time.Millisecond, 20*time.Millisecond
	config.Timeout = 2 * time.Second
	q, err := sinks.NewQueue(sinks.Options{
		Destinations: []sinks.Destination{{Sink: target.Open(t), Config: config}},
		DeadLetters:  d,
		Logger:       slog.New(slog.NewTextHandler(&d.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	d.queue, d.feed = q, q.Attach(nil)
	return d
}

func (d *delivery) enqueue(alerts []*alert.Alert) {
	d.t.Helper()
	if _, err := d.feed.Enqueue(limit(d.t, patience), sinks.Alerts(alerts)); err != nil {
		d.t.Fatal(err)
	}
}

// awaitFailure waits until a delivery has failed.
func (d *delivery) awaitFailure() {
	d.t.Helper()
	ctx := limit(d.t, patience)
	for tick := time.NewTicker(time.Millisecond); ; {
		if failure := d.queue.Status()[0].Failure; failure != "" {
			noSecrets(d.t, d.target, failure)
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			d.t.Fatal("no delivery failed although the destination is down")
		}
	}
}

func (d *delivery) close(wait time.Duration) {
	d.t.Helper()
	if err := d.queue.Close(limit(d.t, wait)); err != nil {
		d.t.Fatalf("close: %v\n%s", err, d.log.String())
	}
	noSecrets(d.t, d.target, d.log.String())
	for _, l := range d.letters {
		noSecrets(d.t, d.target, l.Reason)
	}
}

// deliver hands one batch to a sink of its own.
func deliver(t *testing.T, target Target, batch []*alert.Alert) {
	t.Helper()
	sink := target.Open(t)
	if err := sink.Deliver(limit(t, patience), batch); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
}

func limit(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func noSecrets(t *testing.T, target Target, text string) {
	t.Helper()
	for _, secret := range target.Secrets {
		if strings.Contains(text, secret) {
			t.Errorf("a secret shows: %s", text)
		}
	}
}

// equal compares the JSON forms of what has arrived and should have, whatever the order.
func equal(t *testing.T, target Target, want []*alert.Alert) {
	t.Helper()
	got := target.Received(t)
	if target.Excerpt {
		if got, want := keys(got), keys(want); !slices.Equal(got, want) {
			t.Errorf("arrived: %v, want %v", got, want)
		}
		return
	}
	if target.WholeSeconds {
		want = wholeSeconds(want)
	}
	if diff := cmp.Diff(forms(t, want), forms(t, got)); diff != "" {
		t.Errorf("alerts differ (- want, + got):\n%s", diff)
	}
}

// wholeSeconds returns copies of alerts whose own times, not those of the evidence, are cut to seconds.
func wholeSeconds(alerts []*alert.Alert) []*alert.Alert {
	var all []*alert.Alert
	for _, a := range alerts {
		cut := *a
		at := *a.EmittedAt
		cut.EmittedAt = &at
		for _, t := range []*alert.Time{&cut.FirstSeen, &cut.LastSeen, &cut.DetectedAt, cut.EmittedAt} {
			*t -= *t % 1000
		}
		all = append(all, &cut)
	}
	return all
}

// forms returns the JSON forms of alerts by their keys; a key that comes again is numbered.
func forms(t *testing.T, alerts []*alert.Alert) map[string]any {
	t.Helper()
	all := make(map[string]any)
	for _, a := range alerts {
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var form any
		if err := json.Unmarshal(text, &form); err != nil {
			t.Fatal(err)
		}
		key := Key(a)
		for n := 2; all[key] != nil; n++ {
			key = fmt.Sprintf("%s (%d)", Key(a), n)
		}
		all[key] = form
	}
	return all
}

// keys returns the sorted set of ids and versions.
func keys(alerts []*alert.Alert) []string {
	var all []string
	for _, a := range alerts {
		all = append(all, Key(a))
	}
	slices.Sort(all)
	return slices.Compact(all)
}
