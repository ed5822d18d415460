package realtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/segmentio/kafka-go"
)

// ReadFile reads what file sinks wrote; a line that is not complete yet is left out.
func ReadFile(t testing.TB, place string, paths ...string) *Alerts {
	t.Helper()
	found := NewAlerts(place)
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue
		}
		must(t, err)
		for line := range bytes.Lines(content) {
			if bytes.HasSuffix(line, []byte("\n")) {
				must(t, found.Add(line))
			}
		}
	}
	return found
}

// ReadTopic reads what a Kafka sink produced, partition by partition. While the topic is missing it is empty.
func (k *Kafka) ReadTopic(t testing.TB, ctx context.Context, place, topic string) *Alerts {
	t.Helper()
	found := NewAlerts(place)
	partitions, err := kafka.DefaultDialer.LookupPartitions(ctx, "tcp", k.Plain(), topic)
	if err != nil {
		return found
	}
	for _, p := range partitions {
		if err := k.readPartition(ctx, topic, p.ID, found); err != nil {
			t.Fatalf("read %s: %v", topic, err)
		}
	}
	return found
}

func (k *Kafka) readPartition(ctx context.Context, topic string, partition int, found *Alerts) error {
	conn, err := kafka.DialLeader(ctx, "tcp", k.Plain(), topic, partition)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, end, err := conn.ReadOffsets()
	if err != nil {
		return err
	}
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{k.Plain()}, Topic: topic, Partition: partition, MaxWait: 100 * time.Millisecond})
	defer r.Close()
	for offset := int64(0); offset < end; {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return err
		}
		if err := found.Add(m.Value); err != nil {
			return err
		}
		offset = m.Offset + 1
	}
	return nil
}

// ReadClickHouse reads the alerts in a database of the server at an address, which collapses what came again. While the table
// is missing it is empty.
func ReadClickHouse(t testing.TB, ctx context.Context, place, address, database string) *Alerts {
	t.Helper()
	db := clickhouse.OpenDB(&clickhouse.Options{
		Addr: []string{address}, Auth: clickhouse.Auth{Database: database, Username: User, Password: Password},
	})
	defer db.Close()
	found := NewAlerts(place)
	rows, err := db.QueryContext(ctx, "SELECT id, toInt64(version), rule_id, toString(state) FROM alerts FINAL")
	if err != nil {
		return found
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var version int64
		var a Alert
		must(t, rows.Scan(&id, &version, &a.Rule, &a.State))
		found.add(Version{id, int(version)}, a)
	}
	must(t, rows.Err())
	return found
}

// UntilHas waits until a place has all that is wanted.
func UntilHas(t testing.TB, ctx context.Context, want *Alerts, read func() *Alerts) {
	t.Helper()
	var got *Alerts
	defer func() {
		if t.Failed() && got != nil {
			got.Check(t, want)
		}
	}()
	Until(t, ctx, fmt.Sprintf("%d versions of alerts", len(want.Versions)), func() bool {
		got = read()
		return got.Has(want)
	})
}
