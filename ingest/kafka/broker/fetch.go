package broker

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

// The versions of fetches that are understood: from the first with today's records (Kafka 0.11) to the last with the old
// encoding of fields, which Kafka 4 still speaks.
const (
	minFetch = 4
	maxFetch = 11
)

const readCommitted = 1

// Fetch says which records to send.
type Fetch struct {
	Topic     string
	Partition int32
	Offset    int64         // of the first record
	MaxBytes  int32         // about how much; the broker sends one whole batch of records even if that is more
	MaxWait   time.Duration // how long to wait when there is nothing
}

// Fetch asks for records and waits for the answer, which is valid until the next Fetch.
func (c *Conn) Fetch(f Fetch) (*Response, error) {
	sent := time.Now()
	if err := c.raw.SetDeadline(sent.Add(f.MaxWait + c.options.Timeout)); err != nil {
		return nil, err
	}
	if err := c.send(f); err != nil {
		return nil, fmt.Errorf("ask for records: %w", err)
	}
	body, err := c.receive(int(f.MaxBytes))
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	c.response = Response{request: f, sent: sent, received: time.Now(), aborted: c.response.aborted[:0], inflater: &c.inflate}
	if err := c.response.decode(body, c.version, c.id); err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	return &c.response, nil
}

func (c *Conn) send(f Fetch) error {
	c.id++
	return protocol.WriteRequest(c.raw, c.version, c.id, c.options.ClientID, &fetch.Request{
		ReplicaID: -1, MaxWaitTime: int32(f.MaxWait.Milliseconds()), MinBytes: 1, MaxBytes: f.MaxBytes,
		IsolationLevel: readCommitted, SessionEpoch: -1, Topics: []fetch.RequestTopic{{
			Topic: f.Topic, Partitions: []fetch.RequestPartition{{
				Partition: f.Partition, CurrentLeaderEpoch: -1, FetchOffset: f.Offset, LogStartOffset: -1, PartitionMaxBytes: f.MaxBytes,
			}},
		}},
	})
}

// receive returns a response without its size, and only its beginning when it is too large: the broker sends a batch of
// records whole, whatever was asked for, and Fetch has to get past it. Responses are usually no larger than usual.
func (c *Conn) receive(usual int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.raw, head[:]); err != nil {
		return nil, err
	}
	size := int(int32(binary.BigEndian.Uint32(head[:])))
	if size < 0 {
		return nil, errProtocol
	}
	keep := min(size, c.options.MaxResponse)
	if keep > cap(c.buf) || cap(c.buf) > 4*max(keep, usual) {
		c.buf = make([]byte, max(keep, 64<<10)) // a giant among the responses must not hold its memory for ever
	}
	body := c.buf[:keep]
	if _, err := io.ReadFull(c.raw, body); err != nil {
		return nil, err
	}
	return body, discard(c.raw, size-keep)
}

func discard(r io.Reader, n int) error {
	if n == 0 {
		return nil
	}
	_, err := bufio.NewReaderSize(io.LimitReader(r, int64(n)), 64<<10).Discard(n)
	return err
}
