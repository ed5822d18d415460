// Package chronicle imports alerts and blind spots as raw logs into Google SecOps (Chronicle) with the method logs.import of the
// Chronicle API.
//
// The data of a log is the JSON form; a parser of the log type makes events of it. SecOps does not deduplicate: after a lost
// answer a log is there twice with equal id and version.
package chronicle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

var _ sinks.BlindSpotSink = (*Sink)(nil)

// Sink imports into one instance.
type Sink struct {
	config Config
	client *post.Client
	tokens *post.Tokens
	format post.Format
}

// New returns a sink for a valid configuration. It reads key and certificates but does not connect.
func New(c Config) (*Sink, error) {
	account, err := readAccount(c.CredentialsFile)
	if err != nil {
		return nil, fmt.Errorf("set up chronicle sink: %w", err)
	}
	if err := c.CheckURL("token_uri", account.TokenURI); err != nil {
		return nil, fmt.Errorf("set up chronicle sink: credentials_file: %w", err)
	}
	client, err := post.New(c.address(), account.Key)
	if err != nil {
		return nil, fmt.Errorf("set up chronicle sink: %w", err)
	}
	format, err := newFormat(c)
	if err != nil {
		return nil, fmt.Errorf("set up chronicle sink: %w", err)
	}
	tokens := post.NewTokens(client, account.TokenURI, func() (url.Values, error) {
		assertion, err := account.assertion(time.Now())
		client.Hide(assertion)
		return form(assertion), err
	})
	return &Sink{config: c, client: client, tokens: tokens, format: format}, nil
}

// newFormat returns the frame of a request. Google's own tools keep requests below 4 MB and logs below 1 MB, a third more in
// base64.
func newFormat(c Config) (post.Format, error) {
	f := post.Format{Open: `{"inlineSource":{"logs":[`, Separator: ",", Close: "]}}", MaxBytes: 3_900_000, MaxItem: 1_400_000}
	if c.Forwarder != "" {
		name, err := post.JSON(c.instance() + "/forwarders/" + c.Forwarder)
		if err != nil {
			return f, err
		}
		f.Open = `{"inlineSource":{"forwarder":` + string(name) + `,"logs":[`
	}
	return f, nil
}

// Name implements [sinks.Sink].
func (s *Sink) Name() string { return "chronicle" }

// log is one raw log.
type log struct {
	Data       []byte     `json:"data"` // base64
	Entry      alert.Time `json:"logEntryTime"`
	Collection alert.Time `json:"collectionTime"` // must be after the former
	Namespace  string     `json:"environmentNamespace,omitempty"`
}

func (s *Sink) encode(v any, at alert.Time, emitted *alert.Time) ([]byte, error) {
	data, err := post.JSON(v)
	if err != nil {
		return nil, err
	}
	collected := at + 1
	if emitted != nil {
		collected = max(collected, *emitted)
	}
	return post.JSON(log{data, at, collected, s.config.Namespace})
}

// Deliver implements [sinks.Sink].
func (s *Sink) Deliver(ctx context.Context, batch []*alert.Alert) error {
	items, refused := post.Encode(batch, s.format, func(a *alert.Alert) ([]byte, error) {
		return s.encode(a, a.DetectedAt, a.EmittedAt)
	})
	return post.Deliver(ctx, items, refused, s.format, s.send)
}

// DeliverBlindSpots implements [sinks.BlindSpotSink].
func (s *Sink) DeliverBlindSpots(ctx context.Context, batch []*alert.BlindSpot) error {
	if !s.config.BlindSpots {
		return nil
	}
	items, refused := post.Encode(batch, s.format, func(b *alert.BlindSpot) ([]byte, error) {
		return s.encode(b, b.To, b.EmittedAt)
	})
	return post.Deliver(ctx, items, refused, s.format, s.send)
}

func (s *Sink) send(ctx context.Context, items []post.Item) error {
	answer, err := s.tokens.PostWithToken(ctx, post.Request{
		Path: "/v1beta/" + s.config.instance() + "/logTypes/" + s.config.LogType + "/logs:import", Body: s.format.Join(items),
	})
	if err != nil {
		return err
	}
	if unprepared(answer) {
		return answer.Retry()
	}
	err = answer.Err()
	if retry, ok := errors.AsType[*sinks.RetryError](err); ok && answer.Status == http.StatusTooManyRequests && retry.After == 0 {
		retry.After = s.config.ThrottlePause
	}
	return err
}

// unprepared reports that the instance is not in the state for this, which has status 400 among Google's errors (google.rpc.Code
// FAILED_PRECONDITION) and is no fault of the logs.
func unprepared(a post.Answer) bool {
	var said struct {
		Error struct {
			Status string `json:"status"`
		} `json:"error"`
	}
	return a.Status == http.StatusBadRequest && json.Unmarshal(a.Body, &said) == nil && said.Error.Status == "FAILED_PRECONDITION"
}

// Close implements [sinks.Sink].
func (s *Sink) Close(context.Context) error {
	s.client.Close()
	return nil
}
