package rules

import (
	"fmt"
	"slices"
	"strings"
)

// pattern is a compiled route pattern.
//
// A pattern is compared segment by segment; empty segments do not count, so slashes at the end and double slashes change
// nothing. A literal segment matches itself, {name} and * match exactly one segment, * within a segment any run of its
// characters, and ** any number of segments, none included, wherever it stands.
type pattern struct {
	text     string // as written
	segments []segment
}

type segment struct {
	kind segmentKind
	text string // literal or glob
	glob glob   // for the exact comparison
	name string // of {name}
}

type segmentKind uint8

const (
	literalSegment segmentKind = iota
	globSegment                // one segment with stars in it
	anySegment                 // {name} or *
	manySegments               // **
)

const maxSegments = 32

func parsePattern(text string) (*pattern, error) {
	switch {
	case !strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "**"):
		return nil, fmt.Errorf("route pattern %q must begin with / or **", shorten(text))
	case strings.ContainsAny(text, "?#"):
		return nil, fmt.Errorf("route pattern %q has a query string: paths are matched without (use the field query.<name>)", shorten(text))
	}
	p := &pattern{text: text}
	for rest := text; ; {
		var part string
		if part, rest = cutSegment(rest); part == "" {
			break
		}
		s, err := parseSegment(part)
		if err != nil {
			return nil, fmt.Errorf("route pattern %q: %w", shorten(text), err)
		}
		if s.kind == manySegments && len(p.segments) > 0 && p.segments[len(p.segments)-1].kind == manySegments {
			continue
		}
		p.segments = append(p.segments, s)
	}
	if len(p.segments) > maxSegments {
		return nil, fmt.Errorf("route pattern %q has more than %d segments", shorten(text), maxSegments)
	}
	return p, p.checkNames()
}

func parseSegment(s string) (segment, error) {
	switch {
	case s == "**":
		return segment{kind: manySegments}, nil
	case s == "*":
		return segment{kind: anySegment}, nil
	case s == "." || s == "..":
		return segment{}, fmt.Errorf("%q is resolved before patterns are matched: it can never match", s)
	case strings.Contains(s, "**"):
		return segment{}, fmt.Errorf("** must be a segment of its own, not part of %q", s)
	case strings.ContainsAny(s, "{}"):
		name := strings.TrimSuffix(strings.TrimPrefix(s, "{"), "}")
		if len(name) != len(s)-2 || name == "" || strings.ContainsAny(name, "{}*") {
			return segment{}, fmt.Errorf("a parameter must be a whole segment such as {id}, not %q", s)
		}
		return segment{kind: anySegment, name: name}, nil
	case s[0] == ':' || s[0] == '<' && strings.HasSuffix(s, ">"):
		return segment{}, fmt.Errorf("a parameter is written {%s}, not %q", strings.Trim(s, ":<>"), s)
	case strings.Contains(s, "*"):
		return segment{kind: globSegment, glob: newGlob(s), text: s}, nil
	}
	return segment{kind: literalSegment, text: s}, nil
}

func (p *pattern) checkNames() error {
	var names []string
	for _, s := range p.segments {
		if s.name == "" {
			continue
		}
		if slices.Contains(names, s.name) {
			return fmt.Errorf("route pattern %q names {%s} twice", shorten(p.text), s.name)
		}
		names = append(names, s.name)
	}
	return nil
}

// parameter returns the index of the segment named name, or -1. "id" falls back to the last parameter, as
// event.PathParameter does.
func (p *pattern) parameter(name string) int {
	last := -1
	for i, s := range p.segments {
		if s.name == name {
			return i
		}
		if s.name != "" {
			last = i
		}
	}
	if name == "id" {
		return last
	}
	return -1
}

// behindPrefix returns the pattern for a path that has any prefix in front of what p matches.
func (p *pattern) behindPrefix() *pattern {
	if len(p.segments) > 0 && p.segments[0].kind == manySegments {
		return p
	}
	return &pattern{text: p.text, segments: append([]segment{{kind: manySegments}}, p.segments...)}
}

// comparison says how strictly a pattern is compared.
type comparison uint8

const (
	// lenient compares letters in any case and after percent-decoding: what may count, counts.
	lenient comparison = iota
	// exact compares bytes.
	exact
	// conceivable compares with a template whose parameters may stand for anything: it answers whether some path of that
	// template could match leniently.
	conceivable
)

func (s *segment) match(part string, how comparison) bool {
	switch s.kind {
	case anySegment:
		return true
	case globSegment:
		return s.matchGlob(part, how)
	}
	if part == s.text {
		return true
	}
	switch how {
	case exact:
		return false
	case conceivable:
		return isParameter(part) || sameSegment(part, s.text)
	}
	return sameSegment(part, s.text)
}

func (s *segment) matchGlob(part string, how comparison) bool {
	switch {
	case how == exact:
		return s.glob.match(part)
	case how == conceivable && isParameter(part):
		return true
	}
	return sameGlob(part, s.text)
}

// isParameter reports whether a segment of a template stands for anything: {id}, {id:[0-9]+}, {rest...}, :id, <id>.
func isParameter(part string) bool {
	return len(part) > 1 && (part[0] == '{' && part[len(part)-1] == '}' || part[0] == ':' || part[0] == '<' && part[len(part)-1] == '>')
}

// match compares the pattern with the parts. It also returns the cursor's position behind the part that stood at segment
// number want, or 0.
//
// When a ** has swallowed too little it is enough to go back to the last one: the segments before it have matched as early
// as possible, which leaves the most to choose from (as with a glob's star).
func (p *pattern) match(c cursor, how comparison, want int) (found int, ok bool) {
	i := 0
	retry, retryAt := 0, -1
	for {
		if i < len(p.segments) {
			s := &p.segments[i]
			if s.kind == manySegments {
				if i++; i == len(p.segments) {
					return found, true
				}
				retry, retryAt = c.at, i
				continue
			}
			if s.kind == literalSegment && c.take(s.text) {
				i++
				continue
			}
		}
		part, more := c.next()
		switch {
		case i == len(p.segments) && !more:
			return found, true
		case more && i < len(p.segments) && p.segments[i].match(part, how):
			if i == want {
				found = c.at
			}
			i++
			continue
		case retryAt < 0 || !more:
			return 0, false
		}
		c.at = retry
		c.next()
		retry, i = c.at, retryAt
	}
}

// cursor walks over the segments of a path or template: of a string, or of a list that was made from one. It moves by
// position alone, which lets the list stay on its maker's stack.
type cursor struct {
	text string
	list []string
	at   int
}

func (c *cursor) next() (part string, more bool) {
	if c.list != nil {
		if c.at == len(c.list) {
			return "", false
		}
		c.at++
		return c.list[c.at-1], true
	}
	from := c.at
	for from < len(c.text) && c.text[from] == '/' {
		from++
	}
	to := from
	for to < len(c.text) && c.text[to] != '/' {
		to++
	}
	c.at = to
	return c.text[from:to], to > from
}

// take moves on when the next segment is the literal, byte by byte. It is what most comparisons come to, and need not look
// for the segment's end.
func (c *cursor) take(literal string) bool {
	if c.list != nil {
		if c.at == len(c.list) || c.list[c.at] != literal {
			return false
		}
		c.at++
		return true
	}
	end := c.at + 1 + len(literal)
	if end > len(c.text) || c.text[c.at] != '/' || c.text[c.at+1:end] != literal || end < len(c.text) && c.text[end] != '/' {
		return false
	}
	c.at = end
	return true
}

// cutSegment splits "//a/b" into "a" and "/b".
func cutSegment(s string) (part, rest string) {
	for s != "" && s[0] == '/' {
		s = s[1:]
	}
	if i := strings.IndexByte(s, '/'); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}
