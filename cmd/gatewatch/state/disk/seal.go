package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// seal says what was in the folder when it was closed. The log and the list of tables may end early after a crash, so the
// database takes a damaged end for that; after a clean stop nothing may be missing.
type seal struct {
	Checkpoint uint64            `json:"checkpoint"`
	Last       uint64            `json:"last"`
	Trimmed    uint64            `json:"trimmed"`
	Settled    map[string]uint64 `json:"settled"`
}

func (s *Store) sealPath() string { return s.fs.PathJoin(s.dir, "CLOSED") }

// encodeSeal is deterministic: maps are written sorted.
func (s *Store) encodeSeal() ([]byte, error) {
	return json.Marshal(seal{Checkpoint: s.latest.Manifest.Number, Last: s.Last(), Trimmed: s.floor(), Settled: s.Settled()})
}

// writeSeal comes after everything else was written.
func (s *Store) writeSeal() error {
	data, err := s.encodeSeal()
	if err != nil {
		return err
	}
	temporary := s.sealPath() + ".new"
	file, err := s.fs.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := s.fs.Rename(temporary, s.sealPath()); err != nil {
		return err
	}
	return s.syncFolder()
}

// checkSeal compares with what was read. No seal means that the process was killed.
func (s *Store) checkSeal() error {
	file, err := s.fs.Open(s.sealPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	found, err := io.ReadAll(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	want, err := s.encodeSeal()
	if err == nil && string(found) != string(want) {
		return damaged(s.dir, fmt.Errorf("what is there, %s, is not what was there when it was closed, %s", want, found))
	}
	return err
}

// breakSeal comes before anything is written.
func (s *Store) breakSeal() error {
	err := s.fs.Remove(s.sealPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return errors.Join(err, s.syncFolder())
}

func (s *Store) syncFolder() error {
	dir, err := s.fs.OpenDir(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
