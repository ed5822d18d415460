package file

import (
	"bufio"
	"bytes"
	"errors"
)

// lineReader cuts a file into lines.
type lineReader struct {
	source *bufio.Reader
	long   []byte // a line that did not fit the buffer of source
}

// next returns the next line without its end, and its size; the line is valid until the next call. Of a line longer than
// limit it returns only the beginning, of limit+1 bytes. At the end of the file it returns what is left together with
// io.EOF.
func (r *lineReader) next(limit int) (line []byte, size int, err error) {
	part, err := r.source.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		line = trim(part)
		return line[:min(len(line), limit+1)], len(line), err
	}
	r.long = r.long[:0]
	for {
		size += len(part)
		// Two bytes more, so that the end of the line, should it be there, can be cut off.
		r.long = append(r.long, part[:min(len(part), limit+3-len(r.long))]...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			break
		}
		part, err = r.source.ReadSlice('\n')
	}
	if size == len(r.long) {
		line = trim(r.long)
		return line[:min(len(line), limit+1)], len(line), err
	}
	return r.long[:limit+1], size, err
}

func trim(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}

func blank(line []byte) bool { return len(bytes.TrimLeft(line, " \t\r")) == 0 }
