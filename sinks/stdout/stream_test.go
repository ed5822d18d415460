package stdout

import (
	"bytes"
	"errors"
	"sync/atomic"
)

// stream is a pipe whose reader can go away.
type stream struct {
	bytes.Buffer
	down atomic.Bool
	room int // 0: unlimited; else how much the next write takes
}

func (s *stream) Write(p []byte) (int, error) {
	if s.down.Load() {
		return 0, errors.New("broken pipe")
	}
	if s.room > 0 {
		n, _ := s.Buffer.Write(p[:s.room])
		return n, errors.New("no space left on device")
	}
	return s.Buffer.Write(p)
}
