package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	kafka "github.com/segmentio/kafka-go"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/kafka/broker"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

// directory knows which broker leads a partition. All readers share it, so that the partitions of a lost broker ask once.
type directory struct {
	dialer  broker.Dialer
	options broker.Options
	topics  []string
	seeds   []string // addresses from the configuration

	asking sync.Mutex // held while a broker is asked, which the timeouts of connections bound
	at     time.Time  // when the last answer was asked for
	answer map[string]broker.Topic
	conn   *broker.Conn // nil: none
}

func newDirectory(c *connection.Cluster, config Config) *directory {
	return &directory{dialer: c, options: config.broker(), topics: config.Topics, seeds: config.Brokers}
}

// lookup returns what brokers say about the topics, as of no earlier than since.
func (d *directory) lookup(ctx context.Context, since time.Time) (map[string]broker.Topic, error) {
	d.asking.Lock()
	defer d.asking.Unlock()
	if d.at.After(since) {
		return d.answer, nil
	}
	now := time.Now()
	answer, err := d.ask(ctx)
	if err != nil {
		return nil, err
	}
	d.at, d.answer = now, answer
	return answer, nil
}

// leader returns the address of the broker that leads p.
func (d *directory) leader(ctx context.Context, p event.Partition, since time.Time) (string, error) {
	topics, err := d.lookup(ctx, since)
	if err != nil {
		return "", err
	}
	topic, ok := topics[p.Topic]
	switch {
	case !ok:
		return "", kafka.UnknownTopicOrPartition
	case topic.Err != nil:
		return "", topic.Err
	case int(p.ID) >= len(topic.Leaders):
		return "", kafka.UnknownTopicOrPartition
	case topic.Leaders[p.ID] == "":
		return "", kafka.LeaderNotAvailable
	}
	return topic.Leaders[p.ID], nil
}

// ask asks the broker of the last time, or else all in turn.
func (d *directory) ask(ctx context.Context) (map[string]broker.Topic, error) {
	if d.conn != nil {
		if answer, err := d.askOne(ctx, ""); err == nil {
			return answer, nil
		}
	}
	failed := errors.New("no broker answers")
	for _, address := range d.candidates() {
		answer, err := d.askOne(ctx, address)
		if err == nil {
			return answer, nil
		}
		failed = fmt.Errorf("%w; %w", failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

// candidates are the configured brokers and those that led partitions at the last look, for the former may be gone.
func (d *directory) candidates() []string {
	all := slices.Clone(d.seeds)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, topic := range d.answer {
		for _, address := range topic.Leaders {
			if address != "" && !slices.Contains(all, address) {
				all = append(all, address)
			}
		}
	}
	return all
}

// askOne asks the broker at address, "" for that of the last time. A connection that fails is given up.
func (d *directory) askOne(ctx context.Context, address string) (map[string]broker.Topic, error) {
	if d.conn == nil {
		conn, err := broker.Open(ctx, d.dialer, address, d.options)
		if err != nil {
			return nil, err
		}
		d.conn = conn
	}
	conn := d.conn
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	topics, err := conn.Topics(d.topics)
	if !stop() || err != nil {
		conn.Close()
		d.conn = nil
	}
	return topics, err
}

// close ends the connection.
func (d *directory) close() {
	d.asking.Lock()
	defer d.asking.Unlock()
	if d.conn != nil {
		d.conn.Close()
		d.conn = nil
	}
}
