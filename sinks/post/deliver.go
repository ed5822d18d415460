package post

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/gatewatch/gatewatch/sinks"
)

// Item is one record as the destination wants it.
type Item struct {
	Index int // in the batch
	Data  []byte
}

// Format says how items become the body of a request and how much fits, before compression.
type Format struct {
	Open, Separator, Close string

	MaxItems int // in one request; 0: no bound
	MaxBytes int // of one request
	MaxItem  int // bytes of one item; 0: what fits into a request
}

// Join makes the body of a request.
func (f Format) Join(items []Item) []byte {
	var buf bytes.Buffer
	buf.WriteString(f.Open)
	for i, it := range items {
		if i > 0 {
			buf.WriteString(f.Separator)
		}
		buf.Write(it.Data)
	}
	buf.WriteString(f.Close)
	return buf.Bytes()
}

// room returns how many bytes one item can have.
func (f Format) room() int {
	room := f.MaxBytes - len(f.Open) - len(f.Close)
	if f.MaxItem > 0 {
		room = min(room, f.MaxItem)
	}
	return room
}

// fit returns how many of the items go into the next request, at least one.
func (f Format) fit(items []Item) int {
	size := len(f.Open) + len(f.Close)
	for i, it := range items {
		size += len(it.Data)
		if i > 0 {
			size += len(f.Separator)
		}
		if i > 0 && (size > f.MaxBytes || f.MaxItems > 0 && i == f.MaxItems) {
			return i
		}
	}
	return len(items)
}

// Encode makes items of a batch and refuses what has no form or is too large. What encodes to nil is left out.
func Encode[T any](batch []T, f Format, encode func(T) ([]byte, error)) (items []Item, refused []sinks.Refusal) {
	for i, v := range batch {
		data, err := encode(v)
		if err == nil && len(data) > f.room() {
			err = fmt.Errorf("%d bytes are more than the %d that the destination takes of one record", len(data), f.room())
		}
		switch {
		case err != nil:
			refused = append(refused, sinks.Refusal{Index: i, Err: err})
		case data != nil:
			items = append(items, Item{Index: i, Data: data})
		}
	}
	return items, refused
}

// JSON encodes v in one line and leaves the characters that matter to HTML as they are.
func JSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// Deliver sends items in order, as many in a request as the format allows, and returns what [sinks.Sink] wants to know of
// the whole batch; refused are those that could not be encoded.
//
// The error of send says what became of one request: nil, [*sinks.PartialError] with positions among its items,
// [*sinks.RefusedError], upon which the request is sent in halves until only what cannot be delivered is refused, or anything
// else. After a failure that may pass nothing more is sent, so that what was delivered is not sent again.
func Deliver(ctx context.Context, items []Item, refused []sinks.Refusal, f Format, send func(context.Context, []Item) error) error {
	d := delivery{ctx: ctx, send: send, result: sinks.PartialError{Refused: refused}}
	for len(items) > 0 {
		n := f.fit(items)
		if !d.request(items[:n]) {
			d.later(items[n:], d.result.Err)
			break
		}
		items = items[n:]
	}
	if len(d.result.Refused) == 0 && len(d.result.Retry) == 0 {
		return nil
	}
	slices.Sort(d.result.Retry)
	return &d.result
}

type delivery struct {
	ctx    context.Context
	send   func(context.Context, []Item) error
	result sinks.PartialError
}

// request sends items in one request and returns whether to go on.
func (d *delivery) request(items []Item) bool {
	err := d.send(d.ctx, items)
	if err == nil {
		return true
	}
	if partial, ok := errors.AsType[*sinks.PartialError](err); ok {
		return d.partly(items, partial)
	}
	if refused, ok := errors.AsType[*sinks.RefusedError](err); ok {
		return d.halves(items, refused)
	}
	d.later(items, err)
	return false
}

func (d *delivery) partly(items []Item, p *sinks.PartialError) bool {
	for _, r := range p.Refused {
		d.refuse(items[r.Index], r.Err)
	}
	for _, i := range p.Retry {
		d.later(items[i:i+1], p.Err)
	}
	d.result.After = max(d.result.After, p.After)
	return len(p.Retry) == 0
}

func (d *delivery) halves(items []Item, refused error) bool {
	if len(items) == 1 {
		d.refuse(items[0], refused)
		return true
	}
	half := len(items) / 2
	if !d.request(items[:half]) {
		d.later(items[half:], d.result.Err)
		return false
	}
	return d.request(items[half:])
}

func (d *delivery) refuse(it Item, err error) {
	d.result.Refused = append(d.result.Refused, sinks.Refusal{Index: it.Index, Err: err})
}

func (d *delivery) later(items []Item, err error) {
	for _, it := range items {
		d.result.Retry = append(d.result.Retry, it.Index)
	}
	if len(items) == 0 {
		return
	}
	d.result.Err = err
	if retry, ok := errors.AsType[*sinks.RetryError](err); ok {
		d.result.After = max(d.result.After, retry.After)
	}
}
