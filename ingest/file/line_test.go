package file

import (
	"bufio"
	"bytes"
	"io"
	"testing"
)

// FuzzLines compares lineReader with splitting all at once.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"", "\n", "a\nb", "a\r\nb\r\n", "\r\r\n\n", "0123456789abcdefghijklmnop\nx", "0123456789012345\r\n"} {
		f.Add([]byte(s), 8)
		f.Add([]byte(s), 20)
	}
	f.Fuzz(func(t *testing.T, content []byte, limit int) {
		if limit < 1 || limit > 1000 {
			return
		}
		r := lineReader{source: bufio.NewReaderSize(bytes.NewReader(content), 16)}
		want := bytes.Split(content, []byte("\n"))
		for i, w := range want {
			w = bytes.TrimSuffix(w, []byte("\r"))
			line, size, err := r.next(limit)
			if final := i == len(want)-1; (err == io.EOF) != final || (err != nil && err != io.EOF) {
				t.Fatalf("line %d of %d: error %v", i, len(want), err)
			}
			if len(w) <= limit && (!bytes.Equal(line, w) || size != len(w)) {
				t.Fatalf("line %d: %q, size %d, want %q", i, line, size, w)
			}
			if len(w) > limit && (!bytes.Equal(line, w[:limit+1]) || size < len(w) || size > len(w)+2) {
				t.Fatalf("line %d: %q, size %d, want the beginning of %q", i, line, size, w)
			}
		}
	})
}
