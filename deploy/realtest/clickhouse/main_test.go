// Package clickhouse tests the ClickHouse sink, its schemas and the dashboard queries on real ClickHouse engines.
//
// The tests run when GATEWATCH_REAL=1 is set; then a missing engine is a failure. GATEWATCH_CLICKHOUSE names the
// host:port of a running server and GATEWATCH_CHDB the path of libchdb.so; what is not named is fetched and started by
// the scripts in deploy/servers.
package clickhouse

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Set by TestMain.
var (
	serverAddr  string // of the old server
	libraryPath string // of the new engine
)

func TestMain(m *testing.M) {
	if os.Getenv("GATEWATCH_REAL") != "1" {
		fmt.Println("real ClickHouse engines are not tested: GATEWATCH_REAL=1 is not set")
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	stop, err := findServer()
	if err == nil {
		defer stop()
		err = findLibrary()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func findServer() (stop func(), err error) {
	if serverAddr = os.Getenv("GATEWATCH_CLICKHOUSE"); serverAddr != "" {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "gatewatch-clickhouse")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if _, err := script("clickhouse.sh", "start", dir, strconv.Itoa(port)); err != nil {
		return nil, err
	}
	serverAddr = fmt.Sprintf("127.0.0.1:%d", port)
	return func() {
		script("clickhouse.sh", "stop", dir)
		os.RemoveAll(dir)
	}, nil
}

// freePort finds a port whose successor is free as well.
func freePort() (int, error) {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		next, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		l.Close()
		if err == nil {
			next.Close()
			return port, nil
		}
	}
	return 0, fmt.Errorf("find two free ports in a row: none")
}

func findLibrary() error {
	libraryPath = os.Getenv("GATEWATCH_CHDB")
	if libraryPath != "" {
		return nil
	}
	out, err := script("chdb.sh")
	libraryPath = strings.TrimSpace(out)
	return err
}

// script runs one of deploy/servers and returns its standard output.
func script(name string, args ...string) (string, error) {
	cmd := exec.Command(filepath.Join("..", "..", "servers", name), args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run %s: %w", name, err)
	}
	return string(out), nil
}
