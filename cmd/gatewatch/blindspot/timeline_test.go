package blindspot

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
)

var update = flag.Bool("update", false, "write what the timelines tell into their files")

// TestTimelines runs testdata/*.txtar: what happens when, and all that must be told of it. Each is run a second time with the
// recorder going through its encoding after every step.
//
// A line of a timeline is a time of day, perhaps "x60 every 1s", and one of
//
//	note CAUSE [from=TIME] [to=TIME] [topic=T] [partition=N] [rule=R] [kind=K] [sink=S] [count=N] [detail=WORD]
//	restart FROM [TOPIC/PARTITION]…
//	take
//	close
func TestTimelines(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no timelines", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil || len(archive.Files) != 2 || len(archive.Comment) == 0 {
				t.Fatal("a timeline has a comment, a timeline and records", err)
			}
			steps := parseTimeline(t, string(archive.Files[0].Data))
			got := tellTimeline(t, steps, false)
			if *update {
				archive.Files[1].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), got); diff != "" && !*update {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(got, tellTimeline(t, steps, true)); diff != "" {
				t.Errorf("through its encoding (-without +with):\n%s", diff)
			}
		})
	}
}

type step struct {
	at   alert.Time
	verb string
	args []string
}

func parseTimeline(t *testing.T, text string) []step {
	t.Helper()
	var steps []step
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		at, n, every := clock(t, words[0]), 1, time.Duration(0)
		words = words[1:]
		if count, ok := strings.CutPrefix(words[0], "x"); ok {
			n = number(t, count)
			every, _ = time.ParseDuration(words[2])
			words = words[3:]
		}
		for i := range n {
			steps = append(steps, step{at + alert.Time(i)*alert.Time(every.Milliseconds()), words[0], words[1:]})
		}
	}
	return steps
}

func tellTimeline(t *testing.T, steps []step, recode bool) string {
	t.Helper()
	r := New(DefaultOptions())
	names := map[string]string{}
	var out strings.Builder
	for _, s := range steps {
		for _, b := range s.apply(t, r) {
			if names[b.ID] == "" {
				names[b.ID] = fmt.Sprintf("#%d", len(names)+1)
			}
			fmt.Fprintf(&out, "%s %-6s %s v%d %s\n", day(s.at), b.State, names[b.ID], b.Version, describe(b))
		}
		if recode {
			r = recoded(t, r)
		}
	}
	return out.String()
}

func (s step) apply(t *testing.T, r *Recorder) []*alert.BlindSpot {
	t.Helper()
	switch s.verb {
	case "note":
		r.Note(s.condition(t))
	case "restart":
		r.Restart(clock(t, s.args[0]), s.at, s.partitions(t)...)
	case "take":
		return r.Take(s.at)
	case "close":
		return r.Close()
	default:
		t.Fatalf("unknown verb %q", s.verb)
	}
	return nil
}

func (s step) condition(t *testing.T) Condition {
	t.Helper()
	c := Condition{Cause: alert.Cause(s.args[0]), Wall: s.at, Partition: -1}
	for _, arg := range s.args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "from":
			c.From = clock(t, value)
		case "to":
			c.To = clock(t, value)
		case "topic":
			c.Topic = value
		case "partition":
			c.Partition = int32(number(t, value))
		case "rule":
			c.Rule = value
		case "kind":
			c.Kind = value
		case "sink":
			c.Sink = value
		case "count":
			c.Count = uint64(number(t, value))
		case "detail":
			c.Detail = value
		default:
			t.Fatalf("unknown key %q", key)
		}
	}
	return c
}

func (s step) partitions(t *testing.T) []event.Partition {
	t.Helper()
	var all []event.Partition
	for _, arg := range s.args[1:] {
		topic, id, _ := strings.Cut(arg, "/")
		all = append(all, event.Partition{Topic: topic, ID: int32(number(t, id))})
	}
	return all
}

func describe(b *alert.BlindSpot) string {
	words := []string{string(b.Cause), day(b.From) + "–" + day(b.To)}
	add := func(key string, present bool, value any) {
		if present {
			words = append(words, fmt.Sprintf("%s=%v", key, value))
		}
	}
	add("topic", b.Topic != "", b.Topic)
	add("partitions", len(b.Partitions) > 0, b.Partitions)
	add("rules", len(b.Rules) > 0, b.Rules)
	add("kinds", len(b.Kinds) > 0, b.Kinds)
	add("sink", b.Sink != "", b.Sink)
	add("count", b.Count > 0, b.Count)
	own := strings.TrimSpace(strings.TrimPrefix(b.Detail, Advice(b.Cause)))
	add("detail", own != "", own)
	return strings.Join(words, " ")
}

const today = alert.Time(1_795_305_600_000) // a midnight

func clock(t *testing.T, text string) alert.Time {
	t.Helper()
	at, err := time.Parse(time.TimeOnly, text)
	if err != nil {
		t.Fatal(err)
	}
	return today + alert.Time(at.Sub(at.Truncate(24*time.Hour)).Milliseconds())
}

func day(at alert.Time) string { return at.Std().Format(time.TimeOnly) }

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func recoded(t *testing.T, r *Recorder) *Recorder {
	t.Helper()
	text, err := r.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	restored := New(DefaultOptions())
	if err := restored.UnmarshalBinary(text); err != nil {
		t.Fatal(err)
	}
	return restored
}
