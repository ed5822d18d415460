package deadletter

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func rejected(offset int64) ingest.Rejected {
	return ingest.Rejected{
		Partition: event.Partition{Topic: "telemetry", ID: 3}, Offset: offset, Index: 7, Reason: ingest.BadTime,
		Detail: "time is before 2000", Size: 123, Excerpt: `{"time":"0000-00-00","path":"/<xxx>` + "\xff",
	}
}

func TestForm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.jsonl")
	f, err := OpenFile(path, 1<<20)
	must(t, err)
	must(t, f.Write(t.Context(), []ingest.Rejected{rejected(42)}))
	must(t, f.Close())
	text, err := os.ReadFile(path)
	must(t, err)
	var form map[string]any
	must(t, json.Unmarshal(text, &form))
	at, err := time.Parse(time.RFC3339, form["rejected_at"].(string))
	if err != nil || time.Since(at) > time.Minute || time.Since(at) < 0 {
		t.Errorf("rejected_at %v", form["rejected_at"])
	}
	want := fmt.Sprintf(`{"topic":"telemetry","partition":3,"offset":42,"index":7,"reason":"bad_time","detail":"time is before 2000",`+
		`"size":123,"excerpt":"{\"time\":\"0000-00-00\",\"path\":\"/<xxx>\ufffd","rejected_at":%q}`, form["rejected_at"])
	if got := strings.TrimSpace(string(text)); got != strings.ReplaceAll(want, "\ufffd", `\ufffd`) {
		t.Errorf("\n%s, want\n%s", got, want)
	}
}

// offsets reads a file back; a line that is no letter counts as -1.
func offsets(t *testing.T, path string) (all []int64) {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	for line := range strings.Lines(string(text)) {
		l := letter{Offset: -1}
		if json.Unmarshal([]byte(line), &l) != nil {
			l.Offset = -1
		}
		all = append(all, l.Offset)
	}
	return all
}

func writeOne(t *testing.T, w Writer, offset int64) {
	t.Helper()
	must(t, w.Write(t.Context(), []ingest.Rejected{rejected(offset)}))
}

func TestFileIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.jsonl")
	f, err := OpenFile(path, 1000)
	must(t, err)
	for i := range int64(100) {
		writeOne(t, f, i)
	}
	must(t, f.Close())
	var all []int64
	for _, name := range []string{path + ".1", path} {
		info, err := os.Stat(name)
		must(t, err)
		if info.Size() > 1000 {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
		all = append(all, offsets(t, name)...)
	}
	if len(all) < 4 || all[0] != int64(100-len(all)) || all[len(all)-1] != 99 {
		t.Errorf("kept: %v", all)
	}
	if names, _ := filepath.Glob(path + "*"); len(names) != 2 {
		t.Errorf("files: %v", names)
	}
}

func TestFileGoesOnAfterACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.jsonl")
	f, err := OpenFile(path, 1<<20)
	must(t, err)
	writeOne(t, f, 1)
	must(t, f.Close())
	torn, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = torn.WriteString(`{"topic":"tel`)
	must(t, err)
	must(t, torn.Close())
	f, err = OpenFile(path, 1<<20)
	must(t, err)
	writeOne(t, f, 2)
	must(t, f.Close())
	if got := fmt.Sprint(offsets(t, path)); got != "[1 -1 2]" {
		t.Errorf("letters: %s", got)
	}
}

func TestFileFollowsItsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.jsonl")
	f, err := OpenFile(path, 1<<20)
	must(t, err)
	writeOne(t, f, 1)
	must(t, os.Rename(path, path+".old"))
	writeOne(t, f, 2)
	must(t, f.Close())
	if got := fmt.Sprint(offsets(t, path), offsets(t, path+".old")); got != "[2] [1]" {
		t.Errorf("letters: %s", got)
	}
}

// After a failure the letters are written again by the caller, into a file that does not hold half of them.
func TestFileRecovers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.jsonl")
	f, err := OpenFile(path, 1<<20)
	must(t, err)
	writeOne(t, f, 1)
	must(t, f.file.Close()) // the next write fails
	if err := f.Write(t.Context(), []ingest.Rejected{rejected(2)}); err == nil {
		t.Fatal("written to a closed file")
	}
	writeOne(t, f, 2)
	must(t, f.Close())
	if got := fmt.Sprint(offsets(t, path)); got != "[1 2]" {
		t.Errorf("letters: %s", got)
	}
}

func TestOpenNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "letters.jsonl")
	if _, err := OpenFile(path, 1<<20); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}

func TestKafka(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "letters"))
	must(t, err)
	defer c.Close()
	k := NewKafka(&kafka.Writer{Addr: kafka.TCP(c.ListenAddrs()...), Topic: "letters", Transport: &kafka.Transport{}})
	const n = 2500
	var all []ingest.Rejected
	for i := range int64(n) {
		all = append(all, rejected(i))
	}
	must(t, k.Write(t.Context(), all))
	must(t, k.Write(t.Context(), nil))

	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("letters"))
	must(t, err)
	defer client.Close()
	seen := map[int64]bool{}
	for len(seen) < n {
		fetches := client.PollFetches(t.Context())
		must(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			var l letter
			must(t, json.Unmarshal(r.Value, &l))
			if want := fmt.Sprintf("telemetry/3/%d/7", l.Offset); string(r.Key) != want || seen[l.Offset] {
				t.Errorf("key %s, want %s; seen before: %v", r.Key, want, seen[l.Offset])
			}
			seen[l.Offset] = true
		})
	}
	must(t, k.Close())
}

func TestKafkaOutOfReach(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "letters"))
	must(t, err)
	address := c.ListenAddrs()[0]
	c.Close()
	k := NewKafka(&kafka.Writer{Addr: kafka.TCP(address), Topic: "letters", Transport: &kafka.Transport{}, MaxAttempts: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := k.Write(ctx, []ingest.Rejected{rejected(1)}); err == nil || !strings.Contains(err.Error(), "letters") {
		t.Errorf("error %v", err)
	}
	must(t, k.Close())
}
