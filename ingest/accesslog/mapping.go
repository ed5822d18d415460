package accesslog

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Mapping says where the values of an event stand in a JSON object. Keys are the names that [MappingFields] lists and
// attributes.<name>; of several sources the first one that has a usable value counts.
type Mapping map[string]Sources

// Sources are places to take a value from, in order of preference.
type Sources []Source

// UnmarshalYAML reads a path, a source or a list of both.
func (s *Sources) UnmarshalYAML(unmarshal func(any) error) error {
	var p string
	if unmarshal(&p) == nil {
		*s = path(p)
		return nil
	}
	if items := []any{}; unmarshal(&items) == nil {
		var list []Sources
		err := unmarshal(&list)
		*s = slices.Concat(list...)
		return err
	}
	var one Source
	err := unmarshal(&one)
	*s = Sources{one}
	return err
}

// Source is one place to take a value from. Beside Default, exactly one of Path and Template is set.
type Source struct {
	Path     string            `yaml:"path"`     // such as request.headers.user-agent, tries[0].ip, $key or $header.tenant
	Template string            `yaml:"template"` // such as /{service}/{operation}: text with paths in braces, all of which must be there
	Unit     string            `yaml:"unit"`     // of times, durations and sizes
	Since    string            `yaml:"since"`    // duration_ms only: path of the time at which it began; Path is when it ended
	Claim    string            `yaml:"claim"`    // Path holds a JWT: the claim to take, of requests that succeeded
	Part     string            `yaml:"part"`     // Path holds a distinguished name: the attribute to take, such as CN
	Values   map[string]string `yaml:"values"`   // what to put in place of a value; "*" stands for all others
	Default  string            `yaml:"default"`  // a constant
}

// path makes sources of paths, in order of preference.
func path(paths ...string) Sources {
	sources := make(Sources, len(paths))
	for i, p := range paths {
		sources[i] = Source{Path: p}
	}
	return sources
}

// in makes sources of paths whose values have a unit.
func in(unit string, paths ...string) Sources {
	sources := path(paths...)
	for i := range sources {
		sources[i].Unit = unit
	}
	return sources
}

// attributePrefix stands before the names of attributes.
const attributePrefix = "attributes."

// MappingFields lists what a mapping can give a source for; attributes.<name> comes on top.
func MappingFields() []string { return slices.Clone(mappable[:]) }

// Validate reports everything that is wrong with m, in the order of its fields.
func (m Mapping) Validate() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if err := validTarget(name); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		for _, s := range m[name] {
			if err := s.validate(name); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
	}
	return errors.Join(errs...)
}

func validTarget(name string) error {
	if attribute, ok := strings.CutPrefix(name, attributePrefix); ok {
		if attribute == "" {
			return errors.New("an attribute needs a name behind the dot")
		}
		return nil
	}
	if slices.Contains(mappable[:], name) {
		return nil
	}
	return fmt.Errorf("is no event field; the nearest one is %s", nearest(name, mappable[:]))
}

func (s Source) validate(field string) error {
	if s.Path == "" && s.Template == "" && s.Default == "" {
		return errors.New("needs a path, a template or a default")
	}
	if s.Path != "" && s.Template != "" {
		return errors.New("has both path and template; write two sources")
	}
	if s.Path == "" && (s.Claim != "" || s.Part != "" || s.Since != "") {
		return errors.New("claim, part and since need a path")
	}
	if s.Since != "" && field != "duration_ms" {
		return errors.New("since is for duration_ms only")
	}
	for _, p := range s.paths() {
		if err := validPath(p); err != nil {
			return err
		}
	}
	if s.Template != "" {
		if _, err := parseTemplate(s.Template); err != nil {
			return err
		}
	}
	if _, err := unitOf(field, s); err != nil {
		return err
	}
	return nil
}

func validPath(p string) error {
	if p == keyPath || strings.HasPrefix(p, headerPath) && len(p) > len(headerPath) {
		return nil
	}
	if strings.HasPrefix(p, "$") {
		return fmt.Errorf("path %q: of a Kafka record there are %s and %s<name>", p, keyPath, headerPath)
	}
	_, err := parsePath(p)
	return err
}

// Paths of what Kafka carries beside the value of a record.
const (
	keyPath    = "$key"
	headerPath = "$header."
)

// paths lists the paths that a source reads, those of its template included.
func (s Source) paths() []string {
	var all []string
	if s.Path != "" {
		all = append(all, s.Path)
	}
	if s.Since != "" {
		all = append(all, s.Since)
	}
	parts, _ := parseTemplate(s.Template)
	for _, p := range parts {
		if p.path != "" {
			all = append(all, p.path)
		}
	}
	return all
}

// Names lists the names at the ends of the paths that the source reads, unless all that it gives are words of the mapping.
func (s Source) Names() []string {
	if _, all := s.Values["*"]; all || s.Claim != "" || s.Part != "" {
		return nil
	}
	var names []string
	for _, p := range s.paths() {
		steps, _ := parsePath(p) // the source is valid
		for i := len(steps) - 1; i >= 0; i-- {
			if !steps[i].element {
				names = append(names, steps[i].name)
				break
			}
		}
	}
	return names
}

// templatePart is a stretch of literal text, or a path.
type templatePart struct{ text, path string }

func parseTemplate(template string) ([]templatePart, error) {
	var parts []templatePart
	for rest := template; rest != ""; {
		text, after, found := strings.Cut(rest, "{")
		if text != "" {
			parts = append(parts, templatePart{text: text})
		}
		if !found {
			break
		}
		p, after, found := strings.Cut(after, "}")
		if !found || p == "" {
			return nil, fmt.Errorf("template %q: write paths in braces, as in /{service}/{operation}", template)
		}
		if err := validPath(p); err != nil {
			return nil, fmt.Errorf("template %q: %w", template, err)
		}
		parts, rest = append(parts, templatePart{path: p}), after
	}
	return parts, nil
}

// over returns m with the sources of base behind its own.
func (m Mapping) over(base Mapping) Mapping {
	merged := maps.Clone(base)
	if merged == nil {
		merged = Mapping{}
	}
	for name, sources := range m {
		merged[name] = slices.Concat(sources, base[name])
	}
	return merged
}

// nearest returns the candidate with the fewest edits from name (Levenshtein distance).
func nearest(name string, candidates []string) string {
	return slices.MinFunc(candidates, func(a, b string) int { return cmp.Compare(edits(name, a), edits(name, b)) })
}

func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for k := range row {
		row[k] = k
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for k := range len(b) {
			cost := diagonal
			if a[i] != b[k] {
				cost = 1 + min(diagonal, row[k], row[k+1])
			}
			diagonal, row[k+1] = row[k+1], cost
		}
	}
	return row[len(b)]
}
