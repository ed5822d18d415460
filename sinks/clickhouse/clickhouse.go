// Package clickhouse inserts alerts and blind spots into ClickHouse tables over the native protocol.
//
// The table alerts has one row for each version of an alert and collapses rows with equal (id, version); the view
// alerts_latest shows the latest version of each. blind_spots and blind_spots_latest are the same for blind spots. The sink
// creates them, and the database, when it first connects. The
// statements are in the schema folder for whoever prefers to run them by hand.
package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	native "github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
)

// Sink inserts into two tables.
type Sink struct {
	config Config
	dialer *dialer
	conn   native.Conn
	ready  bool // the schema is there
}

// New returns a sink for a valid configuration. It reads certificates but does not connect: the server may come later.
func New(c Config) (*Sink, error) {
	tls, err := c.TLS.load()
	if err != nil {
		return nil, fmt.Errorf("set up clickhouse sink: %w", err)
	}
	s := &Sink{config: c, dialer: newDialer(c.DialTimeout, tls)}
	if s.conn, err = s.open(c.Database); err != nil {
		return nil, fmt.Errorf("set up clickhouse sink: %w", err)
	}
	return s, nil
}

// open prepares connections to a database of the server; none is made yet.
func (s *Sink) open(database string) (native.Conn, error) {
	return driver.Open(&driver.Options{
		Addr:         s.config.Addresses,
		Auth:         driver.Auth{Database: database, Username: s.config.Username, Password: s.config.Password},
		DialContext:  s.dialer.dial,
		DialTimeout:  s.config.DialTimeout,
		MaxOpenConns: 1,
		MaxIdleConns: 1,
		Compression:  &driver.Compression{Method: driver.CompressionLZ4},
	})
}

// Name implements [sinks.Sink].
func (s *Sink) Name() string { return "clickhouse" }

// Check connects, and creates or updates the schema, so that wrong settings show at the start and not with the first alert.
func (s *Sink) Check(ctx context.Context) error {
	return s.during(ctx, func() error { return s.prepare(ctx) })
}

// Deliver implements [sinks.Sink]. A batch is one insert.
func (s *Sink) Deliver(ctx context.Context, batch []*alert.Alert) error {
	rows, refused := encode(batch, alertRow)
	if err := s.deliver(ctx, insertAlerts, rows); err != nil {
		return classify(err) // a further attempt finds the refused ones again
	}
	return sinks.Refuse(refused)
}

// DeliverBlindSpots implements [sinks.BlindSpotSink]. It refuses them when their table is missing and not to be created, or
// forbidden.
func (s *Sink) DeliverBlindSpots(ctx context.Context, batch []*alert.BlindSpot) error {
	rows, refused := encode(batch, blindSpotRow)
	err := s.deliver(ctx, insertBlindSpots, rows)
	switch {
	case err == nil:
		return sinks.Refuse(refused)
	case hasCode(err, codeNotEnoughPrivileges), hasCode(err, codeUnknownTable) && !s.config.Migrate:
		return sinks.RefuseAll(len(batch), err)
	}
	return classify(err)
}

func (s *Sink) deliver(ctx context.Context, statement string, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	return s.during(ctx, func() error { return s.insert(ctx, statement, rows) })
}

func (s *Sink) insert(ctx context.Context, statement string, rows [][]any) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	batch, err := s.conn.PrepareBatch(ctx, statement)
	if err != nil {
		s.ready = !vanished(err)
		return fmt.Errorf("insert rows: %w", err)
	}
	for _, row := range rows {
		if err := batch.Append(row...); err != nil {
			return errors.Join(fmt.Errorf("insert rows: %w", err), batch.Abort())
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("insert rows: %w", err)
	}
	return nil
}

// prepare creates or updates the schema once.
func (s *Sink) prepare(ctx context.Context) error {
	if s.ready {
		return nil
	}
	if err := s.reach(ctx); err != nil {
		return err
	}
	if s.config.Migrate {
		if err := migrate(ctx, s.conn); err != nil {
			return err
		}
	}
	s.ready = true
	return nil
}

// reach connects to the database, which it creates when it is missing and migration is on.
func (s *Sink) reach(ctx context.Context) error {
	err := s.conn.Ping(ctx)
	if err != nil && s.config.Migrate && hasCode(err, codeUnknownDatabase) {
		err = s.createDatabase(ctx)
	}
	if err != nil {
		return fmt.Errorf("connect to clickhouse at %s: %w", strings.Join(s.config.Addresses, ", "), err)
	}
	return nil
}

func (s *Sink) createDatabase(ctx context.Context) error {
	conn, err := s.open("default")
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+s.config.Database); err != nil {
		return fmt.Errorf("create database %s: %w", s.config.Database, err)
	}
	return s.conn.Ping(ctx)
}

// during runs work and cuts its connections when ctx is done: the driver heeds deadlines, not cancellation, and neither
// while it greets the server.
func (s *Sink) during(ctx context.Context, work func() error) error {
	stop := context.AfterFunc(ctx, s.dialer.cut)
	defer stop()
	err := work()
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

// Close implements [sinks.Sink].
func (s *Sink) Close(context.Context) error {
	if err := s.conn.Close(); err != nil {
		return fmt.Errorf("close connection: %w", err)
	}
	return nil
}

// Codes of server errors, from ErrorCodes.cpp of ClickHouse.
const (
	codeUnknownTable        = 60
	codeUnknownDatabase     = 81
	codeTooLargeString      = 131
	codeIncorrectData       = 117
	codeViolatedConstraint  = 469
	codeNotEnoughPrivileges = 497
)

// classify tells what the data of a batch causes from what an operator can repair, which is nearly everything: quotas,
// grants, missing tables, full disks.
func classify(err error) error {
	if hasCode(err, codeTooLargeString, codeIncorrectData, codeViolatedConstraint) {
		return &sinks.RefusedError{Err: err}
	}
	return err
}

// vanished reports that somebody has removed the database or table since it was prepared.
func vanished(err error) bool { return hasCode(err, codeUnknownTable, codeUnknownDatabase) }

func hasCode(err error, codes ...int32) bool {
	e, ok := errors.AsType[*driver.Exception](err)
	return ok && slices.Contains(codes, e.Code)
}
