// Package webhook calls an address of the user's own for each alert and blind spot, as the specification Standard Webhooks
// 1.0.0 (standardwebhooks.com) says: JSON with type, timestamp and data, signed with HMAC-SHA256.
//
// With the format ocsf the body is an OCSF Detection Finding without an envelope, and no blind spots are sent: a receiver of
// findings would refuse them.
//
// The header webhook-id is ID.VERSION and repeats when an answer was lost, which is what a receiver deduplicates on.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/ocsf"
	"github.com/gatewatch/gatewatch/sinks/post"
)

// format is one record a request; alerts are far smaller than this.
var format = post.Format{MaxItems: 1, MaxBytes: 1 << 20}

var _ sinks.BlindSpotSink = (*Sink)(nil)

// Sink calls one address.
type Sink struct {
	client     *post.Client
	keys       [][]byte // the newest first
	token      string
	blindSpots bool
	format     ocsf.Format
}

// New returns a sink for a valid configuration.
func New(c Config) (*Sink, error) {
	secrets := append(c.Behind(), c.Secret, c.PreviousSecret, c.Token, strings.TrimPrefix(c.Secret, prefix), strings.TrimPrefix(c.PreviousSecret, prefix))
	client, err := post.New(c.Config, secrets...)
	if err != nil {
		return nil, fmt.Errorf("set up webhook sink: %w", err)
	}
	s := &Sink{client: client, token: c.Token, blindSpots: c.BlindSpots && c.Format != ocsf.OCSF, format: c.Format}
	for _, secret := range []string{c.Secret, c.PreviousSecret} {
		k, err := key(secret)
		if err != nil {
			return nil, fmt.Errorf("set up webhook sink: secret %w", err)
		}
		if k != nil {
			s.keys = append(s.keys, k)
		}
	}
	return s, nil
}

// Name implements [sinks.Sink].
func (s *Sink) Name() string { return "webhook" }

// event is the body of a call.
type event struct {
	Type      string     `json:"type"` // alert.open, blind_spot.closed
	Timestamp alert.Time `json:"timestamp"`
	Data      any        `json:"data"`
}

// Deliver implements [sinks.Sink].
func (s *Sink) Deliver(ctx context.Context, batch []*alert.Alert) error {
	items, refused := post.Encode(batch, format, s.encode)
	return post.Deliver(ctx, items, refused, format, func(ctx context.Context, items []post.Item) error {
		a := batch[items[0].Index]
		return s.call(ctx, a.ID, a.Version, items[0].Data)
	})
}

func (s *Sink) encode(a *alert.Alert) ([]byte, error) {
	if s.format != ocsf.OCSF {
		return post.JSON(event{"alert." + string(a.State), a.DetectedAt, a})
	}
	var body bytes.Buffer
	err := ocsf.Write(&body, a)
	return bytes.TrimSuffix(body.Bytes(), []byte("\n")), err
}

// DeliverBlindSpots implements [sinks.BlindSpotSink].
func (s *Sink) DeliverBlindSpots(ctx context.Context, batch []*alert.BlindSpot) error {
	if !s.blindSpots {
		return nil
	}
	items, refused := post.Encode(batch, format, func(b *alert.BlindSpot) ([]byte, error) {
		return post.JSON(event{"blind_spot." + string(b.State), b.To, b})
	})
	return post.Deliver(ctx, items, refused, format, func(ctx context.Context, items []post.Item) error {
		b := batch[items[0].Index]
		return s.call(ctx, b.ID, b.Version, items[0].Data)
	})
}

func (s *Sink) call(ctx context.Context, id string, version int, body []byte) error {
	header := s.sign(id+"."+strconv.Itoa(version), time.Now(), body)
	if s.token != "" {
		header["Authorization"] = "Bearer " + s.token
	}
	answer, err := s.client.Post(ctx, post.Request{Header: header, Body: body})
	if err != nil || answer.OK() { // the specification leaves the body to the receiver
		return err
	}
	return answer.Err()
}

// sign makes the headers of a call.
func (s *Sink) sign(id string, at time.Time, body []byte) map[string]string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	var signatures []string
	for _, k := range s.keys {
		mac := hmac.New(sha256.New, k)
		fmt.Fprintf(mac, "%s.%s.%s", id, seconds, body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return map[string]string{
		"webhook-id": id, "webhook-timestamp": seconds, "webhook-signature": strings.Join(signatures, " "),
	}
}

// Close implements [sinks.Sink].
func (s *Sink) Close(context.Context) error {
	s.client.Close()
	return nil
}
