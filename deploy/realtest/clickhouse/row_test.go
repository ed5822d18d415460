package clickhouse

import (
	"encoding/json"
	"time"

	native "github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/gatewatch/gatewatch/detector/alert"
)

const selectAlerts = `SELECT id, version, schema, state, severity, rule_id, rule_title, rule_advice, tags, entity_kind,
	entity_id, first_seen, last_seen, detected_at, emitted_at, summary, observed_value, observed_exact, observed_error,
	observed_limit, observed_unit, observed_window, observed_detail, baseline, evidence, related.kind, related.value, risk
	FROM alerts FINAL ORDER BY id, version`

// scan reads one row of selectAlerts back into an alert: nothing of it may have been lost.
func scan(rows native.Rows) (*alert.Alert, error) {
	var a alert.Alert
	var version uint32
	var schema uint16
	var state, severity, detail, baseline, evidence string
	var exact uint8
	var first, last, detected, emitted time.Time
	var kinds, values []string
	if err := rows.Scan(&a.ID, &version, &schema, &state, &severity, &a.Rule.ID, &a.Rule.Title, &a.Rule.Advice, &a.Rule.Tags,
		&a.Entity.Kind, &a.Entity.ID, &first, &last, &detected, &emitted, &a.Summary, &a.Observed.Value, &exact,
		&a.Observed.Error, &a.Observed.Limit, &a.Observed.Unit, &a.Observed.Window, &detail, &baseline, &evidence, &kinds,
		&values, &a.Risk); err != nil {
		return nil, err
	}
	a.Version, a.Schema = int(version), int(schema)
	a.State, a.Rule.Severity = alert.State(state), alert.Severity(severity)
	a.Observed.Exact = exact == 1
	a.FirstSeen, a.LastSeen, a.DetectedAt = alert.Time(first.UnixMilli()), alert.Time(last.UnixMilli()), alert.Time(detected.UnixMilli())
	at := alert.Time(emitted.UnixMilli())
	a.EmittedAt = &at
	a.Related = make(map[string][]string)
	for i, kind := range kinds {
		a.Related[kind] = append(a.Related[kind], values[i])
	}
	for text, into := range map[*string]any{&detail: &a.Observed.Detail, &baseline: &a.Baseline, &evidence: &a.Evidence} {
		if *text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(*text), into); err != nil {
			return nil, err
		}
	}
	return &a, nil
}

const selectBlindSpots = `SELECT id, version, schema, state, cause, from_time, to_time, topic, partitions, rules, kinds, sink, count,
	detail, emitted_at FROM blind_spots FINAL ORDER BY id, version`

// scanBlindSpot reads one row of selectBlindSpots back.
func scanBlindSpot(rows native.Rows) (*alert.BlindSpot, error) {
	var b alert.BlindSpot
	var version uint32
	var schema uint16
	var state, cause string
	var from, to, emitted time.Time
	if err := rows.Scan(&b.ID, &version, &schema, &state, &cause, &from, &to, &b.Topic, &b.Partitions, &b.Rules, &b.Kinds, &b.Sink,
		&b.Count, &b.Detail, &emitted); err != nil {
		return nil, err
	}
	b.Version, b.Schema, b.State, b.Cause = int(version), int(schema), alert.State(state), alert.Cause(cause)
	b.From, b.To = alert.Time(from.UnixMilli()), alert.Time(to.UnixMilli())
	at := alert.Time(emitted.UnixMilli())
	b.EmittedAt = &at
	return &b, nil
}
