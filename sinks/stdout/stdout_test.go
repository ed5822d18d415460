package stdout

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Target {
		pipe := &stream{}
		return sinktest.Target{
			Open:     func(*testing.T) sinks.Sink { return New(pipe) },
			Received: func(t *testing.T) []*alert.Alert { return decode(t, pipe.String()) },
			Down: func(*testing.T) func() {
				pipe.down.Store(true)
				return func() { pipe.down.Store(false) }
			},
		}
	})
}

func decode(t *testing.T, text string) (all []*alert.Alert) {
	t.Helper()
	for dec := json.NewDecoder(strings.NewReader(text)); ; {
		var a alert.Alert
		if err := dec.Decode(&a); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, &a)
	}
}

func TestTornLineHarmsOnlyItself(t *testing.T) {
	pipe := &stream{}
	sink := New(pipe)
	batch := []*alert.Alert{sinktest.Alert(1, 1), sinktest.Alert(2, 1)}
	pipe.room = 100
	if err := sink.Deliver(t.Context(), batch); err == nil {
		t.Fatal("half a write taken for a whole one")
	}
	pipe.room = 0
	if err := sink.Deliver(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	torn, rest, _ := bytes.Cut(pipe.Bytes(), []byte("\n"))
	if len(torn) != 100 || len(decode(t, string(rest))) != 2 {
		t.Errorf("torn line %q, rest %q", torn, rest)
	}
}
