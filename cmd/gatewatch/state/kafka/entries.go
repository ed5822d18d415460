package kafka

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// sparseBytes is what one request asks for where entries lie among chunks.
const sparseBytes = 256 << 10

// readEntries reads what After returns from the log, as far as it is not in memory.
func (s *Store) readEntries(ctx context.Context, sequence uint64, maxBytes int) ([]state.Entry, error) {
	var entries []state.Entry
	bytes := 0
	for len(entries) == 0 || bytes < maxBytes {
		s.mu.Lock()
		found, elsewhere := s.index.outbox.after(sequence, maxBytes-bytes)
		s.mu.Unlock()
		if elsewhere != nil {
			var err error
			if found, err = s.entriesAt(ctx, *elsewhere, maxBytes-bytes); err != nil {
				return nil, err
			}
		}
		if len(found) == 0 {
			break
		}
		for _, e := range found {
			entries, sequence, bytes = append(entries, e), e.Sequence, bytes+len(e.Data)
		}
	}
	return fitting(entries, maxBytes), nil
}

// entriesAt reads from the place on until a request has brought an entry.
func (s *Store) entriesAt(ctx context.Context, from place, maxBytes int) ([]state.Entry, error) {
	found := run{last: from.sequence}
	for next := from.offset; len(found.entries) == 0; {
		page, err := s.log.fetch(ctx, next, int32(min(max(maxBytes, 4096), sparseBytes)))
		if err != nil {
			return nil, err
		}
		for _, r := range page.records {
			if err := found.add(r); err != nil {
				return nil, err
			}
		}
		if s.trimmedPast(from.sequence) {
			return nil, fmt.Errorf("entry %d was trimmed while it was read", from.sequence+1) // to be tried again
		}
		if page.next == next && page.stable > next || s.end > 0 && page.next >= s.end && len(found.entries) == 0 {
			return nil, fmt.Errorf("%w: entry %d of the outbox is missing", state.ErrCorrupt, from.sequence+1)
		}
		next = page.next
	}
	return found.entries, nil
}

func (s *Store) trimmedPast(sequence uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index.outbox.trimmed > sequence
}

// run is entries whose sequences rise by one.
type run struct {
	entries []state.Entry
	last    uint64
	whole   assembly
}

// add takes a record, whatever it is.
func (f *run) add(r *kgo.Record) error {
	rest, ok := strings.CutPrefix(string(r.Key), entryKind+"/")
	if !ok || r.Value == nil {
		return nil
	}
	id, err := parseNumbers(rest, 64, 32)
	if err != nil {
		return err
	}
	data, of, err := f.whole.add(id[0], id[1], r.Value, r.Offset)
	if err == nil && of > 0 && id[0] == f.last+1 {
		f.entries, f.last = append(f.entries, state.Entry{Sequence: id[0], Data: data}), id[0]
	}
	return err
}
