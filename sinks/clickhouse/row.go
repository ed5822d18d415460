package clickhouse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
)

// columns are those of the table alerts in the order of a row. The list stands in every insert, so that a table with more
// columns than these works too.
var columns = []string{
	"id", "version", "schema", "state", "severity", "rule_id", "rule_title", "rule_advice", "tags", "entity_kind", "entity_id",
	"first_seen", "last_seen", "detected_at", "emitted_at", "summary", "observed_value", "observed_exact", "observed_error",
	"observed_limit", "observed_unit", "observed_window", "observed_detail", "baseline", "evidence", "related.kind",
	"related.value", "risk",
}

var insertAlerts = "INSERT INTO alerts (" + strings.Join(columns, ", ") + ")"

// encode turns a batch into rows and reports what cannot be one.
func encode[T any](batch []T, row func(T) ([]any, error)) (rows [][]any, refused []sinks.Refusal) {
	for i, v := range batch {
		r, err := row(v)
		if err != nil {
			refused = append(refused, sinks.Refusal{Index: i, Err: err})
			continue
		}
		rows = append(rows, r)
	}
	return rows, refused
}

func alertRow(a *alert.Alert) ([]any, error) {
	row, err := encodeRow(a)
	if err != nil {
		return nil, fmt.Errorf("encode alert %s version %d: %w", a.ID, a.Version, err)
	}
	return row, nil
}

func encodeRow(a *alert.Alert) ([]any, error) {
	times, err := encodeTimes(a)
	if err != nil {
		return nil, err
	}
	detail, err1 := object(a.Observed.Detail)
	baseline, err2 := object(a.Baseline)
	evidence, err3 := text(a.Evidence)
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return nil, err
		}
	}
	kinds, values := related(a.Related)
	row := []any{
		a.ID, uint32(a.Version), uint16(a.Schema), string(a.State), string(a.Rule.Severity), a.Rule.ID, a.Rule.Title,
		a.Rule.Advice, a.Rule.Tags, a.Entity.Kind, a.Entity.ID,
	}
	row = append(row, times...)
	return append(row, a.Summary, a.Observed.Value, a.Observed.Exact, a.Observed.Error, a.Observed.Limit, a.Observed.Unit,
		a.Observed.Window, detail, baseline, evidence, kinds, values, a.Risk), nil
}

// encodeTimes returns first_seen, last_seen, detected_at and emitted_at.
func encodeTimes(a *alert.Alert) ([]any, error) {
	return times(a.FirstSeen, a.LastSeen, a.DetectedAt, orElse(a.EmittedAt, a.DetectedAt))
}

func orElse(t *alert.Time, other alert.Time) alert.Time {
	if t != nil {
		return *t
	}
	return other
}

// times returns what goes into columns of times. All must fit both schemas: the driver gives the whole batch up for one time
// that does not fit.
func times(all ...alert.Time) (values []any, err error) {
	for _, t := range all {
		if t < 0 || t/1000 > math.MaxUint32 {
			return nil, fmt.Errorf("time %v is not between 1970 and 2106", t)
		}
		values = append(values, t.Std())
	}
	return values, nil
}

// object returns m as JSON, or "" for none.
func object(m map[string]any) (string, error) {
	if m == nil {
		return "", nil
	}
	return text(m)
}

func text(v any) (string, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(buf.String(), "\n"), nil
}

// related flattens m into two arrays of equal length, kinds in alphabetical order.
func related(m map[string][]string) (kinds, values []string) {
	for _, kind := range slices.Sorted(maps.Keys(m)) {
		for _, value := range m[kind] {
			kinds = append(kinds, kind)
			values = append(values, value)
		}
	}
	return kinds, values
}
