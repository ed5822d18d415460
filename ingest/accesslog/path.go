package accesslog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// step is one step of a path: to a member of an object, or to an element of an array.
type step struct {
	name    string
	index   int // of the element, -1 for the last one
	element bool
}

// Bounds on paths.
const (
	maxSteps   = 16
	maxElement = 63
)

// parsePath reads a path such as request.headers.user-agent, tries[0].ip or attributes."http.route": names with dots
// between, elements of arrays by number in brackets, [-1] being the last. A name with dots or brackets in it stands in
// double quotes.
func parsePath(path string) ([]step, error) {
	var steps []step
	for rest := path; ; {
		s, after, err := parseStep(rest, len(steps) == 0)
		if err != nil {
			return nil, fmt.Errorf("path %q: %w", path, err)
		}
		if steps = append(steps, s); len(steps) > maxSteps {
			return nil, fmt.Errorf("path %q: has more than %d steps", path, maxSteps)
		}
		if after == "" {
			return steps, nil
		}
		rest = after
	}
}

// parseStep takes one step off the front of what is left of a path.
func parseStep(s string, first bool) (step, string, error) {
	switch {
	case s == "":
		return step{}, "", errors.New("is empty")
	case s[0] == '[':
		return parseElement(s)
	case !first && s[0] != '.':
		return step{}, "", fmt.Errorf("a dot is missing before %q", s)
	case !first:
		s = s[1:]
	}
	if strings.HasPrefix(s, `"`) {
		name, rest, ok := strings.Cut(s[1:], `"`)
		if !ok || name == "" {
			return step{}, "", errors.New("a quoted name is empty or has no end")
		}
		return step{name: name}, rest, nil
	}
	end := strings.IndexAny(s, `.["]`)
	if end < 0 {
		end = len(s)
	}
	if end == 0 {
		return step{}, "", errors.New("a name is missing at a dot")
	}
	return step{name: s[:end]}, s[end:], nil
}

func parseElement(s string) (step, string, error) {
	number, rest, ok := strings.Cut(s[1:], "]")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < -1 || n > maxElement {
		return step{}, "", fmt.Errorf("an element is written [0] to [%d], or [-1] for the last", maxElement)
	}
	return step{index: n, element: true}, rest, nil
}
