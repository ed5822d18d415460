package disk

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

// databaseLog takes what the database says. Where the database would end the process it stops the store instead.
type databaseLog struct {
	log     *slog.Logger
	failure *failure
}

func (l *databaseLog) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("state database: " + fmt.Sprintf(format, args...))
	}
}

func (l *databaseLog) Errorf(format string, args ...any) {
	l.log.Warn("state database: " + fmt.Sprintf(format, args...))
}

// Fatalf never returns, as the database expects: it may hold locks and would go on with what it could not write. The
// goroutine is lost; callers of the store see the failure and closing does not wait.
func (l *databaseLog) Fatalf(format string, args ...any) {
	l.failure.raise(fmt.Errorf(format, args...))
	select {}
}

// listener passes on what an operator must know. A background failure is tried again by the database.
func (l *databaseLog) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			l.log.Warn("state database: work in the background failed and is tried again", "error", err)
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			l.log.Error("state database: damaged", "file", info.Path, "error", info.Details)
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			l.log.Warn("state database: writes wait", "reason", info.Reason)
		},
	}
}
