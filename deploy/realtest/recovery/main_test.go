// Package recovery runs the built gatewatch with its state on disk, kills it, cuts it off and fills its disk, and compares
// what its destinations have got in the end with an uninterrupted run.
package recovery

import (
	"os"
	"testing"

	"github.com/gatewatch/gatewatch/deploy/realtest"
)

var (
	broker     *realtest.Kafka
	clickHouse string // address
	binary     string
)

func TestMain(m *testing.M) {
	os.Exit(realtest.Main(m, func(s *realtest.Servers) (err error) {
		if broker, err = s.Kafka(); err != nil {
			return err
		}
		if clickHouse, err = s.ClickHouse(); err != nil {
			return err
		}
		binary, err = s.Build()
		return err
	}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
