// Package elastic writes alerts and blind spots to Elasticsearch or OpenSearch with the bulk API, in the fields of the Elastic
// Common Schema.
//
// In a data stream every version is a document whose id is ID-vVERSION; it is made with the operation create, so that a version
// that comes again is a conflict and nothing else. In an index the id is that of the alert, and the version, as an external one,
// lets only newer versions replace older ones. Texts that are too long for an index are cut.
package elastic

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

// format stays below the 10 MiB of the smallest hosted servers.
var format = post.Format{MaxBytes: 8 << 20}

var _ sinks.BlindSpotSink = (*Sink)(nil)

// Sink writes to one cluster.
type Sink struct {
	config Config
	client *post.Client
	header map[string]string
}

// New returns a sink for a valid configuration. It reads certificates but does not connect.
func New(c Config) (*Sink, error) {
	authorization := ""
	switch {
	case c.APIKey != "":
		authorization = "ApiKey " + c.APIKey
	case c.Username != "":
		authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
	}
	_, credentials, _ := strings.Cut(authorization, " ")
	client, err := post.New(c.Config, credentials, c.Password)
	if err != nil {
		return nil, fmt.Errorf("set up elastic sink: %w", err)
	}
	s := &Sink{config: c, client: client, header: map[string]string{}}
	if authorization != "" {
		s.header["Authorization"] = authorization
	}
	return s, nil
}

// Name implements [sinks.Sink].
func (s *Sink) Name() string { return "elastic" }

// action is the line before a document.
type action struct {
	Index       string `json:"_index"`
	ID          string `json:"_id"`
	Version     int    `json:"version,omitempty"`
	VersionType string `json:"version_type,omitempty"`
}

// lines returns the two lines of one document.
func (s *Sink) lines(index, id string, version int, document any) ([]byte, error) {
	first := map[string]action{"create": {Index: index, ID: fmt.Sprintf("%s-v%d", id, version)}}
	if s.config.Mode == Index {
		first = map[string]action{"index": {Index: index, ID: id, Version: version, VersionType: "external"}}
	}
	head, err := post.JSON(first)
	if err != nil {
		return nil, err
	}
	body, err := post.JSON(document)
	if err != nil {
		return nil, err
	}
	if body, err = clipTerms(body); err != nil {
		return nil, err
	}
	return slices.Concat(head, []byte("\n"), body, []byte("\n")), nil
}

// Deliver implements [sinks.Sink].
func (s *Sink) Deliver(ctx context.Context, batch []*alert.Alert) error {
	items, refused := post.Encode(batch, format, func(a *alert.Alert) ([]byte, error) {
		return s.lines(s.config.Index, a.ID, a.Version, alertDocument(a))
	})
	return post.Deliver(ctx, items, refused, format, func(ctx context.Context, items []post.Item) error {
		return s.bulk(ctx, items, ofDocument)
	})
}

// DeliverBlindSpots implements [sinks.BlindSpotSink]. Those that the server has no place for, or lets gatewatch not write, are
// refused.
func (s *Sink) DeliverBlindSpots(ctx context.Context, batch []*alert.BlindSpot) error {
	if s.config.BlindSpotsIndex == "-" {
		return nil
	}
	items, refused := post.Encode(batch, format, func(b *alert.BlindSpot) ([]byte, error) {
		return s.lines(s.config.BlindSpotsIndex, b.ID, b.Version, blindSpotDocument(b))
	})
	return post.Deliver(ctx, items, refused, format, func(ctx context.Context, items []post.Item) error {
		return s.bulk(ctx, items, func(r result) bool {
			return ofDocument(r) || r.Status == http.StatusNotFound || r.Status == http.StatusForbidden
		})
	})
}

// result is what became of one document.
type result struct {
	Status int `json:"status"`
	Error  struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
	} `json:"error"`
}

// bulk sends one request; final says which results are for good.
func (s *Sink) bulk(ctx context.Context, items []post.Item, final func(result) bool) error {
	answer, err := s.client.Post(ctx, post.Request{
		Path: "/_bulk", Header: s.header, ContentType: "application/x-ndjson", Body: format.Join(items),
	})
	if err != nil {
		return err
	}
	if err := answer.Err(); err != nil {
		return err
	}
	var said struct {
		Errors *bool               `json:"errors"`
		Items  []map[string]result `json:"items"`
	}
	if err := json.Unmarshal(answer.Body, &said); err != nil || said.Errors == nil || *said.Errors && len(said.Items) != len(items) {
		return errors.New("the answer to the bulk request is not understood: check url")
	}
	if !*said.Errors {
		return nil
	}
	return s.partly(said.Items, final)
}

func (s *Sink) partly(items []map[string]result, final func(result) bool) error {
	var partial sinks.PartialError
	for i, item := range items {
		for _, r := range item {
			if r.Status/100 == 2 || r.Status == http.StatusConflict { // a conflict: it is there already
				continue
			}
			err := errors.New(s.client.Clean(fmt.Sprintf("document refused with %d %s: %s", r.Status, r.Error.Type, r.Error.Reason)))
			if final(r) {
				partial.Refused = append(partial.Refused, sinks.Refusal{Index: i, Err: err})
			} else {
				partial.Retry, partial.Err = append(partial.Retry, i), err
			}
		}
	}
	if len(partial.Refused) == 0 && len(partial.Retry) == 0 {
		return nil
	}
	return &partial
}

// ofIndex are errors with status 400 that an operator can repair; the last: no shard is left.
var ofIndex = []string{"index_closed_exception", "invalid_index_name_exception", "validation_exception"}

// ofDocument reports whether the document is at fault, and not index, grants, load or the mode of the sink.
func ofDocument(r result) bool {
	return r.Status == http.StatusBadRequest && !slices.Contains(ofIndex, r.Error.Type) && !wrongMode(r) && !unprepared(r)
}

// wrongMode reports whether the operation does not fit a data stream. Reasons of other types quote values, which callers choose.
func wrongMode(r result) bool {
	return r.Error.Type == "illegal_argument_exception" && strings.Contains(r.Error.Reason, "allowed in data streams")
}

// unprepared reports whether a pipeline or, behind an alias, an index is missing.
func unprepared(r result) bool {
	return r.Error.Type == "illegal_argument_exception" &&
		(strings.HasPrefix(r.Error.Reason, "pipeline with id [") || strings.HasPrefix(r.Error.Reason, "no write index is defined"))
}

// Close implements [sinks.Sink].
func (s *Sink) Close(context.Context) error {
	s.client.Close()
	return nil
}
