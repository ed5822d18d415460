package file

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestStopWhileWaiting stops a source whose standard input never gives anything.
func TestStopWhileWaiting(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	stop := make(chan struct{})
	close(stop)
	o := options(Stdin)
	o.Stdin, o.Stop = r, stop
	if _, err := read(t, o); !errors.Is(err, ErrStopped) {
		t.Errorf("error %v", err)
	}
}

func TestStoppableReadsEverything(t *testing.T) {
	const text = "one\ntwo\nthree\n"
	for _, from := range []io.Reader{strings.NewReader(text), iotest.DataErrReader(strings.NewReader(text)), iotest.OneByteReader(strings.NewReader(text))} {
		got, err := io.ReadAll(iotest.OneByteReader(newStoppable(from, make(chan struct{}))))
		if string(got) != text || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	broken := iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(text)))
	if got, err := io.ReadAll(newStoppable(broken, make(chan struct{}))); string(got) != "o" || !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("%q, %v", got, err)
	}
}
