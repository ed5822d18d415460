package geo

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long a file must have been left alone before it is read: it may be written in many pieces.
	settle = time.Second
	// look is how often files are looked at when nothing was reported: network file systems report nothing.
	look = time.Minute
)

// Watch reloads the databases whenever their files change, until ctx ends. It fails only at its start, when a folder
// cannot be watched.
func (db *Databases) Watch(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch GeoIP databases: %w", err)
	}
	defer watcher.Close()
	for _, f := range db.current.Load().files {
		if f.path == "" {
			continue
		}
		// The folder, not the file: a file that is replaced by another one would be watched no more.
		if err := watcher.Add(filepath.Dir(f.path)); err != nil {
			return fmt.Errorf("watch GeoIP database %s: %w", f.path, err)
		}
	}
	db.follow(ctx, watcher.Events, watcher.Errors)
	return nil
}

func (db *Databases) follow(ctx context.Context, changes <-chan fsnotify.Event, failures <-chan error) {
	timer := time.NewTimer(look)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case change := <-changes:
			if db.concerns(change.Name) {
				timer.Reset(settle)
			}
		case err := <-failures:
			db.log.Warn("GeoIP databases: changes may be noticed late", "error", err)
			timer.Reset(settle)
		case <-timer.C:
			_ = db.Reload() // logged and counted there
			timer.Reset(look)
		}
	}
}

// concerns reports whether a changed name is a database, or one of the links ..data and the like through which
// Kubernetes replaces mounted files.
func (db *Databases) concerns(name string) bool {
	base := filepath.Base(name)
	if strings.HasPrefix(base, "..") {
		return true
	}
	return slices.ContainsFunc(db.current.Load().files, func(f *file) bool { return filepath.Base(f.path) == base })
}
