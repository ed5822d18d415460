package accesslog

import (
	"bytes"
	"sync/atomic"
	"unicode/utf8"

	"github.com/gatewatch/gatewatch/ingest/arena"
)

// upperMethod turns an HTTP method to upper case in place and reports whether b can be one.
func upperMethod(b []byte) bool {
	if len(b) == 0 || len(b) > 20 {
		return false
	}
	for i, c := range b {
		switch {
		case c >= 'a' && c <= 'z':
			b[i] = c - 'a' + 'A'
		case c >= 'A' && c <= 'Z' || c == '-' || c == '_':
		default:
			return false
		}
	}
	return true
}

// cutTarget splits what the request line named, in origin form (/a?b) or absolute form (https://host/a?b), into path and
// query string. The fragment is dropped.
func cutTarget(target []byte) (path, query []byte) {
	if target[0] != '/' {
		target = cutOrigin(target)
	}
	if i := bytes.IndexByte(target, '#'); i >= 0 {
		target = target[:i]
	}
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		return target[:i], target[i+1:]
	}
	return target, nil
}

// cutOrigin drops scheme and authority of an absolute URL.
func cutOrigin(target []byte) []byte {
	i := bytes.Index(target, []byte("://"))
	if i <= 0 {
		return target
	}
	for _, c := range target[:i] {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			if !isDigit(c) && c != '+' && c != '-' && c != '.' {
				return target
			}
		}
	}
	target = target[i+3:]
	if i = bytes.IndexAny(target, "/?#"); i >= 0 {
		return target[i:]
	}
	return nil
}

// rooted returns path with a slash in front.
func (d *Decoder) rooted(path []byte) string {
	if len(path) == 0 {
		return "/"
	}
	if path[0] == '/' {
		return arena.String(path)
	}
	return d.mem.CommitString(append(append(d.mem.Reserve(len(path)+1), '/'), path...))
}

// QueryNames is the set of query parameters that are kept, because a rule names them. It may be changed while decoders
// use it. The zero set is empty.
type QueryNames struct{ names atomic.Pointer[[]queryName] }

type queryName struct{ name, key string }

// NewQueryNames makes a set of the given names.
func NewQueryNames(names ...string) *QueryNames {
	q := &QueryNames{}
	q.Set(names...)
	return q
}

// Set replaces the set.
func (q *QueryNames) Set(names ...string) {
	list := make([]queryName, len(names))
	for i, name := range names {
		list[i] = queryName{name, "query." + name}
	}
	q.names.Store(&list)
}

func (q *QueryNames) load() []queryName {
	if q == nil {
		return nil
	}
	if list := q.names.Load(); list != nil {
		return *list
	}
	return nil
}

// readQuery keeps the parameters of the set as attributes "query.<name>". A parameter that is given several times keeps
// all its values, joined by commas: which of them counts is the server's secret.
func (d *Decoder) readQuery(query []byte) {
	names := d.opts.Query.load()
	for len(names) > 0 && len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte{'&'})
		key, text, _ := bytes.Cut(pair, []byte{'='})
		if bytes.ContainsAny(key, "%+") {
			key = d.unquote(key)
		}
		for i := range names {
			if names[i].name == string(key) && len(text) > 0 {
				d.addParameter(names[i].key, text)
			}
		}
	}
}

func (d *Decoder) addParameter(key string, text []byte) {
	if bytes.ContainsAny(text, "%+") {
		text = d.unquote(text)
	}
	for i := range d.list.attributes {
		if a := &d.list.attributes[i]; a.Key == key {
			b := append(d.mem.Reserve(len(a.Value)+1+len(text)), a.Value...)
			a.Value = d.mem.CommitString(append(append(b, ','), text...))
			return
		}
	}
	if len(d.list.attributes) < maxAttributes {
		d.setAttribute(key, arena.String(text))
		return
	}
	d.ignored[fieldAttributes]++
}

// unquote decodes percent signs and pluses. What is no valid encoding, or encodes no UTF-8, stays as it is.
func (d *Decoder) unquote(b []byte) []byte {
	out := d.mem.Reserve(len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(b) && hexValue(b[i+1]) >= 0 && hexValue(b[i+2]) >= 0:
			c = byte(hexValue(b[i+1])<<4 | hexValue(b[i+2]))
			i += 2
		}
		out = append(out, c)
	}
	if !utf8.Valid(out) {
		return b
	}
	d.mem.Commit(out)
	return out
}
