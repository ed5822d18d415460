package main

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewatch/gatewatch/rules"
)

// ruleFiles are the rules of a running service: loaded at the start, and again on SIGHUP or when a file changes. A set with
// any mistake changes nothing.
type ruleFiles struct {
	config   rulesConfig
	log      *slog.Logger
	set      *rules.Set // in use
	onReload func(ctx context.Context) error

	changes      <-chan fsnotify.Event // nil: files are not watched
	stopWatching func()

	reloads *prometheus.CounterVec
	current prometheus.Gauge
	loaded  prometheus.Gauge
}

func openRules(c rulesConfig, log *slog.Logger, r prometheus.Registerer) (*ruleFiles, error) {
	f := &ruleFiles{
		config: c, log: log,
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gatewatch_rules_reloads_total", Help: "Attempts to load the rules again."}, []string{"result"}),
		current: prometheus.NewGauge(prometheus.GaugeOpts{Name: "gatewatch_rules_current", Help: "1 while the rules in use are those of the files, 0 after a failed reload."}),
		loaded:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "gatewatch_rules_loaded_timestamp_seconds", Help: "When the rules in use were loaded."}),
	}
	// Watched first, loaded then: no change falls in between.
	f.changes, f.stopWatching = f.follow()
	var err error
	if f.set, err = loadRules(c.Paths); err != nil {
		f.stopWatching()
		return nil, err
	}
	for _, c := range []prometheus.Collector{f.reloads, f.current, f.loaded} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	for _, result := range []string{"loaded", "unchanged", "failed"} {
		f.reloads.WithLabelValues(result)
	}
	f.current.Set(1)
	f.loaded.SetToCurrentTime()
	return f, nil
}

// settle is how long files must be left alone before they are read: editors and Kubernetes write in several steps.
const settle = 300 * time.Millisecond

// watch reloads until ctx ends.
func (f *ruleFiles) watch(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	defer f.stopWatching()
	quiet := time.NewTimer(time.Hour)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			f.reload(ctx)
		case <-f.changes:
			quiet.Reset(settle)
		case <-quiet.C:
			f.reload(ctx)
		}
	}
}

// follow watches the directories of the rules, not the files: a file that is replaced is another file.
func (f *ruleFiles) follow() (<-chan fsnotify.Event, func()) {
	if !f.config.Watch || len(f.config.Paths) == 0 {
		return nil, func() {}
	}
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		err = watchFolders(watcher, f.config.Paths)
	}
	if err != nil {
		f.log.Warn("rule files are not watched for changes; SIGHUP still reloads them", "error", err)
		return nil, func() {}
	}
	return watcher.Events, func() { _ = watcher.Close() }
}

// watchFolders watches the folders of the paths and all folders below them, as rules are loaded from there.
func watchFolders(watcher *fsnotify.Watcher, paths []string) error {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			if err := watcher.Add(filepath.Dir(path)); err != nil {
				return err
			}
			continue
		}
		err = filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			return watcher.Add(path)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *ruleFiles) reload(ctx context.Context) {
	set, err := loadRules(f.config.Paths)
	if err != nil {
		f.reloads.WithLabelValues("failed").Inc()
		f.current.Set(0)
		f.log.Error("the new rules are not used; the old ones go on", "error", err)
		return
	}
	change := rules.Diff(f.set, set)
	before := f.set
	f.set = set
	if err := f.onReload(ctx); err != nil {
		f.set = before
		f.log.Error("reload rules", "error", err)
		return
	}
	f.current.Set(1)
	f.loaded.SetToCurrentTime()
	if len(change.Added)+len(change.Changed)+len(change.Removed) == 0 {
		f.reloads.WithLabelValues("unchanged").Inc()
		f.log.Info("rules loaded again, nothing that they find has changed", "rules", set.Len())
		return
	}
	f.reloads.WithLabelValues("loaded").Inc()
	f.log.Info("rules reloaded; changed rules start afresh, the others keep what they know", "added", change.Added,
		"changed", change.Changed, "removed", change.Removed, "unchanged", len(change.Unchanged))
}
