package disk

import (
	"context"
	"fmt"
	"sync"
)

// turn lets one task of a kind run at a time. One whose caller has gone away keeps its turn until it has ended.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// tasks counts the tasks under way, so that closing waits for them.
type tasks struct {
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

func (t *tasks) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.running.Add(1)
	}
	return !t.closed
}

// close lets no more tasks begin; it says whether it was the first to do so.
func (t *tasks) close() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := !t.closed
	t.closed = true
	return first
}

func (t *tasks) wait() { t.running.Wait() }

// failure is what stops the database for good. The goroutine that raises it must not go on: the database relies on that.
type failure struct {
	once   sync.Once
	raised chan struct{}
	err    error // set before raised is closed
}

func newFailure() *failure { return &failure{raised: make(chan struct{})} }

func (f *failure) raise(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.raised)
	})
}

// do runs the task in a goroutine, because the database cannot be interrupted while it waits for a disk, and because it may
// stop for good. When do returns early the task goes on.
func (s *Store) do(ctx context.Context, turn turn, task func() error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if !s.tasks.begin() {
		return ErrClosed
	}
	done := make(chan error, 1)
	go func() {
		defer s.tasks.running.Done()
		done <- s.take(turn, task)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.failure.raised:
		return s.failed()
	}
}

func (s *Store) take(turn turn, task func() error) (err error) {
	defer func() {
		if p := recover(); p != nil { // the database does so where it cannot go on
			s.failure.raise(fmt.Errorf("%v", p))
			err = s.failed()
		}
	}()
	if turn != nil {
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		case <-s.failure.raised:
			return s.failed()
		}
	}
	select {
	case <-s.failure.raised:
		return s.failed()
	default:
		return s.diagnose(task())
	}
}
