package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

// latestWait is how long a topic that may be empty is looked at.
const latestWait = 3 * time.Second

// latestRecord returns the value of a record at the end of one of the topic's partitions, nil when it has none.
func latestRecord(ctx context.Context, cluster *connection.Cluster, topic string) ([]byte, error) {
	end := kgo.NewOffset().AtEnd().Relative(-1)
	client, err := kgo.NewClient(append(cluster.KgoOptions(), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(end))...)
	if err != nil {
		return nil, fmt.Errorf("look at topic %s: %w", topic, err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, latestWait)
	defer cancel()
	for ctx.Err() == nil {
		var value []byte
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { value = r.Value })
		if value != nil {
			return value, nil
		}
	}
	return nil, nil
}
