package revocation

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/privacy"
)

// maxLine is the longest line that is read, in bytes; of a longer one nothing is.
const maxLine = 64 << 10

// sum is a pseudonym of a token.
type sum = [16]byte

// table is the revoked tokens of all lists, with the earliest times. It is immutable once it is in use.
type table struct {
	times map[sum]event.Time
	most  int
	bad   int
	told  []badLine // the first of the bad ones
}

type badLine struct {
	file string
	line int
	why  problem
}

const maxTold = 5

// stamp tells whether a file has changed.
type stamp struct {
	modified time.Time
	size     int64
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, fmt.Errorf("find revocation list: %w", err)
	}
	if !info.Mode().IsRegular() {
		return stamp{}, fmt.Errorf("find revocation list: %s is no file", path)
	}
	return stamp{info.ModTime(), info.Size()}, nil
}

// readFiles reads all lists.
func readFiles(paths []string, most int, filter *privacy.Filter) (*table, error) {
	t := &table{times: map[sum]event.Time{}, most: most}
	for _, path := range paths {
		if err := t.readFile(path, filter); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *table) readFile(path string, filter *privacy.Filter) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read revocation list: %w", err)
	}
	defer f.Close()
	if err := t.read(path, f, filter); err != nil {
		return fmt.Errorf("read revocation list %s: %w", path, err)
	}
	return nil
}

func (t *table) read(name string, r io.Reader, filter *privacy.Filter) error {
	lines := bufio.NewReaderSize(r, maxLine)
	for number := 1; ; number++ {
		line, whole, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		x, why := entry{}, tooLong
		if whole {
			x, why = parseLine(line, number == 1)
		}
		if why != fine {
			t.reject(badLine{name, number, why})
		}
		if x.token != "" {
			t.add(x, filter)
		}
		if len(t.times) > t.most {
			return fmt.Errorf("more than %d tokens: raise ingest.revocation.max_entries", t.most)
		}
	}
}

// readLine returns the next line without its end; whole is false when it was too long, and what is returned is a part of it.
func readLine(r *bufio.Reader) (line []byte, whole bool, err error) {
	line, more, err := r.ReadLine()
	whole = !more
	for more && err == nil {
		_, more, err = r.ReadLine()
	}
	if !whole && errors.Is(err, io.EOF) {
		err = nil // the next call meets it again
	}
	return line, whole, err
}

func (t *table) reject(b badLine) {
	if t.bad++; len(t.told) < maxTold {
		t.told = append(t.told, b)
	}
}

// add notes an entry. What looks like a pseudonym may be one, or be a token that looks like one: both are meant.
func (t *table) add(x entry, filter *privacy.Filter) {
	if shown, ok := privacy.ParseToken(x.token); ok {
		t.put(shown, x.at)
	}
	var room [64]byte
	hashed, _ := privacy.ParseToken(string(filter.AppendToken(room[:0], x.token)))
	t.put(hashed, x.at)
}

func (t *table) put(s sum, at event.Time) {
	if before, ok := t.times[s]; !ok || at < before {
		t.times[s] = at
	}
}
