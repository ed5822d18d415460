// Package realtest starts the real servers that gatewatch's tests in the folders below run against: Apache Kafka,
// ClickHouse and OpenSearch, each by its script in deploy/servers, each on free ports of 127.0.0.1 and in a folder of its own.
//
// deploy/servers/test.sh installs the servers and runs all these tests. A plain go test leaves them out: a machine with
// nothing but Go must be able to test gatewatch, and a test that skips itself when a server is missing would hide that it
// did not run. So it is the environment that decides: with GATEWATCH_REAL=1 whatever is missing fails.
package realtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Servers owns what was started for the tests of one package.
type Servers struct {
	Dir   string // everything that the servers write
	stops []func() error
}

// Main starts servers with start, runs the tests of m, stops the servers and returns the exit status for os.Exit. Without
// GATEWATCH_REAL=1 it does nothing but say so.
func Main(m *testing.M, start func(*Servers) error) int {
	if os.Getenv("GATEWATCH_REAL") != "1" {
		fmt.Println("real servers not requested: deploy/servers/test.sh runs these tests")
		return 0
	}
	// In the temporary folder, where test.sh looks for servers that a crashed test left running.
	dir, err := os.MkdirTemp("", "gatewatch-realtest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a folder for the servers:", err)
		return 1
	}
	s := &Servers{Dir: dir}
	status := s.run(m, start)
	if status != 0 {
		fmt.Fprintln(os.Stderr, "the servers' files are in", dir)
		return status
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "remove the servers' files:", err)
	}
	return 0
}

func (s *Servers) run(m *testing.M, start func(*Servers) error) (status int) {
	defer func() {
		if err := s.stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = max(status, 1)
		}
	}()
	if err := start(s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func (s *Servers) stop() error {
	var errs []error
	for i := len(s.stops) - 1; i >= 0; i-- {
		errs = append(errs, s.stops[i]())
	}
	return errors.Join(errs...)
}

// ClickHouse starts a ClickHouse server and returns the address of its native protocol. User gatewatch has the password
// gatewatch-test, user default has none.
func (s *Servers) ClickHouse() (address string, err error) {
	dir := filepath.Join(s.Dir, "clickhouse")
	port, err := freePorts(2)
	if err != nil {
		return "", err
	}
	s.stops = append(s.stops, func() error { return script("clickhouse.sh", "stop", dir) })
	if err := script("clickhouse.sh", "start", dir, strconv.Itoa(port)); err != nil {
		return "", err
	}
	return address127(port), nil
}

// script runs one of deploy/servers. Its limit leaves time for an installation.
func script(name string, args ...string) error {
	root, err := repository()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(root, "deploy", "servers", name), args...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		return fmt.Errorf("run %s %s: %w\n%s", name, strings.Join(args, " "), err, &output)
	}
	return nil
}

// repository returns the folder of go.mod, above that of the running test.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("find the repository: no go.mod above the working directory")
}

// freePorts returns the first of n consecutive ports on which nothing listens. They are below those that systems give to
// outgoing connections, one of which could take the place of a server that is being restarted.
func freePorts(n int) (int, error) {
	for range 100 {
		if port := 10_000 + rand.IntN(22_000); allFree(port, n) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("find %d free ports in a row: none found", n)
}

func allFree(port, n int) bool {
	for i := range n {
		listener, err := net.Listen("tcp", address127(port+i))
		if err != nil {
			return false
		}
		defer listener.Close()
	}
	return true
}

func address127(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
