package keyed

import (
	"encoding/binary"
	"strings"

	"github.com/gatewatch/gatewatch/detector/event"
)

// maxOperations is how many operations an encoder or a decoder remembers. An inventory larger than that is merely slower.
const maxOperations = 1 << 14

// operations remembers how operations are written: inventories are read once and shared by all events.
type operations struct {
	texts map[*event.Operation]string // for an encoder
	known map[string]*event.Operation // for a decoder
}

// text writes an operation; "" stands for none.
func (o *operations) text(op *event.Operation) string {
	if op == nil {
		return ""
	}
	text, ok := o.texts[op]
	if !ok {
		if o.texts == nil || len(o.texts) == maxOperations {
			o.texts = map[*event.Operation]string{}
		}
		text = string(appendOperation(nil, op))
		o.texts[op] = text
	}
	return text
}

func appendOperation(b []byte, op *event.Operation) []byte {
	b = append(b, flag(op.Registered)|flag(op.Deprecated)<<1)
	b = binary.AppendVarint(b, int64(op.Sunset))
	for _, s := range []string{op.API, op.Route, op.Owner, op.Classification} {
		b = appendString(b, s)
	}
	return b
}

// operation reads what text has written. The result does not belong to the memory of text.
func (o *operations) operation(r *reader, text string) *event.Operation {
	if op := o.known[text]; op != nil || text == "" {
		return op
	}
	op, err := readOperation(text)
	if err != nil {
		r.fail("an operation that is none")
		return nil
	}
	if o.known == nil || len(o.known) == maxOperations {
		o.known = map[string]*event.Operation{}
	}
	o.known[strings.Clone(text)] = op
	return op
}

func readOperation(text string) (*event.Operation, error) {
	r := &reader{rest: []byte(text)}
	flags := r.byte()
	op := &event.Operation{Registered: flags&1 != 0, Deprecated: flags&2 != 0, Sunset: event.Time(r.varint())}
	for _, s := range []*string{&op.API, &op.Route, &op.Owner, &op.Classification} {
		*s = string(r.text())
	}
	if flags > 3 || len(r.rest) > 0 {
		r.fail("bytes behind an operation")
	}
	return op, r.err
}
