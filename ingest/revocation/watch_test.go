package revocation

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/gatewatch/gatewatch/ingest/watch"
)

// TestFollow changes the file: it is read when it was left alone for a second, or after a minute if nobody says so.
func TestFollow(t *testing.T) {
	l, path := open(t, "a\n", nil)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		changes, failures := make(chan fsnotify.Event), make(chan error)
		done := make(chan struct{})
		go func() { l.follow(ctx, changes, failures); close(done) }()

		write(t, path, "a\nb\n")
		changes <- fsnotify.Event{Name: "/elsewhere/other.txt"}
		time.Sleep(2 * watch.Settle)
		synctest.Wait()
		if l.Len() != 1 {
			t.Error("read because of another file")
		}
		changes <- fsnotify.Event{Name: path}
		time.Sleep(watch.Settle / 2)
		changes <- fsnotify.Event{Name: filepath.Join(filepath.Dir(path), "..data")}
		time.Sleep(watch.Settle * 3 / 4)
		synctest.Wait()
		if l.Len() != 1 {
			t.Error("read while it is being written")
		}
		time.Sleep(watch.Settle)
		synctest.Wait()
		if l.Len() != 2 {
			t.Error("not read")
		}
		write(t, path, "a\nb\nc\n")
		time.Sleep(watch.Look + watch.Settle)
		synctest.Wait()
		if l.Len() != 3 {
			t.Error("not looked at")
		}
		write(t, path, "a\nb\nc\nd\n")
		failures <- errors.New("queue overflow")
		time.Sleep(2 * watch.Settle)
		synctest.Wait()
		if l.Len() != 4 {
			t.Error("not looked at after a failure to watch")
		}
		stop()
		<-done
	})
}
