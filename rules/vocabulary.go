package rules

import "strings"

// vocabulary is every literal segment of a set's route patterns. A segment of a path that is not in it, as ids hardly ever
// are, is the same to all patterns, whatever it is: it stands where a pattern has a parameter or a star, and nowhere else.
// So what patterns say about the path of such ids follows from the path's template.
type vocabulary struct {
	lengths [256]uint64 // by first letter in lower case: which lengths occur, 63 for all longer ones
	words   map[string]struct{}
	globs   []string
}

func newVocabulary(list []*Rule) *vocabulary {
	v := &vocabulary{words: map[string]struct{}{}}
	for _, r := range list {
		v.learn(r.Filter.conditions)
	}
	return v
}

func (v *vocabulary) learn(list []condition) {
	for _, c := range list {
		switch c := c.(type) {
		case *routeIs:
			v.add(c.patterns)
		case *routeIsNot:
			v.add(c.patterns)
		case *not:
			v.learn([]condition{c.inner})
		case *all:
			v.learn(c.list)
		case *anyOf:
			v.learn(c.list)
		}
	}
}

func (v *vocabulary) add(patterns []*pattern) {
	for _, p := range patterns {
		for _, s := range p.segments {
			switch s.kind {
			case literalSegment:
				word := strings.Map(lowerRune, s.text)
				v.words[word] = struct{}{}
				v.lengths[word[0]] |= 1 << min(len(word), 63)
			case globSegment:
				v.globs = append(v.globs, s.text)
			}
		}
	}
}

// lowerRune is what [sameSegment] does to letters: other alphabets keep their case.
func lowerRune(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// has reports whether a pattern could tell the segment from another one. When in doubt it does.
func (v *vocabulary) has(segment string) bool {
	if strings.IndexByte(segment, '%') >= 0 {
		return true
	}
	for _, g := range v.globs {
		if sameGlob(segment, g) {
			return true
		}
	}
	if v.lengths[lower(segment[0])]&(1<<min(len(segment), 63)) == 0 {
		return false
	}
	var folded [64]byte
	if len(segment) > len(folded) {
		return true
	}
	for i := range len(segment) {
		folded[i] = lower(segment[i])
	}
	_, ok := v.words[string(folded[:len(segment)])]
	return ok
}
