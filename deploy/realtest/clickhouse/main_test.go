// Package clickhouse tests the ClickHouse sink, its schemas and the dashboard queries on real ClickHouse engines: an old
// server over the network and the engine of today as a library.
package clickhouse

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/deploy/realtest"
)

// Set by TestMain.
var (
	serverAddr  string // of the old server's native protocol
	libraryPath string // of the new engine
)

func TestMain(m *testing.M) {
	os.Exit(realtest.Main(m, func(s *realtest.Servers) (err error) {
		if serverAddr, err = s.ClickHouse(); err != nil {
			return err
		}
		libraryPath, err = library()
		return err
	}))
}

// library fetches the new engine when it is missing.
func library() (path string, err error) {
	cmd := exec.Command(filepath.Join("..", "..", "servers", "chdb.sh"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run chdb.sh: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
