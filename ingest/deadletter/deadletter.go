// Package deadletter keeps records that could not become events: where each was, why it was rejected, and its beginning with
// every value masked. The record itself is not kept, since it may hold secrets; its position leads back to it.
package deadletter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/gatewatch/gatewatch/ingest"
)

// Writer keeps rejected records.
type Writer interface {
	// Write returns when the records are safe.
	Write(ctx context.Context, rejected []ingest.Rejected) error
	Close() error
}

// letter is the JSON form.
type letter struct {
	Topic      string        `json:"topic"`
	Partition  int32         `json:"partition"`
	Offset     int64         `json:"offset"`
	Index      int32         `json:"index"`
	Reason     ingest.Reason `json:"reason"`
	Detail     string        `json:"detail"`
	Size       int           `json:"size"`
	Excerpt    string        `json:"excerpt"`
	RejectedAt time.Time     `json:"rejected_at"` // wall clock
}

func encode(r ingest.Rejected, now time.Time) ([]byte, error) {
	b, err := json.Marshal(letter{
		Topic: r.Partition.Topic, Partition: r.Partition.ID, Offset: r.Offset, Index: r.Index, Reason: r.Reason,
		Detail: r.Detail, Size: r.Size, Excerpt: r.Excerpt, RejectedAt: now.UTC(),
	})
	if err != nil {
		return nil, fmt.Errorf("encode dead letter: %w", err)
	}
	return b, nil
}

// None drops the letters: the counters are all that is left.
type None struct{}

// Write implements [Writer].
func (None) Write(context.Context, []ingest.Rejected) error { return nil }

// Close implements [Writer].
func (None) Close() error { return nil }

// File appends letters as JSON lines. When it has grown beyond its bound it is renamed to *.1, which replaces the one before:
// rejected records never fill the disk.
type File struct {
	path  string
	most  int64
	file  *os.File
	bytes int64
}

// OpenFile opens or makes the file; maxBytes bounds it.
func OpenFile(path string, maxBytes int64) (*File, error) {
	f := &File{path: path, most: maxBytes}
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) open() error {
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open dead letters: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open dead letters: %w", err), file.Close())
	}
	f.file, f.bytes = file, info.Size()
	return nil
}

// Write implements [Writer]. The letters are on disk when it returns.
func (f *File) Write(_ context.Context, rejected []ingest.Rejected) error {
	var lines []byte
	now := time.Now()
	for _, r := range rejected {
		line, err := encode(r, now)
		if err != nil {
			return err
		}
		lines = append(append(lines, line...), '\n')
	}
	if f.bytes > 0 && f.bytes+int64(len(lines)) > f.most {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	n, err := f.file.Write(lines)
	f.bytes += int64(n)
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
	return nil
}

func (f *File) rotate() error {
	if err := f.file.Close(); err != nil {
		return fmt.Errorf("close dead letters: %w", err)
	}
	if err := os.Rename(f.path, f.path+".1"); err != nil {
		return fmt.Errorf("rotate dead letters: %w", err)
	}
	return f.open()
}

// Close implements [Writer].
func (f *File) Close() error { return f.file.Close() }

// Kafka produces letters to a topic. The key is the position of the record.
type Kafka struct{ writer *kafka.Writer }

// NewKafka produces to the topic through transport.
func NewKafka(w *kafka.Writer) *Kafka {
	w.RequiredAcks = kafka.RequireAll
	w.BatchTimeout = 5 * time.Millisecond
	return &Kafka{writer: w}
}

// Write implements [Writer]. The letters are acknowledged by all replicas when it returns.
func (k *Kafka) Write(ctx context.Context, rejected []ingest.Rejected) error {
	now := time.Now()
	messages := make([]kafka.Message, len(rejected))
	for i, r := range rejected {
		value, err := encode(r, now)
		if err != nil {
			return err
		}
		messages[i] = kafka.Message{Key: fmt.Appendf(nil, "%s/%d/%d/%d", r.Partition.Topic, r.Partition.ID, r.Offset, r.Index), Value: value}
	}
	if err := k.writer.WriteMessages(ctx, messages...); err != nil {
		return fmt.Errorf("produce dead letters: %w", err)
	}
	return nil
}

// Close implements [Writer].
func (k *Kafka) Close() error { return k.writer.Close() }
