package realtest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
)

// User and Password are what the broker's SASL listeners accept.
const (
	User     = "gatewatch"
	Password = "gatewatch-test"
)

// Kafka is a running Apache Kafka broker; it keeps its data and addresses over restarts.
type Kafka struct {
	dir  string
	port int
}

// Kafka starts a broker.
func (s *Servers) Kafka() (*Kafka, error) {
	port, err := freePorts(10)
	if err != nil {
		return nil, err
	}
	k := &Kafka{dir: filepath.Join(s.Dir, "kafka"), port: port}
	s.stops = append(s.stops, k.Stop)
	if err := k.Start(); err != nil {
		return nil, err
	}
	return k, nil
}

// Start starts a broker that was stopped or killed and waits until it answers.
func (k *Kafka) Start() error { return script("kafka.sh", "start", k.dir, strconv.Itoa(k.port)) }

// Stop ends the broker in order and waits for its end.
func (k *Kafka) Stop() error { return script("kafka.sh", "stop", k.dir) }

// Kill ends the broker as a power cut would.
func (k *Kafka) Kill() error { return script("kafka.sh", "kill", k.dir) }

// Restart stops the broker, starts it again and waits until it answers.
func (k *Kafka) Restart() error { return script("kafka.sh", "restart", k.dir) }

// Plain is the address without TLS and SASL.
func (k *Kafka) Plain() string { return address127(k.port) }

// SASL is the address that wants [User] and [Password] by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
func (k *Kafka) SASL() string { return address127(k.port + 2) }

// TLS is the address whose certificate the authority in [Kafka.CAFile] has signed.
func (k *Kafka) TLS() string { return address127(k.port + 3) }

// SASLOverTLS is the address that wants both.
func (k *Kafka) SASLOverTLS() string { return address127(k.port + 4) }

// MutualTLS is the address that wants a client's certificate too.
func (k *Kafka) MutualTLS() string { return address127(k.port + 5) }

// CAFile is the certificate of the authority.
func (k *Kafka) CAFile() string { return filepath.Join(k.dir, "tls", "ca.pem") }

// ClientCertificate returns the files of a client's certificate and key for [Kafka.MutualTLS].
func (k *Kafka) ClientCertificate() (certificate, key string) {
	return filepath.Join(k.dir, "tls", "client.pem"), filepath.Join(k.dir, "tls", "client.key")
}

// CreateTopic makes a topic and waits until it can be written.
func (k *Kafka) CreateTopic(ctx context.Context, topic string, partitions int) error {
	transport := &kafka.Transport{} // of its own: others remember what was before a restart
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(k.Plain()), Timeout: 10 * time.Second, Transport: transport}
	response, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}},
	})
	if err == nil {
		err = response.Errors[topic]
	}
	if err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	for ctx.Err() == nil {
		if n, err := k.led(ctx, client, topic); err == nil && n == partitions {
			return nil
		}
	}
	return fmt.Errorf("wait for topic %s: %w", topic, ctx.Err())
}

// led counts the partitions of topic that have a leader.
func (k *Kafka) led(ctx context.Context, client *kafka.Client, topic string) (int, error) {
	response, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, t := range response.Topics {
		for _, p := range t.Partitions {
			if p.Error == nil && p.Leader.Host != "" {
				n++
			}
		}
	}
	return n, nil
}

// Produce writes each line of r as one record: line i to partition i modulo partitions, so that neighbours in time are
// spread as gateways spread them. It returns the number of lines, all of which the broker has then taken.
func (k *Kafka) Produce(ctx context.Context, topic string, partitions int, compression kafka.Compression, r io.Reader) (int, error) {
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	writer := &kafka.Writer{
		Transport:    transport,
		Addr:         kafka.TCP(k.Plain()),
		Topic:        topic,
		Balancer:     kafka.BalancerFunc(func(m kafka.Message, _ ...int) int { return m.WriterData.(int) }),
		BatchSize:    1000,
		BatchBytes:   16 << 20,
		BatchTimeout: 10 * time.Millisecond,
		MaxAttempts:  100, // a broker that was just restarted takes its time
		RequiredAcks: kafka.RequireAll,
		Compression:  compression,
	}
	defer writer.Close()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	var batch []kafka.Message
	n := 0
	for lines.Scan() {
		batch = append(batch, kafka.Message{Value: []byte(lines.Text()), WriterData: n % partitions})
		n++
		if len(batch) == 10_000 {
			if err := writer.WriteMessages(ctx, batch...); err != nil {
				return n, fmt.Errorf("produce to %s: %w", topic, err)
			}
			batch = batch[:0]
		}
	}
	if err := lines.Err(); err != nil {
		return n, fmt.Errorf("read lines to produce: %w", err)
	}
	if err := writer.WriteMessages(ctx, batch...); err != nil {
		return n, fmt.Errorf("produce to %s: %w", topic, err)
	}
	return n, nil
}

// ProduceFile writes each line of the file as [Kafka.Produce] does.
func (k *Kafka) ProduceFile(ctx context.Context, topic string, partitions int, compression kafka.Compression, path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("open lines to produce: %w", err)
	}
	defer f.Close()
	return k.Produce(ctx, topic, partitions, compression, f)
}

// ProduceLines writes lines as [Kafka.Produce] does.
func (k *Kafka) ProduceLines(ctx context.Context, topic string, partitions int, lines [][]byte) error {
	_, err := k.Produce(ctx, topic, partitions, 0, bytes.NewReader(bytes.Join(lines, []byte("\n"))))
	return err
}

// Feed writes lines over the given time, some every fifth of a second, each time the same number to each partition: one that
// lacks its share is taken for a quiet one. The returned function waits for the end.
func (k *Kafka) Feed(ctx context.Context, topic string, partitions int, lines [][]byte, over time.Duration) (wait func() error) {
	ended := make(chan error, 1)
	go func() { ended <- k.feed(ctx, topic, partitions, lines, over) }()
	return func() error { return <-ended }
}

func (k *Kafka) feed(ctx context.Context, topic string, partitions int, lines [][]byte, over time.Duration) error {
	const every = 200 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	parts := int(over / every)
	for i := range parts {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("feed %s: %w", topic, ctx.Err())
		}
		if err := k.ProduceLines(ctx, topic, partitions, Part(lines, i, parts, partitions)); err != nil {
			return err
		}
	}
	return nil
}

// Part is part i of n of the lines: for each part but the last, a multiple of the number of partitions.
func Part(lines [][]byte, i, n, partitions int) [][]byte {
	bound := func(i int) int { return len(lines) * i / n / partitions * partitions }
	if i == n-1 {
		return lines[bound(i):]
	}
	return lines[bound(i):bound(i+1)]
}
