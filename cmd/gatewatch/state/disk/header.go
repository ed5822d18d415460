package disk

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// Format is the version of keys and values. It changes when an older gatewatch would misread what this one writes.
const Format = 1

// header is written once, when the folder is made.
type header struct {
	Format  int       `json:"format"`
	Seed    uint64    `json:"seed"`
	Created time.Time `json:"created"`
	Version string    `json:"gatewatch,omitempty"` // that made the folder
}

func newHeader(version string, now time.Time) header {
	var seed [8]byte
	rand.Read(seed[:])
	return header{Format: Format, Seed: binary.LittleEndian.Uint64(seed[:]), Created: now.UTC(), Version: version}
}

// readHeader returns what is written, or writes a new header to a folder without tables.
func readHeader(db *pebble.DB, o Options, inhabited bool) (header, error) {
	value, ok, err := get(db, headerKey)
	if err != nil {
		return header{}, err
	}
	if ok {
		return parseHeader(value, o.Dir)
	}
	if inhabited {
		return header{}, damaged(o.Dir, errors.New("there are tables and no header"))
	}
	if o.readOnly {
		return header{}, ErrAbsent
	}
	h := newHeader(o.Version, o.Now())
	value, err = json.Marshal(h)
	if err != nil {
		return header{}, err
	}
	return h, db.Set(headerKey, value, pebble.Sync)
}

func parseHeader(value []byte, dir string) (header, error) {
	var h header
	if err := json.Unmarshal(value, &h); err != nil {
		return h, damaged(dir, fmt.Errorf("parse header: %v", err))
	}
	if h.Format != Format {
		return h, versionError(dir, fmt.Sprintf("format %d, made by gatewatch %s", h.Format, h.Version))
	}
	return h, nil
}

func versionError(dir, found string) error {
	return fmt.Errorf("%w: the folder has %s, this gatewatch reads format %d; start with another folder, or start the version of gatewatch that wrote %s",
		state.ErrVersion, found, Format, dir)
}

func get(db *pebble.DB, key []byte) (value []byte, ok bool, err error) {
	found, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value = append(value, found...)
	return value, true, closer.Close()
}
