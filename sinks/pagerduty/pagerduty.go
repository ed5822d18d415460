// Package pagerduty tells a PagerDuty service of alerts with the Events API v2.
//
// An alert that opens or gets worse triggers, one that closes resolves; dedup_key is the id, so that all versions, and what
// comes again after a lost answer, are one incident.
package pagerduty

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

const (
	maxEvent   = 512 << 10 // bytes of a request
	maxSummary = 1024      // characters
)

var format = post.Format{MaxItems: 1, MaxBytes: maxEvent}

var _ sinks.Sink = (*Sink)(nil)

// Sink tells one service.
type Sink struct {
	config Config
	client *post.Client
}

// New returns a sink for a valid configuration. It reads certificates but does not connect.
func New(c Config) (*Sink, error) {
	client, err := post.New(c.Config, c.RoutingKey)
	if err != nil {
		return nil, fmt.Errorf("set up pagerduty sink: %w", err)
	}
	return &Sink{config: c, client: client}, nil
}

// Name implements [sinks.Sink].
func (s *Sink) Name() string { return "pagerduty" }

// event is the body of a request.
type event struct {
	RoutingKey string  `json:"routing_key"`
	Action     string  `json:"event_action"`
	DedupKey   string  `json:"dedup_key"`
	Client     string  `json:"client"`
	Payload    payload `json:"payload"`
}

type payload struct {
	Summary   string     `json:"summary"`
	Source    string     `json:"source"`
	Severity  string     `json:"severity"`
	Timestamp alert.Time `json:"timestamp"`
	Component string     `json:"component,omitempty"`
	Group     string     `json:"group,omitempty"`
	Class     string     `json:"class"`
	Details   any        `json:"custom_details"`
}

// severities are PagerDuty's four.
var severities = map[alert.Severity]string{
	alert.Info: "info", alert.Low: "info", alert.Medium: "warning", alert.High: "error", alert.Critical: "critical",
}

// encode returns the event, with the whole alert if that has a form and fits: somebody is paged in any case.
func (s *Sink) encode(a *alert.Alert) ([]byte, error) {
	if !s.config.Passes(a) {
		return nil, nil
	}
	e := event{RoutingKey: s.config.RoutingKey, Action: "trigger", DedupKey: a.ID, Client: "gatewatch", Payload: payload{
		Summary: clip(orElse(a.Summary, a.Rule.Title, a.ID), maxSummary), Source: "gatewatch",
		Severity: orElse(severities[a.Rule.Severity], "warning"), Timestamp: a.DetectedAt, Component: clip(a.Entity.ID, maxSummary),
		Group: a.Entity.Kind, Class: a.Rule.ID, Details: a,
	}}
	if a.State == alert.Closed {
		e.Action = "resolve"
	}
	data, err := post.JSON(e)
	if err != nil || len(data) > maxEvent {
		e.Payload.Details = map[string]any{
			"id": a.ID, "version": a.Version, "rule": a.Rule.ID, "entity": a.Entity, "advice": clip(a.Rule.Advice, 10_000),
			"note": "too large for PagerDuty: see the other places that gatewatch delivers to",
		}
		data, err = post.JSON(e)
	}
	return data, err
}

// clip returns at most n characters.
func clip(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	return string(runes[:n-1]) + "…"
}

// orElse returns the first text that is not empty.
func orElse(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// Deliver implements [sinks.Sink].
func (s *Sink) Deliver(ctx context.Context, batch []*alert.Alert) error {
	items, refused := post.Encode(batch, format, s.encode)
	return post.Deliver(ctx, items, refused, format, s.send)
}

func (s *Sink) send(ctx context.Context, items []post.Item) error {
	answer, err := s.client.Post(ctx, post.Request{Path: "/v2/enqueue", Body: items[0].Data})
	if err != nil {
		return err
	}
	if wrongKey(answer) {
		return answer.Retry()
	}
	return answer.Err()
}

// wrongKey reports an integration key that no service has, which an operator can repair: the status is that of a faulty event.
func wrongKey(a post.Answer) bool {
	var said struct {
		Errors []string `json:"errors"`
	}
	return a.Status == http.StatusBadRequest && json.Unmarshal(a.Body, &said) == nil && slices.ContainsFunc(said.Errors, func(text string) bool {
		return strings.Contains(strings.ReplaceAll(strings.ToLower(text), "_", " "), "routing key")
	})
}

// Close implements [sinks.Sink].
func (s *Sink) Close(context.Context) error {
	s.client.Close()
	return nil
}
