package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one defect of a rule file.
type Error struct {
	File    string
	Line    int    // from 1; 0 when the file as a whole is meant
	Column  int    // from 1, in characters
	Rule    string // id of the rule, "" outside of rules
	Message string
}

// Error formats as file:line:col: rule "id": message.
func (e Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": ")
	if e.Rule != "" {
		fmt.Fprintf(&b, "rule %q: ", e.Rule)
	}
	b.WriteString(e.Message)
	return b.String()
}

// Errors is everything wrong with a set of rule files, sorted by file, line and column.
type Errors []Error

// Error lists one defect a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// sorted returns the errors by position, each once, or nil when there are none.
func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(e)
}

// nearest returns ` (did you mean "x"?)` for the candidate that s was probably meant to be, or "".
func nearest(s string, candidates []string) string {
	if meant := meant(s, candidates); meant != "" {
		return fmt.Sprintf(" (did you mean %q?)", meant)
	}
	return ""
}

// Nearest returns ` (did you mean "x"?)` for the candidate that s was probably meant to be, or "".
func Nearest(s string, candidates []string) string { return nearest(s, candidates) }

// meant returns the candidate closest to s or, when none is close, one that begins with s; else "".
func meant(s string, candidates []string) string {
	best, distance := "", 1+max(1, len(s)/3)
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(s), strings.ToLower(c)); d < distance {
			best, distance = c, d
		}
	}
	for _, c := range candidates {
		if best == "" && len(s) > 2 && strings.HasPrefix(c, strings.ToLower(s)) {
			best = c
		}
	}
	return best
}

// editDistance is the number of insertions, deletions, replacements and swaps of neighbours between a and b (optimal
// string alignment). Words longer than 64 bytes are as far apart as they are long: they are no misspelt names.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	var rows [3][65]int
	before, above, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
