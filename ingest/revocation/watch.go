package revocation

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

// Watch reloads the lists whenever their files change, until ctx ends. It fails only at its start, when a folder cannot be watched.
func (l *List) Watch(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch revocation lists: %w", err)
	}
	defer watcher.Close()
	for _, path := range l.config.Files {
		// The folder, not the file: a file that is replaced by another one would be watched no more.
		if err := watcher.Add(filepath.Dir(path)); err != nil {
			return fmt.Errorf("watch revocation list %s: %w", path, err)
		}
	}
	l.follow(ctx, watcher.Events, watcher.Errors)
	return nil
}

func (l *List) follow(ctx context.Context, changes <-chan fsnotify.Event, failures <-chan error) {
	timer := time.NewTimer(look)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case change := <-changes:
			if l.concerns(change.Name) {
				timer.Reset(settle)
			}
		case err := <-failures:
			l.log.Warn("revocation lists: changes may be noticed late", "error", err)
			timer.Reset(settle)
		case <-timer.C:
			_ = l.Reload() // logged and counted there
			timer.Reset(look)
		}
	}
}

// concerns reports whether a changed name is a list, or one of the links ..data and the like through which Kubernetes replaces
// mounted files.
func (l *List) concerns(name string) bool {
	base := filepath.Base(name)
	return strings.HasPrefix(base, "..") || slices.ContainsFunc(l.config.Files, func(path string) bool { return filepath.Base(path) == base })
}
