package clickhouse

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	native "github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Schema holds the statements that make the tables and the views, one in a file, numbered in the order in which they run:
// schema/production for servers from 22.1, schema/reduced for older ones.
//
//go:embed schema
var Schema embed.FS

// The flavours of the schema.
const (
	Production = "production"
	Reduced    = "reduced"
)

// Migration is one statement of the schema.
type Migration struct {
	Version   uint32 // from 1
	Name      string
	Statement string
}

// Migrations returns the statements of a flavour in order.
func Migrations(flavour string) ([]Migration, error) {
	dir := path.Join("schema", flavour)
	entries, err := Schema.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	var all []Migration
	for _, e := range entries {
		number, rest, _ := strings.Cut(e.Name(), "_")
		version, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("list migrations: %s has no number", e.Name())
		}
		statement, err := Schema.ReadFile(path.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		all = append(all, Migration{uint32(version), strings.TrimSuffix(rest, ".sql"), string(statement)})
	}
	slices.SortFunc(all, func(a, b Migration) int { return cmp.Compare(a.Version, b.Version) })
	return all, nil
}

const createMigrations = `CREATE TABLE IF NOT EXISTS gatewatch_migrations
	(version UInt32, flavour String, name String, applied_at DateTime) ENGINE = MergeTree ORDER BY version`

// migrate applies what has not been applied. Two processes may do so at once: every statement can be repeated.
func migrate(ctx context.Context, conn native.Conn) error {
	if err := conn.Exec(ctx, createMigrations); err != nil {
		return fmt.Errorf("create table of migrations: %w", err)
	}
	applied, flavour, err := appliedMigrations(ctx, conn)
	if err != nil {
		return err
	}
	if flavour == "" {
		if flavour, err = serverFlavour(conn); err != nil {
			return err
		}
	}
	all, err := Migrations(flavour)
	if err != nil {
		return err
	}
	for _, m := range all {
		if applied[m.Version] {
			continue
		}
		if err := apply(ctx, conn, flavour, m); err != nil {
			return fmt.Errorf("apply migration %d (%s): %w", m.Version, m.Name, err)
		}
	}
	return nil
}

// appliedMigrations returns what has been applied and in which flavour: a table made by an old server keeps its flavour
// when the server is upgraded.
func appliedMigrations(ctx context.Context, conn native.Conn) (applied map[uint32]bool, flavour string, err error) {
	rows, err := conn.Query(ctx, "SELECT version, flavour FROM gatewatch_migrations")
	if err != nil {
		return nil, "", fmt.Errorf("read migrations: %w", err)
	}
	defer rows.Close()
	applied = make(map[uint32]bool)
	for rows.Next() {
		var version uint32
		if err := rows.Scan(&version, &flavour); err != nil {
			return nil, "", fmt.Errorf("read migrations: %w", err)
		}
		applied[version] = true
	}
	if err := rows.Err(); err != nil {
		return nil, "", fmt.Errorf("read migrations: %w", err)
	}
	return applied, flavour, nil
}

// serverFlavour chooses by the server's version.
func serverFlavour(conn native.Conn) (string, error) {
	v, err := conn.ServerVersion()
	if err != nil {
		return "", fmt.Errorf("ask for server version: %w", err)
	}
	return flavourOf(v.Version.Major), nil
}

// flavourOf draws the line at the first release in which everything that production uses, Bool came last, is stable.
func flavourOf(major uint64) string {
	if major >= 22 {
		return Production
	}
	return Reduced
}

func apply(ctx context.Context, conn native.Conn, flavour string, m Migration) error {
	if err := conn.Exec(ctx, m.Statement); err != nil {
		return err
	}
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO gatewatch_migrations (version, flavour, name, applied_at)")
	if err != nil {
		return err
	}
	if err := batch.Append(m.Version, flavour, m.Name, time.Now()); err != nil {
		return errors.Join(err, batch.Abort())
	}
	return batch.Send()
}
