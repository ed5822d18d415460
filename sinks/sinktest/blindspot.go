package sinktest

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/google/go-cmp/cmp"
)

// BlindSpot returns a version of the n-th sample blind spot with every field set.
func BlindSpot(n, version int) *alert.BlindSpot {
	from := base + alert.Time(n*60_000)
	return &alert.BlindSpot{
		Schema: alert.SchemaVersion, ID: alert.NewBlindSpotID(alert.LateEvents, "gateway", from), Version: version,
		State: alert.Update, Cause: alert.LateEvents, From: from, To: from + alert.Time(version*1000),
		Topic: "gateway", Partitions: []int32{0, 7, 1 << 30}, Rules: []string{"payment-without-checkout", "token-two-continents"},
		Kinds: []string{"client_id", "token_id"}, Sink: "kafka", Count: 1<<63 + uint64(version),
		Detail: fmt.Sprintf("events came %d s late: 'quoted', \"<b>\"\\\n\t☂", version), EmittedAt: emitted(n),
	}
}

// blindSpotSink opens the target, which must take blind spots exactly if it says so.
func blindSpotSink(t *testing.T, target Target) sinks.BlindSpotSink {
	t.Helper()
	s, ok := target.Open(t).(sinks.BlindSpotSink)
	if ok != (target.BlindSpots != nil) {
		t.Fatalf("the sink takes blind spots: %v, the target says otherwise", ok)
	}
	if !ok {
		t.Skip("this sink takes no blind spots")
	}
	return s
}

func deliverBlindSpots(t *testing.T, target Target, batch []*alert.BlindSpot) {
	t.Helper()
	sink := blindSpotSink(t, target)
	if err := sink.DeliverBlindSpots(limit(t, patience), batch); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
}

func deliversBlindSpots(t *testing.T, target Target) {
	bare := &alert.BlindSpot{Schema: 1, ID: "bare", Version: 1, State: alert.Closed, Cause: alert.Restart, EmittedAt: emitted(5)}
	want := []*alert.BlindSpot{BlindSpot(1, 1), bare}
	deliverBlindSpots(t, target, want)
	got := target.BlindSpots(t)
	if target.WholeSeconds {
		want = wholeBlindSpots(want)
	}
	if diff := cmp.Diff(blindForms(t, want), blindForms(t, got)); diff != "" {
		t.Errorf("blind spots differ (- want, + got):\n%s", diff)
	}
	if n := len(target.Received(t)); n > 0 {
		t.Errorf("%d blind spots are among the alerts", n)
	}
}

func keepsBlindSpotsApart(t *testing.T, target Target) {
	d := start(t, target)
	var records []sinks.Record
	for version := 1; version <= 3; version++ {
		records = append(records, sinks.Record{Alert: Alert(1, version)}, sinks.Record{BlindSpot: BlindSpot(1, version)})
	}
	if _, err := d.feed.Enqueue(limit(t, patience), records); err != nil {
		t.Fatal(err)
	}
	d.close(patience)
	got, want := keys(target.Received(t)), keys([]*alert.Alert{Alert(1, 1), Alert(1, 2), Alert(1, 3)})
	if !slices.Equal(got, want) {
		t.Errorf("alerts: %v, want %v", got, want)
	}
	if len(d.letters) > 0 {
		t.Errorf("dead letters: %+v", d.letters)
	}
	if target.BlindSpots == nil {
		return
	}
	var versions []int
	for _, b := range target.BlindSpots(t) {
		versions = append(versions, b.Version)
	}
	if slices.Sort(versions); !slices.Equal(versions, []int{1, 2, 3}) {
		t.Errorf("versions of the blind spot: %v", versions)
	}
}

func sameBlindSpotAgain(t *testing.T, target Target) {
	for round := range 3 {
		again := BlindSpot(1, 1)
		again.EmittedAt = emitted(round)
		deliverBlindSpots(t, target, []*alert.BlindSpot{again})
	}
	got := target.BlindSpots(t)
	for _, b := range got {
		if b.ID != BlindSpot(1, 1).ID || b.Version != 1 {
			t.Errorf("arrived: %+v", b)
		}
	}
	if len(got) == 0 || target.Deduplicates && len(got) != 1 {
		t.Errorf("the destination holds %d blind spots", len(got))
	}
}

// wholeBlindSpots returns copies whose times are cut to seconds.
func wholeBlindSpots(all []*alert.BlindSpot) (whole []*alert.BlindSpot) {
	for _, b := range all {
		cut, at := *b, *b.EmittedAt
		cut.EmittedAt = &at
		for _, t := range []*alert.Time{&cut.From, &cut.To, cut.EmittedAt} {
			*t -= *t % 1000
		}
		whole = append(whole, &cut)
	}
	return whole
}

// blindForms returns the JSON forms by id and version.
func blindForms(t *testing.T, all []*alert.BlindSpot) map[string]string {
	t.Helper()
	forms := make(map[string]string)
	for _, b := range all {
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		forms[fmt.Sprintf("%s/%d", b.ID, b.Version)] = string(text)
	}
	return forms
}
