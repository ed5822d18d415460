package detector

import (
	"cmp"
	"slices"
	"unsafe"

	"github.com/gatewatch/gatewatch/detector/event"
)

// sequenceState is how far one entity has come. All its memory is used again when a sequence is over.
type sequenceState struct {
	d      *sequence
	tracks []track    // of the steps that are not absent, in their order; nil before the first of them
	newest event.Time // of any step
	// avoided is when an absent step before the first one came last.
	avoided event.Time
	// waiting is a chain that is complete but for the absent step after it, which must not come before due.
	waiting chain
	due     event.Time
	// armed is the time of the timer that is set, 0 when there is none: there is one at a time, however often a chain begins to wait.
	armed event.Time
}

// track is what is known of one step.
type track struct {
	// reached is the chain with the latest start of those that have come to the end of this step. With any order it is the step alone,
	// and its start that of the step's last requests.
	reached chain
	// starts is of steps that take several requests: of each of the last ones, the start of the chain that it went on with.
	starts ring
	// before is the chain that the oldest of starts belongs to, for the alert.
	before chain
}

// chain is a number of requests that are steps one after the other.
type chain struct {
	start  event.Time   // of the first request; noTime: there is none
	at     []event.Time // of the last request of each step; noTime where it is not known
	proofs []byte       // of the same requests: a byte that says whether it is known, and a proof
}

func (c *chain) clear() { c.start, c.at, c.proofs = noTime, c.at[:0], c.proofs[:0] }

func (c *chain) copy(from *chain) {
	c.start, c.at, c.proofs = from.start, append(c.at[:0], from.at...), append(c.proofs[:0], from.proofs...)
}

func (c *chain) add(o observation) {
	c.at = append(c.at, o.event.Time)
	c.proofs = appendProof(append(c.proofs, 1), o)
}

// ring holds the last times, up to a number that is given at each use.
type ring struct {
	times []event.Time
	head  int // of the oldest, once it is full
}

// push adds t. Times that are not known are not kept before the first that is: no entry says the same.
func (r *ring) push(t event.Time, n int) {
	switch {
	case len(r.times) == 0 && t == noTime:
	case len(r.times) < n:
		r.times = append(r.times, t)
	default:
		r.times[r.head] = t
		r.head = (r.head + 1) % n
	}
}

// oldest is the n-th last time.
func (r *ring) oldest(n int) event.Time {
	if n == 0 || len(r.times) < n {
		return noTime
	}
	return r.times[r.head]
}

func (s *sequenceState) observe(o observation) finding {
	f := s.settle(o.now) // normally the timer came first
	if s.d.spec.Ends(o.event) {
		s.restart()
		return f
	}
	if step := s.d.spec.Step(o.event); step >= 0 {
		return s.take(s.d.places[step], s.d.spec.Steps[step].Absent, o, f)
	}
	return f
}

func (s *sequenceState) take(place int, absent bool, o observation, f finding) finding {
	if s.tracks == nil && place > 0 && !s.d.spec.AnyOrder {
		return f // nothing has begun that it could go on with or keep from going on
	}
	s.newest = max(s.newest, o.event.Time)
	switch {
	case absent:
		s.avoid(place, o.event.Time)
		return f
	case s.tracks == nil:
		s.tracks = newTracks(len(s.d.taken))
	}
	if s.d.spec.AnyOrder {
		return s.gather(place, o)
	}
	return s.advance(place, o, f)
}

func newTracks(n int) []track {
	tracks := make([]track, n)
	for i := range tracks {
		tracks[i].reached.start, tracks[i].before.start = noTime, noTime
	}
	return tracks
}

// avoid takes an absent step in: what it comes after cannot go on with what it comes before.
func (s *sequenceState) avoid(place int, at event.Time) {
	switch {
	case place == 0:
		s.avoided = max(s.avoided, at)
	case place == len(s.d.taken):
		s.waiting.clear()
	default:
		s.tracks[place-1].reached.clear()
	}
}

// advance takes a step in where the order is strict.
func (s *sequenceState) advance(place int, o observation, f finding) finding {
	t := &s.tracks[place]
	start := s.source(place, o.event.Time)
	if n := s.d.times(place); n > 1 {
		t.starts.push(start, n)
		start = t.starts.oldest(n)
		s.remember(place)
	}
	// The chain that is there already is as good as another one with the same start, and better than one with an earlier start.
	better, last := start > t.reached.start && s.d.live(start, o.event.Time), place == len(s.tracks)-1
	if better {
		t.reached.start = start
	}
	if !better && !last || !s.d.live(t.reached.start, o.event.Time) {
		return f
	}
	s.trace(place, o)
	if !last {
		return f
	}
	return s.complete(o, f)
}

// source is the start of the chain that a step at the place goes on with.
func (s *sequenceState) source(place int, now event.Time) event.Time {
	if place > 0 {
		if start := s.tracks[place-1].reached.start; s.d.live(start, now) {
			return start
		}
		return noTime
	}
	if s.d.live(s.avoided, now) {
		return noTime
	}
	return now
}

// remember keeps the chain that the oldest request of the step at the place went on with.
func (s *sequenceState) remember(place int) {
	if place == 0 {
		return
	}
	t := &s.tracks[place]
	oldest := t.starts.oldest(len(t.starts.times))
	if previous := &s.tracks[place-1].reached; oldest != noTime && t.before.start != oldest && previous.start == oldest {
		t.before.copy(previous)
	}
}

// trace writes down how the chain at the place, whose start is known, has come there.
func (s *sequenceState) trace(place int, o observation) {
	c := &s.tracks[place].reached
	c.at, c.proofs = c.at[:0], c.proofs[:0]
	if place > 0 {
		from := &s.tracks[place-1].reached
		if s.d.times(place) > 1 {
			from = &s.tracks[place].before
		}
		if from.start == c.start {
			c.copy(from)
		} else {
			s.forget(c, place)
		}
	}
	c.add(o)
}

// forget notes that nothing but the start of a chain is known of the steps before the place.
func (s *sequenceState) forget(c *chain, place int) {
	for i := range place {
		at := noTime
		if i == 0 && s.d.times(0) == 1 {
			at = c.start
		}
		c.at, c.proofs = append(c.at, at), append(c.proofs, 0)
	}
}

// complete takes in that the last step is done.
func (s *sequenceState) complete(o observation, f finding) finding {
	last := &s.tracks[len(s.tracks)-1].reached
	if s.d.places[len(s.d.places)-1] != len(s.d.taken) { // no step is absent after it
		f = s.d.finding(last, false)
		s.restart()
		return f
	}
	if s.waiting.start == noTime {
		s.waiting.copy(last)
		s.due = o.event.Time + s.d.within
		if s.armed == 0 {
			s.armed, f.wakeAt = s.due, s.due
		}
	}
	if s.d.times(len(s.tracks)-1) == 1 {
		last.clear() // of several requests any later one can be the last; a single one must go on with what is there then
	}
	return f
}

// gather takes a step in where the order is any.
func (s *sequenceState) gather(place int, o observation) finding {
	t := &s.tracks[place]
	t.reached.clear()
	t.reached.start = o.event.Time
	if n := s.d.times(place); n > 1 {
		t.starts.push(o.event.Time, n)
		t.reached.start = t.starts.oldest(n)
	}
	if t.reached.start != noTime {
		t.reached.add(o)
	}
	for i := range s.tracks {
		if !s.d.live(s.tracks[i].reached.start, o.event.Time) {
			return finding{}
		}
	}
	f := s.d.finding(s.together(place), false)
	s.restart()
	return f
}

// together makes one chain of all steps, with the proofs in the order of their times and that of the last place at the end.
func (s *sequenceState) together(last int) *chain {
	all := chain{start: endOfTime}
	order := make([]int, len(s.tracks))
	for i := range s.tracks {
		c := &s.tracks[i].reached
		all.start = min(all.start, c.start)
		all.at = append(all.at, c.at...)
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(all.at[a], all.at[b]), cmp.Compare(b2u(a == last), b2u(b == last)), cmp.Compare(a, b))
	})
	for _, i := range order {
		all.proofs = append(all.proofs, s.tracks[i].reached.proofs...)
	}
	return &all
}

// restart forgets what has begun.
func (s *sequenceState) restart() {
	s.waiting.clear()
	for i := range s.tracks {
		t := &s.tracks[i]
		t.reached.clear()
		t.before.clear()
		t.starts = ring{times: t.starts.times[:0]}
	}
}

// settle concludes from the time that has passed.
func (s *sequenceState) settle(now event.Time) finding {
	if s.armed <= now {
		s.armed = 0
	}
	if s.waiting.start == noTime || s.due > now {
		return finding{}
	}
	f := s.d.finding(&s.waiting, true)
	s.restart()
	return f
}

func (s *sequenceState) wake(now event.Time) finding {
	f := s.settle(now)
	if s.waiting.start != noTime && s.armed == 0 {
		s.armed, f.wakeAt = s.due, s.due
	}
	return f
}

func (s *sequenceState) wakesAt() event.Time { return s.armed }

// seen is how many of the requests that the step at a place takes have come.
func (s *sequenceState) seen(place int, now event.Time) (n int) {
	switch {
	case s.waiting.start != noTime:
		return s.d.times(place)
	case s.tracks == nil:
		return 0
	}
	t := &s.tracks[place]
	if s.d.live(t.reached.start, now) {
		return s.d.times(place)
	}
	for _, start := range t.starts.times {
		n += int(b2u(s.d.live(start, now)))
	}
	return n
}

func (s *sequenceState) touch() int {
	n := int(s.newest)
	for i := range s.tracks {
		n += int(s.tracks[i].reached.start)
	}
	return n
}

func (s *sequenceState) idle(now event.Time) bool {
	return s.waiting.start == noTime && !s.d.live(s.newest, now)
}

func (s *sequenceState) size() int {
	n := int(unsafe.Sizeof(*s)) + s.waiting.size() + len(s.tracks)*int(unsafe.Sizeof(track{}))
	for i := range s.tracks {
		t := &s.tracks[i]
		n += t.reached.size() + t.before.size() + room(len(t.starts.times))*int(unsafe.Sizeof(noTime))
	}
	return n
}

func (c *chain) size() int { return room(len(c.at))*int(unsafe.Sizeof(noTime)) + room(len(c.proofs)) }
