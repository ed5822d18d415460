package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	native "github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/clickhouse"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

const (
	username = "gatewatch"
	password = "gatewatch-test"
)

var databases atomic.Int64

// newDatabase returns the name of a database that does not exist and will be dropped.
func newDatabase(t *testing.T) string {
	name := fmt.Sprintf("gatewatch_test_%d_%d", time.Now().UnixNano(), databases.Add(1))
	t.Cleanup(func() { must(t, connect(t, "default").Exec(context.Background(), "DROP DATABASE IF EXISTS "+name)) })
	return name
}

func connect(t *testing.T, database string) native.Conn {
	t.Helper()
	conn, err := driver.Open(&driver.Options{
		Addr: []string{serverAddr}, Auth: driver.Auth{Database: database, Username: username, Password: password},
	})
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func config(addr, database string) clickhouse.Config {
	c := clickhouse.DefaultConfig()
	c.Addresses, c.Database, c.Username, c.Password = []string{addr}, database, username, password
	return c
}

func open(t *testing.T, c clickhouse.Config) *clickhouse.Sink {
	t.Helper()
	must(t, c.Validate())
	s, err := clickhouse.New(c)
	must(t, err)
	return s
}

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Target {
		proxy, database := sinktest.NewProxy(t, serverAddr), newDatabase(t)
		return sinktest.Target{
			Open:         func(t *testing.T) sinks.Sink { return open(t, config(proxy.Addr, database)) },
			Received:     func(t *testing.T) []*alert.Alert { return stored(t, database) },
			BlindSpots:   func(t *testing.T) []*alert.BlindSpot { return storedBlindSpots(t, database) },
			WholeSeconds: true,
			Deduplicates: true,
			Down:         proxy.Down,
			Hang:         proxy.Hang,
			Secrets:      []string{password},
		}
	})
}

// stored reads all alerts back.
func stored(t *testing.T, database string) []*alert.Alert {
	t.Helper()
	return readBack(t, database, selectAlerts, scan)
}

func storedBlindSpots(t *testing.T, database string) []*alert.BlindSpot {
	t.Helper()
	return readBack(t, database, selectBlindSpots, scanBlindSpot)
}

func readBack[T any](t *testing.T, database, query string, scan func(native.Rows) (T, error)) (all []T) {
	t.Helper()
	rows, err := connect(t, database).Query(t.Context(), query)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		v, err := scan(rows)
		must(t, err)
		all = append(all, v)
	}
	must(t, rows.Err())
	return all
}

func count(t *testing.T, conn native.Conn, query string) (n uint64) {
	t.Helper()
	must(t, conn.QueryRow(t.Context(), query).Scan(&n))
	return n
}

func TestMigratesTwice(t *testing.T) {
	database := newDatabase(t)
	for range 2 {
		s := open(t, config(serverAddr, database))
		must(t, s.Check(t.Context()))
		must(t, s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}))
		must(t, s.Close(t.Context()))
	}
	conn := connect(t, database)
	if n := count(t, conn, "SELECT count() FROM gatewatch_migrations WHERE flavour = 'reduced'"); n != 4 {
		t.Errorf("%d migrations recorded, want 4", n)
	}
}

func TestSameVersionCountsOnceAndLatestWins(t *testing.T) {
	database := newDatabase(t)
	conn := connect(t, "default")
	must(t, conn.Exec(t.Context(), "SYSTEM STOP MERGES"))
	s := open(t, config(serverAddr, database))
	for _, versions := range [][]int{{1}, {2}, {3}, {2}, {1}, {3}} { // redelivery, out of order even
		for _, v := range versions {
			must(t, s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, v), sinktest.Alert(2, v)}))
		}
	}
	must(t, s.Close(t.Context()))
	conn = connect(t, database)
	if n := count(t, conn, "SELECT count() FROM alerts"); n != 12 {
		t.Errorf("%d rows before merging, want 12: otherwise this test shows nothing", n)
	}
	if n := count(t, conn, "SELECT count() FROM alerts FINAL"); n != 6 {
		t.Errorf("%d versions, want 6", n)
	}
	if n := count(t, conn, "SELECT count() FROM alerts_latest WHERE version = 3"); n != 2 {
		t.Errorf("%d latest versions are 3, want 2", n)
	}
	if n := count(t, conn, "SELECT count() FROM alerts_latest"); n != 2 {
		t.Errorf("%d alerts, want 2", n)
	}
	must(t, conn.Exec(t.Context(), "SYSTEM START MERGES"))
	// A merge that is under way makes OPTIMIZE do nothing.
	for deadline := time.Now().Add(20 * time.Second); count(t, conn, "SELECT count() FROM alerts") != 6; {
		must(t, conn.Exec(t.Context(), "OPTIMIZE TABLE alerts FINAL"))
		if time.Now().After(deadline) {
			t.Fatalf("%d rows after merging, want 6", count(t, conn, "SELECT count() FROM alerts"))
		}
	}
}

func TestDroppedDatabaseComesBack(t *testing.T) {
	database := newDatabase(t)
	s := open(t, config(serverAddr, database))
	must(t, s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}))
	must(t, connect(t, "default").Exec(t.Context(), "DROP DATABASE "+database))
	if err := s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(2, 1)}); err == nil {
		t.Fatal("delivered to a database that is gone")
	}
	must(t, s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(2, 1)}))
	must(t, s.Close(t.Context()))
	if n := len(stored(t, database)); n != 1 {
		t.Errorf("%d alerts, want 1", n)
	}
}

// Who makes the tables by hand may not have that of the blind spots yet: alerts go on.
func TestMissingTableOfBlindSpotsIsARefusal(t *testing.T) {
	database := newDatabase(t)
	s := open(t, config(serverAddr, database))
	must(t, s.Check(t.Context()))
	must(t, s.Close(t.Context()))
	must(t, connect(t, database).Exec(t.Context(), "DROP TABLE blind_spots"))
	batch := []*alert.BlindSpot{sinktest.BlindSpot(1, 1), sinktest.BlindSpot(2, 1)}

	byHand := config(serverAddr, database)
	byHand.Migrate = false
	s = open(t, byHand)
	refused, ok := errors.AsType[*sinks.PartialError](s.DeliverBlindSpots(t.Context(), batch))
	if !ok || len(refused.Refused) != 2 || !strings.Contains(refused.Error(), "blind_spots") {
		t.Errorf("without the table: %v", refused)
	}
	must(t, s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}))
	must(t, s.Close(t.Context()))
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	tests := map[string]struct {
		change func(*clickhouse.Config)
		want   string
	}{
		"nobody listens":     {func(c *clickhouse.Config) { c.Addresses = []string{"127.0.0.1:1"} }, "connection refused"},
		"wrong password":     {func(c *clickhouse.Config) { c.Password = "hunter2" }, "password"},
		"unknown user":       {func(c *clickhouse.Config) { c.Username = "nobody" }, "nobody"},
		"no database":        {func(c *clickhouse.Config) { c.Migrate = false }, "exist"},
		"no TLS on the port": {func(c *clickhouse.Config) { c.TLS.Enabled = true }, "tls"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := config(serverAddr, newDatabase(t))
			tt.change(&c)
			s := open(t, c)
			err := s.Check(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			text := err.Error()
			if !strings.Contains(text, tt.want) || !strings.Contains(text, c.Addresses[0]) {
				t.Errorf("%q does not contain %q and the address", text, tt.want)
			}
			if strings.Contains(text, "hunter2") || strings.Contains(text, password) {
				t.Errorf("the password shows: %s", text)
			}
			if strings.Contains(text, "\n") {
				t.Errorf("more than one line: %q", text)
			}
			must(t, s.Close(t.Context()))
		})
	}
}
