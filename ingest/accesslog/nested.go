package accesslog

import "bytes"

// maxNesting is how deep a record may stand as text in a record: a line in Fluent Bit's object in CloudWatch's.
const maxNesting = 3

// within reads the record that the object holds as text, and reports whether it holds one: shippers put what a gateway
// wrote into an object of their own. The object itself has no format.
func (d *Decoder) within(start, end int) bool {
	if d.nesting == maxNesting {
		return false
	}
	for _, slot := range d.format.nested {
		v := d.format.tree.values[slot]
		if v.first != '"' {
			continue
		}
		if text := d.nestedText(v); d.isRecord(text) {
			d.nest(text, start, end)
			return true
		}
	}
	return false
}

// nestedText returns the text of v, decoded, in memory of its own: it is scanned as a record.
func (d *Decoder) nestedText(v value) []byte {
	text := d.scan.buf[v.from+1 : v.to-1]
	if bytes.IndexByte(text, '\\') < 0 {
		return text
	}
	return unescape(d.mem.Copy(text, 0))
}

// isRecord reports whether text is worth reading as a record: an object, or a line of a known format.
func (d *Decoder) isRecord(text []byte) bool {
	text = bytes.TrimSpace(text)
	return len(text) > 0 && (text[0] == '{' || d.lineFormat(text) != nil)
}

// nest reads text as a record. Problems in it are told of the object around it.
func (d *Decoder) nest(text []byte, start, end int) {
	outer, outside, tried := d.scan, d.outside, d.tried
	if d.nesting == 0 {
		d.outside = [2]int{start, end}
	}
	d.nesting++
	d.load(text)
	d.text()
	d.nesting--
	d.scan, d.outside, d.tried = outer, outside, tried
}

// control reports whether the object is CloudWatch's question whether anybody is there.
func (d *Decoder) control() bool {
	v := d.format.tree.values[d.format.kind]
	return v.first == '"' && string(d.scan.buf[v.from+1:v.to-1]) == "CONTROL_MESSAGE"
}
