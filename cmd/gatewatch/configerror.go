package main

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// secretShown finds what stands behind the name of a secret option, to the end of the line, unless that says where the secret is.
var secretShown = regexp.MustCompile(`(?m)\b(` + strings.Join(slices.Sorted(maps.Keys(secretKeys)), "|") + `)(["']?\s*:[ \t]*)([^\s{].*)?$`)

// yamlError shows the place of a mistake with the lines around it, but no secret that is written there.
func yamlError(err error) error {
	text := yaml.FormatError(err, false, true)
	for _, found := range secretShown.FindAllStringSubmatch(text, -1) {
		if found[3] == "" || strings.ContainsAny(found[3][:1], "|>&!") { // the secret is on the next lines
			text, _, _ = strings.Cut(text, "\n")
		}
	}
	return errors.New(secretShown.ReplaceAllString(text, "$1$2***"))
}
