package revocation

import (
	"context"
	"fmt"

	"github.com/fsnotify/fsnotify"

	"github.com/gatewatch/gatewatch/ingest/watch"
)

// Watch reloads the lists whenever their files change, until ctx ends. It fails only at its start, when a folder cannot be watched.
func (l *List) Watch(ctx context.Context) error {
	watcher, err := watch.Folders(l.config.Files)
	if err != nil {
		return fmt.Errorf("watch revocation lists: %w", err)
	}
	defer watcher.Close()
	l.follow(ctx, watcher.Events, watcher.Errors)
	return nil
}

func (l *List) follow(ctx context.Context, changes <-chan fsnotify.Event, failures <-chan error) {
	concerns := func(name string) bool { return watch.Concerns(name, l.config.Files) }
	failed := func(err error) { l.log.Warn("revocation lists: changes may be noticed late", "error", err) }
	watch.Follow(ctx, changes, failures, concerns, failed, func() { _ = l.Reload() }) // logged and counted there
}
