package push

import (
	"bytes"
	"unicode/utf8"
)

// recordBytes is how large the records are into which a body of lines is cut: well below what brokers take by default.
const recordBytes = 256 << 10

// records are what a body is put into the topic as; none when there is nothing in it.
func records(body []byte) [][]byte {
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return nil
	case lines(body):
		return split(body, recordBytes)
	}
	return [][]byte{body}
}

// split cuts a body into records of at most the given size where that can be done without reading it: between lines. What
// cannot be cut is one record, however large.
func split(body []byte, size int) [][]byte {
	var records [][]byte
	for len(body) > size {
		end := bytes.LastIndexByte(body[:size], '\n')
		if end < 0 {
			end = bytes.IndexByte(body, '\n')
		}
		if end < 0 {
			break
		}
		records = appendRecord(records, body[:end])
		body = body[end+1:]
	}
	return appendRecord(records, body)
}

func appendRecord(records [][]byte, record []byte) [][]byte {
	if record = bytes.TrimSpace(record); len(record) > 0 {
		records = append(records, record)
	}
	return records
}

// lines reports whether the body is one JSON value or text a line, so that it can be cut between lines. A JSON array or object
// over several lines, and what is compressed, cannot.
func lines(body []byte) bool {
	first, _, found := bytes.Cut(bytes.TrimLeft(body, " \t\r\n"), []byte("\n"))
	if !found || len(first) == 0 || !utf8.Valid(first) {
		return false
	}
	first = bytes.TrimRight(first, " \t\r")
	switch first[0] {
	case '{':
		return first[len(first)-1] == '}'
	case '[':
		return first[len(first)-1] == ']' && len(first) > 2
	}
	return first[0] >= ' '
}
