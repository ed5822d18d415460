package clickhouse

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

// What needs a server is tested in deploy/realtest/clickhouse.

func TestEncodeRefusesOnlyWhatCannotBeARow(t *testing.T) {
	nan, early, late := sinktest.Alert(2, 1), sinktest.Alert(4, 1), sinktest.Alert(5, 1)
	nan.Baseline = map[string]any{"usual": math.NaN()}
	early.FirstSeen = -1
	late.LastSeen = 1 << 50
	rows, refused := encode([]*alert.Alert{sinktest.Alert(1, 1), nan, sinktest.Alert(3, 1), early, late}, alertRow)
	if len(rows) != 2 || rows[0][0] != sinktest.Alert(1, 1).ID || rows[1][0] != sinktest.Alert(3, 1).ID {
		t.Errorf("rows: %v", rows)
	}
	var indexes []int
	for _, r := range refused {
		indexes = append(indexes, r.Index)
	}
	if !slices.Equal(indexes, []int{1, 3, 4}) {
		t.Errorf("refused %v", refused)
	}
}

func TestRowHasAValueForEveryColumn(t *testing.T) {
	row, err := encodeRow(sinktest.Alert(1, 1))
	if err != nil || len(row) != len(columns) {
		t.Errorf("%d values for %d columns: %v", len(row), len(columns), err)
	}
}

func TestBlindSpotRow(t *testing.T) {
	row, err := blindSpotRow(sinktest.BlindSpot(1, 1))
	if err != nil || len(row) != len(blindSpotColumns) {
		t.Errorf("%d values for %d columns: %v", len(row), len(blindSpotColumns), err)
	}
	early := sinktest.BlindSpot(1, 1)
	early.From = -1
	if _, err := blindSpotRow(early); err == nil {
		t.Error("a time before 1970 became a row")
	}
}

func TestRelated(t *testing.T) {
	kinds, values := related(map[string][]string{"subject": {"u-2", "u-1"}, "country": {"GB"}, "route": nil})
	if !slices.Equal(kinds, []string{"country", "subject", "subject"}) || !slices.Equal(values, []string{"GB", "u-2", "u-1"}) {
		t.Errorf("%v %v", kinds, values)
	}
}

func TestClassify(t *testing.T) {
	for code, permanent := range map[int32]bool{
		codeViolatedConstraint: true, codeIncorrectData: true, codeTooLargeString: true,
		codeUnknownTable: false, codeUnknownDatabase: false,
		241: false, // memory limit
		252: false, // too many parts
		497: false, // not enough privileges
		516: false, // authentication failed
	} {
		err := classify(fmt.Errorf("insert alerts: %w", &driver.Exception{Code: code, Message: "no"}))
		if _, refused := errors.AsType[*sinks.RefusedError](err); refused != permanent {
			t.Errorf("code %d: refused is %v", code, refused)
		}
	}
}

// Every column of an insert stands in both schemas, so that a change of one is not forgotten in the other.
func TestSchemasHaveEveryColumn(t *testing.T) {
	for _, flavour := range []string{Production, Reduced} {
		all, err := Migrations(flavour)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range all {
			if m.Version != uint32(i+1) {
				t.Errorf("%s: migration %q has number %d, want %d", flavour, m.Name, m.Version, i+1)
			}
		}
		for table, columns := range map[int][]string{0: columns, 2: blindSpotColumns} {
			for _, column := range columns {
				name, _, _ := strings.Cut(column, ".")
				if !regexp.MustCompile(`(?m)^    ` + name + ` `).MatchString(all[table].Statement) {
					t.Errorf("%s: no column %s", flavour, name)
				}
			}
		}
	}
}

func TestFlavour(t *testing.T) {
	for major, want := range map[uint64]string{18: Reduced, 21: Reduced, 22: Production, 26: Production} {
		if got := flavourOf(major); got != want {
			t.Errorf("version %d: %s, want %s", major, got, want)
		}
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	if err := DefaultQueue().Validate(); err != nil {
		t.Error(err)
	}
	bad := DefaultConfig()
	bad.Addresses, bad.Database, bad.DialTimeout, bad.Password = []string{"nowhere"}, "a; DROP", 0, "hunter2"
	bad.TLS.CertFile = "x"
	err := bad.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`"nowhere"`, "database", "dial_timeout", "tls.key_file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the password shows")
	}
}
