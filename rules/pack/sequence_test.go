package pack_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/rules/pack"
)

// TestShippedSequences shows what the shipped sequences are for, one call a minute, and what is near to it. The generated
// traffic has none of them.
func TestShippedSequences(t *testing.T) {
	set := enforced(t)
	const used = "GET /accounts 200, GET /accounts 200, GET /accounts 200, GET /accounts 200, GET /accounts 200"
	for _, c := range []struct{ calls, finds string }{
		{"POST /password/reset 202, PUT /v1/users/7/email 204, POST /transfers 201", "account-takeover"},
		{"POST /auth/change-password 204, GET /users/7/profile 200, PATCH /users/7/profile 200, GET /me/export 200", "account-takeover"},
		{"DELETE /me/mfa/totp 204, PATCH /users/7 200, POST /payouts 201", "account-takeover"},
		{"POST /password/reset 202, PUT /users/7/email 403, POST /transfers 201", ""},
		{"POST /password/reset 202, POST /login 200, GET /accounts 200, POST /transfers 201", ""},
		{"POST /api-keys 201, GET /orders/export 200, POST /exports 202, GET /exports/9 200", "new-key-bulk-export"},
		{"GET /api-keys 200, GET /orders/export 200, POST /exports 202, GET /exports/9 200", ""},
		{"POST /logout 204, " + used, "token-used-after-logout"},
		{"POST /logout 204, POST /logout 204, GET /accounts 401, GET /accounts 401, GET /accounts 401, GET /accounts 401, GET /accounts 200", ""},
	} {
		engine := detector.New(set, detector.DefaultOptions())
		var events []event.Event
		for i, call := range strings.Split(c.calls, ", ") {
			e := event.Event{
				Offset: int64(i), Time: event.TimeOf(time.Date(2026, 11, 23, 10, i, 0, 0, time.UTC)), Subject: "user-7", TokenID: "tok-7", ClientID: "app",
			}
			if _, err := fmt.Sscan(call, &e.Method, &e.Path, &e.Status); err != nil {
				t.Fatal(err)
			}
			e.Route = e.Path
			events = append(events, e)
		}
		engine.Push(engine.NewPreparer().Prepare(&event.Batch{Partition: event.Partition{Topic: "t"}, Next: int64(len(events)), Events: events}))
		found := ""
		for _, a := range engine.Flush() {
			if set.ByID(a.Rule.ID).Detection.Kind() == "sequence" && a.Version == 1 {
				found += a.Rule.ID
				t.Log(a.Summary)
			}
		}
		if found != c.finds {
			t.Errorf("%s: found %q, want %q", c.calls, found, c.finds)
		}
	}
}

// enforced is the shipped rules without shadow mode.
func enforced(t *testing.T) *rules.Set {
	t.Helper()
	set, err := rules.LoadFS(pack.Files())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range set.Rules {
		r.Mode = rules.Enforce
	}
	return set
}
