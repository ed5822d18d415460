package file

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/ocsf"
	"github.com/gatewatch/gatewatch/sinks/ocsf/ocsftest"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

func TestConformance(t *testing.T) { conform(t, ocsf.JSON, read) }

func TestConformanceOfFindings(t *testing.T) { conform(t, ocsf.OCSF, readFindings) }

func conform(t *testing.T, format ocsf.Format, read func(*testing.T, string) []*alert.Alert) {
	t.Helper()
	sinktest.Run(t, func(t *testing.T) sinktest.Target {
		c := config(filepath.Join(t.TempDir(), "d", "alerts.jsonl"))
		c.Format = format
		must(t, c.Validate())
		dir := filepath.Dir(c.Path)
		must(t, os.Mkdir(dir, 0o700))
		return sinktest.Target{
			Open: func(*testing.T) sinks.Sink { return New(c) },
			Received: func(t *testing.T) []*alert.Alert {
				if _, err := os.Stat(c.Path); os.IsNotExist(err) {
					return nil
				}
				return read(t, c.Path)
			},
			BlindSpots: func(t *testing.T) []*alert.BlindSpot {
				return readLines[alert.BlindSpot](t, filepath.Join(dir, "alerts-blind-spots.jsonl"))
			},
			Down: func(t *testing.T) func() {
				must(t, os.Rename(dir, dir+".gone"))
				return func() { must(t, os.Rename(dir+".gone", dir)) }
			},
		}
	})
}

func config(path string) Config {
	c := DefaultConfig()
	c.Path = path
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read returns the alerts of a file.
func read(t *testing.T, path string) []*alert.Alert {
	t.Helper()
	return readLines[alert.Alert](t, path)
}

// readFindings returns the alerts that the findings of a file stand for.
func readFindings(t *testing.T, path string) (all []*alert.Alert) {
	t.Helper()
	for _, line := range readLines[json.RawMessage](t, path) {
		a, err := ocsftest.Read(*line)
		must(t, err)
		all = append(all, a)
	}
	return all
}

// readLines returns what a file holds; lines that have another form fail the test.
func readLines[T any](t *testing.T, path string) (all []*T) {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	for line := range strings.Lines(string(text)) {
		var a T
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%s: %q: %v", path, line, err)
		}
		all = append(all, &a)
	}
	return all
}

func deliver(t *testing.T, s *Sink, ns ...int) {
	t.Helper()
	var batch []*alert.Alert
	for _, n := range ns {
		batch = append(batch, sinktest.Alert(n, 1))
	}
	must(t, s.Deliver(t.Context(), batch))
}

func TestFollowsTheName(t *testing.T) {
	for name, move := range map[string]func(t *testing.T, s *Sink, path string){
		"renamed": func(t *testing.T, _ *Sink, path string) { must(t, os.Rename(path, path+".1")) },
		"renamed and made anew": func(t *testing.T, _ *Sink, path string) {
			must(t, os.Rename(path, path+".1"))
			must(t, os.WriteFile(path, nil, 0o600))
		},
		"deleted": func(t *testing.T, _ *Sink, path string) { must(t, os.Remove(path)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "alerts.jsonl")
			s := New(config(path))
			deliver(t, s, 1)
			move(t, s, path)
			deliver(t, s, 2)
			must(t, s.Close(t.Context()))
			got := read(t, path)
			if len(got) != 1 || got[0].ID != sinktest.Alert(2, 1).ID {
				t.Errorf("the new file holds %v", got)
			}
		})
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alerts.jsonl")
	s := New(config(path))
	deliver(t, s, 1)
	before := s.alerts.file
	s.Reopen()
	deliver(t, s, 2)
	if s.alerts.file == before {
		t.Error("the file was not opened again")
	}
	deliver(t, s, 3)
	if n := len(read(t, path)); n != 3 {
		t.Errorf("%d alerts, want 3", n)
	}
	must(t, s.Close(t.Context()))
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alerts.jsonl")
	probe := New(config(path + ".probe"))
	deliver(t, probe, 0)
	size := probe.alerts.size
	must(t, probe.Close(t.Context()))

	c := config(path)
	c.MaxSize, c.Keep = 2*size+100, 2
	s := New(c)
	bystanders := []string{path + ".1", path + ".20260102T150405.000000000.gz", path + ".20260102T150405-000000000"}
	for _, b := range bystanders {
		must(t, os.WriteFile(b, nil, 0o600))
	}
	for n := range 9 {
		deliver(t, s, n)
	}
	deliver(t, s, 9, 9, 9, 9) // one batch larger than a file is not torn apart
	deliver(t, s, 10)
	must(t, s.Close(t.Context()))

	full, err := s.alerts.full()
	must(t, err)
	counts := []int{len(read(t, path))}
	for _, f := range full {
		counts = append(counts, len(read(t, f)))
	}
	if want := []int{1, 1, 4}; len(counts) != 3 || counts[0] != want[0] || counts[1] != want[1] || counts[2] != want[2] {
		t.Errorf("alerts in the current and the kept files: %v, want %v", counts, want)
	}
	for _, b := range bystanders {
		if _, err := os.Stat(b); err != nil {
			t.Errorf("a file of somebody else is gone: %v", err)
		}
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	if err := New(config(filepath.Join(dir, "none", "alerts.jsonl"))).Check(t.Context()); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a missing folder: %v", err)
	}
	s := New(config(filepath.Join(dir, "alerts.jsonl")))
	must(t, s.Check(t.Context()))
	deliver(t, s, 1)
	must(t, s.Close(t.Context()))
}

func TestBatchLargerThanAFileBeginsNone(t *testing.T) {
	c := config(filepath.Join(t.TempDir(), "alerts.jsonl"))
	c.MaxSize = 1
	s := New(c)
	deliver(t, s, 1, 2)
	must(t, s.Close(t.Context()))
	if full, err := s.alerts.full(); err != nil || len(full) != 0 {
		t.Errorf("an empty file was put aside: %v, %v", full, err)
	}
}

func TestTornLineOfACrashHarmsOnlyItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alerts.jsonl")
	must(t, os.WriteFile(path, []byte(`{"schema":1,"id":"to`), 0o600))
	s := New(config(path))
	deliver(t, s, 1)
	must(t, s.Close(t.Context()))
	text, err := os.ReadFile(path)
	must(t, err)
	lines := strings.Split(string(text), "\n")
	if len(lines) != 3 || lines[0] != `{"schema":1,"id":"to` || !strings.HasPrefix(lines[1], `{"schema":1,"id":"`+sinktest.Alert(1, 1).ID) {
		t.Errorf("file: %q", text)
	}
}

func TestBlindSpotsPath(t *testing.T) {
	for _, tt := range []struct{ path, blind, want string }{
		{"/var/log/alerts.jsonl", "", "/var/log/alerts-blind-spots.jsonl"},
		{"/var/log.d/alerts", "", "/var/log.d/alerts-blind-spots"},
		{"alerts.jsonl", "elsewhere.jsonl", "elsewhere.jsonl"},
		{"alerts.jsonl", "-", ""},
		{"/dev/stdout", "", ""},
	} {
		c := config(tt.path)
		c.BlindSpotsPath = tt.blind
		if got := c.blindSpotsPath(); got != tt.want {
			t.Errorf("%q and %q: %q, want %q", tt.path, tt.blind, got, tt.want)
		}
	}
	c := config("alerts.jsonl")
	c.BlindSpotsPath = "alerts.jsonl"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "blind_spots_path") {
		t.Errorf("one file for both: %v", err)
	}
}

func TestBlindSpotsCanBeSwitchedOff(t *testing.T) {
	c := config(filepath.Join(t.TempDir(), "alerts.jsonl"))
	c.BlindSpotsPath = "-"
	s := New(c)
	must(t, s.DeliverBlindSpots(t.Context(), []*alert.BlindSpot{sinktest.BlindSpot(1, 1)}))
	must(t, s.Close(t.Context()))
	if files, err := os.ReadDir(filepath.Dir(c.Path)); err != nil || len(files) > 0 {
		t.Errorf("files: %v, %v", files, err)
	}
}

func TestConfig(t *testing.T) {
	if err := config("x").Validate(); err != nil {
		t.Error(err)
	}
	bad := Config{Format: "cef", Sync: "sometimes", MaxSize: -1, Keep: -1}
	for _, want := range []string{"path", "format", "sync", "max_size", "keep"} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}
