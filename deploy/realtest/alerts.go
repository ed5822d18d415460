package realtest

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Version identifies what a destination should get once.
type Version struct {
	ID      string
	Version int
}

// Alerts is what came to one place.
type Alerts struct {
	Place      string
	Versions   map[Version]Alert
	Order      []Version // as they came first
	Repeats    int       // how often a version came again, with the same content
	Conflicts  []string  // what came again with other content
	BlindSpots int
}

// Alert is what is compared. Content is all that lasts of it; it is empty where a destination keeps less.
type Alert struct{ Rule, State, Content string }

// NewAlerts is an empty place.
func NewAlerts(place string) *Alerts { return &Alerts{Place: place, Versions: map[Version]Alert{}} }

// Add takes a record as gatewatch writes them, an alert or a blind spot.
func (a *Alerts) Add(line []byte) error {
	var head struct {
		ID      string
		Version int
		State   string
		Cause   string
		Rule    struct{ ID string }
	}
	content, err := lasting(line)
	if err == nil {
		err = json.Unmarshal(line, &head)
	}
	if err != nil {
		return fmt.Errorf("read what came to %s: %w in %q", a.Place, err, line)
	}
	if head.Cause != "" {
		a.BlindSpots++
		return nil
	}
	a.add(Version{head.ID, head.Version}, Alert{head.Rule.ID, head.State, content})
	return nil
}

func (a *Alerts) add(v Version, alert Alert) {
	before, again := a.Versions[v]
	switch {
	case !again:
		a.Versions[v] = alert
		a.Order = append(a.Order, v)
	case before == alert:
		a.Repeats++
	default:
		a.Conflicts = append(a.Conflicts, fmt.Sprintf("%v: %s", v, difference(before.Content, alert.Content)))
	}
}

// lasting is the record, its keys sorted, without what may differ between two ways to the same alert: the time of delivery,
// and where an event was read.
func lasting(line []byte) (string, error) {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return "", err
	}
	delete(fields, "emitted_at")
	evidence, _ := fields["evidence"].([]any)
	for _, e := range evidence {
		if e, ok := e.(map[string]any); ok {
			delete(e, "source")
		}
	}
	content, err := json.Marshal(fields)
	return string(content), err
}

// Has says whether everything wanted is there.
func (a *Alerts) Has(want *Alerts) bool {
	for v := range want.Versions {
		if _, ok := a.Versions[v]; !ok {
			return false
		}
	}
	return true
}

// Check fails the test unless exactly what is wanted came, with equal content as far as both know it.
func (a *Alerts) Check(t testing.TB, want *Alerts) {
	t.Helper()
	t.Logf("%s: %d versions of alerts, %d times again, %d blind spots", a.Place, len(a.Versions), a.Repeats, a.BlindSpots)
	if diff := cmp.Diff(want.brief(), a.brief()); diff != "" {
		t.Errorf("%s differs from %s (-%s +%s):\n%s", a.Place, want.Place, want.Place, a.Place, diff)
	}
	for v, alert := range a.Versions {
		if content := want.Versions[v].Content; content != "" && alert.Content != "" && alert.Content != content {
			t.Errorf("%v %s %s in %s and %s differs: %s", v, alert.Rule, alert.State, want.Place, a.Place, difference(content, alert.Content))
		}
	}
	for _, c := range a.Conflicts {
		t.Errorf("%s got different alerts with one id and version: %s", a.Place, c)
	}
}

// brief is for people who read a difference.
func (a *Alerts) brief() map[Version]string {
	brief := map[Version]string{}
	for v, alert := range a.Versions {
		brief[v] = alert.Rule + " " + alert.State
	}
	return brief
}

// difference shows where two texts part.
func difference(a, b string) string {
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	around := func(s string) string { return s[max(0, same-80):min(len(s), same+160)] }
	return fmt.Sprintf("…%q… and …%q…", around(a), around(b))
}
