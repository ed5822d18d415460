// Package guide runs the integration guide, deploy/endtoend/run.sh, which starts servers of its own.
package guide

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/deploy/realtest"
)

func TestMain(m *testing.M) {
	os.Exit(realtest.Main(m, func(*realtest.Servers) error { return nil }))
}

// TestGuide runs the script as a newcomer would. It checks itself what arrives.
func TestGuide(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	script := exec.CommandContext(ctx, filepath.Join("..", "..", "endtoend", "run.sh"))
	script.Cancel = func() error { return script.Process.Signal(syscall.SIGTERM) } // it stops its servers then
	script.WaitDelay = 30 * time.Second
	output, err := script.CombinedOutput()
	t.Logf("%s", output)
	if err != nil {
		t.Fatal(err)
	}
}
