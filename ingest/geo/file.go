package geo

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// file is one database, read and checked. It is immutable.
type file struct {
	path   string // "" when given as bytes
	stamp  stamp
	reader *maxminddb.Reader
	form   form
}

// stamp tells whether a file has changed.
type stamp struct {
	modified time.Time
	size     int64
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, fmt.Errorf("find GeoIP database: %w", err)
	}
	return stamp{info.ModTime(), info.Size()}, nil
}

// openFile reads a whole database into memory. A memory map would be cheaper to open, but a file that is overwritten in
// place, as cp does, would then crash the process.
func openFile(path string) (*file, error) {
	s, err := stampOf(path)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read GeoIP database: %w", err)
	}
	f, err := openBytes(content)
	if err != nil {
		return nil, fmt.Errorf("read GeoIP database %s: %w", path, err)
	}
	f.path, f.stamp = path, s
	return f, nil
}

// checked is how many networks of a database are looked at before it is used: all of a small one. A large one is as a
// rule broken at its end, where the metadata is, or everywhere.
const checked = 20_000

var errNoUse = errors.New("its records have neither a country or place, nor an ASN, nor flags of anonymisers")

func openBytes(content []byte) (*file, error) {
	reader, err := maxminddb.OpenBytes(content)
	if err != nil {
		return nil, err
	}
	f := &file{reader: reader}
	n := 0
	for result := range reader.Networks() {
		var record map[string]any
		if err := result.Decode(&record); err != nil {
			return nil, fmt.Errorf("the file is broken: %w", err)
		}
		f.form |= formOf(record)
		if n++; n == checked {
			break
		}
	}
	if f.form == 0 {
		return nil, errNoUse
	}
	return f, nil
}
