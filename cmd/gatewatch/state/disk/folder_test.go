package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/statetest"
)

// folder is a real folder with a script's state in it.
func folder(t *testing.T) (Options, *script) {
	t.Helper()
	o := small(nil)
	o.Dir = filepath.Join(t.TempDir(), "gatewatch-state")
	s := mustOpen(t, o)
	p := newScript(5, s)
	if err := p.run(t.Context(), 40); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return o, p
}

func TestOtherFormat(t *testing.T) {
	for _, format := range []int{0, Format + 1} {
		mem := vfs.NewMem()
		if err := mustOpen(t, small(mem)).Close(); err != nil {
			t.Fatal(err)
		}
		db, err := pebble.Open("state", &pebble.Options{FS: mem, FormatMajorVersion: formatVersion})
		if err != nil {
			t.Fatal(err)
		}
		value, _ := json.Marshal(header{Format: format, Version: "v9.8.7"})
		if err := errors.Join(db.Set(headerKey, value, pebble.Sync), db.Close()); err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), small(mem))
		for _, want := range []string{fmt.Sprintf("format %d", format), "v9.8.7", fmt.Sprintf("reads format %d", Format), "another folder", "in state"} {
			if !errors.Is(err, state.ErrVersion) || !strings.Contains(err.Error(), want) {
				t.Errorf("format %d: %v, want %v with %q", format, err, state.ErrVersion, want)
			}
		}
	}
}

func TestNewerDatabase(t *testing.T) {
	mem := vfs.NewMem()
	if err := mustOpen(t, small(mem)).Close(); err != nil {
		t.Fatal(err)
	}
	marker, err := mem.Create("state/marker.format-version.000099.999", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	marker.Close()
	if _, err := Open(t.Context(), small(mem)); !errors.Is(err, state.ErrVersion) {
		t.Errorf("database of a newer version: %v, want %v", err, state.ErrVersion)
	}
}

// TestSecondProcess opens a folder that this process has open from another one.
func TestSecondProcess(t *testing.T) {
	if dir := os.Getenv("GATEWATCH_TEST_STATE"); dir != "" {
		_, err := Open(t.Context(), Options{Dir: dir})
		_, other := OpenReadOnly(t.Context(), Options{Dir: dir})
		fmt.Printf("open: %v\nread only: %v\n", err, other)
		return
	}
	o, _ := folder(t)
	s := mustOpen(t, o)
	defer s.Close()
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSecondProcess$")
	command.Env = append(os.Environ(), "GATEWATCH_TEST_STATE="+o.Dir)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := "open state in " + o.Dir + ": in use by another gatewatch"
	if strings.Count(string(out), want) != 2 {
		t.Errorf("a second process was told\n%swant twice %q", out, want)
	}
	if _, err := Open(t.Context(), o); !errors.Is(err, ErrInUse) {
		t.Errorf("the same process was told %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	o, p := folder(t)
	before := listing(t, o.Dir)
	s, err := OpenReadOnly(t.Context(), Options{Dir: o.Dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.holds(t.Context(), s, p.done, p.done); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{"append": s.Append(t.Context(), []state.Entry{entry(s.Last() + 1)}),
		"stage": s.Stage(t.Context(), state.Chunk{}), "settle": s.Settle(t.Context(), "new", 1), "trim": s.Trim(t.Context(), s.Last()),
		"commit": s.Commit(t.Context(), statetest.Manifest(p.done.commit+1, scriptLanes))} {
		if !errors.Is(err, pebble.ErrReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if after := listing(t, o.Dir); after != before {
		t.Errorf("reading changed the folder from\n%s\nto\n%s", before, after)
	}
	for _, dir := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if _, err := OpenReadOnly(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrAbsent) || !strings.Contains(err.Error(), dir) {
			t.Errorf("read only where nothing is: %v, want %v", err, ErrAbsent)
		}
	}
}

// listing names the files and their sizes, the lock apart.
func listing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.Name() != "LOCK" {
			fmt.Fprintln(&all, e.Name(), info.Size())
		}
	}
	return all.String()
}

func TestUnusablePlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: file}); err == nil || errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), file) {
		t.Errorf("open where a file is: %v", err)
	}
}

// TestDamage flips a bit here and there in every file. Either it shows as damage, or all is as it was: what comes out is never
// something else.
func TestDamage(t *testing.T) {
	const seed = 11
	o, p := folder(t)
	entries, err := os.ReadDir(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(seed, 0))
	told, tables := 0, 0
	for _, e := range entries {
		whole, err := os.ReadFile(filepath.Join(o.Dir, e.Name()))
		if err != nil || len(whole) == 0 {
			continue
		}
		for range 12 {
			at := random.IntN(len(whole))
			if damagedAt(t, o, p, e.Name(), whole, at) {
				told++
				if strings.HasSuffix(e.Name(), ".sst") {
					tables++
				}
			}
		}
	}
	t.Logf("seed %d: damage showed %d times, %d of them in tables", seed, told, tables)
	if tables == 0 {
		t.Error("damage of a table never showed")
	}
}

// damagedAt opens a copy of the folder with one bit flipped and says whether that showed.
func damagedAt(t *testing.T, o Options, p *script, name string, whole []byte, at int) bool {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), whole...)
	flipped[at] ^= 1 << (at % 8)
	if err := os.WriteFile(filepath.Join(dir, name), flipped, 0o600); err != nil {
		t.Fatal(err)
	}
	o.Dir = dir
	s, err := Open(t.Context(), o)
	if err == nil {
		err = p.holds(t.Context(), s, p.done, p.done)
		s.Close()
	}
	if settings := strings.HasPrefix(name, "OPTIONS"); err != nil && !settings && !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("byte %d of %s: %v", at, name, err)
	}
	return err != nil
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	o := small(vfs.NewMem())
	o.Registerer = registry
	s := mustOpen(t, o)
	defer s.Close()
	if err := s.Stage(t.Context(), state.Chunk{Base: true, Data: statetest.Dense(1, 1<<20)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), statetest.Manifest(1, 1, 0)); err != nil {
		t.Fatal(err)
	}
	if n := testutil.ToFloat64(s.metrics.commits); n != 1 {
		t.Errorf("%v commits", n)
	}
	for name, v := range map[string]float64{"bytes": testutil.ToFloat64(s.metrics.bytes), "written": testutil.ToFloat64(s.metrics.written)} {
		if v < 400_000 || v > 1_200_000 {
			t.Errorf("%s is %v after a commit of 1 MiB", name, v)
		}
	}
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 5 {
		t.Errorf("%d metrics, %v", n, err)
	}
	if _, err := Open(t.Context(), Options{Dir: "other", FS: vfs.NewMem(), Registerer: registry}); err == nil {
		t.Error("metrics were registered twice")
	}
}

// TestRoomIsGivenBack keeps one idle lane while others are written anew: what is obsolete does not pile up.
func TestRoomIsGivenBack(t *testing.T) {
	o := small(vfs.NewMem())
	o.slack = 1 << 20
	s := mustOpen(t, o)
	defer s.Close()
	if err := s.Stage(t.Context(), state.Chunk{Lane: 0, Base: true, Data: []byte("idle")}); err != nil {
		t.Fatal(err)
	}
	for number := uint64(1); number <= 40; number++ {
		bases := []int{1}
		if number == 1 {
			bases = []int{0, 1}
		}
		if err := s.Stage(t.Context(), state.Chunk{Lane: 1, Base: true, Data: statetest.Dense(number, 256<<10)}); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(t.Context(), statetest.Manifest(number, 2, bases...)); err != nil {
			t.Fatal(err)
		}
		if n := len(s.latest.inventory.dead); n > 10 {
			t.Fatalf("%d obsolete runs after checkpoint %d", n, number)
		}
	}
	eventually(t, func() bool { return s.db.Metrics().DiskSpaceUsage() < 4<<20 })
}

// TestManifestMustFit refuses what would lose or keep the wrong chunks.
func TestManifestMustFit(t *testing.T) {
	for name, c := range map[string]struct {
		chunk    state.Chunk
		manifest state.Manifest
	}{
		"number":          {state.Chunk{}, statetest.Manifest(2, 1)},
		"base not listed": {state.Chunk{Base: true}, statetest.Manifest(1, 1)},
		"listed, no base": {state.Chunk{}, statetest.Manifest(1, 1, 0)},
		"lane":            {state.Chunk{Lane: 1}, statetest.Manifest(1, 1)},
	} {
		s := mustOpen(t, small(vfs.NewMem()))
		if err := s.Stage(t.Context(), c.chunk); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(t.Context(), c.manifest); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, ok, err := state.Read(t.Context(), s, func(state.Chunk) error { return nil }); ok || err != nil {
			t.Errorf("%s: a checkpoint is there: %v, %v", name, ok, err)
		}
		s.Close()
	}
}

func TestSequencesMustFollow(t *testing.T) {
	s := mustOpen(t, small(vfs.NewMem()))
	defer s.Close()
	for _, entries := range [][]state.Entry{{entry(2)}, {entry(0)}, {entry(1), entry(3)}, {entry(1), entry(1)}} {
		if err := s.Append(t.Context(), entries); err == nil || s.Last() != 0 {
			t.Errorf("append of %d and so on: %v, last %d", entries[0].Sequence, err, s.Last())
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, r := range []record{{}, {Manifest: statetest.Manifest(3, 4, 1, 2), inventory: inventory{live: []run{{1, 2, true, 3, 4, 5}}, dead: []run{{1, 0, false, 0, 1, 2}}}}} {
		value, err := r.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := parseRecord(value)
		if err != nil {
			if !errors.Is(err, errUnreadable) {
				t.Fatal(err)
			}
			return
		}
		again, err := r.encode()
		if err != nil && r.Manifest.At.Before(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Fatal(err)
		}
		if other, err := parseRecord(again); err == nil && statetest.Diff(r.Manifest, other.Manifest) != "" {
			t.Fatalf("%+v became %+v", r, other)
		}
	})
}
