package detector

import (
	"cmp"
	"slices"
	"strings"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

// Description is everything that is known of one entity, for people and for programs: the JSON names are stable.
type Description struct {
	Kind     string      `json:"kind"` // the fields joined by "+"
	ID       string      `json:"id"`   // their values joined by "|"
	LastSeen alert.Time  `json:"last_seen"`
	AsOf     alert.Time  `json:"as_of"` // the watermark, at which windows end
	Bytes    int         `json:"bytes"` // of memory that it takes
	Rules    []Knowledge `json:"rules"` // in the order of the rule set; only those that know something
}

// Knowledge is what one rule knows of an entity.
type Knowledge struct {
	Rule    string `json:"rule"`
	Title   string `json:"title"`
	Detect  string `json:"detect"`
	Shadow  bool   `json:"shadow,omitempty"`
	Summary string `json:"summary"`

	// Detail is what the summary says in figures; what is in it depends on Detect.
	Detail map[string]any `json:"detail"`

	// Suspicion and Alert are nil when there is none. An entity is suspicious from half the limit on; an alert takes the place
	// of the suspicion.
	Suspicion *Suspicion `json:"suspicion,omitempty"`
	Alert     *OpenAlert `json:"alert,omitempty"`
}

// Suspicion is a stretch of events that have not led to an alert.
type Suspicion struct {
	Since    alert.Time `json:"since"`
	Evidence int        `json:"evidence"` // number of events kept as evidence
}

// OpenAlert is an alert that was raised and not closed.
type OpenAlert struct {
	ID        string     `json:"id"`
	Version   int        `json:"version"`
	Summary   string     `json:"summary"` // of its worst, in the words of the alert
	FirstSeen alert.Time `json:"first_seen"`
	LastSeen  alert.Time `json:"last_seen"`
	Value     float64    `json:"value"` // the worst
	Limit     float64    `json:"limit"`
	Evidence  int        `json:"evidence"`
}

// explanation is what a detection says of a state. Its words are those of the alerts.
type explanation struct {
	Summary string
	Detail  map[string]any
}

// Describe returns what is known of an entity. It is for an engine that is looked at, not for one at work: it looks at every
// window, and what has left one is dropped.
func (e *Engine) Describe(kind, id string) (Description, bool) {
	p := e.program.Load()
	i := p.group(kind)
	if i < 0 {
		return Description{}, false
	}
	key := p.groups[i].key(id)
	n := e.lanes[key.Hi>>e.shift].tables[i].get(key)
	if n == nil {
		return Description{}, false
	}
	return e.describe(kind, n), true
}

// EachEntity calls each with what is known of every entity, in the order of kind and id, until it returns false; if kinds are
// named, with those alone. See [Engine.Describe].
func (e *Engine) EachEntity(each func(Description) bool, kinds ...string) {
	p := e.program.Load()
	for _, kind := range e.Kinds() {
		if len(kinds) > 0 && !slices.Contains(kinds, kind) {
			continue
		}
		for _, n := range e.sorted(p.group(kind)) {
			if !each(e.describe(kind, n)) {
				return
			}
		}
	}
}

// Kinds lists the kinds of entities that the rules watch, sorted.
func (e *Engine) Kinds() []string {
	var kinds []string
	for _, g := range e.program.Load().groups {
		kinds = append(kinds, g.kind)
	}
	slices.Sort(kinds)
	return kinds
}

// Similar returns at most most ids of entities that contain the text, sorted: for whoever mistyped one.
func (e *Engine) Similar(kind, text string, most int) (ids []string) {
	i := e.program.Load().group(kind)
	if i < 0 || text == "" {
		return nil
	}
	text = strings.ToLower(text)
	for _, n := range e.sorted(i) {
		if len(ids) == most {
			break
		}
		if strings.Contains(strings.ToLower(n.name), text) {
			ids = append(ids, n.name)
		}
	}
	return ids
}

func (e *Engine) sorted(group int) (all []*entity) {
	for _, l := range e.lanes {
		all = append(all, l.tables[group].all()...)
	}
	slices.SortFunc(all, func(a, b *entity) int { return cmp.Compare(a.name, b.name) })
	return all
}

// describe says what the rules know as of the watermark, or as of the entity's last event when everything was applied as if
// nothing would ever come again.
func (e *Engine) describe(kind string, n *entity) Description {
	p, now := e.program.Load(), e.watermark
	if now == endOfTime || now == noTime {
		now = n.seen
	}
	d := Description{Kind: kind, ID: n.name, LastSeen: alert.Time(n.seen), AsOf: alert.Time(now), Bytes: int(n.bytes), Rules: []Knowledge{}}
	for _, w := range p.rules {
		if c := n.find(w.slot); c != nil {
			d.Rules = append(d.Rules, w.knowledge(c, n, now))
		}
	}
	return d
}

func (w *watch) knowledge(c *cell, n *entity, now event.Time) Knowledge {
	x := w.detection.explain(c.state, now)
	k := Knowledge{
		Rule: w.rule.ID, Title: w.rule.Title, Detect: w.rule.Detection.Kind(), Shadow: w.shadow, Summary: x.Summary, Detail: x.Detail,
	}
	switch ep := c.episode; {
	case ep == nil:
	case ep.version == 0:
		k.Suspicion = &Suspicion{Since: alert.Time(ep.firstSeen), Evidence: len(ep.evidence)}
	default:
		k.Alert = w.openAlert(c, n)
	}
	return k
}

func (w *watch) openAlert(c *cell, n *entity) *OpenAlert {
	ep := c.episode
	a := alert.Alert{Entity: alert.Entity{Kind: w.kind, ID: n.name}, Evidence: ep.evidence}
	w.describe(&a, c.state, ep.worst)
	return &OpenAlert{
		ID: alert.NewID(w.rule.ID, a.Entity, alert.Time(ep.opened)), Version: ep.version, Summary: a.Summary,
		FirstSeen: alert.Time(ep.firstSeen), LastSeen: alert.Time(ep.lastSeen),
		Value: ep.worst.value, Limit: ep.worst.limit, Evidence: len(ep.evidence),
	}
}

// KnownRule is a rule that a checkpoint knows, or that a rule set has.
type KnownRule struct {
	ID     string     `json:"id"`
	Title  string     `json:"title"`
	Kind   string     `json:"kind"` // of entity
	Shadow bool       `json:"shadow,omitempty"`
	Status RuleStatus `json:"status"`
}

// RuleStatus is what becomes of what a checkpoint knows under a rule when it is restored with a rule set.
type RuleStatus string

// The statuses of a rule.
const (
	RuleKept    RuleStatus = "kept"    // the set has the rule, and it means the same
	RuleChanged RuleStatus = "changed" // the set has a rule of that name that means something else: it starts afresh
	RuleRemoved RuleStatus = "removed" // the set has no rule of that name
	RuleNew     RuleStatus = "new"     // the checkpoint does not know it
)

// KnownRules compares the rules of a checkpoint's meta data ([Cut.Meta]) with a rule set, sorted by id.
func KnownRules(set *rules.Set, encoded []byte) ([]KnownRule, error) {
	m, err := readMeta(encoded)
	if err != nil {
		return nil, err
	}
	fingerprints, known := map[[16]byte]bool{}, map[string]bool{}
	for _, r := range set.Rules {
		fingerprints[r.Fingerprint] = true
	}
	var all []KnownRule
	for _, r := range m.Rules {
		known[r.Rule.ID] = true
		k := KnownRule{ID: r.Rule.ID, Title: r.Rule.Title, Kind: r.Kind, Shadow: r.Shadow, Status: RuleKept}
		switch {
		case fingerprints[r.Fingerprint]:
		case set.ByID(r.Rule.ID) != nil:
			k.Status = RuleChanged
		default:
			k.Status = RuleRemoved
		}
		all = append(all, k)
	}
	for _, r := range set.Rules {
		if !known[r.ID] {
			all = append(all, KnownRule{ID: r.ID, Title: r.Title, Kind: r.EntityKind(), Shadow: r.Mode == rules.Shadow, Status: RuleNew})
		}
	}
	slices.SortFunc(all, func(a, b KnownRule) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}
