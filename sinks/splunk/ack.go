package splunk

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

// newChannel returns a random UUID (RFC 9562, version 4): acknowledgements are counted by channel.
func newChannel() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// probe asks once whether the token has indexer acknowledgement: without it events would be taken and never acknowledged.
func (s *Sink) probe(ctx context.Context) error {
	if !s.config.Acknowledge || s.probed {
		return nil
	}
	if _, err := s.ask(ctx, 0); err != nil {
		return err
	}
	s.probed = true
	return nil
}

// ask returns whether a request has been indexed. An acknowledgement is told once.
func (s *Sink) ask(ctx context.Context, id int64) (bool, error) {
	answer, err := s.client.Post(ctx, post.Request{
		Path: "/services/collector/ack?channel=" + s.channel, Header: s.header, Body: fmt.Appendf(nil, `{"acks":[%d]}`, id), Plain: true,
	})
	if err != nil {
		return false, err
	}
	if err := classify(answer); err != nil {
		// The question is at fault, never the events.
		return false, fmt.Errorf("ask for acknowledgements (ack_timeout, token): %w", notRefused(err))
	}
	var acks struct {
		Acks map[string]bool `json:"acks"`
	}
	if err := json.Unmarshal(answer.Body, &acks); err != nil {
		return false, fmt.Errorf("ask for acknowledgements: the answer is not understood: %w", err)
	}
	return acks.Acks[strconv.FormatInt(id, 10)], nil
}

func notRefused(err error) error {
	if refused, ok := errors.AsType[*sinks.RefusedError](err); ok {
		return refused.Err
	}
	return err
}

// await asks at intervals until the answer is yes. After the timeout the events have to be sent again; the last failure to ask
// says why.
func await(ctx context.Context, interval, timeout time.Duration, ask func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var failure error
	for tick := time.NewTicker(interval); ; {
		done, err := ask(ctx)
		if done {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			failure = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if failure != nil {
				return fmt.Errorf("no indexer acknowledged within %v: %w", timeout, failure)
			}
			return fmt.Errorf("no indexer acknowledged within %v: %w", timeout, ctx.Err())
		}
	}
}
