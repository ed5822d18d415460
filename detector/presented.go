package detector

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unsafe"

	"github.com/zeebo/xxh3"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
	"github.com/gatewatch/gatewatch/rules"
)

// presented finds entities, tokens above all, that several environments, clients, networks of addresses or families of programs
// have within one window: what is copied is presented by more than one.
//
// The window at an event covers (time-window, time]. Of addresses the network counts, /24 for IPv4 and /48 for IPv6: what one
// household, office or site has is one. Of user agents the family counts, without versions. Up to 64 values are remembered; of
// more, the one that was not seen for longest is forgotten. A late event counts as long as its window is still there.
type presented struct {
	rule  *rules.Rule
	spec  *rules.Contracted
	width event.Time
}

const maxPresented = 64

func newPresented(r *rules.Rule, spec *rules.Contracted) *presented {
	return &presented{r, spec, event.Time(r.Window.Milliseconds())}
}

func (d *presented) newState() state { return &presentedState{d: d} }

// presence is one value of the entity.
type presence struct {
	key  uint64
	at   event.Time // newest
	name string     // "" for addresses, whose network is the key
}

type presentedState struct {
	d     *presented
	seen  []presence
	first [1]presence // where most entities have all of theirs
}

func (s *presentedState) observe(o observation) finding {
	s.expire(o.now)
	if o.event.Time > o.now-s.d.width {
		s.note(o.event)
	}
	n, limit := len(s.seen), s.d.spec.Limit
	f := finding{value: float64(n), limit: float64(limit), growing: true, over: n > limit, suspicious: n > 1 && 2*n >= limit}
	if f.suspicious {
		f.detail = s.names()
	}
	return f
}

// note remembers what the event presents, if it is known.
func (s *presentedState) note(e *event.Event) {
	var text string
	var room [64]byte
	switch s.d.spec.Several {
	case rules.SeveralAddresses:
		if key := addressKey(e); key != 0 {
			s.see(key, "", e.Time)
		}
		return
	case rules.SeveralAgents:
		text = unsafeString(event.AppendUserAgentFamily(room[:0], e.UserAgent))
	default:
		text = s.d.spec.Counts().Text(e)
	}
	if text != "" {
		s.see(xxh3.HashString(text), text, e.Time)
	}
}

func (s *presentedState) see(key uint64, text string, at event.Time) {
	for i := range s.seen {
		if s.seen[i].key == key {
			s.seen[i].at = max(s.seen[i].at, at)
			return
		}
	}
	p := presence{key: key, at: at}
	if text != "" {
		p.name = shortName(text)
	}
	if len(s.seen) < maxPresented {
		if s.seen == nil {
			s.seen = s.first[:0]
		}
		s.seen = append(s.seen, p)
		return
	}
	stale := 0
	for i := range s.seen {
		if s.seen[i].at < s.seen[stale].at {
			stale = i
		}
	}
	s.seen[stale] = p
}

// Numbers of address families in keys. Networks are the upper bits, so that a key can be named again; addresses that are
// pseudonyms have no network and count one by one.
const (
	keyIPv4   = 1
	keyIPv6   = 2
	keyHidden = 3
)

// addressKey is the network of the event's address, 0 if that is not known.
func addressKey(e *event.Event) uint64 {
	a := e.SourceIP.Unmap()
	switch {
	case a.Is4():
		b := a.As4()
		return uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | keyIPv4<<48
	case a.Is6():
		b := a.As16()
		return uint64(binary.BigEndian.Uint16(b[:2]))<<32 | uint64(binary.BigEndian.Uint32(b[2:6])) | keyIPv6<<48
	case e.IPText != "":
		return xxh3.HashString(e.IPText)&(1<<48-1) | keyHidden<<48
	}
	return 0
}

// networkName writes what [addressKey] made a key of.
func networkName(key uint64) string {
	switch key >> 48 {
	case keyIPv4:
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(key >> 24), byte(key >> 16), byte(key >> 8), 0}), 24).String()
	case keyIPv6:
		var b [16]byte
		binary.BigEndian.PutUint16(b[:2], uint16(key>>32))
		binary.BigEndian.PutUint32(b[2:6], uint32(key))
		return netip.PrefixFrom(netip.AddrFrom16(b), 48).String()
	}
	return "a hidden address"
}

// names lists what is remembered, sorted.
func (s *presentedState) names() []string {
	names := make([]string, len(s.seen))
	for i, p := range s.seen {
		names[i] = p.name
		if s.d.spec.Several == rules.SeveralAddresses {
			names[i] = networkName(p.key)
		}
	}
	slices.Sort(names)
	return names
}

func (d *presented) describe(a *alert.Alert, _ state, f finding) {
	a.Observed.Unit, a.Observed.Window = d.unit(), shortDuration(d.rule.Window)
	names, ok := f.detail.([]string)
	if !ok {
		return
	}
	a.Observed.Detail = map[string]any{"deviation": d.spec.Several.String(), "seen": names[:min(len(names), alert.MaxRelated)]}
	subject := a.Entity.ID
	if a.Entity.Kind == "token_id" {
		subject = "the token " + subject
	}
	a.Summary = fmt.Sprintf("%s %s %s %s in %s: %s (limit %d)", subject, d.verb(), d.amount(f.value), d.unit(), longDuration(d.rule.Window), few(names), d.spec.Limit)
}

func (d *presented) verb() string {
	switch d.spec.Several {
	case rules.SeveralEnvironments:
		return "was active in"
	case rules.SeveralAddresses:
		return "came from"
	}
	return "was presented by"
}

func (d *presented) unit() string {
	switch d.spec.Several {
	case rules.SeveralAddresses:
		return "networks of addresses"
	case rules.SeveralAgents:
		return "kinds of program"
	}
	return plural(d.spec.Counts())
}

// amount says that there may have been more than are remembered.
func (d *presented) amount(n float64) string {
	if n >= maxPresented {
		return number(n) + " or more"
	}
	return number(n)
}

const fewNames = 5

// few lists up to five names.
func few(names []string) string {
	if len(names) <= fewNames {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:fewNames], ", ") + " and " + one(len(names)-fewNames, "other", "others")
}

func (d *presented) explain(known state, now event.Time) explanation {
	s := known.(*presentedState)
	s.expire(now)
	names := s.names()
	x := explanation{Detail: map[string]any{
		"value": len(names), "limit": d.spec.Limit, "unit": d.unit(), "window": shortDuration(d.rule.Window), "seen": names[:min(len(names), alert.MaxRelated)],
	}}
	x.Summary = fmt.Sprintf("%s %s %s (limit %d)", number(float64(len(names))), d.unit(), inTheLast(d.rule.Window), d.spec.Limit)
	if len(names) > 0 {
		x.Summary += ": " + few(names)
	}
	return x
}

func (s *presentedState) expire(now event.Time) {
	for i := range s.seen {
		if s.seen[i].at <= now-s.d.width {
			s.seen = slices.DeleteFunc(s.seen, func(p presence) bool { return p.at <= now-s.d.width })
			return
		}
	}
}

func (s *presentedState) touch() int {
	if len(s.seen) == 0 {
		return 0
	}
	return int(s.seen[0].key)
}

func (s *presentedState) idle(now event.Time) bool {
	for i := range s.seen {
		if s.seen[i].at > now-s.d.width {
			return false
		}
	}
	return true
}

func (s *presentedState) size() int {
	n := int(unsafe.Sizeof(*s))
	if len(s.seen) > len(s.first) {
		n += room(len(s.seen)) * int(unsafe.Sizeof(presence{}))
	}
	for _, p := range s.seen {
		n += len(p.name)
	}
	return n
}

func (d *presented) appendDetail(b []byte, detail any) []byte {
	names, _ := detail.([]string)
	return wire.AppendStrings(b, names)
}

func (d *presented) readDetail(r *wire.Reader, _ *interner) any {
	if names := r.Strings(); len(names) > 0 {
		return names
	}
	return nil
}

const presentedVersion = 1

func (s *presentedState) appendBinary(b []byte) ([]byte, error) {
	b = binary.AppendUvarint(append(b, presentedVersion), uint64(len(s.seen)))
	for _, p := range s.seen {
		b = binary.LittleEndian.AppendUint64(b, p.key)
		b = wire.AppendString(binary.AppendVarint(b, int64(p.at)), p.name)
	}
	return b, nil
}

func (d *presented) decode(b []byte, _ *interner) (state, []byte, error) {
	r := wire.Reader{Rest: b}
	r.Version("contract", presentedVersion)
	s := &presentedState{d: d}
	for range r.Count(10) {
		s.seen = append(s.seen, presence{r.Uint64(), event.Time(r.Varint()), r.String()})
	}
	return s, r.Rest, r.Err
}
