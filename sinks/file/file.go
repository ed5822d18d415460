// Package file appends alerts as JSON lines to a file, as they are or as OCSF Detection Findings, and blind spots to another
// beside it.
//
// A file is opened when its first line arrives and opened anew when somebody has moved or deleted it, so that logrotate
// works with or without a signal. Its own rotation by size renames the full file to <path>.<time>.
package file

import (
	"bytes"
	"context"
	"errors"
	"io/fs"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/ocsf"
)

// Sink appends to two files.
type Sink struct {
	format     ocsf.Format
	alerts     *lines
	blindSpots *lines // nil: they are not written
	buf        bytes.Buffer
}

// New returns a sink for a valid configuration.
func New(c Config) *Sink {
	s := &Sink{format: c.Format, alerts: &lines{config: c}}
	if path := c.blindSpotsPath(); path != "" {
		c.Path = path
		s.blindSpots = &lines{config: c}
	}
	return s
}

// Name implements [sinks.Sink].
func (s *Sink) Name() string { return "file" }

// Reopen makes the next delivery open the file by its name again. Any goroutine may call it, on SIGHUP for example.
func (s *Sink) Reopen() {
	s.alerts.reopen.Store(true)
	if s.blindSpots != nil {
		s.blindSpots.reopen.Store(true)
	}
}

// Check opens the file of alerts, so that a wrong path shows at the start and not with the first alert. It comes before the
// first Deliver.
func (s *Sink) Check(context.Context) error { return s.alerts.prepare(0) }

// Deliver implements [sinks.Sink]. What a failed delivery has written is cut off again, so that a full disk leaves neither
// torn lines nor duplicates.
func (s *Sink) Deliver(_ context.Context, batch []*alert.Alert) error {
	s.buf.Reset()
	refused := sinks.WriteEach(&s.buf, batch, s.format.Write)
	if err := s.alerts.append(s.buf.Bytes()); err != nil {
		return err // a further attempt finds the refused ones again
	}
	return sinks.Refuse(refused)
}

// DeliverBlindSpots implements [sinks.BlindSpotSink]. It refuses them where their file cannot be made.
func (s *Sink) DeliverBlindSpots(_ context.Context, batch []*alert.BlindSpot) error {
	if s.blindSpots == nil {
		return nil
	}
	s.buf.Reset()
	refused := sinks.WriteBlindSpotLines(&s.buf, batch)
	err := s.blindSpots.append(s.buf.Bytes())
	if errors.Is(err, fs.ErrPermission) {
		return sinks.RefuseAll(len(batch), err)
	}
	if err != nil {
		return err
	}
	return sinks.Refuse(refused)
}

// Close implements [sinks.Sink].
func (s *Sink) Close(context.Context) error {
	err := s.alerts.close()
	if s.blindSpots != nil {
		err = errors.Join(err, s.blindSpots.close())
	}
	return err
}
