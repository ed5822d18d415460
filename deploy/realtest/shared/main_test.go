// Package shared runs several instances of the built gatewatch that share one topic, makes them come and go in every way in
// which machines do, and compares what they have told together with what one instance tells.
package shared

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

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
