package kafka

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// loading hands on the chunks whose parts it expects, in the order of their offsets.
type loading struct {
	expected []located
	each     func(state.Chunk) error
	begun    map[chunkID]*parts // chunks of several parts, by the key of the first
}

// load reads the parts of chunks, which are in the order of the log.
func (s *Store) load(ctx context.Context, valid []located, each func(state.Chunk) error) error {
	l := &loading{expected: valid, each: each, begun: map[chunkID]*parts{}}
	pages := s.pages(ctx, valid)
	defer pages.stop()
	for len(l.expected) > 0 {
		page, err := pages.next()
		if err != nil {
			return err
		}
		for _, r := range page.records {
			if err := l.take(r); err != nil {
				return err
			}
		}
		if len(l.expected) > 0 && l.expected[0].offset < page.next {
			return fmt.Errorf("%w: the chunk at offset %d is missing", state.ErrCorrupt, l.expected[0].offset)
		}
	}
	if len(l.begun) > 0 {
		return fmt.Errorf("%w: %d chunks have not all their parts", state.ErrCorrupt, len(l.begun))
	}
	return nil
}

// take takes a record, whatever it is.
func (l *loading) take(r *kgo.Record) error {
	if len(l.expected) == 0 || r.Offset != l.expected[0].offset {
		return nil
	}
	want := l.expected[0]
	l.expected = l.expected[1:]
	if rest, _ := strings.CutPrefix(string(r.Key), chunkKind+"/"); rest == string(r.Key) || hash(r) != want.hash {
		return fmt.Errorf("%w: offset %d has something else than before", state.ErrCorrupt, r.Offset)
	}
	of, c, err := decodeChunk(r.Value)
	if err != nil {
		return err
	}
	if of == 1 {
		return l.each(c)
	}
	return l.join(want.id, of, c)
}

func (l *loading) join(id chunkID, of int, c state.Chunk) error {
	part := id.part
	id.part = 0
	if l.begun[id] == nil {
		l.begun[id] = &parts{}
	}
	data, whole, err := l.begun[id].add(uint64(part), of, c.Data)
	if err != nil || !whole {
		return err
	}
	delete(l.begun, id)
	c.Data = data
	return l.each(c)
}

// pages reads ahead by one page, so that decoding and reading overlap.
type pages struct {
	found chan page
	stop  context.CancelFunc
	err   error // set before found is closed
}

func (s *Store) pages(ctx context.Context, valid []located) *pages {
	ctx, cancel := context.WithCancel(ctx)
	p := &pages{found: make(chan page), stop: cancel}
	go func() {
		defer close(p.found)
		p.err = s.readPages(ctx, valid, p.found)
	}()
	return p
}

func (p *pages) next() (page, error) {
	found, ok := <-p.found
	if !ok {
		return page{}, p.err
	}
	return found, nil
}

// readPages reads where chunks are.
func (s *Store) readPages(ctx context.Context, valid []located, found chan<- page) error {
	for next := int64(0); ; {
		for len(valid) > 0 && valid[0].offset < next {
			valid = valid[1:]
		}
		if len(valid) == 0 {
			return nil
		}
		var p page
		err := s.trouble.retry(ctx, running, func(ctx context.Context) (err error) {
			p, err = s.log.fetch(ctx, valid[0].offset, fetchBytes)
			return err
		})
		if err != nil {
			return err
		}
		if p.next == valid[0].offset && p.stable <= p.next {
			continue // a transaction from before is under way
		}
		if p.next <= valid[0].offset {
			return fmt.Errorf("%w: the log ends before offset %d", state.ErrCorrupt, valid[0].offset)
		}
		next = p.next
		select {
		case found <- p:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
