package broker

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

type record struct {
	offset int64
	value  string
}

// encode makes a batch of uncompressed records with another implementation of the format.
func encode(first int64, attributes int16, producer int64, lastDelta int32, records ...record) []byte {
	var packed []byte
	for _, r := range records {
		x := kmsg.Record{OffsetDelta: int32(r.offset - first), Value: []byte(r.value), Headers: []kmsg.Header{{Key: "h", Value: []byte("v")}}}
		body := x.AppendTo(nil)
		x.Length = int32(len(body) - 1) // the length of a zero length
		packed = x.AppendTo(packed)
	}
	b := kmsg.RecordBatch{
		FirstOffset: first, Length: int32(49 + len(packed)), Magic: 2, Attributes: attributes, LastOffsetDelta: lastDelta,
		ProducerID: producer, NumRecords: int32(len(records)), Records: packed,
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], castagnoli))
	return raw
}

func batchOf(first int64, values ...string) []byte {
	var records []record
	for i, v := range values {
		records = append(records, record{first + int64(i), v})
	}
	return encode(first, 0, -1, int32(len(values)-1), records...)
}

// answer makes a response with the records.
func answer(offset, highWatermark int64, aborted []transaction, records ...[]byte) *Response {
	r := &Response{request: Fetch{Topic: "t", Offset: offset}, HighWatermark: highWatermark, aborted: aborted, inflater: &inflater{limit: 1 << 20}}
	r.records = slices.Concat(records...)
	r.Next = r.end()
	return r
}

func read(r *Response) (all []record) {
	for offset, value := range r.Records() {
		all = append(all, record{offset, string(value)})
	}
	return all
}

func TestRecords(t *testing.T) {
	flipped := batchOf(3, "d", "e")
	flipped[len(flipped)-8] ^= 1
	long := batchOf(3, "d", "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee")
	for name, c := range map[string]struct {
		offset, high int64
		aborted      []transaction
		records      [][]byte
		want         string
		next         int64
		skipped      string
	}{
		"nothing":                {offset: 5, high: 5, want: "[]", next: 5},
		"two batches":            {high: 5, records: [][]byte{batchOf(0, "a", "b", "c"), batchOf(3, "d", "e")}, want: "[{0 a} {1 b} {2 c} {3 d} {4 e}]", next: 5},
		"from the middle":        {offset: 2, high: 3, records: [][]byte{batchOf(0, "a", "b", "c")}, want: "[{2 c}]", next: 3},
		"cut off":                {high: 5, records: [][]byte{batchOf(0, "a", "b", "c"), long[:40]}, want: "[{0 a} {1 b} {2 c}]", next: 3},
		"cut off in the header":  {high: 5, records: [][]byte{batchOf(0, "a", "b", "c"), long[:20]}, want: "[{0 a} {1 b} {2 c}]", next: 3},
		"cut off, all there is":  {offset: 4, high: 5, records: [][]byte{long[:70]}, want: "[]", next: 5, skipped: "[4 5)"},
		"compacted":              {high: 100, records: [][]byte{encode(0, 0, -1, 49, record{7, "a"}, record{9, "b"}), encode(50, 0, -1, 9)}, want: "[{7 a} {9 b}]", next: 60},
		"damaged":                {high: 9, records: [][]byte{batchOf(0, "a", "b", "c"), flipped, batchOf(5, "f")}, want: "[{0 a} {1 b} {2 c} {5 f}]", next: 6, skipped: "[3 5)"},
		"before Kafka 0.11":      {high: 9, records: [][]byte{oldMessage(0), batchOf(1, "b")}, want: "[{1 b}]", next: 2, skipped: "[0 1)"},
		"more records than said": {high: 9, records: [][]byte{encode(0, 0, -1, 0, record{0, "a"}, record{1, "b"})}, want: "[{0 a}]", next: 1, skipped: "[0 1)"},
		"transactions": {high: 20, aborted: []transaction{{7, 2}}, records: [][]byte{
			encode(0, 0x10, 7, 0, record{0, "a"}), encode(1, 0x30, 7, 0, record{1, "commit"}),
			encode(2, 0x10, 7, 0, record{2, "aborted"}), encode(3, 0x10, 8, 0, record{3, "b"}), batchOf(4, "c"), encode(5, 0x30, 7, 0, record{5, "abort"}),
			encode(6, 0x10, 7, 0, record{6, "d"}), encode(7, 0x30, 7, 0, record{7, "commit"}),
		}, want: "[{0 a} {3 b} {4 c} {6 d}]", next: 8},
	} {
		t.Run(name, func(t *testing.T) {
			r := answer(c.offset, c.high, c.aborted, c.records...)
			if got := fmt.Sprint(read(r)); got != c.want || r.Next != c.next {
				t.Errorf("records %s, next %d, want %s, %d", got, r.Next, c.want, c.next)
			}
			skipped := ""
			for _, s := range r.Skipped() {
				skipped += fmt.Sprintf("[%d %d)", s.First, s.Next)
			}
			if skipped != c.skipped {
				t.Errorf("skipped %s, want %s", skipped, c.skipped)
			}
		})
	}
}

// oldMessage is a message of the form that Kafka wrote before 0.11.
func oldMessage(offset int64) []byte {
	body := append(make([]byte, 4), 1, 0)                                  // no checksum, magic, attributes
	body = append(body, make([]byte, 8)...)                                // time
	body = append(body, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 3, 'o', 'l', 'd') // no key
	b := binary.BigEndian.AppendUint64(nil, uint64(offset))
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

func TestStoppingEarly(t *testing.T) {
	r := answer(0, 5, nil, batchOf(0, "a", "b"), batchOf(2, "c"))
	for offset := range r.Records() {
		if offset == 1 {
			break
		}
		if offset > 1 {
			t.Errorf("record %d after the end", offset)
		}
	}
}

func TestCaughtUp(t *testing.T) {
	sent := time.Now()
	for name, c := range map[string]struct {
		r    *Response
		took time.Duration
		want time.Duration // since sent; negative: not caught up
	}{
		"more to come":                 {answer(0, 5, nil, batchOf(0, "a")), 0, -1},
		"all read":                     {answer(0, 1, nil, batchOf(0, "a")), time.Second, 0},
		"nothing came while it waited": {answer(5, 5, nil), 2 * time.Second, time.Second},
		"nothing, said at once":        {answer(5, 5, nil), time.Millisecond, 0},
		"an open transaction":          {answer(5, 7, nil), 2 * time.Second, -1},
	} {
		c.r.request.MaxWait, c.r.sent, c.r.received = time.Second, sent, sent.Add(c.took)
		at, ok := c.r.CaughtUp()
		if ok != (c.want >= 0) || ok && at.Sub(sent) != c.want {
			t.Errorf("%s: %v after sending, %v", name, at.Sub(sent), ok)
		}
	}
}

// FuzzRecords feeds damaged batches: whatever comes, reading must end, go forward and stay within bounds. Checksums are
// made right, so that the parser sees the damage.
func FuzzRecords(f *testing.F) {
	f.Add(batchOf(0, "a", "bb", "ccc"), int64(0), true)
	f.Add(encode(0, 0x30, 7, 0, record{0, "x"}), int64(0), true)
	f.Add(slices.Concat(batchOf(0, "a"), batchOf(1, "b"))[:80], int64(1), false)
	f.Add(oldMessage(3), int64(3), false)
	for codec := range int16(8) {
		f.Add(encode(0, codec, -1, 0, record{0, "compressed?"}), int64(0), true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, offset int64, repair bool) {
		if offset < 0 {
			return
		}
		if repair {
			for b := range batches(raw) {
				if b.whole() && len(b) >= batchHeader {
					binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[crcStart:], castagnoli))
				}
			}
		}
		const beyond = 1000
		high := offset + beyond
		r := answer(offset, high, []transaction{{7, 0}}, raw)
		if r.Next < offset || r.Next > max(high, offset+1) || len(raw) >= deltaEnd && r.Next == offset && stuck(raw) {
			t.Fatalf("next is %d after %d", r.Next, offset)
		}
		n := 0
		for o, v := range r.Records() {
			if n++; o < offset || o >= r.Next || len(v) > len(raw)+r.inflater.limit || n > len(raw)+r.inflater.limit {
				t.Fatalf("record %d, %d bytes", o, len(v))
			}
		}
		for _, s := range r.Skipped() {
			if s.First < offset || s.Next > max(high, offset+1) {
				t.Fatalf("skipped %+v", s)
			}
		}
	})
}

// stuck reports whether the same fetch would bring the same incomplete batch again.
func stuck(raw []byte) bool {
	for b := range batches(raw) {
		return !b.whole()
	}
	return false
}

// FuzzDecode feeds damaged responses.
func FuzzDecode(f *testing.F) {
	good := make([]byte, 0, 200)
	good = binary.BigEndian.AppendUint32(good, 1) // id
	good = binary.BigEndian.AppendUint32(good, 0) // throttle
	good = append(good, 0, 0, 0, 0, 0, 0)         // error, session
	good = binary.BigEndian.AppendUint32(good, 1)
	good = append(good, 0, 1, 't')
	good = binary.BigEndian.AppendUint32(good, 1)
	good = append(good, make([]byte, 4+2+8+8+8)...)
	good = binary.BigEndian.AppendUint32(good, 0)
	good = append(good, 0xff, 0xff, 0xff, 0xff)
	records := batchOf(0, "a")
	good = binary.BigEndian.AppendUint32(good, uint32(len(records)))
	f.Add(append(good, records...), int16(11))
	f.Add(good[:40], int16(4))
	f.Fuzz(func(t *testing.T, body []byte, version int16) {
		r := &Response{request: Fetch{Topic: "t"}, inflater: &inflater{limit: 1 << 16}}
		if r.decode(body, max(minFetch, min(maxFetch, version)), 1) == nil {
			read(r)
		}
	})
}

func TestKeysAndHeaders(t *testing.T) {
	x := kmsg.Record{Key: []byte("k"), Value: []byte("v"), Headers: []kmsg.Header{{Key: "a", Value: []byte("1")}, {Key: "", Value: nil}, {Key: "a", Value: []byte("2")}}}
	body := x.AppendTo(nil)
	x.Length = int32(len(body) - 1)
	first := x.AppendTo(nil)
	y := kmsg.Record{OffsetDelta: 1, Value: []byte("w")}
	body = y.AppendTo(nil)
	y.Length = int32(len(body) - 1)
	b := kmsg.RecordBatch{Length: int32(49 + len(first) + int(y.Length) + 1), Magic: 2, LastOffsetDelta: 1, ProducerID: -1, NumRecords: 2, Records: y.AppendTo(first)}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], castagnoli))
	r := answer(0, 2, nil, raw)
	got := ""
	for _, value := range r.Records() {
		got += fmt.Sprintf("%s key %q", value, r.Key())
		for name, value := range r.Headers() {
			got += fmt.Sprintf(" %s=%s", name, value)
		}
		got += "; "
	}
	if want := `v key "k" a=1 = a=2; w key ""; `; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	r.headers = []byte{4, 2, 'a', 2, '1', 9} // the second one is cut off
	n := 0
	for range r.Headers() {
		n++
	}
	if n != 1 {
		t.Errorf("%d headers of a damaged record", n)
	}
}
