package detector

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
)

// The encoding of an entity: kind, name, time, and for each rule that knows it the state and the episode, each with its
// length, so that what belongs to a rule that is gone can be passed over.

func (n *entity) appendBinary(b []byte, p *program, scratch *[]byte) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(n.kind))
	b = wire.AppendString(b, n.name)
	b = binary.AppendVarint(b, int64(n.seen))
	b = binary.AppendUvarint(b, uint64(n.bytes))
	b = binary.AppendUvarint(b, uint64(n.hits))
	b = binary.AppendUvarint(b, uint64(len(n.cells)))
	for i := range n.cells {
		var err error
		if b, err = n.cells[i].appendBinary(b, p, scratch); err != nil {
			return nil, fmt.Errorf("encode what rule %s knows of an entity: %w", p.bySlot[n.cells[i].slot].rule.ID, err)
		}
	}
	return b, nil
}

func (c *cell) appendBinary(b []byte, p *program, scratch *[]byte) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(c.slot))
	encoded, err := c.state.appendBinary((*scratch)[:0])
	if err != nil {
		return nil, err
	}
	*scratch = encoded
	b = binary.AppendUvarint(b, uint64(len(encoded)))
	b = append(b, encoded...)
	if c.episode == nil {
		return append(b, 0), nil
	}
	encoded, err = c.episode.appendBinary((*scratch)[:0], p.bySlot[c.slot].detection)
	if err != nil {
		return nil, err
	}
	*scratch = encoded
	b = binary.AppendUvarint(b, uint64(len(encoded)))
	return append(b, encoded...), nil
}

const episodeVersion = 1

func (ep *episode) appendBinary(b []byte, d detection) ([]byte, error) {
	b = append(b, episodeVersion)
	b = binary.AppendUvarint(b, uint64(ep.version))
	for _, t := range []event.Time{ep.opened, ep.firstSeen, ep.lastSeen} {
		b = binary.AppendVarint(b, int64(t))
	}
	b = binary.AppendUvarint(b, uint64(ep.hits))
	b = wire.AppendFloat(b, ep.escalate)
	b = ep.worst.appendBinary(b, d)
	b = binary.AppendUvarint(b, uint64(ep.skipped))
	for _, values := range ep.related {
		b = wire.AppendStrings(b, values)
	}
	evidence, err := json.Marshal(ep.evidence)
	if err != nil {
		return nil, fmt.Errorf("encode evidence: %w", err)
	}
	return wire.AppendBytes(b, evidence), nil
}

// appendBinary leaves out what no alert that is still to come can need: the piece of evidence and the time to wake at.
func (f *finding) appendBinary(b []byte, d detection) []byte {
	b = wire.AppendFloat(b, f.value)
	b = wire.AppendFloat(b, f.limit)
	b = wire.AppendFloat(b, f.err)
	b = wire.AppendBool(b, f.growing)
	return d.appendDetail(b, f.detail)
}

func readEpisode(b []byte, d detection, known *interner) (*episode, error) {
	r := wire.Reader{Rest: b}
	ep := readEpisodeHead(&r)
	ep.worst.detail = d.readDetail(&r, known)
	ep.skipped = int(r.Uvarint())
	for i := range ep.related {
		ep.related[i] = r.Strings()
	}
	evidence := r.Bytes(r.Count(1))
	if r.Err != nil || len(r.Rest) > 0 {
		return nil, fmt.Errorf("episode: %w", wire.ErrCorrupt)
	}
	if err := json.Unmarshal(evidence, &ep.evidence); err != nil {
		return nil, fmt.Errorf("%w: %w", wire.ErrCorrupt, err)
	}
	return ep, nil
}

// entityReader decodes entities of one lane for a program.
type entityReader struct {
	known interner
	kinds []string // by number
	slots map[slotID]*remembered
	now   event.Time // of the checkpoint
}

// remembered is a rule that what was encoded knows.
type remembered struct {
	Rule   alert.Rule
	Kind   string // of entity
	Shadow bool
	watch  *watch // nil: the rule is gone or has changed
}

// read takes an entity from r. Its key is not set.
//
// closed is the last versions of its alerts that were open under rules that are gone.
func (er *entityReader) read(r *wire.Reader) (n *entity, kind string, closed []*alert.Alert, err error) {
	number := r.Uvarint()
	n = &entity{kind: uint16(number), name: r.String(), seen: event.Time(r.Varint()), bytes: uint32(r.Uvarint()), hits: uint16(r.Uvarint())}
	count := r.Count(3)
	if r.Err != nil || number >= uint64(len(er.kinds)) {
		return nil, "", nil, fmt.Errorf("entity: %w", wire.ErrCorrupt)
	}
	n.cells = make([]cell, 0, count)
	for range count {
		a, err := er.readCell(r, n)
		if err != nil {
			return nil, "", nil, err
		}
		if a != nil {
			closed = append(closed, a)
		}
	}
	if len(n.cells) < count {
		n.bytes = n.measured()
	}
	return n, er.kinds[number], closed, nil
}

func (er *entityReader) readCell(r *wire.Reader, n *entity) (closed *alert.Alert, err error) {
	slot := slotID(r.Uvarint())
	encoded := r.Bytes(r.Count(1))
	episode := r.Bytes(r.Count(1))
	rule := er.slots[slot]
	switch {
	case r.Err != nil:
		return nil, fmt.Errorf("entity: %w", wire.ErrCorrupt)
	case rule == nil:
		return nil, nil // of a rule that was gone already when the checkpoint was made
	case rule.watch == nil:
		return er.readGone(rule, n, episode)
	}
	c, err := er.decode(rule.watch, encoded, episode)
	if err != nil {
		return nil, fmt.Errorf("what rule %s knows of an entity: %w", rule.Rule.ID, err)
	}
	n.cells = append(n.cells, c)
	return nil, nil
}

func (er *entityReader) decode(w *watch, encoded, episode []byte) (c cell, err error) {
	c = cell{slot: w.slot, index: uint16(w.index)}
	var rest []byte
	if c.state, rest, err = w.detection.decode(encoded, &er.known); err != nil || len(rest) > 0 {
		return c, orCorrupt(err)
	}
	if len(episode) > 0 {
		c.episode, err = readEpisode(episode, w.detection, &er.known)
	}
	return c, err
}

func orCorrupt(err error) error {
	if err == nil {
		return wire.ErrCorrupt
	}
	return err
}

// readGone looks at an episode of a rule that is gone: what it needs is to be told over.
func (er *entityReader) readGone(rule *remembered, n *entity, encoded []byte) (*alert.Alert, error) {
	if len(encoded) == 0 || rule.Shadow {
		return nil, nil
	}
	r := wire.Reader{Rest: encoded}
	ep := readEpisodeHead(&r)
	if r.Err != nil || ep.version == 0 {
		return nil, r.Err
	}
	return ep.closed(n, rule, er.now), nil
}

// readEpisodeHead decodes what stands before anything that depends on the detection.
func readEpisodeHead(r *wire.Reader) *episode {
	r.Version("episode", episodeVersion)
	ep := &episode{version: int(r.Uvarint())}
	for _, t := range []*event.Time{&ep.opened, &ep.firstSeen, &ep.lastSeen} {
		*t = event.Time(r.Varint())
	}
	ep.hits, ep.escalate = int(r.Uvarint()), r.Float()
	ep.worst = finding{value: r.Float(), limit: r.Float(), err: r.Float(), growing: r.Bool(), over: true, suspicious: true}
	return ep
}

// closed is the last version of an alert whose rule is gone.
func (ep *episode) closed(n *entity, rule *remembered, now event.Time) *alert.Alert {
	entity := alert.Entity{Kind: rule.Kind, ID: strings.Clone(n.name)}
	return &alert.Alert{
		Schema: alert.SchemaVersion, ID: alert.NewID(rule.Rule.ID, entity, alert.Time(ep.opened)), Version: ep.version + 1,
		State: alert.Closed, Rule: rule.Rule, Entity: entity,
		FirstSeen: alert.Time(ep.firstSeen), LastSeen: alert.Time(ep.lastSeen), DetectedAt: alert.Time(now),
		Summary:  fmt.Sprintf("Closed: the rule was changed or removed while gatewatch was not running, so nothing more of %s is watched under it", shortText(n.name)),
		Observed: alert.Observed{Value: ep.worst.value, Exact: ep.worst.err == 0, Error: ep.worst.err, Limit: ep.worst.limit},
		Evidence: []alert.Evidence{}, Related: map[string][]string{},
	}
}
