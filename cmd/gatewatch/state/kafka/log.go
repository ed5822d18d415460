package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchBytes is what one request asks for where much is to be read.
const fetchBytes = 8 << 20

// partitionLog reads one partition, committed records only. It asks by single requests, of which it sees how far they went:
// a consumer is told about records alone, and would wait for ever at the end of a log whose last records were compacted away.
// Any goroutine may use it.
type partitionLog struct {
	client    *kgo.Client
	topic     string
	partition int32

	mu     sync.Mutex
	leader int32
	id     [16]byte // of the topic; zero until it is known
}

// page is what one request found.
type page struct {
	records []*kgo.Record
	next    int64 // the offset to read on from
	start   int64 // of the log
	stable  int64 // no transaction below this offset is undecided
}

// read calls each with every committed record from an offset up to another, which must be decided or be so soon. It returns
// the offset to read on from. It gives up at the first error.
func (l *partitionLog) read(ctx context.Context, from, to int64, each func(*kgo.Record) error) (int64, error) {
	for from < to {
		p, err := l.fetch(ctx, from, fetchBytes)
		if err != nil {
			return from, err
		}
		for _, r := range p.records {
			if err := each(r); err != nil {
				return from, err
			}
		}
		if p.next == from && p.stable >= to {
			return to, nil // what was there has been compacted away
		}
		from = p.next
	}
	return from, nil
}

// fetch reads records from an offset on: at least one batch if there is one, about maxBytes at most. At the end of what is
// decided it waits a little and returns nothing. If it returns nothing though more is decided, then there is nothing.
func (l *partitionLog) fetch(ctx context.Context, from int64, maxBytes int32) (page, error) {
	p, err := l.ask(ctx, from, maxBytes)
	if err == nil && p.next == from && p.stable > from {
		// The records may be of before a transaction was decided, and the stable offset of after.
		return l.ask(ctx, from, maxBytes)
	}
	return p, err
}

func (l *partitionLog) ask(ctx context.Context, from int64, maxBytes int32) (page, error) {
	leader, id, err := l.locate(ctx)
	if err != nil {
		return page{}, err
	}
	response, err := l.client.Broker(int(leader)).RetriableRequest(ctx, l.request(id, from, maxBytes))
	if err != nil {
		l.forget()
		return page{}, fmt.Errorf("read %s/%d: %w", l.topic, l.partition, err)
	}
	p, err := l.page(response.(*kmsg.FetchResponse), from)
	if errors.Is(err, kerr.OffsetOutOfRange) && p.start > from {
		return page{next: p.start, start: p.start, stable: p.stable}, nil
	}
	if err != nil {
		l.forget()
		return page{}, fmt.Errorf("read %s/%d at offset %d: %w", l.topic, l.partition, from, err)
	}
	return p, nil
}

func (l *partitionLog) request(id [16]byte, from int64, maxBytes int32) *kmsg.FetchRequest {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = l.partition, from, maxBytes
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID, t.Partitions = l.topic, id, append(t.Partitions, p)
	r := kmsg.NewPtrFetchRequest()
	r.MaxBytes, r.MinBytes, r.MaxWaitMillis = maxBytes, 1, 20
	r.IsolationLevel = 1
	r.SessionEpoch = -1 // no session
	r.Topics = append(r.Topics, t)
	return r
}

func (l *partitionLog) page(response *kmsg.FetchResponse, from int64) (page, error) {
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return page{}, err
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return page{}, errors.New("the broker left the partition out") // as it does when a quota is used up
	}
	options := kgo.ProcessFetchPartitionOpts{
		Offset: from, IsolationLevel: kgo.ReadCommitted(), Topic: l.topic, Partition: l.partition,
	}
	raw := &response.Topics[0].Partitions[0]
	fetched, next := kgo.ProcessFetchPartition(options, raw, kgo.DefaultDecompressor(), nil)
	return page{fetched.Records, next, raw.LogStartOffset, raw.LastStableOffset}, fetched.Err
}

// start returns the first offset of the log.
func (l *partitionLog) start(ctx context.Context) (int64, error) { return l.offset(ctx, -2, 0) }

// end returns the offset behind the last record, decided or not.
func (l *partitionLog) end(ctx context.Context) (int64, error) { return l.offset(ctx, -1, 0) }

// stable returns the offset up to which all transactions are decided.
func (l *partitionLog) stable(ctx context.Context) (int64, error) { return l.offset(ctx, -1, 1) }

func (l *partitionLog) offset(ctx context.Context, at int64, isolation int8) (int64, error) {
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp = l.partition, at
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic, t.Partitions = l.topic, append(t.Partitions, p)
	r := kmsg.NewPtrListOffsetsRequest()
	r.IsolationLevel = isolation
	r.Topics = append(r.Topics, t)
	response, err := r.RequestWith(ctx, l.client)
	if err == nil && (len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1) {
		err = errors.New("the broker left the partition out")
	}
	if err == nil {
		err = kerr.ErrorForCode(response.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		return 0, fmt.Errorf("list offsets of %s/%d: %w", l.topic, l.partition, err)
	}
	return response.Topics[0].Partitions[0].Offset, nil
}

// locate returns the broker to ask.
func (l *partitionLog) locate(ctx context.Context) (leader int32, id [16]byte, err error) {
	l.mu.Lock()
	leader, id = l.leader, l.id
	l.mu.Unlock()
	if id != [16]byte{} {
		return leader, id, nil
	}
	topic, err := describeTopic(ctx, l.client, l.topic)
	if err != nil {
		return 0, id, err
	}
	for _, p := range topic.Partitions {
		if p.Partition != l.partition {
			continue
		}
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil && !errors.Is(err, kerr.ReplicaNotAvailable) {
			return 0, id, fmt.Errorf("find the leader of %s/%d: %w", l.topic, l.partition, err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.leader, l.id = p.Leader, topic.TopicID
		return p.Leader, topic.TopicID, nil
	}
	return 0, id, fmt.Errorf("topic %s has no partition %d", l.topic, l.partition)
}

// forget makes the next request look for the leader.
func (l *partitionLog) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id = [16]byte{}
}
