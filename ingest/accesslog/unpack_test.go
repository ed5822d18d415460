package accesslog

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/gatewatch/gatewatch/ingest/arena"
)

// packed returns text in every compressed form.
func packed(tb testing.TB, text []byte) map[string][]byte {
	forms := map[string][]byte{"snappy block": snappy.Encode(nil, text), "xerial": xerial(text)}
	must := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(text)
	must(err)
	must(z.Close())
	forms["gzip"] = bytes.Clone(b.Bytes())
	b.Reset()
	s := snappy.NewBufferedWriter(&b)
	_, err = s.Write(text)
	must(err)
	must(s.Close())
	forms["snappy frames"] = bytes.Clone(b.Bytes())
	b.Reset()
	l := lz4.NewWriter(&b)
	_, err = l.Write(text)
	must(err)
	must(l.Close())
	forms["lz4"] = bytes.Clone(b.Bytes())
	encoder, err := zstd.NewWriter(nil)
	must(err)
	forms["zstd"] = encoder.EncodeAll(text, nil)
	must(encoder.Close())
	return forms
}

func xerial(text []byte) []byte {
	b := append([]byte("\x82SNAPPY\x00"), 0, 0, 0, 1, 0, 0, 0, 1)
	for len(text) > 0 {
		n := min(len(text), 1000)
		block := snappy.Encode(nil, text[:n])
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(block))), block...)
		text = text[n:]
	}
	return b
}

func TestCompressedRecords(t *testing.T) {
	d := newTestDecoder()
	for file, record := range sampleRecords(t) {
		want := rendered(newTestDecoder(), record)
		for form, b := range packed(t, record) {
			if form == "snappy block" && record[0] != '{' && record[0] != '[' {
				continue // it has no mark: only JSON is known
			}
			if got := rendered(d, b); got != want {
				t.Errorf("%s in %s gives\n%s\nwant\n%s", file, form, got, want)
			}
			for again, twice := range packed(t, b) {
				if again == "gzip" && rendered(d, twice) != want {
					t.Errorf("%s in %s in %s gives something else", file, form, again)
				}
			}
		}
	}
}

// TestCompressedRubbish cuts and changes compressed records: nothing comes of them but a problem.
func TestCompressedRubbish(t *testing.T) {
	d := newTestDecoder()
	for form, b := range packed(t, []byte(strings.Repeat(full+"\n", 20))) {
		for _, n := range []int{1, 5, 12, len(b) / 2, len(b) - 1} {
			var mem arena.Arena
			d.Decode(b[:n], &mem, nil)
			if len(d.Problems()) == 0 {
				t.Errorf("%s cut after %d bytes: no problem", form, n)
			}
		}
	}
}

func TestCompressedBombs(t *testing.T) {
	bomb := []byte("[" + strings.Repeat(full+",", 50_000) + "1]")
	for form, b := range packed(t, bomb) {
		var mem arena.Arena
		d := New(Options{Now: testNow, MaxUnpackedBytes: len(bomb) - 1, MaxRecordBytes: len(bomb)})
		if events := d.Decode(b, &mem, nil); len(events) > 0 || len(d.Problems()) != 1 || d.Problems()[0].Reason != TooLarge {
			t.Errorf("%s: %d events, %v", form, len(events), d.Problems())
		}
		if mem.Used() > 0 {
			t.Errorf("%s: %d bytes were kept", form, mem.Used())
		}
	}
	// A header that promises much must not be believed.
	for _, b := range []string{"\xff\xff\xff\xff\x0f\xf0{{", "\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x09\xff\xff\xff\xff\x0f\xf0{{{"} {
		var mem arena.Arena
		d := newTestDecoder()
		if d.Decode([]byte(b), &mem, nil); len(d.Problems()) == 0 {
			t.Errorf("%q: no problem", b)
		}
	}
}

// TestLargeWindow reads a frame of zstd that asks for much more memory than it fills: it is refused, for the memory would be kept
// by the decoder of each partition.
func TestLargeWindow(t *testing.T) {
	for size, want := range map[int]int{1 << 20: 1, 8 << 20: 1, 64 << 20: 0} {
		var b bytes.Buffer
		w, err := zstd.NewWriter(&b, zstd.WithWindowSize(size))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, `{"time":1795341600123,"method":"GET","path":"/a","status":200,"client_id":"c"}`)
		_ = w.Flush() // so that the frame does not say how short it is
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		var mem arena.Arena
		d := newTestDecoder()
		if got := len(d.Decode(b.Bytes(), &mem, nil)); got != want || len(d.Problems()) != 1-want {
			t.Errorf("a window of %d bytes gives %d events, problems %v", size, got, d.Problems())
		}
	}
}
