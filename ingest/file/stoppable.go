package file

import (
	"errors"
	"io"
)

// ErrStopped says that reading ended because [Options].Stop was closed while a pipe or a terminal had nothing to give.
var ErrStopped = errors.New("stopped while waiting for input")

// stoppable reads from something that may wait for ever. A read that is given up goes on in its goroutine until there is input;
// nobody uses what it brings.
type stoppable struct {
	from io.Reader
	stop <-chan struct{}
	got  chan chunk
	room []byte
	left []byte
	err  error // comes after what is left
}

type chunk struct {
	n   int
	err error
}

func newStoppable(from io.Reader, stop <-chan struct{}) *stoppable {
	return &stoppable{from: from, stop: stop, got: make(chan chunk, 1), room: make([]byte, buffer)}
}

// Read implements io.Reader.
func (s *stoppable) Read(p []byte) (int, error) {
	if len(s.left) == 0 && s.err == nil {
		go func() {
			n, err := s.from.Read(s.room)
			s.got <- chunk{n, err}
		}()
		select {
		case <-s.stop:
			return 0, ErrStopped
		case c := <-s.got:
			s.left, s.err = s.room[:c.n], c.err
		}
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	if len(s.left) > 0 {
		return n, nil
	}
	return n, s.err
}
