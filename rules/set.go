package rules

// Set is an immutable compiled rule set.
type Set struct {
	Rules []*Rule // in file order
}
