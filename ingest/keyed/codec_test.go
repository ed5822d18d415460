package keyed

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatewatch/gatewatch/detector/event"
)

var same = cmp.Options{cmpopts.EquateNaNs(), cmpopts.EquateComparable(netip.Addr{})}

func header() Header {
	return Header{
		Shape: Shape{
			Kinds:      []string{"client_id", "subject", "client_id+token_id"},
			Inputs:     []Input{{"gateway-access", 12}, {"other", 3}},
			Partitions: 24,
		},
		Partition: event.Partition{Topic: "other", ID: 2}, From: 1000, Next: 2000,
		Progress: 1_800_000_000_123, CaughtUp: 1_800_000_000_456, Written: 1_800_000_000_789,
	}
}

// written is an event with every field set.
func written() event.Event {
	return event.Event{
		Time: 1_800_000_000_123, Offset: 1500, Index: 3, Status: 200, DurationMS: 12.3, RequestSize: 17, ResponseSize: 1 << 40,
		SourceIP: netip.MustParseAddr("11.0.3.142"), TokenIssuedAt: 1_799_999_000_000, TokenExpiresAt: 1_800_003_600_000, TokenRevokedAt: 1_799_999_500_000,
		Environment: "prod", API: "orders-v1", ClientID: "mobile-app", Subject: "user-1", TokenID: "t-1", SessionID: "s-1", Method: "GET",
		Path: "/users/42/profile", Route: "/users/{id}/profile", UserAgent: "okhttp/4", RequestID: "r-1", IPText: "11.0.3.142",
		Scopes: []string{"profile.read", ""}, Attributes: []event.Attribute{{Key: "tier", Value: "gold"}, {Key: "", Value: ""}},
	}
}

// encode writes a record with the events, the nth of which is for the kinds of bit set 1 + n%7.
func encode(t testing.TB, e *Encoder, h Header, events []event.Event) []byte {
	t.Helper()
	e.Begin()
	for i := range events {
		e.Add(&events[i], uint64(1+i%7))
	}
	value, err := e.Append(nil, &h)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func check(t testing.TB, run *Run, h Header, events []event.Event) {
	t.Helper()
	if diff := cmp.Diff(h, run.Header, same); diff != "" {
		t.Errorf("header (-written +read):\n%s", diff)
	}
	if diff := cmp.Diff(events, run.Batch.Events, same, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("events (-written +read):\n%s", diff)
	}
	if run.Batch.Partition != h.Partition || run.Batch.First != h.From || run.Batch.Next != h.Next {
		t.Errorf("batch %v %d %d", run.Batch.Partition, run.Batch.First, run.Batch.Next)
	}
	for i, kinds := range run.Kinds {
		if kinds != uint64(1+i%7) {
			t.Errorf("event %d is for the kinds %b", i, kinds)
		}
	}
}

func TestEveryFieldComesBack(t *testing.T) {
	second, third := written(), event.Event{Time: 1, Offset: 1600, DurationMS: math.Inf(1), Status: -1}
	third.TokenRevokedAt = event.RevokedSinceEver
	second.ClientID, second.DurationMS, second.Index = "other", 1.0/3, 4
	third.SourceIP = netip.MustParseAddr("fe80::1%eth0") // without a text
	fourth := written()
	fourth.Offset, fourth.IPText = 1601, "not what it parses to"
	fifth := written()
	fifth.Offset, fifth.SourceIP = 1602, netip.MustParseAddr("11.0.3.143") // another address with the same text
	events := []event.Event{written(), second, third, fourth, fifth, fifth}
	value := encode(t, NewEncoder(false), header(), events)
	run, err := NewDecoder(Options{}).Decode(77, value)
	if err != nil {
		t.Fatal(err)
	}
	clear(value) // the caller uses it again
	if run.Offset != 77 {
		t.Errorf("offset %d", run.Offset)
	}
	check(t, run, header(), events)
}

func TestMark(t *testing.T) {
	h := header()
	h.From, h.Next, h.Progress = -1, -1, 0
	value := encode(t, NewEncoder(false), h, nil)
	run, err := NewDecoder(Options{}).Decode(0, value)
	if err != nil {
		t.Fatal(err)
	}
	check(t, run, h, nil)
}

// A pseudonym of an address must not travel with the address.
func TestHiddenAddressIsNotWritten(t *testing.T) {
	e := written()
	e.IPText = "ip:pseudonym"
	e.Geo = &event.Geo{Country: "GB", Continent: "EU", City: "London", Latitude: 51.5, Longitude: -0.1, RadiusKM: 10, HasPlace: true, ASN: 7, ASOrg: "o", Anonymous: event.AnonymousTor}
	without := written()
	without.IPText = "ip:other"
	value := encode(t, NewEncoder(true), header(), []event.Event{e, e, without})
	ip := e.SourceIP.As4()
	if strings.Contains(string(value), string(ip[:])) || strings.Contains(string(value), e.SourceIP.String()) {
		t.Error("the address is in the record")
	}
	run, err := NewDecoder(Options{}).Decode(0, value)
	if err != nil {
		t.Fatal(err)
	}
	e.SourceIP, without.SourceIP = netip.Addr{}, netip.Addr{}
	check(t, run, header(), []event.Event{e, e, without})
}

func TestLargeRecordIsPacked(t *testing.T) {
	e := written()
	e.Path = strings.Repeat("/a", packAbove)
	value := encode(t, NewEncoder(false), header(), []event.Event{e})
	if len(value) > 10_000 {
		t.Errorf("%d bytes", len(value))
	}
	d := NewDecoder(Options{})
	for range 2 {
		run, err := d.Decode(0, value)
		if err != nil {
			t.Fatal(err)
		}
		check(t, run, header(), []event.Event{e})
	}
}

func TestTopicThatIsNoInput(t *testing.T) {
	h := header()
	h.Partition.Topic = "?"
	if _, err := NewEncoder(false).Append(nil, &h); err == nil {
		t.Error("no error")
	}
}

// TestOldestVersion reads a record as version 1 has it: without the column of revocations, whose length is all of it when no token
// is revoked.
func TestOldestVersion(t *testing.T) {
	e := written()
	e.TokenRevokedAt = 0
	enc, h := NewEncoder(false), header()
	value := encode(t, enc, h, []event.Event{e})
	marks := encode(t, enc, h, nil)
	at := len(marks) + 1 // behind the header, the number of events, which is 1 byte, and the kind of addresses
	for range colRevoked {
		_, n := binary.Uvarint(value[at:])
		at += n
	}
	if value[at] != 0 {
		t.Fatalf("the column has %d bytes", value[at])
	}
	old := slices.Delete(slices.Clone(value), at, at+1)
	old[0] = 1
	run, err := NewDecoder(Options{}).Decode(0, old)
	if err != nil {
		t.Fatal(err)
	}
	check(t, run, h, []event.Event{e})
}

func TestUnknownVersion(t *testing.T) {
	value := encode(t, NewEncoder(false), header(), nil)
	value[0] = Version + 1
	if _, err := NewDecoder(Options{}).Decode(0, value); err == nil || !strings.Contains(err.Error(), "version 3") {
		t.Errorf("error %v", err)
	}
}

func TestMemoryIsUsedAgainOnlyAfterRelease(t *testing.T) {
	d, enc := NewDecoder(Options{}), NewEncoder(false)
	e := written()
	var held []*Run
	for i := range 100 {
		e.ClientID = strings.Repeat("c", i+1)
		run, err := d.Decode(0, encode(t, enc, header(), []event.Event{e}))
		if err != nil || slices.Contains(held, run) {
			t.Fatal("a run that nobody released", err)
		}
		held = append(held, run)
	}
	for i, run := range held {
		if len(run.Batch.Events[0].ClientID) != i+1 {
			t.Fatal("memory was used again")
		}
		run.Batch.Release()
		run.Batch.Release()
	}
	for range 100 {
		run, err := d.Decode(0, encode(t, enc, header(), []event.Event{e}))
		if err != nil {
			t.Fatal(err)
		}
		run.Batch.Release()
	}
}

// Every way to cut a record short, and every changed byte, is an error or another record: never a panic.
func TestDamage(t *testing.T) {
	events := []event.Event{written(), written()}
	value := encode(t, NewEncoder(false), header(), events)
	d := NewDecoder(Options{})
	for n := range value {
		if _, err := d.Decode(0, value[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d of %d bytes: %v", n, len(value), err)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		damaged := slices.Clone(value)
		for range 1 + random.IntN(3) {
			damaged[random.IntN(len(damaged))] = byte(random.Uint32())
		}
		if run, err := d.Decode(0, damaged); err == nil {
			run.Batch.Release()
		}
	}
}
