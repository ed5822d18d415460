package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/rules"
)

// limitsConfig bounds what is remembered; 0 is no limit. See [detector.Limits].
type limitsConfig struct {
	Entities entityLimits `yaml:"entities"`
	Memory   byteSize     `yaml:"memory"`
	Values   int          `yaml:"values"`
}

// entityLimits is the most entities by kind, such as client_id or client_id+source_ip; [otherKinds] is every other kind. One
// number alone is that for every kind.
type entityLimits map[string]int

const otherKinds = "default"

// UnmarshalYAML takes a number or a map.
func (l *entityLimits) UnmarshalYAML(decode func(any) error) error {
	var n int
	if decode(&n) == nil {
		*l = entityLimits{otherKinds: n}
		return nil
	}
	kinds := map[string]int{}
	if err := decode(&kinds); err != nil {
		return fmt.Errorf("entities: write a number, or a map of kinds such as {client_id: 100000, %s: 5000000}", otherKinds)
	}
	if _, ok := kinds[otherKinds]; !ok {
		kinds[otherKinds] = defaultLimits().Entities[otherKinds]
	}
	*l = kinds
	return nil
}

// byteSize is a number of bytes, written as one or with a unit: 4GiB.
type byteSize int64

// UnmarshalYAML takes a number of bytes or a text with a unit.
func (b *byteSize) UnmarshalYAML(decode func(any) error) error {
	var text string
	if err := decode(&text); err != nil {
		return err
	}
	size, err := parseByteSize(text)
	*b = size
	return err
}

var byteUnits = []struct {
	suffix string
	bytes  float64
}{ // longer suffixes first
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

func parseByteSize(text string) (byteSize, error) {
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(strings.TrimSpace(text), u.suffix)
		if !ok {
			continue
		}
		if v, err := strconv.ParseFloat(strings.TrimSpace(number), 64); err == nil && v >= 0 && v*u.bytes < 1<<60 {
			return byteSize(v * u.bytes), nil
		}
		break
	}
	return 0, fmt.Errorf("%q is no size; write 4GiB, 512MiB or a number of bytes", text)
}

func defaultLimits() limitsConfig {
	l := detector.DefaultLimits()
	return limitsConfig{Entities: entityLimits{otherKinds: l.Entities[""]}, Memory: byteSize(l.Bytes), Values: l.Values}
}

// limits are the engine's.
func (c limitsConfig) limits() detector.Limits {
	l := detector.Limits{Entities: map[string]int{}, Bytes: int64(c.Memory), Values: c.Values}
	for kind, n := range c.Entities {
		if kind == otherKinds {
			kind = ""
		}
		l.Entities[kind] = n
	}
	return l
}

func (c limitsConfig) validate() error {
	if slices.Contains(slices.Collect(maps.Keys(c.Entities)), "") {
		return errors.New("entities: a kind has no name")
	}
	return c.limits().Validate()
}

// warnUnknown says which kinds have a limit although no rule watches them: that may be a slip, or a rule that is away for now.
func (c limitsConfig) warnUnknown(log *slog.Logger, set *rules.Set) {
	known := map[string]bool{otherKinds: true}
	for _, r := range set.Rules {
		var names []string
		for _, f := range r.By {
			names = append(names, f.String())
		}
		known[strings.Join(names, "+")] = true
	}
	for _, kind := range slices.SortedFunc(maps.Keys(c.Entities), cmp.Compare[string]) {
		if !known[kind] {
			log.Warn("limits.entities names a kind of entity that no rule watches", "kind", kind)
		}
	}
}
