package detector

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
)

// usual is what one entity mostly comes to under one rule: the typical peak of the windows in which it was active.
//
// Each peak moves the estimate by at most a tenth of it, more while it is new: a clipped mean (Huber, Robust Statistics, 1981,
// section 3.2), which one wild window cannot move far. A window that ends above the rule's limit does not move it at all, so
// that misuse is never usual. It lives as long as the rest of the state does.
type usual struct {
	until   uint32 // Unix seconds: the end of the window
	peak    float32
	typical float32
	windows uint16
}

// leastWindows is how many windows there must have been before anything is called usual.
const leastWindows = 10

const usualSize = int(unsafe.Sizeof(usual{}))

// see takes the value of the window that ends at now.
func (u *usual) see(value, limit float64, now event.Time, width int64) {
	v := float32(value)
	if second := uint32(max(0, now) / 1000); second >= u.until {
		u.learn(limit)
		u.until, u.peak = second+uint32(max(1, width/1000)), v
		return
	}
	u.peak = max(u.peak, v)
}

func (u *usual) learn(limit float64) {
	if u.until == 0 || float64(u.peak) > limit {
		return
	}
	bound := max(u.typical/float32(min(u.windows+1, leastWindows)), 0.5)
	if u.windows == 0 {
		bound = u.peak
	}
	u.typical += max(-bound, min(bound, u.peak-u.typical))
	u.windows += uint16(b2u(u.windows < math.MaxUint16))
}

// known reports whether there were enough windows.
func (u *usual) known() bool { return u.windows >= leastWindows }

// text is what a sentence says after the limit.
func (u *usual) text(format func(float64) string) string {
	if !u.known() {
		return ""
	}
	return ", usually " + format(math.Round(float64(u.typical)))
}

// baseline is what an alert says of it.
func (u *usual) baseline(a *alert.Alert) {
	if u.known() {
		a.Baseline = map[string]any{"usual": math.Round(float64(u.typical)), "windows": u.windows}
	}
}

const usualVersion = 1

// appendBinary writes it behind the rest of a state.
func (u *usual) appendBinary(b []byte) []byte {
	b = append(b, usualVersion)
	b = binary.AppendUvarint(b, uint64(u.until))
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(u.peak))
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(u.typical))
	return binary.AppendUvarint(b, uint64(u.windows))
}

// read takes it from the end of a state. What was written before there was any ends before it.
func (u *usual) read(b []byte) (rest []byte, err error) {
	if len(b) == 0 {
		return b, nil
	}
	r := wire.Reader{Rest: b}
	r.Version("what is usual", usualVersion)
	u.until = uint32(r.Uvarint())
	u.peak, u.typical = readFloat32(&r), readFloat32(&r)
	u.windows = uint16(r.Uvarint())
	return r.Rest, r.Err
}

func readFloat32(r *wire.Reader) float32 {
	b := r.Bytes(4)
	if len(b) < 4 {
		return 0
	}
	f := math.Float32frombits(binary.LittleEndian.Uint32(b))
	if f != f || f < 0 || math.IsInf(float64(f), 1) {
		return 0
	}
	return f
}
