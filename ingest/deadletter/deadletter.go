// Package deadletter keeps records that could not become events: where each was, why it was rejected, and its beginning with
// every value masked. The record itself is not kept, since it may hold secrets; its position leads back to it.
package deadletter

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatewatch/gatewatch/ingest"
)

// Writer keeps rejected records. One goroutine uses it.
type Writer interface {
	// Write returns when the records are safe. After an error it is unknown which are; writing them again is what to do.
	Write(ctx context.Context, rejected []ingest.Rejected) error
	Close() error
}

// letter is the JSON form.
type letter struct {
	Topic      string        `json:"topic"`
	Partition  int32         `json:"partition"`
	Offset     int64         `json:"offset"`
	Index      int32         `json:"index"`
	Reason     ingest.Reason `json:"reason"`
	Detail     string        `json:"detail"`
	Size       int           `json:"size"`        // bytes of the record
	Excerpt    string        `json:"excerpt"`     // masked
	RejectedAt time.Time     `json:"rejected_at"` // wall clock
}

// encode appends one letter as a line.
func encode(b *bytes.Buffer, r ingest.Rejected, now time.Time) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false) // excerpts are read by people
	err := e.Encode(letter{
		Topic: r.Partition.Topic, Partition: r.Partition.ID, Offset: r.Offset, Index: r.Index, Reason: r.Reason,
		Detail: r.Detail, Size: r.Size, Excerpt: r.Excerpt, RejectedAt: now.UTC().Truncate(time.Millisecond),
	})
	if err != nil {
		return fmt.Errorf("encode dead letter: %w", err)
	}
	return nil
}

// None drops the letters: the counters are all that is left.
type None struct{}

// Write implements [Writer].
func (None) Write(context.Context, []ingest.Rejected) error { return nil }

// Close implements [Writer].
func (None) Close() error { return nil }
