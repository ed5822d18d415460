// Package watch notices that files have changed which something keeps in memory: GeoIP databases, lists of revoked tokens.
package watch

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// The times of [Follow].
const (
	// Settle is how long a file must have been left alone before it is read: it may be written in many pieces.
	Settle = time.Second
	// Look is how often files are looked at when nothing was reported: network file systems report nothing.
	Look = time.Minute
)

// Folders watches the folders of the files. A file that is replaced by another one would be watched no more.
func Folders(paths []string) (*fsnotify.Watcher, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if err := watcher.Add(filepath.Dir(path)); err != nil {
			_ = watcher.Close()
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return watcher, nil
}

// Follow calls reload some time after a change that concerns the caller, and once a minute, until ctx ends. A failure to watch
// goes to failed.
func Follow(ctx context.Context, changes <-chan fsnotify.Event, failures <-chan error, concerns func(name string) bool, failed func(error), reload func()) {
	timer := time.NewTimer(Look)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case change := <-changes:
			if concerns(change.Name) {
				timer.Reset(Settle)
			}
		case err := <-failures:
			failed(err)
			timer.Reset(Settle)
		case <-timer.C:
			reload()
			timer.Reset(Look)
		}
	}
}

// Concerns reports whether a changed name is one of the files, or one of the links ..data and the like through which Kubernetes
// replaces mounted files.
func Concerns(name string, paths []string) bool {
	base := filepath.Base(name)
	return strings.HasPrefix(base, "..") || slices.ContainsFunc(paths, func(path string) bool { return filepath.Base(path) == base })
}
