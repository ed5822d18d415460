package sinktest

import (
	"fmt"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// base is the event time of the first sample alert.
const base = alert.Time(1_795_342_800_123)

// Key names a version of an alert.
func Key(a *alert.Alert) string { return fmt.Sprintf("%s/%d", a.ID, a.Version) }

// Alert returns a version of the n-th sample alert with every field set, among them text that JSON, SQL and terminals must
// escape.
func Alert(n, version int) *alert.Alert {
	entity := alert.Entity{Kind: "client_id", ID: fmt.Sprintf("mobile-app-%d", n)}
	first := base + alert.Time(n*60_000)
	risk := 0.5
	return &alert.Alert{
		Schema:  alert.SchemaVersion,
		ID:      alert.NewID("profile-enumeration", entity, first),
		Version: version,
		State:   alert.Update,
		Rule: alert.Rule{
			ID: "profile-enumeration", Title: "One client reads many user profiles", Severity: alert.High,
			Tags: []string{"owasp:API1:2023", "attack:T1087"}, Advice: "Ask who owns the client",
		},
		Entity:     entity,
		FirstSeen:  first,
		LastSeen:   first + alert.Time(version*1000),
		DetectedAt: first + alert.Time(version*1000) + 1,
		EmittedAt:  emitted(n),
		Summary:    fmt.Sprintf("%s read ≈ %d different user profiles & more: 'quoted', \"<b>\"\\\n\t☂", entity.ID, 63*version),
		Observed: alert.Observed{
			Value: 63.5 * float64(version), Exact: false, Error: 0.02, Limit: 50, Unit: "user profiles", Window: "1m",
			Detail: map[string]any{"path": []any{"login", "export"}, "km": 12.5},
		},
		Baseline: map[string]any{"usual": 3.0},
		Evidence: []alert.Evidence{{
			Time: first, ClientID: entity.ID, Subject: "user-123", TokenID: "k1:9f", SessionID: "s-9",
			SourceIP: "2001:db8::1", Country: "GB", Method: "GET", Path: "/users/42/profile", Route: "/users/{id}/profile",
			Status: 200, RequestID: "r-1", UserAgent: "okhttp/4",
			Source: &alert.Source{Topic: "gateway", Partition: 3, Offset: 1 << 40, Index: 7},
		}, {Time: first + 1, Method: "GET", Path: "/users/43/profile", Status: 200}},
		Related: map[string][]string{"country": {"GB", "FR"}, "subject": {"user-123"}},
		Risk:    &risk,
	}
}

func emitted(n int) *alert.Time {
	t := base + alert.Time(3_600_000+n)
	return &t
}
