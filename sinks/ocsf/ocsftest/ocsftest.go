// Package ocsftest reads Detection Findings as a strict consumer does: it holds them against the published schema and makes
// the alert from them again, so that tests see what is lost.
package ocsftest

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"sync"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed testdata/*.json
var schemas embed.FS

// The versions of the schema that are here.
const (
	Current = "1.8.0"
	Oldest  = "1.5.0" // that knows anomaly_analyses
)

// Read returns the alert that a finding stands for. The error says what the current schema forbids, or which parts of the
// finding contradict each other.
func Read(text []byte) (*alert.Alert, error) {
	if err := Validate(text, Current); err != nil {
		return nil, err
	}
	f, err := decode(text)
	if err != nil {
		return nil, err
	}
	return f.alert()
}

// Validate holds a finding against a version of the schema.
func Validate(text []byte, version string) error {
	schema, err := compiled[version]()
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	if invalid := (*jsonschema.ValidationError)(nil); errors.As(schema.Validate(value), &invalid) {
		return fmt.Errorf("%#v\n%s", invalid, text)
	}
	return nil
}

// compiled makes each schema once, which takes a thousand times as long as to validate by it.
var compiled = map[string]func() (*jsonschema.Schema, error){
	Current: sync.OnceValues(func() (*jsonschema.Schema, error) { return compile(Current) }),
	Oldest:  sync.OnceValues(func() (*jsonschema.Schema, error) { return compile(Oldest) }),
}

func compile(version string) (*jsonschema.Schema, error) {
	name := "testdata/detection_finding-" + version + ".json"
	text, err := schemas.ReadFile(name)
	if err != nil {
		return nil, err
	}
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, schema); err != nil {
		return nil, err
	}
	return c.Compile(name)
}
