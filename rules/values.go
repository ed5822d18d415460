package rules

import (
	"slices"
	"strings"
)

// values is a set of texts: exact ones, and globs in which * stands for any run of characters. It is immutable.
type values struct {
	exact []string            // sorted; searched when there are few
	index map[string]struct{} // the same, when there are many
	globs []glob
	all   []string // as written, for messages
}

// fewValues is how many texts are faster compared one by one than hashed.
const fewValues = 8

func newValues(texts []string) *values {
	var exact []string
	var globs []glob
	for _, s := range texts {
		if strings.Contains(s, "*") {
			globs = append(globs, newGlob(s))
		} else {
			exact = append(exact, s)
		}
	}
	slices.SortFunc(globs, func(a, b glob) int { return strings.Compare(a.text(), b.text()) })
	v := textSet(exact)
	v.globs, v.all = globs, texts
	return v
}

// textSet makes a set in which * is a star.
func textSet(texts []string) *values {
	v := &values{all: texts, exact: slices.Clone(texts)}
	slices.Sort(v.exact)
	v.exact = slices.Compact(v.exact)
	if len(v.exact) > fewValues {
		v.index = make(map[string]struct{}, len(v.exact))
		for _, s := range v.exact {
			v.index[s] = struct{}{}
		}
	}
	return v
}

func (v *values) contains(s string) bool {
	if v.index != nil {
		if _, ok := v.index[s]; ok {
			return true
		}
	} else {
		for _, x := range v.exact {
			if x == s {
				return true
			}
		}
	}
	for i := range v.globs {
		if v.globs[i].match(s) {
			return true
		}
	}
	return false
}

func (v *values) appendTo(b []byte) []byte {
	b = appendStrings(b, v.exact)
	texts := make([]string, len(v.globs))
	for i, g := range v.globs {
		texts[i] = g.text()
	}
	return appendStrings(b, slices.Compact(texts))
}

func (v *values) String() string { return orList(v.all) }

// orList writes alternatives as a person reads them: "a", "b" or "c".
func orList(texts []string) string {
	const most = 8
	switch {
	case len(texts) == 0:
		return "nothing"
	case len(texts) == 1:
		return texts[0]
	case len(texts) > most:
		return strings.Join(texts[:most], ", ") + ", …"
	}
	return strings.Join(texts[:len(texts)-1], ", ") + " or " + texts[len(texts)-1]
}

// glob is a text in which * stands for any run of characters, the empty one included. Nothing else is special.
type glob struct {
	parts []string // between the stars; the first and last are anchored
}

func newGlob(s string) glob {
	parts := strings.Split(s, "*")
	// Two stars in a row are one.
	kept := parts[:1]
	for i, p := range parts[1:] {
		if p != "" || i == len(parts)-2 {
			kept = append(kept, p)
		}
	}
	return glob{kept}
}

// match takes each part at its first place after the one before: with nothing but stars between them, no other choice
// could succeed where this one fails.
func (g *glob) match(s string) bool {
	last := len(g.parts) - 1
	if last == 0 {
		return s == g.parts[0]
	}
	first, end := g.parts[0], g.parts[last]
	if len(s) < len(first)+len(end) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, end) {
		return false
	}
	s = s[len(first) : len(s)-len(end)]
	for _, part := range g.parts[1:last] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}

func (g glob) text() string { return strings.Join(g.parts, "*") }
