package accesslog

import "slices"

// Reason is why a record or a part of it was rejected: the bounded label of the counter.
type Reason string

// The reasons for which records are rejected.
const (
	NotJSON      Reason = "not_json"      // no JSON at all, truncated, nested too deep, invalid UTF-8
	MissingField Reason = "missing_field" // time, method, path, status or who
	BadField     Reason = "bad_field"     // a required field of the wrong type or without meaning
	BadTime      Reason = "bad_time"      // before 2000 or unreadable
	Future       Reason = "future"        // later than the clock allows
	TooLarge     Reason = "too_large"     // record or path beyond the limit
	UnknownForm  Reason = "unknown_format"
)

var reasons = [...]Reason{NotJSON, MissingField, BadField, BadTime, Future, TooLarge, UnknownForm}

const reasonCount = len(reasons)

// Reasons lists all reasons.
func Reasons() []Reason { return slices.Clone(reasons[:]) }

func (r Reason) number() int {
	for i := range reasons {
		if reasons[i] == r {
			return i
		}
	}
	panic("accesslog: a reason that is not listed: " + string(r))
}

// Problem is a part of a record that could not become an event.
type Problem struct {
	Index      int32 // of the event in its record; 0 when the record as a whole is rejected
	Reason     Reason
	Detail     string // for people: what is wrong where; never contains input values
	Start, End int    // the part's bytes in what [Decoder.Unpacked] returns
}

// maxProblems bounds what one record full of rubbish can cost. Further problems of the record are counted by reason and
// told of in the last one.
const maxProblems = 1000
