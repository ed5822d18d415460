package ocsftest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/sinks/ocsf"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

// Each change makes a good finding a bad one.
func TestForbids(t *testing.T) {
	var buf bytes.Buffer
	if err := ocsf.Write(&buf, sinktest.Alert(1, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(buf.Bytes()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"invented field":            {`"is_alert":`, `"alert":`},
		"invented field inside":     {`"app_uid":`, `"client_id":`},
		"required field missing":    {`"finding_info":`, `"unmapped_info":`},
		"wrong caption":             {`"severity":"High"`, `"severity":"high"`},
		"number out of enumeration": {`"severity_id":4,"severity":"High",`, `"severity_id":7,`},
		"text for a number":         {`"severity_id":4`, `"severity_id":"4"`},
		"time as text":              {`"time":1795342861124`, `"time":"2026-11-22T10:21:01.124Z"`},
		"no address":                {`"ip":"2001:db8::1"`, `"ip":"localhost"`},
		"none of at least one":      {`"name":"gatewatch","vendor_name"`, `"vendor_name"`},
		"type of another activity":  {`"type_uid":200402,"type_name":"Detection Finding: Update"`, `"type_uid":200401`},
		"other version":             {`"version":"1.8.0"`, `"version":"1.7.0"`},
	} {
		text := strings.Replace(buf.String(), change[0], change[1], 1)
		if text == buf.String() {
			t.Errorf("%s: %s is not there", name, change[0])
		}
		if _, err := Read([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
