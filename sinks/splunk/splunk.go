// Package splunk sends alerts and blind spots to a Splunk HTTP Event Collector, if wanted with indexer acknowledgement.
//
// An event is the JSON form of an alert; its time is detected_at. The collector does not deduplicate: after a lost answer, or a
// missing acknowledgement, an event comes again with equal id and version (search: | dedup id version).
package splunk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

// format keeps requests below what every collector takes: older ones have a max_content_length of 1,000,000.
var format = post.Format{Separator: "\n", MaxBytes: 1_000_000}

var _ sinks.BlindSpotSink = (*Sink)(nil)

// Sink sends to one collector.
type Sink struct {
	config  Config
	client  *post.Client
	channel string
	header  map[string]string
	probed  bool // the token has indexer acknowledgement
}

// New returns a sink for a valid configuration. It reads certificates but does not connect.
func New(c Config) (*Sink, error) {
	client, err := post.New(c.Config, c.Token)
	if err != nil {
		return nil, fmt.Errorf("set up splunk sink: %w", err)
	}
	channel := newChannel()
	return &Sink{config: c, client: client, channel: channel, header: map[string]string{
		"Authorization": "Splunk " + c.Token, "X-Splunk-Request-Channel": channel,
	}}, nil
}

// Name implements [sinks.Sink].
func (s *Sink) Name() string { return "splunk" }

// envelope is an event with what the collector wants to know of it.
type envelope struct {
	Time       json.Number `json:"time"` // epoch seconds with milliseconds
	Host       string      `json:"host,omitempty"`
	Source     string      `json:"source,omitempty"`
	SourceType string      `json:"sourcetype"`
	Index      string      `json:"index,omitempty"`
	Event      any         `json:"event"`
}

func (s *Sink) encode(sourceType string, at alert.Time, event any) ([]byte, error) {
	seconds := json.Number(fmt.Sprintf("%d.%03d", max(at, 0)/1000, max(at, 0)%1000))
	return post.JSON(envelope{seconds, s.config.Host, s.config.Source, sourceType, s.config.Index, event})
}

// Deliver implements [sinks.Sink].
func (s *Sink) Deliver(ctx context.Context, batch []*alert.Alert) error {
	items, refused := post.Encode(batch, format, func(a *alert.Alert) ([]byte, error) {
		return s.encode(s.config.SourceType, a.DetectedAt, a)
	})
	return post.Deliver(ctx, items, refused, format, s.send)
}

// DeliverBlindSpots implements [sinks.BlindSpotSink].
func (s *Sink) DeliverBlindSpots(ctx context.Context, batch []*alert.BlindSpot) error {
	if s.config.BlindSpotsSourceType == "-" {
		return nil
	}
	items, refused := post.Encode(batch, format, func(b *alert.BlindSpot) ([]byte, error) {
		return s.encode(s.config.BlindSpotsSourceType, b.To, b)
	})
	return post.Deliver(ctx, items, refused, format, s.send)
}

func (s *Sink) send(ctx context.Context, items []post.Item) error {
	if err := s.probe(ctx); err != nil {
		return err
	}
	answer, err := s.client.Post(ctx, post.Request{Path: "/services/collector/event", Header: s.header, Body: format.Join(items)})
	if err != nil {
		return err
	}
	if err := classify(answer); err != nil || !s.config.Acknowledge {
		return err
	}
	var taken struct {
		AckID *int64 `json:"ackId"`
	}
	if err := json.Unmarshal(answer.Body, &taken); err != nil || taken.AckID == nil {
		s.probed = false
		return errors.New("the token has no indexer acknowledgement any more: switch it on, or set acknowledge: false")
	}
	return await(ctx, s.config.AckInterval, s.config.AckTimeout, func(ctx context.Context) (bool, error) { return s.ask(ctx, *taken.AckID) })
}

// Codes of the collector with status 400 that speak of the events. The others (wrong index, acknowledgement disabled, data
// channel, token) an operator can repair.
var ofEvents = []int{
	5,  // no data
	6,  // invalid data format
	12, // event field is required
	13, // event field cannot be blank
	15, // error in handling indexed fields
}

// classify says what becomes of a request. Events before a bad one may have been taken: they come again when the request
// is sent in halves.
func classify(a post.Answer) error {
	var said struct {
		Code *int `json:"code"`
	}
	if a.Status == 400 && json.Unmarshal(a.Body, &said) == nil && said.Code != nil && !slices.Contains(ofEvents, *said.Code) {
		return a.Retry()
	}
	return a.Err()
}

// Close implements [sinks.Sink].
func (s *Sink) Close(context.Context) error {
	s.client.Close()
	return nil
}
