package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatewatch/gatewatch/sinks"
	kafka "github.com/segmentio/kafka-go"
)

// result is what became of the records of one partition.
type result struct {
	refused []sinks.Refusal
	retry   []int // positions in the batch
	err     error // why retry is not empty
}

// write produces records to one partition, in order. After the first failure the rest is left for a further attempt.
func (s *Sink) write(ctx context.Context, topic string, partition int, records []record) (res result) {
	for len(records) > 0 {
		n := s.cut(records)
		refused, err := s.produce(ctx, topic, partition, records[:n])
		res.refused = append(res.refused, refused...)
		if err != nil {
			for _, r := range records {
				res.retry = append(res.retry, r.index)
			}
			res.err = fmt.Errorf("produce to %s partition %d: %w", topic, partition, err)
			return res
		}
		records = records[n:]
	}
	return res
}

// cut returns how many records fit one request.
func (s *Sink) cut(records []record) int {
	size := 0
	for n, r := range records {
		if size += r.size(); size > s.config.MaxBatchBytes && n > 0 {
			return n
		}
	}
	return len(records)
}

// produce sends one request. When the broker refuses what is in it, it sends the halves, and refuses in the end only
// single records.
func (s *Sink) produce(ctx context.Context, topic string, partition int, records []record) ([]sinks.Refusal, error) {
	err := s.request(ctx, topic, partition, records)
	if !permanent(err) {
		return nil, err
	}
	if len(records) == 1 {
		return []sinks.Refusal{{Index: records[0].index, Err: err}}, nil
	}
	half := len(records) / 2
	first, err := s.produce(ctx, topic, partition, records[:half])
	if err != nil {
		return first, err
	}
	second, err := s.produce(ctx, topic, partition, records[half:])
	return append(first, second...), err
}

func (s *Sink) request(ctx context.Context, topic string, partition int, records []record) error {
	raw := make([]kafka.Record, len(records))
	for i := range records {
		raw[i] = records[i].wire()
	}
	answer, err := s.client.Produce(ctx, &kafka.ProduceRequest{
		Topic: topic, Partition: partition, RequiredAcks: kafka.RequireAll,
		Records: kafka.NewRecordReader(raw...), Compression: compressions[s.config.Compression],
	})
	if err != nil {
		return err
	}
	return answer.Error
}

// permanent reports whether the broker will never take the records, as opposed to what an operator can repair.
func permanent(err error) bool {
	for _, code := range []kafka.Error{kafka.MessageSizeTooLarge, kafka.RecordListTooLarge, kafka.InvalidRecord} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// collect joins the results of all partitions into the error of a delivery.
func collect(results <-chan result, refused []sinks.Refusal) error {
	all := sinks.PartialError{Refused: refused}
	for r := range results {
		all.Refused = append(all.Refused, r.refused...)
		all.Retry = append(all.Retry, r.retry...)
		if all.Err == nil {
			all.Err = r.err
		}
	}
	if len(all.Refused) == 0 && len(all.Retry) == 0 {
		return nil
	}
	return &all
}
