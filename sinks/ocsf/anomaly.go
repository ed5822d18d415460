package ocsf

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// analysis says what was measured about the entity and what is usual for it.
type analysis struct {
	AnalysisTargets []target  `json:"analysis_targets"`
	Anomalies       []measure `json:"anomalies"`
	Baselines       []measure `json:"baselines,omitempty"`
}

type target struct {
	Name string `json:"name"`
	Type string `json:"type,omitempty"`
}

// measure is an anomaly or a baseline, which have the same form.
type measure struct {
	ObservationParameter string        `json:"observation_parameter"`
	Observations         []observation `json:"observations"`
}

type observation struct {
	Value    string    `json:"value"`
	Timespan *timespan `json:"timespan,omitempty"`
}

type timespan struct {
	StartTime millis `json:"start_time"`
	EndTime   millis `json:"end_time"`
	TypeID    int    `json:"type_id"`
	Type      string `json:"type"`
}

func newAnalysis(a *alert.Alert) analysis {
	value := strconv.FormatFloat(a.Observed.Value, 'f', -1, 64)
	episode := &timespan{StartTime: millis(a.FirstSeen), EndTime: millis(a.LastSeen), TypeID: 9, Type: "Time Interval"}
	return analysis{
		AnalysisTargets: []target{{a.Entity.ID, a.Entity.Kind}},
		Anomalies:       []measure{{parameter(a), []observation{{value, episode}}}},
		Baselines:       baselines(a),
	}
}

// parameter names what was measured.
func parameter(a *alert.Alert) string {
	if a.Observed.Unit != "" {
		return a.Observed.Unit
	}
	return "value"
}

// usual is the key of a baseline that is measured in the same unit as what was observed.
const usual = "usual"

// baselines lists the baseline in the order of its keys.
func baselines(a *alert.Alert) (all []measure) {
	for _, key := range slices.Sorted(maps.Keys(a.Baseline)) {
		name := key
		if key == usual {
			name = parameter(a)
		}
		all = append(all, measure{name, []observation{{Value: text(a.Baseline[key])}}})
	}
	return all
}

// text returns a string as it is and anything else as JSON. What has no JSON form makes the whole finding fail, as part of
// unmapped.
func text(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	b, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(b)
}
