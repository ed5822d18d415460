package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/disk"
	kafkastate "github.com/gatewatch/gatewatch/cmd/gatewatch/state/kafka"
	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
	"github.com/gatewatch/gatewatch/fixtures/geoip"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/geo"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
	"github.com/gatewatch/gatewatch/sinks"
)

var update = flag.Bool("update", false, "write what commands print into testdata")

// runState runs gatewatch state with the arguments.
func runState(t *testing.T, args ...string) (out, stderr string, err error) {
	t.Helper()
	cmd := newStateCommand()
	var stdout, other bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&stdout)
	cmd.SetErr(&other)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.ExecuteContext(t.Context())
	return stdout.String(), other.String(), err
}

// keptState is a state that was made of traffic.
type keptState struct {
	archive *txtar.Archive
	rules   string // file
	engine  *detector.Engine
	alerts  []*alert.Alert
}

const testKey = "a key of sixteen."

// keepState runs an engine over the traffic of testdata/state.txtar and commits what it knows to the store, in two checkpoints.
func keepState(t *testing.T, store state.Store) *keptState {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/state.txtar")
	if err != nil {
		t.Fatal(err)
	}
	k := &keptState{archive: archive, rules: writeFile(t, "rules.yaml", string(archive.Files[0].Data))}
	set, err := loadRules([]string{k.rules})
	if err != nil {
		t.Fatal(err)
	}
	o := detector.DefaultOptions()
	o.Seed, o.Disorder, o.Lanes = store.Seed(), 0, lanesEach
	k.engine = detector.New(set, o)
	batch := decodeTraffic(t, archive.Files[1].Data)
	input, newest := batch.Partition, batch.Events[len(batch.Events)-1].Time
	k.engine.Push(k.engine.NewPreparer().Prepare(batch))
	k.engine.Progress(input, newest-15_000)
	k.alerts = k.engine.Advance()
	k.commit(t, store, 1)
	k.engine.Progress(input, newest)
	k.alerts = append(k.alerts, k.engine.Advance()...)
	outbox := state.NewOutbox(store)
	records := append(sinks.Alerts(k.alerts), sinks.Record{BlindSpot: &alert.BlindSpot{}})
	for _, err := range []error{
		outbox.Append(t.Context(), records), outbox.Settle(t.Context(), "file", 1), outbox.Settle(t.Context(), "kafka", 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	k.commit(t, store, 2)
	return k
}

func decodeTraffic(t *testing.T, lines []byte) *event.Batch {
	t.Helper()
	databases, err := geo.OpenBytes(geoip.Databases(), geo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := ingest.DefaultConfig()
	c.PrivacyKey = testKey
	decoder := newDecoding(c, databases, nil).newDecoder()
	decoder.Begin(event.Partition{Topic: "access"})
	offset := int64(0)
	for line := range bytes.Lines(lines) {
		decoder.Add(offset, line)
		offset++
	}
	batch, rejected := decoder.Take()
	if len(rejected) > 0 {
		t.Fatalf("rejected: %+v", rejected)
	}
	batch.Next = offset
	return batch
}

// commit makes a checkpoint.
func (k *keptState) commit(t *testing.T, store state.Store, number uint64) {
	t.Helper()
	cut := k.engine.Cut()
	for finished := false; !finished; {
		var chunks []detector.Chunk
		var err error
		if chunks, finished, err = k.engine.Save(100); err != nil {
			t.Fatal(err)
		}
		for _, c := range chunks {
			if err := store.Stage(t.Context(), state.Chunk{Lane: c.Lane, Base: c.Base, Data: c.Data}); err != nil {
				t.Fatal(err)
			}
		}
	}
	m := state.Manifest{
		Number: number, Engine: cut.Meta, Positions: cut.Positions, Sequence: store.Last(), At: time.Now(), Lanes: cut.Lanes, Bases: cut.Bases,
	}
	if err := store.Commit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func openDisk(t *testing.T, dir string) *disk.Store {
	t.Helper()
	store, err := disk.Open(t.Context(), disk.Options{Dir: dir, Version: "v1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// keptFolder is a folder with a state whose process has ended, and a configuration for it.
func keptFolder(t *testing.T) (dir, config string, k *keptState) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "kept")
	store := openDisk(t, dir)
	k = keepState(t, store)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	config = writeFile(t, "gatewatch.yaml", "state: "+dir+"\nrules: {paths: ["+k.rules+"]}\ningest: {privacy_key: "+testKey+"}\nsinks: {stdout: {}}\n")
	return dir, config, k
}

var variable = []struct {
	found *regexp.Regexp
	text  string
}{
	{regexp.MustCompile(`\d+ chunks?, [\d.]+ (kB|bytes)`), "SIZES"},
	{regexp.MustCompile(`\d+ chunks? of [\d.]+ (kB|bytes)`), "SIZES"},
	{regexp.MustCompile(`"chunks": \d+,\s+"bytes": \d+`), `"chunks": SIZES`},
	{regexp.MustCompile(`made \d\S+Z`), "made MADE"},
	{regexp.MustCompile(`"made": "[^"]+"`), `"made": MADE`},
	{regexp.MustCompile(`(number \d+ of )\d\S+Z(, \S+ ago)?`), "${1}NOW"},
	{regexp.MustCompile(`"at": "[^"]+",\s+"age_seconds": [\d.]+`), `"at": NOW`},
}

// settled replaces what differs from run to run.
func settled(out, dir string) string {
	for _, v := range variable {
		out = v.found.ReplaceAllString(out, v.text)
	}
	return strings.ReplaceAll(out, dir, "DIR")
}

// TestState holds the commands against testdata/state.txtar; -update writes it.
func TestState(t *testing.T) {
	dir, config, k := keptFolder(t)
	before := listing(t, dir)
	for i := range k.archive.Files[2:] {
		f := &k.archive.Files[2+i]
		out, stderr, err := runState(t, append(strings.Fields(f.Name), "--config", config)...)
		if err != nil || stderr != "" {
			t.Errorf("%s: %v %s", f.Name, err, stderr)
		}
		got := settled(out, dir)
		if *update {
			f.Data = []byte(got)
			continue
		}
		if diff := cmp.Diff(string(f.Data), got); diff != "" {
			t.Errorf("gatewatch state %s (-want +got):\n%s", f.Name, diff)
		}
	}
	if *update {
		if err := os.WriteFile("testdata/state.txtar", txtar.Format(k.archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if after := listing(t, dir); !slices.Equal(before, after) {
		t.Errorf("looking has changed the folder: %v, before %v", after, before)
	}
}

func listing(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, _ fs.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestStateExport compares the export with what the engine that was saved knows.
func TestStateExport(t *testing.T) {
	dir, _, k := keptFolder(t)
	out, _, err := runState(t, "export", "--state", dir, "--rules", k.rules)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	k.engine.EachEntity(func(d detector.Description) bool {
		line, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		want.Write(append(line, '\n'))
		return true
	})
	if diff := cmp.Diff(want.String(), out); diff != "" {
		t.Errorf("(-engine +export):\n%s", diff)
	}
}

func TestStateMistakes(t *testing.T) {
	dir, config, k := keptFolder(t)
	none := filepath.Join(t.TempDir(), "none")
	rules := writeFile(t, "other.yaml", goodRule)
	for name, c := range map[string]struct {
		args  string
		usage bool
		want  string
	}{
		"unknown command":    {"mend", true, "unknown command"},
		"no state":           {"inspect", true, "--config gatewatch.yaml"},
		"half an entity":     {"inspect --config " + config + " client_id", true, "kind and id"},
		"argument":           {"verify x --state " + dir, true, "no arguments"},
		"unknown scheme":     {"verify --state s3://bucket", true, "s3://bucket"},
		"no broker":          {"verify --state kafka://topic", true, "names no broker"},
		"partition":          {"verify --partition 1 --state " + dir, true, "folder"},
		"invalid rules":      {"verify --state " + dir + " --rules " + writeFile(t, "bad.yaml", badRules), true, "unknown field"},
		"missing config":     {"verify --config " + none, true, none},
		"unknown kind":       {"inspect --config " + config + " api x", true, "the rules watch client_id, client_id+token_id"},
		"kind of export":     {"export --kind api --config " + config, true, "the rules watch client_id"},
		"no such folder":     {"verify --state " + none, false, "no state; gatewatch run makes it"},
		"unknown entity":     {"inspect --config " + config + " client_id mobil-ap", false, "client_id mobil-ap: nothing is known of it; similar: mobile-app"},
		"unknown token":      {"inspect --config " + config + " client_id+token_id x", false, "pseudonyms"},
		"token without key":  {"inspect --state " + dir + " --rules " + k.rules + " client_id+token_id prober|secret-token", false, "similar: prober|tok_"},
		"entity of no rules": {"inspect --state " + dir + " --rules " + rules + " client_id mobile-app", false, ""},
	} {
		out, _, err := runState(t, strings.Fields(c.args)...)
		if name == "entity of no rules" {
			if err != nil || !strings.Contains(out, "no rule knows anything of it") {
				t.Errorf("%s: %v %s", name, err, out)
			}
			continue
		}
		if err == nil || mistaken(err) != c.usage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("looking for a state has made one")
	}
}

// TestStateOtherRules says which rules of the state are not among those that were given.
func TestStateOtherRules(t *testing.T) {
	dir, _, k := keptFolder(t)
	text := strings.Replace(string(k.archive.Files[0].Data), "limit: 20}", "limit: 21}", 1)
	text = strings.Replace(text, "id: travel,", "id: journey,", 1)
	text = strings.Replace(text, "id: download, title: Much data", "id: download, title: Renamed", 1)
	text = strings.Replace(text, "limit: 2000000}", "limit: 1000000}", 1)
	changed := writeFile(t, "changed.yaml", text)
	out, stderr, err := runState(t, "inspect", "--state", dir, "--rules", changed, "client_id", "mobile-app")
	if err != nil || !strings.Contains(stderr, "download (changed), flood (changed)") || strings.Contains(out, "flood") {
		t.Errorf("%v %s\n%s", err, stderr, out)
	}
	out, _, err = runState(t, "inspect", "--state", dir, "--rules", changed)
	if err != nil || !strings.Contains(out, "changed   flood means something else now") || !strings.Contains(out, "6 kept") {
		t.Errorf("%v\n%s", err, out)
	}
	out, _, err = runState(t, "verify", "--state", dir, "--rules", changed)
	if err != nil || !strings.Contains(out, "were passed over") && !strings.Contains(out, "was passed over") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestStateInUse looks at a folder while another process has it, and after that was killed.
func TestStateInUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "used")
	if used := os.Getenv("GATEWATCH_TEST_STATE"); used != "" {
		useState(t, used)
	}
	archive, err := txtar.ParseFile("testdata/state.txtar")
	if err != nil {
		t.Fatal(err)
	}
	rules := writeFile(t, "rules.yaml", string(archive.Files[0].Data))
	kill := startUser(t, dir)
	for _, command := range []string{"verify", "inspect", "export"} {
		_, _, err := runState(t, command, "--state", dir, "--rules", rules)
		if !errors.Is(err, disk.ErrInUse) || mistaken(err) || !strings.Contains(err.Error(), "stop gatewatch first") {
			t.Errorf("%s: %v", command, err)
		}
	}
	kill()
	out, _, err := runState(t, "verify", "--state", dir, "--rules", rules)
	if err != nil || !strings.Contains(out, "number 2 of") || !strings.Contains(out, "nothing is missing") {
		t.Errorf("killed: %v\n%s", err, out)
	}
	if err := openDisk(t, dir).Close(); err != nil {
		t.Error("a service cannot go on with what was verified:", err)
	}
}

// startUser starts this test in a process of its own, which uses the folder until it is killed.
func startUser(t *testing.T, dir string) (kill func()) {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStateInUse$")
	c.Env = append(os.Environ(), "GATEWATCH_TEST_STATE="+dir)
	output, err := c.StdoutPipe()
	if err == nil {
		_, err = c.StdinPipe() // which never says anything
	}
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		c.Process.Kill()
		c.Wait()
	})
	t.Cleanup(kill)
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if lines.Text() == "ready" {
			return kill
		}
	}
	t.Fatal("the process that uses the state has ended")
	return nil
}

// useState makes a state, begins another checkpoint, and never ends.
func useState(t *testing.T, dir string) {
	store := openDisk(t, dir)
	keepState(t, store)
	if err := store.Stage(t.Context(), state.Chunk{Data: []byte("never committed")}); err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin) // until the other process is gone
}

// TestStateDamaged flips a bit in each table of the folder, which has only what is needed.
func TestStateDamaged(t *testing.T) {
	dir, _, k := keptFolder(t)
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal("no tables", err)
	}
	for _, table := range tables {
		content, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		flipped := slices.Clone(content)
		flipped[20] ^= 1
		if err := os.WriteFile(table, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		out, _, err := runState(t, "verify", "--state", dir, "--rules", k.rules)
		if !errors.Is(err, state.ErrCorrupt) || mistaken(err) || !strings.Contains(err.Error(), "move the folder "+dir) || strings.Contains(out, "whole") {
			t.Errorf("%s: %v\n%s", table, err, out)
		}
		if err := os.WriteFile(table, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := runState(t, "verify", "--state", dir, "--rules", k.rules); err != nil {
		t.Errorf("mended: %v", err)
	}
	if err := os.Remove(tables[0]); err != nil {
		t.Fatal(err)
	}
	if _, _, err := runState(t, "verify", "--state", dir, "--rules", k.rules); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("without a table: %v", err)
	}
}

// TestStateUndecodable has chunks, manifests and records that are what was written, and no state that this version knows.
func TestStateUndecodable(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, store state.Store, engine []byte) error
		is    error
		want  string
	}{
		"chunk": {func(t *testing.T, s state.Store, engine []byte) error {
			return errors.Join(s.Stage(t.Context(), state.Chunk{Lane: 3, Data: []byte{1, 0, 99, 99}}), commitEngine(t, s, engine))
		}, wire.ErrCorrupt, "lane 3"},
		"version of a chunk": {func(t *testing.T, s state.Store, engine []byte) error {
			return errors.Join(s.Stage(t.Context(), state.Chunk{Lane: 3, Data: []byte{99}}), commitEngine(t, s, engine))
		}, wire.ErrVersion, "use the version of gatewatch that wrote it"},
		"version of the manifest": {func(t *testing.T, s state.Store, _ []byte) error {
			return commitEngine(t, s, []byte{99})
		}, wire.ErrVersion, "unknown version 99 of checkpoint"},
		"record": {func(t *testing.T, s state.Store, _ []byte) error {
			return s.Append(t.Context(), []state.Entry{{Sequence: s.Last() + 1, Data: []byte{1, '{'}}})
		}, state.ErrCorrupt, "of the outbox"},
		"form of a record": {func(t *testing.T, s state.Store, _ []byte) error {
			return s.Append(t.Context(), []state.Entry{{Sequence: s.Last() + 1, Data: []byte{77}}})
		}, state.ErrVersion, "form 77"},
	} {
		dir := filepath.Join(t.TempDir(), "spoilt")
		store := openDisk(t, dir)
		k := keepState(t, store)
		if err := errors.Join(c.spoil(t, store, k.engine.Cut().Meta), store.Close()); err != nil {
			t.Fatal(name, err)
		}
		out, _, err := runState(t, "verify", "--state", dir, "--rules", k.rules)
		if !errors.Is(err, c.is) || mistaken(err) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "gatewatch") && !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func commitEngine(t *testing.T, s state.Store, engine []byte) error {
	return s.Commit(t.Context(), state.Manifest{Number: 3, Engine: engine, At: time.Now(), Sequence: s.Last(), Lanes: lanesEach})
}

// quiet is a log of the database that nobody reads.
type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// TestStateVersion has a folder of a format to come.
func TestStateVersion(t *testing.T) {
	dir, _, k := keptFolder(t)
	db, err := pebble.Open(dir, &pebble.Options{Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Set([]byte{1}, []byte(`{"format":99,"gatewatch":"v9"}`), pebble.Sync), db.Close()); err != nil {
		t.Fatal(err)
	}
	_, _, err = runState(t, "verify", "--state", dir, "--rules", k.rules)
	if !errors.Is(err, state.ErrVersion) || !strings.Contains(err.Error(), "made by gatewatch v9") {
		t.Error(err)
	}
}

// TestStateWithoutCheckpoint looks at what a service that was killed at once has made.
func TestStateWithoutCheckpoint(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if err := openDisk(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"inspect", "verify"} {
		out, _, err := runState(t, command, "--state", dir)
		if err != nil || !strings.Contains(out, "none yet") {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
	if out, _, err := runState(t, "export", "--state", dir); err != nil || out != "" {
		t.Errorf("%v %q", err, out)
	}
}

// TestStateInKafka looks at a topic while an instance has one of its partitions, which goes on.
func TestStateInKafka(t *testing.T) {
	broker, err := startBroker("keyed", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer broker.close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := connection.DefaultConfig()
	c.Brokers = broker.addresses()
	location := "kafka://" + c.Brokers[0] + "/kept"
	if _, _, err := runState(t, "verify", "--state", location); !errors.Is(err, kafkastate.ErrAbsent) || mistaken(err) {
		t.Errorf("no topic: %v", err)
	}
	topic, err := kafkastate.OpenTopic(ctx, kafkastate.Options{Connection: c, Topic: "kept", Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer topic.Close()
	store, err := topic.Open(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	k := keepState(t, store)
	flags := []string{"--state", location, "--rules", k.rules}

	out, _, err := runState(t, append(flags, "inspect", "client_id", "mobile-app", "--json")...)
	var entity struct {
		Partition int32
		ID        string
	}
	if err != nil || json.Unmarshal([]byte(out), &entity) != nil || entity.Partition != 1 || entity.ID != "mobile-app" {
		t.Errorf("inspect: %v\n%s", err, out)
	}
	out, _, err = runState(t, append(flags, "inspect")...)
	if err != nil || !strings.Contains(out, "partition 0\n") || !strings.Contains(out, "number 2 of") {
		t.Errorf("inspect: %v\n%s", err, out)
	}
	out, _, err = runState(t, append(flags, "verify")...)
	if err != nil || strings.Count(out, "nothing is missing") != 2 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, _, err = runState(t, append(flags, "export", "--partition", "0")...)
	if err != nil || out != "" {
		t.Errorf("export: %v\n%s", err, out)
	}
	if _, _, err = runState(t, append(flags, "verify", "--partition", "2")...); !mistaken(err) {
		t.Errorf("a partition too high: %v", err)
	}
	k.commit(t, store, 3) // the owner was not disturbed
	if err := store.Append(ctx, []state.Entry{{Sequence: store.Last() + 1, Data: []byte{77}}}); err != nil {
		t.Fatal(err)
	}
	out, _, err = runState(t, append(flags, "verify")...)
	if err == nil || mistaken(err) || err.Error() != "1 of 2 partitions cannot be read" || !strings.Contains(out, "FAILED      restore the state") {
		t.Errorf("damaged: %v\n%s", err, out)
	}
}
