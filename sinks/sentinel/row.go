package sentinel

import (
	"fmt"
	"math"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

// maxValue is the size beyond which Azure Monitor cuts the value of a column, in bytes. What is left of JSON that was cut
// cannot be read.
const maxValue = 64 << 10

// alertRow is a row of GatewatchAlerts_CL. The declaration of the stream in deploy/sentinel has the same columns.
type alertRow struct {
	TimeGenerated    alert.Time
	AlertId          string
	Version          int
	Schema           int
	State            string
	Severity         string
	RuleId           string
	RuleTitle        string
	Advice           string
	Tags             []string
	AttackTechniques []string
	EntityKind       string
	EntityId         string
	FirstSeen        alert.Time
	LastSeen         alert.Time
	DetectedAt       alert.Time
	EmittedAt        *alert.Time `json:",omitempty"`
	Summary          string
	Observed         alert.Observed
	Baseline         map[string]any
	Evidence         []alert.Evidence
	Related          map[string][]string
	Risk             *float64 `json:",omitempty"`
}

func encodeAlert(a *alert.Alert) ([]byte, error) {
	evidence, err := fitting(a.Evidence)
	if err != nil {
		return nil, err
	}
	row := alertRow{
		TimeGenerated: a.DetectedAt, AlertId: a.ID, Version: a.Version, Schema: a.Schema, State: string(a.State),
		Severity: string(a.Rule.Severity), RuleId: a.Rule.ID, RuleTitle: a.Rule.Title, Advice: a.Rule.Advice, Tags: a.Rule.Tags,
		AttackTechniques: sinks.Techniques(a.Rule.Tags), EntityKind: a.Entity.Kind, EntityId: a.Entity.ID,
		FirstSeen: a.FirstSeen, LastSeen: a.LastSeen, DetectedAt: a.DetectedAt, EmittedAt: a.EmittedAt, Summary: a.Summary,
		Observed: a.Observed, Baseline: a.Baseline, Evidence: evidence, Related: a.Related, Risk: a.Risk,
	}
	for _, value := range []any{row.Observed, row.Baseline, row.Related} {
		if err := fits(value); err != nil {
			return nil, err
		}
	}
	return post.JSON(row)
}

// fitting returns as much of the evidence as one column takes, from its beginning.
func fitting(evidence []alert.Evidence) ([]alert.Evidence, error) {
	size := len("[]")
	for i, e := range evidence {
		text, err := post.JSON(e)
		if err != nil {
			return nil, err
		}
		if size += len(text) + len(","); size > maxValue {
			return evidence[:i], nil
		}
	}
	return evidence, nil
}

func fits(value any) error {
	text, err := post.JSON(value)
	if err == nil && len(text) > maxValue {
		return fmt.Errorf("a value of %d bytes is more than the %d that a column takes", len(text), maxValue)
	}
	return err
}

// blindSpotRow is a row of GatewatchBlindSpots_CL.
type blindSpotRow struct {
	TimeGenerated alert.Time
	BlindSpotId   string
	Version       int
	Schema        int
	State         string
	Cause         string
	FromTime      alert.Time
	ToTime        alert.Time
	Topic         string
	Partitions    []int32
	Rules         []string
	Kinds         []string
	Sink          string
	Count         uint64
	Detail        string
	EmittedAt     *alert.Time `json:",omitempty"`
}

func encodeBlindSpot(b *alert.BlindSpot) ([]byte, error) {
	return post.JSON(blindSpotRow{
		TimeGenerated: b.To, BlindSpotId: b.ID, Version: b.Version, Schema: b.Schema, State: string(b.State), Cause: string(b.Cause),
		FromTime: b.From, ToTime: b.To, Topic: b.Topic, Partitions: b.Partitions, Rules: b.Rules, Kinds: b.Kinds, Sink: b.Sink,
		Count: min(b.Count, math.MaxInt64), Detail: b.Detail, EmittedAt: b.EmittedAt,
	})
}
