// Package syslog tests the syslog sink against a real rsyslog with the configuration of deploy/syslog.
package syslog

import (
	"os"
	"testing"

	"github.com/gatewatch/gatewatch/deploy/realtest"
)

var dir string // for what the receivers write

func TestMain(m *testing.M) {
	os.Exit(realtest.Main(m, func(s *realtest.Servers) error {
		dir = s.Dir
		return nil
	}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
