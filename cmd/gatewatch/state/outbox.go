package state

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
)

// The first byte of an entry says what the rest is. A form that an older gatewatch would misread gets a new number.
const (
	alertJSON     byte = 1
	blindSpotJSON byte = 2
)

// Outbox is the [sinks.Outbox] over a store.
//
// A record goes once every sink in use has settled it and it was raised before the last checkpoint: until then its events
// may be read again, and it must be recognised when it is raised again.
type Outbox struct {
	store Store

	mu        sync.Mutex
	inUse     []string
	used      bool // Use was called
	committed uint64
}

var _ sinks.Outbox = (*Outbox)(nil)

// NewOutbox returns the outbox of a store. Nothing is trimmed before [Outbox.Use].
func NewOutbox(store Store) *Outbox { return &Outbox{store: store} }

// Use names the sinks whose records must be kept. Those of sinks that are named no more are not kept for them; a sink that
// is new gets what is still there.
func (o *Outbox) Use(names ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inUse, o.used = names, true
}

// Append implements [sinks.Outbox].
func (o *Outbox) Append(ctx context.Context, records []sinks.Record) error {
	entries, next := make([]Entry, len(records)), o.store.Last()+1
	for i, r := range records {
		data, err := encode(r)
		if err != nil {
			return fmt.Errorf("encode record: %w", err)
		}
		entries[i] = Entry{Sequence: next + uint64(i), Data: data}
	}
	return o.store.Append(ctx, entries)
}

// After implements [sinks.Outbox]. It may fail with [ErrVersion] or [ErrCorrupt].
func (o *Outbox) After(ctx context.Context, sequence uint64, maxBytes int) ([]sinks.Record, uint64, error) {
	entries, err := o.store.After(ctx, sequence, maxBytes)
	if err != nil {
		return nil, sequence, err
	}
	records := make([]sinks.Record, len(entries))
	for i, e := range entries {
		if records[i], err = decode(e.Data); err != nil {
			return nil, sequence, fmt.Errorf("read record %d of the outbox: %w", e.Sequence, err)
		}
		sequence = e.Sequence
	}
	return records, sequence, nil
}

// Last implements [sinks.Outbox].
func (o *Outbox) Last() uint64 { return o.store.Last() }

// Settle implements [sinks.Outbox]. Each call is a durable write.
func (o *Outbox) Settle(ctx context.Context, sink string, through uint64) error {
	return o.store.Settle(ctx, sink, through)
}

// Settled implements [sinks.Outbox].
func (o *Outbox) Settled() map[string]uint64 { return o.store.Settled() }

// Committed says that a checkpoint with this sequence was committed, and removes what is not needed any more. Nothing is
// lost when it fails.
func (o *Outbox) Committed(ctx context.Context, sequence uint64) error {
	o.mu.Lock()
	o.committed = max(o.committed, sequence)
	through, used := o.committed, o.used
	settled := o.store.Settled()
	for _, name := range o.inUse {
		through = min(through, settled[name])
	}
	o.mu.Unlock()
	if !used || through == 0 {
		return nil
	}
	return o.store.Trim(ctx, through)
}

// Version is what an alert is known by.
type Version struct {
	ID      string
	Version int
}

// Raised is what is remembered of an alert in the outbox.
type Raised struct {
	Sequence uint64
	At       alert.Time // event time that raised it
}

// raisedPage bounds what Raised holds in memory at a time.
const raisedPage = 4 << 20

// Raised returns the alerts that follow the sequence: after a restart, those that the engine may raise again. Blind spots it
// does not raise.
func (o *Outbox) Raised(ctx context.Context, after uint64) (map[Version]Raised, error) {
	all := map[Version]Raised{}
	for {
		entries, err := o.store.After(ctx, after, raisedPage)
		if err != nil || len(entries) == 0 {
			return all, err
		}
		for _, e := range entries {
			if err := addRaised(all, e); err != nil {
				return nil, fmt.Errorf("read record %d of the outbox: %w", e.Sequence, err)
			}
			after = e.Sequence
		}
	}
}

func addRaised(all map[Version]Raised, e Entry) error {
	form, err := formOf(e.Data)
	if err != nil {
		return err
	}
	var a struct {
		ID         string     `json:"id"`
		Version    int        `json:"version"`
		DetectedAt alert.Time `json:"detected_at"`
	}
	if err := json.Unmarshal(e.Data[1:], &a); err != nil {
		return fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	if form == alertJSON {
		all[Version{a.ID, a.Version}] = Raised{e.Sequence, a.DetectedAt}
	}
	return nil
}

func encode(r sinks.Record) ([]byte, error) {
	switch {
	case r.Alert != nil && r.BlindSpot == nil:
		return encodeAs(alertJSON, r.Alert)
	case r.BlindSpot != nil && r.Alert == nil:
		return encodeAs(blindSpotJSON, r.BlindSpot)
	}
	return nil, fmt.Errorf("a record is an alert or a blind spot")
}

func encodeAs(form byte, value any) ([]byte, error) {
	data, err := json.Marshal(value)
	return append([]byte{form}, data...), err
}

func decode(data []byte) (r sinks.Record, err error) {
	form, err := formOf(data)
	if err != nil {
		return r, err
	}
	var target any
	if form == alertJSON {
		r.Alert = new(alert.Alert)
		target = r.Alert
	} else {
		r.BlindSpot = new(alert.BlindSpot)
		target = r.BlindSpot
	}
	if err := json.Unmarshal(data[1:], target); err != nil {
		return sinks.Record{}, fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	return r, nil
}

func formOf(data []byte) (byte, error) {
	if len(data) == 0 {
		return 0, fmt.Errorf("%w: empty record", ErrCorrupt)
	}
	if form := data[0]; form != alertJSON && form != blindSpotJSON {
		return 0, fmt.Errorf("%w: the record has form %d; start the version of gatewatch that wrote it, or a newer one", ErrVersion, form)
	}
	return data[0], nil
}
