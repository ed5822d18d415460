package ruletest

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/accesslog"
	"github.com/gatewatch/gatewatch/rules"
)

// feed brings the requests of a test to an engine.
type feed struct {
	test     *rules.Test
	writer   *writer
	decoder  *ingest.Decoder
	requests []request
	next     int
	names    map[string]string // of tokens as they are shown: as the test writes them
}

// input is the only partition of a test.
var input = event.Partition{Topic: "test"}

func newFeed(t *rules.Test, set *rules.Set) *feed {
	end := t.Start.Std().Add(rules.MaxTestSpan)
	f := &feed{test: t, writer: newWriter(t), requests: requests(t), names: map[string]string{}}
	f.decoder = ingest.NewDecoder(ingest.Options{
		Format: "canonical", Query: accesslog.NewQueryNames(set.QueryParams()...), Now: func() time.Time { return end },
	})
	f.decoder.Begin(input)
	return f
}

// engine returns an engine for a test. One lane is enough for it: what comes out does not depend on that.
func engine(set *rules.Set, disorder time.Duration) *detector.Engine {
	return detector.New(set, detector.Options{Disorder: disorder, Lanes: 1, Workers: 1, Limits: detector.DefaultLimits()})
}

// batch returns the next requests, at most size of them, as the engine takes them; nil after the last. A request that the
// decoder rejects is an error.
func (f *feed) batch(ctx context.Context, size int) (*event.Batch, error) {
	first := f.next
	for ; f.next < len(f.requests) && f.next < first+size; f.next++ {
		f.decoder.Add(int64(f.next), f.writer.json(f.requests[f.next]))
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run test: %w", err)
	}
	batch, rejected := f.decoder.Take()
	if len(rejected) > 0 {
		q := f.requests[rejected[0].Offset]
		return nil, fmt.Errorf("request %d of the traffic in line %d would be rejected: %s (%s)", q.n, q.traffic.Line, rejected[0].Reason, rejected[0].Detail)
	}
	if batch == nil {
		return nil, nil
	}
	for i := range batch.Events {
		e := &batch.Events[i]
		q := f.requests[e.Offset]
		e.Geo = f.writer.geo(q)
		if at := q.traffic.RevokedAt; at != nil {
			e.TokenRevokedAt = event.TimeOf(f.writer.start.Add(*at))
		}
		f.learnName(e, q)
	}
	return batch, nil
}

// learnName notes what a token is called in the test.
func (f *feed) learnName(e *event.Event, q request) {
	if _, known := f.names[e.TokenID]; known || e.TokenID == "" {
		return
	}
	for i := range q.traffic.Fields {
		if field := &q.traffic.Fields[i]; field.Name == "token_id" {
			f.names[strings.Clone(e.TokenID)] = string(f.writer.field(field, q))
		}
	}
}

var tokenForm = regexp.MustCompile(`tok_[0-9a-f]{32}`)

// plain writes text of an alert with the tokens as the test calls them.
func (f *feed) plain(text string) string {
	return tokenForm.ReplaceAllStringFunc(text, func(token string) string {
		if name, ok := f.names[token]; ok {
			return name
		}
		return token
	})
}
