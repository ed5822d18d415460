package detector

import (
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/gatewatch/gatewatch/detector/event"
)

// group is a kind of entity and the rules that watch it: one look-up serves them all.
type group struct {
	kind   string // the fields joined by "+"
	number uint16 // of the kind, see [numbers]
	fields []event.Field
	mask   []uint64 // which rules of the program
	risks  []*watch // of kind risk
	seed   uint64
	rest   event.Time // an entity that was seen later than this ago is not idle
}

// name returns what identifies the event's entity: the value of its field or, for combinations, the values joined by "|",
// with "|" and "\" inside a value escaped, so that no two combinations share a name. It returns "" when a field is
// empty. The text of combinations is built in buffer.
func (g *group) name(e *event.Event, buffer *[]byte) string {
	if len(g.fields) == 1 {
		return g.fields[0].Text(e)
	}
	b := (*buffer)[:0]
	for i, f := range g.fields {
		text := f.Text(e)
		if text == "" {
			return ""
		}
		if i > 0 {
			b = append(b, '|')
		}
		b = appendEscaped(b, text)
	}
	*buffer = b
	return unsafeString(b)
}

func appendEscaped(b []byte, s string) []byte {
	if !strings.ContainsAny(s, `|\`) {
		return append(b, s...)
	}
	for i := range len(s) {
		if s[i] == '|' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return b
}

// key returns the key of the entity with the given name.
func (g *group) key(name string) entityKey { return xxh3.HashString128Seed(name, g.seed) }
