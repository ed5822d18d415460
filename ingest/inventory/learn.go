package inventory

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gatewatch/gatewatch/ingest/route"
)

// DefaultMaxValues is how many values a segment can have and still be words: a route that more can stand in has a parameter there.
const DefaultMaxValues = 50

// firstFactor is how many times as many values the first segment of paths can have: services and resources are told apart by it, and
// a gateway has more of these than one of them has fixed words below it.
const firstFactor = 20

// maxLearned is how many different prefixes of paths are held while learning: about 100 MB.
const maxLearned = 500_000

// Learner learns route templates from paths. What looks like an id is a parameter at once, as [route.Template] says. Of the rest,
// a segment becomes a parameter when more than a number of different values stand in it under the same prefix; the first segment of
// paths, when twenty times as many do.
//
// What is learned depends on the set of paths alone, not on their order or number. For a prefix is collapsed when it has had too
// many values, and stays so; everything that was below its values is then put together, and what was collapsed below one of
// them is collapsed in the whole, which has at least as many values there. When there are too many prefixes to hold, nothing is
// learned and Add says so: to forget some would make the outcome depend on the order.
type Learner struct {
	root  *stem
	most  int
	count int
}

// stem is a beginning of paths.
type stem struct {
	words     map[string]*stem
	parameter *stem
	collapsed bool // its words became the parameter
	ends      bool // a path ends here
}

// NewLearner makes a learner; maxValues of 0 means the default.
func NewLearner(maxValues int) *Learner {
	if maxValues <= 0 {
		maxValues = DefaultMaxValues
	}
	return &Learner{root: &stem{}, most: maxValues}
}

// Add learns from a path. The error says that there are too many different ones.
func (l *Learner) Add(path string) error {
	var p segments
	if !p.read(path) {
		return nil // deeper than routes are
	}
	template := route.Template("/" + strings.Join(p.list(), "/"))
	if strings.HasSuffix(template, "/**") {
		return nil
	}
	at := l.root
	for rest := template; rest != "" && rest != "/"; {
		var segment string
		segment, rest = cut(rest)
		at = l.step(at, segment)
	}
	at.ends = true
	if l.count > maxLearned {
		return fmt.Errorf("learn routes: there are more than %d beginnings of paths; lower the number of values", maxLearned)
	}
	return nil
}

// step goes one segment down. A word that is one too many collapses the prefix.
func (l *Learner) step(at *stem, segment string) *stem {
	if strings.ContainsAny(segment, "{}") || at.collapsed {
		return l.below(at)
	}
	next := at.words[segment]
	if next != nil {
		return next
	}
	next = &stem{}
	l.count++
	if at.words == nil {
		at.words = map[string]*stem{}
	}
	at.words[strings.Clone(segment)] = next
	if len(at.words) <= l.limit(at) {
		return next
	}
	l.collapse(at)
	return at.parameter
}

// limit is how many words can stand behind a beginning.
func (l *Learner) limit(at *stem) int {
	if at == l.root {
		return firstFactor * l.most
	}
	return l.most
}

func (l *Learner) below(at *stem) *stem {
	if at.parameter == nil {
		at.parameter = &stem{}
		l.count++
	}
	return at.parameter
}

func (l *Learner) collapse(at *stem) {
	words := at.words
	at.words, at.collapsed = nil, true
	for _, word := range words {
		l.merge(l.below(at), word)
		l.count--
	}
}

// merge adds everything below from to what is below to.
func (l *Learner) merge(to, from *stem) {
	to.ends = to.ends || from.ends
	if from.parameter != nil {
		l.merge(l.below(to), from.parameter)
		l.count--
	}
	if from.collapsed && !to.collapsed {
		l.collapse(to)
	}
	for word, child := range from.words {
		l.merge(l.step(to, word), child)
		l.count--
	}
}

// Routes lists the templates in which a parameter was learned that does not look like one, sorted. All others are what anybody
// would make of the path.
func (l *Learner) Routes() []string {
	var all []string
	l.root.list("", 0, false, &all)
	slices.Sort(all)
	return all
}

func (p *stem) list(route string, parameters int, learned bool, all *[]string) {
	if p.ends && learned {
		*all = append(*all, route)
	}
	for word, child := range p.words {
		child.list(route+"/"+word, parameters, learned, all)
	}
	if p.parameter != nil {
		name := "{id}"
		if parameters > 0 {
			name = "{id" + strconv.Itoa(parameters+1) + "}"
		}
		p.parameter.list(route+"/"+name, parameters+1, learned || p.collapsed, all)
	}
}
