package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
)

const maxLine = 4096

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// at is a record of the given second.
func at(second int) string {
	return fmt.Sprintf(`{"time":%q,"client_id":"c","method":"GET","path":"/","status":200}`, start.Add(time.Duration(second)*time.Second).Format(time.RFC3339))
}

// recorder is a receiver that keeps what it is told.
type recorder struct {
	t        *testing.T
	seconds  map[event.Partition][]int // of the events, in order of coming
	offsets  map[event.Partition][]int64
	next     map[event.Partition]int64 // of assigned partitions
	rejected []ingest.Rejected
	received func(event.Partition) error
}

func newRecorder(t *testing.T) *recorder {
	return &recorder{t: t, seconds: map[event.Partition][]int{}, offsets: map[event.Partition][]int64{}, next: map[event.Partition]int64{}}
}

func (r *recorder) Assigned(_ context.Context, next map[event.Partition]int64) error {
	maps.Copy(r.next, next)
	return nil
}

func (r *recorder) Receive(_ context.Context, b *event.Batch, rejected []ingest.Rejected) error {
	if next, ok := r.next[b.Partition]; !ok || b.First != next {
		r.t.Errorf("%v: a batch from %d, want %d (assigned: %v)", b.Partition, b.First, next, ok)
	}
	r.next[b.Partition] = b.Next
	for i := range b.Events {
		r.seconds[b.Partition] = append(r.seconds[b.Partition], int(b.Events[i].Time-event.TimeOf(start))/1000)
		r.offsets[b.Partition] = append(r.offsets[b.Partition], b.Events[i].Offset)
	}
	r.rejected = append(r.rejected, rejected...)
	b.Release()
	if r.received != nil {
		return r.received(b.Partition)
	}
	return nil
}

func (r *recorder) CaughtUp(event.Partition, time.Time)               { r.t.Error("a file never catches up") }
func (r *recorder) Revoked(_ context.Context, p event.Partition)      { delete(r.next, p) }
func (r *recorder) latest(p event.Partition) (second int, known bool) { return last(r.seconds[p]) }

func last(s []int) (int, bool) {
	if len(s) == 0 {
		return 0, false
	}
	return s[len(s)-1], true
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write makes a file in a new folder.
func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, content, 0o600))
	return path
}

func options(names ...string) Options {
	return Options{
		Names: names, MaxLine: maxLine,
		NewDecoder: func() *ingest.Decoder { return ingest.NewDecoder(ingest.Options{MaxRecordBytes: maxLine}) },
	}
}

// read reads files to their ends.
func read(t *testing.T, o Options) (*recorder, error) {
	t.Helper()
	s, err := Open(o)
	must(t, err)
	defer func() { must(t, s.Close()) }()
	r := newRecorder(t)
	err = s.Run(t.Context(), r)
	if len(r.next) > 0 {
		t.Errorf("not revoked: %v", r.next)
	}
	return r, err
}

func gzipped(t *testing.T, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, content)
	must(t, errors.Join(err, z.Close()))
	return b.Bytes()
}

func zstandard(t *testing.T, content string) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	must(t, err)
	return z.EncodeAll([]byte(content), nil)
}

func records(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		b.WriteString(at(i) + "\n")
	}
	return b.String()
}

func sequence(from, to int) (s []int) {
	for i := from; i < to; i++ {
		s = append(s, i)
	}
	return s
}

func TestArchivesAreToldByContent(t *testing.T) {
	text := records(0, 5000)
	two := append(gzipped(t, records(0, 2000)), gzipped(t, records(2000, 5000))...)
	for name, content := range map[string][]byte{
		"plain": []byte(text), "gzip": gzipped(t, text), "two gzips in one": two, "zstd": zstandard(t, text), "BOM": []byte("\ufeff" + text),
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "log.txt", content)
			r, err := read(t, options(path))
			must(t, err)
			if got := r.seconds[event.Partition{Topic: path}]; !slices.Equal(got, sequence(0, 5000)) {
				t.Errorf("%d records came", len(got))
			}
			if len(r.rejected) > 0 {
				t.Errorf("rejected: %+v", r.rejected[0])
			}
		})
	}
}

func TestLines(t *testing.T) {
	padded := func(n int) string { return at(9)[:len(at(9))-1] + strings.Repeat(" ", n-len(at(9))) + "}" }
	for name, c := range map[string]struct {
		content  string
		offsets  []int64 // of events
		rejected []int64
	}{
		"empty file":         {},
		"only empty lines":   {content: "\n\r\n \n"},
		"no final newline":   {content: at(0) + "\n" + at(1), offsets: []int64{0, 1}},
		"CRLF":               {content: at(0) + "\r\n\r\n" + at(1) + "\r\n", offsets: []int64{0, 2}},
		"NUL bytes":          {content: at(0) + "\n\x00\x00\n" + at(1) + "\x00\n" + at(2), offsets: []int64{0, 2, 3}, rejected: []int64{1, 2}},
		"longest line":       {content: padded(maxLine) + "\n" + at(1), offsets: []int64{0, 1}},
		"longest line, CRLF": {content: padded(maxLine) + "\r\n" + at(1), offsets: []int64{0, 1}},
		"too long":           {content: padded(maxLine+1) + "\n" + at(1), offsets: []int64{1}, rejected: []int64{0}},
		"far too long":       {content: at(0) + "\n" + strings.Repeat("x", 10<<20) + "\n" + at(1), offsets: []int64{0, 2}, rejected: []int64{1}},
		"too long at end":    {content: strings.Repeat("x", 1<<20), rejected: []int64{0}},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "log", []byte(c.content))
			r, err := read(t, options(path))
			must(t, err)
			if got := r.offsets[event.Partition{Topic: path}]; !slices.Equal(got, c.offsets) {
				t.Errorf("offsets of events %v, want %v", got, c.offsets)
			}
			var rejected []int64
			for _, x := range r.rejected {
				rejected = append(rejected, x.Offset)
			}
			if !slices.Equal(rejected, c.rejected) {
				t.Errorf("offsets of rejected records %v, want %v", rejected, c.rejected)
			}
		})
	}
}

func TestGiantsAreRejectedWithTheirSize(t *testing.T) {
	path := write(t, "log", []byte(at(0)+"\n"+strings.Repeat("x", 3<<20)+"\n"))
	r, err := read(t, options(path))
	must(t, err)
	if len(r.rejected) != 1 || r.rejected[0].Reason != ingest.TooLarge || r.rejected[0].Size < 3<<20 || r.rejected[0].Size > 3<<20+1 {
		t.Errorf("rejected: %+v", r.rejected)
	}
}

// The engine holds what is ahead of the slowest file, so no file may run ahead of another by more than about a batch.
func TestFilesAreReadInStep(t *testing.T) {
	a := write(t, "a", []byte(records(0, 20_000)))
	b := write(t, "b", gzipped(t, records(5000, 30_000)))
	pa, pb := event.Partition{Topic: a, ID: 0}, event.Partition{Topic: b, ID: 1}
	s, err := Open(options(a, b))
	must(t, err)
	defer s.Close()
	r := newRecorder(t)
	r.received = func(event.Partition) error {
		la, oka := r.latest(pa)
		lb, okb := r.latest(pb)
		if ahead := lb - la; oka && okb && len(r.seconds[pa]) < 20_000 && ahead > 5000+batchEvents {
			t.Errorf("b is %d seconds ahead", ahead)
		}
		if ahead := la - lb; oka && okb && ahead > batchEvents {
			t.Errorf("a is %d seconds ahead", ahead)
		}
		return nil
	}
	must(t, s.Run(t.Context(), r))
	if len(r.seconds[pa]) != 20_000 || len(r.seconds[pb]) != 25_000 {
		t.Errorf("%d and %d records came", len(r.seconds[pa]), len(r.seconds[pb]))
	}
}

func TestBrokenArchive(t *testing.T) {
	whole := write(t, "whole", []byte(records(0, 3000)))
	for name, content := range map[string][]byte{"gzip": gzipped(t, records(0, 50_000)), "zstd": zstandard(t, records(0, 50_000))} {
		t.Run(name, func(t *testing.T) {
			broken := write(t, "broken", content[:len(content)*3/4])
			r, err := read(t, options(broken, whole))
			if err == nil || !strings.Contains(err.Error(), broken) || !strings.Contains(err.Error(), "the file breaks off here") {
				t.Fatalf("error %v", err)
			}
			got := r.seconds[event.Partition{Topic: broken}]
			if len(got) == 0 || !slices.Equal(got, sequence(0, len(got))) || !strings.Contains(err.Error(), fmt.Sprint("after line ", len(got), ":")) {
				t.Errorf("%d records came, error %v", len(got), err)
			}
			if n := len(r.seconds[event.Partition{Topic: whole, ID: 1}]); n != 3000 || len(r.rejected) > 0 {
				t.Errorf("of the other file %d records came; rejected: %v", n, r.rejected)
			}
		})
	}
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	good := write(t, "good", []byte(at(0)))
	for name, path := range map[string]string{
		"missing": filepath.Join(t.TempDir(), "missing.log"), "directory": t.TempDir(), "archive": write(t, "bad.gz", []byte{0x1f, 0x8b, 0xff, 0}),
	} {
		if _, err := Open(options(good, path)); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestStdinAndProgress(t *testing.T) {
	path := write(t, "log", gzipped(t, records(0, 5000)))
	info, err := os.Stat(path)
	must(t, err)
	var done, total int64
	o := options(path)
	o.Progress = func(r, t int64) { done, total = r, t }
	r, err := read(t, o)
	must(t, err)
	if n := len(r.seconds[event.Partition{Topic: path}]); n != 5000 || done != info.Size() || total != info.Size() {
		t.Errorf("%d records, %d bytes of %d, want %d", n, done, total, info.Size())
	}
	o = options(Stdin)
	o.Stdin = strings.NewReader(records(0, 10))
	o.Progress = func(r, t int64) { done, total = r, t }
	r, err = read(t, o)
	must(t, err)
	if n := len(r.seconds[event.Partition{Topic: Stdin}]); n != 10 || done == 0 || total != 0 {
		t.Errorf("%d records, %d bytes of %d", n, done, total)
	}
}

func TestStopsWithItsContextAndItsReceiver(t *testing.T) {
	for name, content := range map[string]string{"records": records(0, 10_000), "nothing but empty lines": strings.Repeat("\n", 100_000)} {
		s, err := Open(options(write(t, "log", []byte(content))))
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Run(ctx, newRecorder(t)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		must(t, s.Close())
	}
	s, err := Open(options(write(t, "log", []byte(records(0, 10_000)))))
	must(t, err)
	defer s.Close()
	r, full := newRecorder(t), errors.New("full")
	r.received = func(event.Partition) error { return full }
	if err := s.Run(t.Context(), r); !errors.Is(err, full) {
		t.Error(err)
	}
}

// resuming is a receiver that has seen the first lines already.
type resuming struct{ *recorder }

func (r resuming) Assigned(ctx context.Context, next map[event.Partition]int64) error {
	for p := range next {
		next[p] = 3
	}
	return r.recorder.Assigned(ctx, next)
}

func TestReadsOnWhereTheReceiverWants(t *testing.T) {
	s, err := Open(options(write(t, "log", []byte(records(0, 5)))))
	must(t, err)
	defer func() { must(t, s.Close()) }()
	r := newRecorder(t)
	must(t, s.Run(t.Context(), resuming{r}))
	for _, offsets := range r.offsets {
		if !slices.Equal(offsets, []int64{3, 4}) {
			t.Errorf("lines %v", offsets)
		}
	}
	if len(r.offsets) != 1 {
		t.Errorf("%d files", len(r.offsets))
	}
}
