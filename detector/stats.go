package detector

// Stats is what the engine has done, for metrics.
type Stats struct {
	Events  uint64 // pushed
	Late    uint64 // that came behind the watermark of their partition
	Skipped uint64 // times that a rule left a late event out because order matters to it
	Pending int    // events that wait for the watermark
	Rules   []RuleStats
	Groups  []GroupStats
	// MaxBytes is the limit on the bytes of all groups together; 0: none.
	MaxBytes int64
}

// RuleStats is what one rule has done since it was loaded.
type RuleStats struct {
	ID      string
	Matches uint64 // events applied
	Alerts  uint64 // versions raised, shadow mode included
	Skipped uint64 // late events left out because their order matters to it
}

// GroupStats is what is known of one kind of entity.
type GroupStats struct {
	Kind              string
	Entities          int
	Bytes             int64
	Limit             int    // most entities; 0: any number
	Evicted           uint64 // to stay within limits, since the kind is watched by this engine
	EvictedSuspicious uint64 // of these, half at a limit or beyond, or with an open alert
}

// Stats returns the figures as of the last [Engine.Advance].
func (e *Engine) Stats() Stats {
	s := e.stats
	s.Rules = append([]RuleStats(nil), s.Rules...)
	s.MaxBytes = e.lanes[0].mostBytes * int64(len(e.lanes))
	p := e.program.Load()
	s.Groups = make([]GroupStats, len(p.groups))
	for i, g := range p.groups {
		s.Groups[i].Kind = g.kind
		for _, l := range e.lanes {
			s.Groups[i].Entities += l.tables[i].used
			s.Groups[i].Bytes += l.stats.bytes[i]
			s.Groups[i].Limit += l.pressures[i].limit
			s.Groups[i].Evicted += l.pressures[i].total.Count
			s.Groups[i].EvictedSuspicious += l.pressures[i].total.Suspicious
		}
	}
	return s
}

func (s *Stats) use(p *program) {
	s.Rules = make([]RuleStats, len(p.rules))
	for i, r := range p.rules {
		s.Rules[i].ID = r.rule.ID
	}
}

// reload carries the figures of rules that stay over to the new program.
func (s *Stats) reload(p *program) {
	before := map[string]RuleStats{}
	for _, r := range s.Rules {
		before[r.ID] = r
	}
	s.use(p)
	for i := range s.Rules {
		if old, ok := before[s.Rules[i].ID]; ok {
			s.Rules[i] = old
		}
	}
}

// add takes over what a lane has counted and lets it start at 0.
func (s *Stats) add(l *laneStats) {
	for i := range l.matches {
		s.Rules[i].Matches += l.matches[i]
		s.Rules[i].Alerts += l.raised[i]
		s.Rules[i].Skipped += l.skipped[i]
		s.Skipped += l.skipped[i]
	}
	clear(l.matches)
	clear(l.raised)
	clear(l.skipped)
}
