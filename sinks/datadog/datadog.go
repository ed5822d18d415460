// Package datadog sends alerts and blind spots to Datadog as logs (API v2, source gatewatch).
//
// The message of a log is the summary, its status follows the severity, and gatewatch.alert is the whole alert. Datadog does not
// deduplicate: after a lost answer an alert is there twice with equal id and version.
package datadog

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

// format are the documented limits, before compression. A log beyond 1 MB would be taken and cut: it is refused here instead.
var format = post.Format{Open: "[", Separator: ",", Close: "]", MaxItems: 1000, MaxBytes: 5_000_000, MaxItem: 1_000_000}

// maxAge is how old the timestamp of a log may be, an hour less than the documented 18.
const maxAge = 17 * time.Hour

var _ sinks.BlindSpotSink = (*Sink)(nil)

// Sink sends to one organisation.
type Sink struct {
	config Config
	client *post.Client
	tags   string
}

// New returns a sink for a valid configuration. It reads certificates but does not connect.
func New(c Config) (*Sink, error) {
	client, err := post.New(c.address(), c.APIKey)
	if err != nil {
		return nil, fmt.Errorf("set up datadog sink: %w", err)
	}
	return &Sink{config: c, client: client, tags: strings.Join(c.Tags, ",")}, nil
}

// Name implements [sinks.Sink].
func (s *Sink) Name() string { return "datadog" }

// entry is a log. Names before Gatewatch are reserved by Datadog.
type entry struct {
	Source    string `json:"ddsource"`
	Tags      string `json:"ddtags,omitempty"`
	Hostname  string `json:"hostname,omitempty"`
	Service   string `json:"service"`
	Status    string `json:"status"`
	Timestamp int64  `json:"timestamp"` // epoch milliseconds
	Message   string `json:"message"`
	Gatewatch any    `json:"gatewatch"`
}

// statuses are Datadog's names, syslog's, for severities.
var statuses = map[alert.Severity]string{
	alert.Info: "info", alert.Low: "notice", alert.Medium: "warning", alert.High: "error", alert.Critical: "critical",
}

func (s *Sink) entry(status, message string, at alert.Time, emitted *alert.Time, whole any) ([]byte, error) {
	return post.JSON(entry{
		Source: "gatewatch", Tags: s.tags, Hostname: s.config.Hostname, Service: s.config.Service, Status: status,
		Timestamp: recent(at, emitted), Message: message, Gatewatch: whole,
	})
}

// recent returns the time of an event, or, when that is too old to be taken, that of the delivery.
func recent(at alert.Time, emitted *alert.Time) int64 {
	if emitted != nil && emitted.Std().Sub(at.Std()) > maxAge {
		return int64(*emitted)
	}
	return int64(at)
}

// Deliver implements [sinks.Sink].
func (s *Sink) Deliver(ctx context.Context, batch []*alert.Alert) error {
	items, refused := post.Encode(batch, format, func(a *alert.Alert) ([]byte, error) {
		return s.entry(statuses[a.Rule.Severity], a.Summary, a.DetectedAt, a.EmittedAt, map[string]any{"alert": a})
	})
	return post.Deliver(ctx, items, refused, format, s.send)
}

// DeliverBlindSpots implements [sinks.BlindSpotSink].
func (s *Sink) DeliverBlindSpots(ctx context.Context, batch []*alert.BlindSpot) error {
	if !s.config.BlindSpots {
		return nil
	}
	items, refused := post.Encode(batch, format, func(b *alert.BlindSpot) ([]byte, error) {
		return s.entry("warning", b.Detail, b.To, b.EmittedAt, map[string]any{"blind_spot": b})
	})
	return post.Deliver(ctx, items, refused, format, s.send)
}

func (s *Sink) send(ctx context.Context, items []post.Item) error {
	answer, err := s.client.Post(ctx, post.Request{
		Path: "/api/v2/logs", Header: map[string]string{"DD-API-KEY": s.config.APIKey}, Body: format.Join(items),
	})
	if err != nil {
		return err
	}
	return answer.Err()
}

// Close implements [sinks.Sink].
func (s *Sink) Close(context.Context) error {
	s.client.Close()
	return nil
}
