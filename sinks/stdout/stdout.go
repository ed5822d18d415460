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
	w    io.Writer
	buf  bytes.Buffer
	torn bool // the last write ended within a line
}

// New returns a sink that writes to w, which is usually os.Stdout.
func New(w io.Writer) *Sink { return &Sink{w: w} }

// Name implements [sinks.Sink].
func (s *Sink) Name() string { return "stdout" }

// Deliver implements [sinks.Sink]. A batch is one Write. After a write that ended within a line, the next one begins on a
// new line, so that only the torn line is lost to a reader, and that one comes again.
func (s *Sink) Deliver(_ context.Context, batch []*alert.Alert) error {
	s.buf.Reset()
	if s.torn {
		s.buf.WriteByte('\n')
	}
	refused := sinks.WriteLines(&s.buf, batch)
	n, err := s.w.Write(s.buf.Bytes())
	if n > 0 {
		s.torn = s.buf.Bytes()[n-1] != '\n'
	}
	if err != nil {
		return fmt.Errorf("write alerts: %w", err)
	}
	return sinks.Refuse(refused)
}

// Close implements [sinks.Sink].
func (s *Sink) Close(context.Context) error { return nil }
