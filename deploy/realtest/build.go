package realtest

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// Build compiles gatewatch and returns the path of the binary.
func (s *Servers) Build() (binary string, err error) {
	binary = filepath.Join(s.Dir, "gatewatch")
	output, err := exec.Command("go", "build", "-o", binary, "github.com/gatewatch/gatewatch/cmd/gatewatch").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build gatewatch: %w\n%s", err, output)
	}
	return binary, nil
}
