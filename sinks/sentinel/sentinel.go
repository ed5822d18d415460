// Package sentinel sends alerts and blind spots to tables of a Log Analytics workspace, which Microsoft Sentinel reads, with the
// Logs Ingestion API of Azure Monitor.
//
// gatewatch signs in as an application of Entra. The API does not deduplicate: after a lost answer a row is there twice with
// equal AlertId and Version (arg_max, or distinct).
package sentinel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

// format keeps to the documented 1 MB of one call, compressed or not.
var format = post.Format{Open: "[", Separator: ",", Close: "]", MaxBytes: 1_000_000}

var _ sinks.BlindSpotSink = (*Sink)(nil)

// Sink sends to one data collection rule.
type Sink struct {
	config Config
	client *post.Client
	tokens *post.Tokens
}

// New returns a sink for a valid configuration. It reads certificates but does not connect.
func New(c Config) (*Sink, error) {
	client, err := post.New(c.Config, c.ClientSecret)
	if err != nil {
		return nil, fmt.Errorf("set up sentinel sink: %w", err)
	}
	login := strings.TrimSuffix(c.LoginURL, "/") + "/" + c.TenantID + "/oauth2/v2.0/token"
	return &Sink{config: c, client: client, tokens: post.NewTokens(client, login, func() (url.Values, error) {
		return url.Values{
			"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {c.ClientSecret}, "scope": {c.Scope},
		}, nil
	})}, nil
}

// Name implements [sinks.Sink].
func (s *Sink) Name() string { return "sentinel" }

// Deliver implements [sinks.Sink].
func (s *Sink) Deliver(ctx context.Context, batch []*alert.Alert) error {
	items, refused := post.Encode(batch, format, encodeAlert)
	return post.Deliver(ctx, items, refused, format, func(ctx context.Context, items []post.Item) error {
		answer, err := s.send(ctx, s.config.Stream, items)
		if err != nil {
			return err
		}
		return classify(answer)
	})
}

// unknownStream reports a rule that does not have the stream: that is no fault of the records, although the status can be 400.
func unknownStream(a post.Answer) bool {
	var said struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	return a.Status == http.StatusBadRequest && json.Unmarshal(a.Body, &said) == nil && said.Error.Code == "InvalidStream"
}

func classify(a post.Answer) error {
	if unknownStream(a) {
		return a.Retry()
	}
	return a.Err()
}

// DeliverBlindSpots implements [sinks.BlindSpotSink]. It refuses them when the rule does not know their stream.
func (s *Sink) DeliverBlindSpots(ctx context.Context, batch []*alert.BlindSpot) error {
	if s.config.BlindSpotsStream == "-" {
		return nil
	}
	items, refused := post.Encode(batch, format, encodeBlindSpot)
	return post.Deliver(ctx, items, refused, format, func(ctx context.Context, items []post.Item) error {
		answer, err := s.send(ctx, s.config.BlindSpotsStream, items)
		switch {
		case err != nil:
			return err
		case answer.Status == http.StatusNotFound || answer.Status == http.StatusForbidden || unknownStream(answer):
			return sinks.RefuseAll(len(items), fmt.Errorf("%w: add the stream to the rule, or set blind_spots_stream to -", errors.Unwrap(answer.Refuse())))
		}
		return answer.Err()
	})
}

func (s *Sink) send(ctx context.Context, stream string, items []post.Item) (post.Answer, error) {
	return s.tokens.PostWithToken(ctx, post.Request{
		Path: "/dataCollectionRules/" + s.config.Rule + "/streams/" + stream + "?api-version=2023-01-01",
		Body: format.Join(items),
	})
}

// Close implements [sinks.Sink].
func (s *Sink) Close(context.Context) error {
	s.client.Close()
	return nil
}
