package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/accesslog"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

// formatResult is what reading one record of a format costs on one core: from its bytes to events, nothing else.
type formatResult struct {
	Record          string  `json:"record"` // of accesslog.Samples
	BytesPerEvent   float64 `json:"bytes_per_event"`
	NSPerEvent      float64 `json:"ns_per_event"`
	MegabytesPerSec float64 `json:"megabytes_per_second"`
	ToCanonical     float64 `json:"times_canonical"` // time of an event, by that of one in the canonical format
}

// sampleTime is a little after the events of accesslog.Samples.
var sampleTime = time.Date(2026, 11, 22, 10, 0, 5, 0, time.UTC)

// benchFormats measures the first line of each sample, or all of it where it is one line: the records of a topic are alike.
func benchFormats(ctx context.Context) ([]formatResult, error) {
	files, err := fs.Glob(accesslog.Samples(), "*/*")
	if err != nil {
		return nil, err
	}
	var all []formatResult
	canonical := 0.0
	for _, file := range files {
		record, err := fs.ReadFile(accesslog.Samples(), file)
		if err != nil {
			return nil, err
		}
		if path.Ext(file) == ".jsonl" || path.Ext(file) == ".log" {
			record, _, _ = bytes.Cut(record, []byte("\n"))
		}
		if r, ok := benchFormat(record); ok {
			r.Record = file
			all = append(all, r)
			if strings.HasPrefix(file, accesslog.Canonical) {
				canonical = r.NSPerEvent
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	for i := range all {
		all[i].ToCanonical = all[i].NSPerEvent / canonical
	}
	return all, nil
}

// Each record is decoded so often at a time, and so many times: the fastest counts, for it was disturbed least.
const (
	formatRounds  = 300
	formatRepeats = 200
)

// benchFormat reports false for a record that holds no requests.
func benchFormat(record []byte) (formatResult, bool) {
	var mem arena.Arena
	d := accesslog.New(accesslog.Options{Now: func() time.Time { return sampleTime }})
	events := d.Decode(record, &mem, nil)
	if len(events) == 0 {
		return formatResult{}, false
	}
	best := time.Duration(1<<63 - 1)
	for range formatRepeats {
		best = min(best, decodeRounds(d, record, &mem, events))
	}
	ns := float64(best.Nanoseconds()) / formatRounds
	return formatResult{
		BytesPerEvent: float64(len(record)) / float64(len(events)), NSPerEvent: ns / float64(len(events)),
		MegabytesPerSec: float64(len(record)) * 1e3 / ns,
	}, true
}

func decodeRounds(d *accesslog.Decoder, record []byte, mem *arena.Arena, events []event.Event) time.Duration {
	started := time.Now()
	for n := range formatRounds {
		if n%100 == 0 {
			mem.Reset()
		}
		events = d.Decode(record, mem, events[:0])
	}
	return time.Since(started)
}

func writeFormats(w io.Writer, all []formatResult) error {
	if len(all) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\nrecord\tbytes/event\tns/event\tMB/s\ttimes canonical\t")
	for _, r := range all {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f\t%.1f\t\n", r.Record, r.BytesPerEvent, r.NSPerEvent, r.MegabytesPerSec, r.ToCanonical)
	}
	return t.Flush()
}
