package kafkastate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	store "github.com/gatewatch/gatewatch/cmd/gatewatch/state/kafka"
)

// child is a process that writes.
type child struct {
	*exec.Cmd
	lines *bufio.Scanner
	known known // durable, as it said
}

func startChild(t *testing.T, topic string) *child {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	c := &child{Cmd: exec.Command(self, topic)}
	c.Env = append(os.Environ(), addressEnv+"="+broker.Plain())
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	c.lines = bufio.NewScanner(out)
	return c
}

// read takes lines until there are n or the process ends.
func (c *child) read(n int) {
	for ; n != 0 && c.lines.Scan(); n-- {
		var what string
		var value uint64
		fmt.Sscan(c.lines.Text(), &what, &value)
		switch what {
		case "checkpoint":
			c.known.checkpoint = value
		case "last":
			c.known.last = value
		case "settled":
			c.known.settled = value
		case "trimmed":
			c.known.trimmed = value
		}
	}
}

// verify opens the state and compares it with what the child knew: all of that, and of what was under way all or nothing.
func (c *child) verify(t *testing.T, topic string) (*store.Store, known) {
	t.Helper()
	s := open(t, topic)
	got, err := inspect(limited(t), s)
	must(t, err)
	k := c.known
	if got.checkpoint < k.checkpoint || got.checkpoint > k.checkpoint+1 || got.last < k.last || got.last > k.last+3 || got.settled < k.settled || got.trimmed < k.trimmed {
		t.Fatalf("durable were %+v, found %+v", k, got)
	}
	return s, got
}

// The child is killed at a random moment, again and again.
func TestKills(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	topic := unused(t)
	var before known
	for i := range kills(t) {
		c := startChild(t, topic)
		c.known = before
		c.read(1 + random.IntN(60))
		delay := time.Duration(random.IntN(20_000)) * time.Microsecond
		stopped := time.AfterFunc(delay, func() { c.Process.Kill() })
		c.read(-1)
		stopped.Stop()
		c.Wait()
		s, got := c.verify(t, topic)
		before = got
		t.Logf("kill %d: durable %+v, found %+v", i, c.known, got)
		must(t, s.Close())
	}
}

func kills(t *testing.T) int {
	if testing.Short() {
		return 5
	}
	return 25
}

// A process that is stopped for a while is followed meanwhile: when it goes on, it must find that out and change nothing.
func TestZombies(t *testing.T) {
	topic := unused(t)
	var before known
	for range 5 {
		c := startChild(t, topic)
		c.known = before
		c.read(20)
		must(t, c.Process.Signal(syscall.SIGSTOP))
		s := open(t, topic)
		k, err := inspect(limited(t), s)
		must(t, err)
		must(t, k.checkpointStep(limited(t), s))
		must(t, k.outboxStep(limited(t), s))
		must(t, c.Process.Signal(syscall.SIGCONT))
		io.Copy(io.Discard, discardLines{c})
		if err := c.Wait(); c.ProcessState.ExitCode() != exitFenced {
			t.Fatalf("the one before ended with %v", err)
		}
		must(t, k.outboxStep(limited(t), s))
		must(t, s.Close())
		again := open(t, topic)
		got, err := inspect(limited(t), again)
		must(t, err)
		if got.checkpoint != k.checkpoint || got.last != k.last {
			t.Fatalf("written were %+v, found %+v", k, got)
		}
		before = got
		must(t, again.Close())
	}
}

type discardLines struct{ *child }

func (d discardLines) Read([]byte) (int, error) {
	d.read(-1)
	return 0, io.EOF
}

// The broker is restarted and killed while the state changes: the calls wait, and nothing is lost or doubled.
func TestBrokerRestarts(t *testing.T) {
	topic := unused(t)
	c := startChild(t, topic)
	for i := range 4 {
		c.read(15)
		if i%2 == 0 {
			must(t, broker.Kill())
			must(t, broker.Start())
		} else {
			must(t, broker.Restart())
		}
	}
	c.read(30)
	if c.ProcessState != nil {
		t.Fatal("the writer ended")
	}
	c.Process.Kill()
	c.read(-1)
	s, got := c.verify(t, topic)
	t.Logf("durable %+v, found %+v", c.known, got)
	must(t, s.Close())
}

// Of two that open the same partition all the time, each gets it or is fenced, and the state stays whole.
func TestRivals(t *testing.T) {
	topic := unused(t)
	done := make(chan error, 3)
	for range 3 {
		go func() {
			for range 8 {
				opened, err := store.OpenTopic(limited(t), options(broker.Plain(), topic))
				if err != nil {
					done <- err
					return
				}
				err = rival(t, opened)
				opened.Close()
				if err != nil && !errors.Is(err, state.ErrFenced) {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	got, err := inspect(limited(t), open(t, topic))
	must(t, err)
	t.Logf("found %+v", got)
	if got.checkpoint == 0 {
		t.Error("nobody wrote anything")
	}
}

func rival(t *testing.T, topic *store.Topic) error {
	ctx := limited(t)
	s, err := topic.Open(ctx, 1)
	if err != nil {
		return err
	}
	defer s.Close()
	k, err := inspect(ctx, s)
	for range 3 {
		if err == nil {
			err = k.checkpointStep(ctx, s)
		}
		if err == nil {
			err = k.outboxStep(ctx, s)
		}
	}
	return err
}
