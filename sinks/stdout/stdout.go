// Package stdout writes alerts as JSON lines to a stream.
package stdout

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
)

// Sink writes to a stream that it does not close.
type Sink struct {
	w   io.Writer
	buf bytes.Buffer
}

// New returns a sink that writes to w, which is usually os.Stdout.
func New(w io.Writer) *Sink { return &Sink{w: w} }

// Name implements [sinks.Sink].
func (s *Sink) Name() string { return "stdout" }

// Deliver implements [sinks.Sink]. A batch is one Write; when only part of it was written, the rest is what a further
// attempt writes, so that no line is torn.
func (s *Sink) Deliver(_ context.Context, batch []*alert.Alert) error {
	s.buf.Reset()
	refused := sinks.WriteLines(&s.buf, batch)
	if _, err := s.w.Write(s.buf.Bytes()); err != nil {
		return fmt.Errorf("write alerts: %w", err)
	}
	return sinks.Refuse(refused)
}

// Close implements [sinks.Sink].
func (s *Sink) Close(context.Context) error { return nil }
