package realtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// Service is gatewatch with one configuration in a folder of its own. Its processes come and go.
type Service struct {
	Name    string
	Dir     string // of the configuration and of what it names without a path
	Address string // of the metrics

	binary, command string
	process         *process // the latest; nil before the first
}

// process is one life of a service.
type process struct {
	*exec.Cmd
	ended chan struct{} // closed when err is valid
	err   error
}

// NewService writes the configuration for "gatewatch COMMAND"; section http is added to it. At the end of the test a
// process that still runs is killed, and if the test has failed the end of the log is shown and the folder kept.
func NewService(t testing.TB, binary, command, name string, c Config) *Service {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatewatch-"+name+"-")
	must(t, err)
	s := &Service{Name: name, Dir: dir, Address: FreeAddress(t), binary: binary, command: command}
	c["http"] = Section{"listen": s.Address}
	text, err := yaml.Marshal(c)
	must(t, err)
	must(t, os.WriteFile(s.ConfigFile(), text, 0o600))
	t.Cleanup(func() { s.cleanUp(t) })
	return s
}

func (s *Service) cleanUp(t testing.TB) {
	if s.Running() {
		_ = s.process.Process.Kill()
		<-s.process.ended
	}
	if t.Failed() {
		t.Logf("%s, whose files are in %s, wrote at last:\n%s", s.Name, s.Dir, s.logTail(60))
		return
	}
	if err := os.RemoveAll(s.Dir); err != nil {
		t.Error(err)
	}
}

// ConfigFile is the path of the configuration.
func (s *Service) ConfigFile() string { return filepath.Join(s.Dir, "gatewatch.yaml") }

// Path is that of a file in the folder of the service.
func (s *Service) Path(name string) string { return filepath.Join(s.Dir, name) }

// Start begins a new life. It waits for nothing.
func (s *Service) Start(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(s.Path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer log.Close() // the process has its own
	p := &process{Cmd: exec.Command(s.binary, s.command, "--config", s.ConfigFile()), ended: make(chan struct{})}
	p.Dir = s.Dir
	p.Env = append(os.Environ(), "CLICKHOUSE_PASSWORD="+Password)
	p.Stdout, p.Stderr = log, log
	must(t, p.Start())
	s.process = p
	// For test.sh, which ends what a crashed test has left running.
	must(t, os.WriteFile(s.Path("pid"), strconv.AppendInt(nil, int64(p.Process.Pid), 10), 0o600))
	go func() {
		p.err = p.Wait()
		close(p.ended)
	}()
}

// Running says whether the process lives.
func (s *Service) Running() bool {
	if s.process == nil {
		return false
	}
	select {
	case <-s.process.ended:
		return false
	default:
		return true
	}
}

// PID is the id of the process.
func (s *Service) PID() int { return s.process.Process.Pid }

// MustRun fails the test if the process has ended by itself.
func (s *Service) MustRun(t testing.TB) {
	t.Helper()
	if !s.Running() {
		t.Fatalf("%s has ended by itself: %v", s.Name, s.process.err)
	}
}

// Kill ends the process as a power cut would, and waits for its end.
func (s *Service) Kill(t testing.TB) {
	t.Helper()
	s.MustRun(t)
	s.signal(t, syscall.SIGKILL)
	<-s.process.ended
}

// Pause stops the process where it is, until Resume.
func (s *Service) Pause(t testing.TB) {
	t.Helper()
	s.MustRun(t)
	s.control(t, "-STOP")
}

// Resume lets a paused process go on.
func (s *Service) Resume(t testing.TB) {
	t.Helper()
	s.control(t, "-CONT")
}

// Stop asks the process to end, as an orchestrator does; it must have done so with status 0 within a minute.
func (s *Service) Stop(t testing.TB) {
	t.Helper()
	s.MustRun(t)
	s.signal(t, syscall.SIGTERM)
	select {
	case <-s.process.ended:
		if s.process.err != nil {
			t.Errorf("%s ends with %v", s.Name, s.process.err)
		}
	case <-time.After(time.Minute):
		t.Fatalf("%s does not end", s.Name)
	}
}

func (s *Service) signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		t.Fatalf("send %v to %s: %v", signal, s.Name, err)
	}
}

// control sends what package syscall does not know on every system.
func (s *Service) control(t testing.TB, signal string) {
	t.Helper()
	if output, err := exec.CommandContext(t.Context(), "kill", signal, strconv.Itoa(s.PID())).CombinedOutput(); err != nil {
		t.Fatalf("send %s to %s: %v: %s", signal, s.Name, err, output)
	}
}

// Logged says whether any process has logged text.
func (s *Service) Logged(text string) bool {
	log, err := os.ReadFile(s.Path("log"))
	return err == nil && bytes.Contains(log, []byte(text))
}

// logTail is the end of the log, as many lines as given.
func (s *Service) logTail(lines int) []byte {
	log, err := os.ReadFile(s.Path("log"))
	if err != nil {
		return []byte(err.Error())
	}
	for at := len(log) - 1; at >= 0; at-- {
		if log[at] == '\n' && at < len(log)-1 {
			if lines--; lines == 0 {
				return log[at+1:]
			}
		}
	}
	return log
}

// ports keeps what was given out: a port is free until its process listens.
var ports struct {
	sync.Mutex
	given map[string]bool
}

// FreeAddress is an address of this machine on which nothing listens, and which no other test was given.
func FreeAddress(t testing.TB) string {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for {
		port, err := freePorts(1)
		must(t, err)
		if address := address127(port); !ports.given[address] {
			if ports.given == nil {
				ports.given = map[string]bool{}
			}
			ports.given[address] = true
			return address
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
