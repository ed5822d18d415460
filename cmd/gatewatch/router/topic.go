package router

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
	"github.com/gatewatch/gatewatch/ingest/keyed"
)

// Open finds the keyed topic, or makes it. It waits for brokers until ctx ends.
func (r *Router) Open(ctx context.Context) error {
	return r.insist(ctx, "find topic "+r.o.Config.Topic, func() error {
		counts, err := r.lookUp(ctx, r.o.Config.Topic)
		if err != nil {
			return err
		}
		if r.partitions = counts[r.o.Config.Topic]; r.partitions == 0 {
			r.partitions, err = r.create(ctx)
		}
		return err
	})
}

// hopeless is an error that waiting does not repair.
type hopeless struct{ error }

func (h hopeless) Unwrap() error { return h.error }

// insist repeats f until it succeeds, ctx ends or there is no hope.
func (r *Router) insist(ctx context.Context, doing string, f func() error) error {
	for tries := 0; ; tries++ {
		err := f()
		if err == nil {
			return nil
		}
		_, fatal := errors.AsType[hopeless](err)
		advice := connection.Advice(err)
		switch {
		case fatal:
			return fmt.Errorf("%s: %w", doing, err)
		case advice != "" && tries > 0: // a broker that dies looks like one that refuses
			return fmt.Errorf("%s: %w; %s", doing, err, advice)
		case tries == 0:
			r.o.Log.Warn("cannot "+doing+"; will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(againAfter):
		}
	}
}

const againAfter = 500 * time.Millisecond

// lookUp returns the number of partitions of each topic that exists.
func (r *Router) lookUp(ctx context.Context, topics ...string) (map[string]int32, error) {
	request := kmsg.NewPtrMetadataRequest()
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		request.Topics = append(request.Topics, t)
	}
	response, err := request.RequestWith(ctx, r.client)
	if err != nil {
		return nil, err
	}
	counts := map[string]int32{}
	for _, t := range response.Topics {
		err := kerr.ErrorForCode(t.ErrorCode)
		switch {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
		case errors.Is(err, kerr.TopicAuthorizationFailed):
			return nil, hopeless{fmt.Errorf("topic %s: %w", *t.Topic, err)}
		case err != nil:
			return nil, fmt.Errorf("topic %s: %w", *t.Topic, err)
		default:
			counts[*t.Topic] = int32(len(t.Partitions))
		}
	}
	return counts, nil
}

func (r *Router) create(ctx context.Context) (partitions int32, err error) {
	c := r.o.Config
	if c.Partitions == 0 {
		return 0, fmt.Errorf("topic %s does not exist; make it, or set route.partitions", c.Topic)
	}
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = c.Topic, int32(c.Partitions), int16(c.ReplicationFactor)
	if c.ReplicationFactor == 0 {
		t.ReplicationFactor = -1
	}
	request := kmsg.NewPtrCreateTopicsRequest()
	request.Topics, request.TimeoutMillis = append(request.Topics, t), 10_000
	response, err := request.RequestWith(ctx, r.client)
	if err != nil {
		return 0, err
	}
	for _, t := range response.Topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case errors.Is(err, kerr.TopicAlreadyExists): // another router was faster; the next look finds it
			return 0, err
		case err != nil:
			return 0, hopeless{fmt.Errorf("make the topic: %w", err)}
		}
	}
	r.o.Log.Info("made the keyed topic", "topic", c.Topic, "partitions", c.Partitions)
	return int32(c.Partitions), nil
}

// inputs looks the topics up: the raw ones are what readers wait for, the keyed one must be as it was.
func (r *Router) inputs(ctx context.Context) (inputs []keyed.Input, err error) {
	c := r.o.Config
	counts, err := r.lookUp(ctx, append([]string{c.Topic}, r.o.Topics...)...)
	if err != nil {
		return nil, err
	}
	switch n := counts[c.Topic]; n {
	case r.partitions:
	case 0:
		return nil, fmt.Errorf("topic %s is gone", c.Topic)
	default:
		return nil, hopeless{fmt.Errorf("topic %s has %d partitions and had %d: entities would move to other partitions, away from what is "+
			"known of them; write to a new topic instead", c.Topic, n, r.partitions)}
	}
	for _, name := range r.o.Topics {
		if n := counts[name]; n > 0 {
			inputs = append(inputs, keyed.Input{Topic: name, Partitions: n})
		}
	}
	return inputs, nil
}

// look makes sure that the keyed topic is as it was; what may pass is left to the next look.
func (r *Router) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookEvery/2)
	defer cancel()
	_, err := r.inputs(ctx)
	if _, fatal := errors.AsType[hopeless](err); fatal {
		return err
	}
	return nil
}

// lookEvery is how often that is made sure.
const lookEvery = 5 * time.Second
