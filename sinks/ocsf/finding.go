package ocsf

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// finding is an event of class Detection Finding.
type finding struct {
	ActivityID      int          `json:"activity_id"`
	ActivityName    string       `json:"activity_name"`
	CategoryUID     int          `json:"category_uid"`
	CategoryName    string       `json:"category_name"`
	ClassUID        int          `json:"class_uid"`
	ClassName       string       `json:"class_name"`
	TypeUID         int          `json:"type_uid"`
	TypeName        string       `json:"type_name"`
	SeverityID      int          `json:"severity_id"`
	Severity        string       `json:"severity"`
	Time            millis       `json:"time"`
	StartTime       millis       `json:"start_time"`
	EndTime         millis       `json:"end_time"`
	IsAlert         bool         `json:"is_alert"`
	Message         string       `json:"message,omitempty"`
	Metadata        metadata     `json:"metadata"`
	FindingInfo     findingInfo  `json:"finding_info"`
	Evidences       []evidence   `json:"evidences,omitempty"`
	Observables     []observable `json:"observables,omitempty"`
	Resources       []resource   `json:"resources,omitempty"`
	AnomalyAnalyses []analysis   `json:"anomaly_analyses"`
	Remediation     *remediation `json:"remediation,omitempty"`
	RiskScore       *int         `json:"risk_score,omitempty"`
	Unmapped        unmapped     `json:"unmapped"`
}

// millis is Unix milliseconds as a number, the schema's type timestamp_t.
type millis int64

type metadata struct {
	Version    string   `json:"version"`
	Product    product  `json:"product"`
	UID        string   `json:"uid"`
	Sequence   int      `json:"sequence"`
	Labels     []string `json:"labels,omitempty"`
	LogVersion string   `json:"log_version"`
	LoggedTime *millis  `json:"logged_time,omitempty"`
}

type product struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
}

type findingInfo struct {
	UID                string         `json:"uid"`
	Title              string         `json:"title,omitempty"`
	Desc               string         `json:"desc,omitempty"`
	CreatedTime        *millis        `json:"created_time,omitempty"`
	ModifiedTime       *millis        `json:"modified_time,omitempty"`
	FirstSeenTime      millis         `json:"first_seen_time"`
	LastSeenTime       millis         `json:"last_seen_time"`
	Types              []string       `json:"types,omitempty"`
	DataSources        []string       `json:"data_sources,omitempty"`
	Analytic           *analytic      `json:"analytic,omitempty"`
	Attacks            []attack       `json:"attacks,omitempty"`
	RelatedEvents      []relatedEvent `json:"related_events,omitempty"`
	RelatedEventsCount int            `json:"related_events_count,omitempty"`
}

type analytic struct {
	UID    string `json:"uid,omitempty"`
	Name   string `json:"name,omitempty"`
	TypeID int    `json:"type_id"`
	Type   string `json:"type"`
}

type resource struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type remediation struct {
	Desc string `json:"desc"`
}

// unmapped is what the schema has no place for, in gatewatch's own form.
type unmapped struct {
	Observed alert.Observed      `json:"observed"`
	Baseline map[string]any      `json:"baseline,omitempty"`
	Related  map[string][]string `json:"related,omitempty"`
	Risk     *float64            `json:"risk,omitempty"` // before it was rounded
}

const classUID = 2004

// choice is a number of the schema and its caption.
type choice struct {
	id      int
	caption string
}

var unknown = choice{0, "Unknown"}

var activities = map[alert.State]choice{
	alert.Open: {1, "Create"}, alert.Update: {2, "Update"}, alert.Closed: {3, "Close"},
}

var severities = map[alert.Severity]choice{
	alert.Info: {1, "Informational"}, alert.Low: {2, "Low"}, alert.Medium: {3, "Medium"}, alert.High: {4, "High"},
	alert.Critical: {5, "Critical"},
}

// choose returns what a table says of a key, or that it is unknown.
func choose[K comparable](table map[K]choice, key K) choice {
	if c, ok := table[key]; ok {
		return c
	}
	return unknown
}

func newFinding(a *alert.Alert) finding {
	activity, severity := choose(activities, a.State), choose(severities, a.Rule.Severity)
	f := finding{
		ActivityID: activity.id, ActivityName: activity.caption,
		CategoryUID: 2, CategoryName: "Findings", ClassUID: classUID, ClassName: "Detection Finding",
		TypeUID: typeUID(activity), TypeName: typeName(activity), SeverityID: severity.id, Severity: severity.caption,
		Time: millis(a.DetectedAt), StartTime: millis(a.FirstSeen), EndTime: millis(a.LastSeen),
		IsAlert: a.State != alert.Closed, Message: a.Summary,
		Metadata: newMetadata(a), FindingInfo: newFindingInfo(a), Evidences: evidences(a.Evidence),
		Resources: routes(a.Related["route"]), AnomalyAnalyses: []analysis{newAnalysis(a)}, RiskScore: riskScore(a.Risk),
		Unmapped: unmapped{Observed: a.Observed, Baseline: a.Baseline, Related: a.Related, Risk: a.Risk},
	}
	if a.Rule.Advice != "" {
		f.Remediation = &remediation{a.Rule.Advice}
	}
	f.Observables = observables(f.Evidences, a.Related)
	return f
}

func typeUID(activity choice) int { return classUID*100 + activity.id }

func typeName(activity choice) string { return "Detection Finding: " + activity.caption }

func newMetadata(a *alert.Alert) metadata {
	m := metadata{
		Version: Version, Product: product{"gatewatch", "gatewatch"}, UID: eventUID(a.ID, a.Version), Sequence: a.Version,
		Labels: a.Rule.Tags, LogVersion: strconv.Itoa(a.Schema),
	}
	if a.EmittedAt != nil {
		m.LoggedTime = at(*a.EmittedAt)
	}
	return m
}

// eventUID names one version of an alert.
func eventUID(id string, version int) string { return id + "/" + strconv.Itoa(version) }

func at(t alert.Time) *millis {
	m := millis(t)
	return &m
}

func newFindingInfo(a *alert.Alert) findingInfo {
	related := relatedEvents(a)
	f := findingInfo{
		UID: a.ID, Title: a.Rule.Title, Desc: a.Summary, FirstSeenTime: millis(a.FirstSeen), LastSeenTime: millis(a.LastSeen),
		Types: types(a.Rule.Tags), DataSources: topics(a.Evidence), Analytic: newAnalytic(a), Attacks: attacks(a.Rule.Tags),
		RelatedEvents: related, RelatedEventsCount: len(related),
	}
	if a.State == alert.Open {
		f.CreatedTime = at(a.DetectedAt)
	} else {
		f.ModifiedTime = at(a.DetectedAt)
	}
	return f
}

// types returns the risks of the OWASP API Security Top 10 among the tags of a rule, API1:2023 for owasp:API1:2023.
func types(tags []string) (risks []string) {
	for _, tag := range tags {
		if risk, ok := strings.CutPrefix(tag, "owasp:"); ok {
			risks = append(risks, risk)
		}
	}
	return risks
}

// topics returns where the evidence was read.
func topics(evidence []alert.Evidence) (names []string) {
	for _, e := range evidence {
		if e.Source != nil && e.Source.Topic != "" && !slices.Contains(names, e.Source.Topic) {
			names = append(names, e.Source.Topic)
		}
	}
	return names
}

// newAnalytic describes the rule. One that knows what is usual for the entity is of another type than a fixed limit.
func newAnalytic(a *alert.Alert) *analytic {
	if a.Rule.ID == "" && a.Rule.Title == "" {
		return nil
	}
	kind := choice{1, "Rule"}
	if len(a.Baseline) > 0 {
		kind = choice{2, "Behavioral"}
	}
	return &analytic{UID: a.Rule.ID, Name: a.Rule.Title, TypeID: kind.id, Type: kind.caption}
}

func routes(names []string) (resources []resource) {
	for _, name := range names {
		resources = append(resources, resource{name, "API route"})
	}
	return resources
}

// riskScore rounds to what fits a column of 32 bits, in which data lakes keep the schema's integers.
func riskScore(risk *float64) *int {
	if risk == nil {
		return nil
	}
	score := int(max(0, min(math.Round(*risk), math.MaxInt32)))
	return &score
}
