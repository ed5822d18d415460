package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// stage is a table under way: the next checkpoint.
type stage struct {
	fs     vfs.FS
	path   string
	number uint64
	table  *sstable.Writer
	runs   []run
	chunks uint32
	err    error // the table is of no use any more
}

func (s *Store) staging() string { return s.fs.PathJoin(s.dir, "staged") }

// prepareStaging leaves an empty folder for tables under way.
func (s *Store) prepareStaging() error {
	if err := s.fs.RemoveAll(s.staging()); err != nil {
		return fmt.Errorf("remove what was staged: %w", err)
	}
	return s.fs.MkdirAll(s.staging(), 0o700)
}

func (s *Store) newStage(number uint64) (*stage, error) {
	path := s.fs.PathJoin(s.staging(), fmt.Sprintf("%d.sst", number))
	file, err := s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	file = vfs.NewSyncingFile(file, vfs.SyncingFileOptions{BytesPerSync: syncEvery})
	return &stage{fs: s.fs, path: path, number: number,
		table: sstable.NewWriter(objstorageprovider.NewFileWritable(file), s.tables)}, nil
}

// Stage implements [state.Store].
func (s *Store) Stage(ctx context.Context, c state.Chunk) error {
	err := s.do(ctx, s.cut, func() error {
		if err := s.startStage(); err != nil {
			return err
		}
		s.buffer = appendChunk(s.buffer[:0], c)
		return s.stage.add(c, s.buffer)
	})
	if err != nil {
		return fmt.Errorf("stage chunk of lane %d: %w", c.Lane, err)
	}
	return nil
}

func (s *Store) startStage() (err error) {
	if s.readOnly {
		return pebble.ErrReadOnly
	}
	if s.stage == nil {
		s.stage, err = s.newStage(s.latest.Manifest.Number + 1)
	}
	return err
}

func (t *stage) add(c state.Chunk, value []byte) error {
	if t.err != nil {
		return t.err
	}
	if err := t.table.Set(chunkKey(t.number, t.chunks), value); err != nil {
		t.err = err
		return err
	}
	t.note(c, len(value))
	t.chunks++
	return nil
}

// note extends the last run or begins the next.
func (t *stage) note(c state.Chunk, bytes int) {
	if n := len(t.runs); n == 0 || t.runs[n-1].lane != c.Lane || t.runs[n-1].base != c.Base {
		t.runs = append(t.runs, run{number: t.number, lane: c.Lane, base: c.Base, first: t.chunks})
	}
	last := &t.runs[len(t.runs)-1]
	last.count++
	last.bytes += uint64(bytes)
}

// finish adds the record of the checkpoint and makes the table durable.
func (t *stage) finish(record []byte) error {
	if t.err == nil {
		t.err = errors.Join(t.table.Set(chunkKey(t.number, manifestIndex), record), t.table.Close())
	}
	return t.err
}

func (t *stage) abandon() {
	t.table.Close()
	t.fs.Remove(t.path)
}

// appendChunk encodes a chunk as its lane, whether it is a base, and the data.
func appendChunk(to []byte, c state.Chunk) []byte {
	to = binary.AppendUvarint(to, uint64(c.Lane)<<1|flag(c.Base))
	return append(to, c.Data...)
}

func flag(set bool) uint64 {
	if set {
		return 1
	}
	return 0
}
