package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/revocation"
)

// openRevocations reads the lists of revoked tokens; nil when none is configured.
func openRevocations(c ingest.Config, log *slog.Logger, r prometheus.Registerer) (*revocation.List, error) {
	if len(c.Revocation.Files) == 0 {
		return nil, nil
	}
	l, err := revocation.Open(c.Revocation, revocation.Options{Key: []byte(c.PrivacyKey), Logger: log, Registerer: r})
	if err != nil {
		return nil, usageError{err}
	}
	return l, nil
}

// watchRevocations reads the lists again when they change, until ctx ends. A nil list has nothing to watch.
func watchRevocations(ctx context.Context, l *revocation.List, log *slog.Logger) {
	if l == nil {
		return
	}
	if err := l.Watch(ctx); err != nil {
		log.Warn("revocation lists are not watched for changes", "error", err)
	}
}
