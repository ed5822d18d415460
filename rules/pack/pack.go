// Package pack holds the rules that gatewatch ships with, one YAML file for each thing that they protect.
package pack

import (
	"embed"
	"io/fs"
)

//go:embed *.yaml
var files embed.FS

// Files returns the rule files, all in the root directory.
func Files() fs.FS { return files }
