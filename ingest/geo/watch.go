package geo

import (
	"context"
	"fmt"

	"github.com/fsnotify/fsnotify"

	"github.com/gatewatch/gatewatch/ingest/watch"
)

// Watch reloads the databases whenever their files change, until ctx ends. It fails only at its start, when a folder
// cannot be watched.
func (db *Databases) Watch(ctx context.Context) error {
	watcher, err := watch.Folders(db.paths())
	if err != nil {
		return fmt.Errorf("watch GeoIP databases: %w", err)
	}
	defer watcher.Close()
	db.follow(ctx, watcher.Events, watcher.Errors)
	return nil
}

func (db *Databases) follow(ctx context.Context, changes <-chan fsnotify.Event, failures <-chan error) {
	failed := func(err error) { db.log.Warn("GeoIP databases: changes may be noticed late", "error", err) }
	watch.Follow(ctx, changes, failures, db.concerns, failed, func() { _ = db.Reload() }) // logged and counted there
}

func (db *Databases) concerns(name string) bool { return watch.Concerns(name, db.paths()) }

// paths names the files; databases that were given as bytes have none.
func (db *Databases) paths() []string {
	var paths []string
	for _, f := range db.current.Load().files {
		if f.path != "" {
			paths = append(paths, f.path)
		}
	}
	return paths
}
