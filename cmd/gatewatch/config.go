package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/blindspot"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/router"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/geo"
	"github.com/gatewatch/gatewatch/ingest/inventory"
	"github.com/gatewatch/gatewatch/ingest/kafka"
	"github.com/gatewatch/gatewatch/ingest/push"
	"github.com/gatewatch/gatewatch/rules/flowseq"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/clickhouse"
	filesink "github.com/gatewatch/gatewatch/sinks/file"
	kafkasink "github.com/gatewatch/gatewatch/sinks/kafka"
	"github.com/gatewatch/gatewatch/sinks/syslog"
)

// config is gatewatch.yaml. deploy/gatewatch.yaml shows every option with its default.
type config struct {
	Kafka           kafka.Config      `yaml:"kafka"`
	Ingest          ingestConfig      `yaml:"ingest"`
	Geo             geo.Config        `yaml:"geo"`
	Route           router.Config     `yaml:"route"`
	Rules           rulesConfig       `yaml:"rules"`
	Engine          engineConfig      `yaml:"engine"`
	State           stateConfig       `yaml:"state"`
	Limits          limitsConfig      `yaml:"limits"`
	BlindSpots      blindspot.Config  `yaml:"blind_spots"`
	DeadLetters     deadLettersConfig `yaml:"dead_letters"`
	Sinks           sinksConfig       `yaml:"sinks"`
	HTTP            httpConfig        `yaml:"http"`
	Log             logConfig         `yaml:"log"`
	ShutdownTimeout time.Duration     `yaml:"shutdown_timeout"`
	Inventory       inventory.Config  `yaml:"inventory"`

	dir string // of the file
}

// ingestConfig says how records are decoded, and where they may be pushed to.
type ingestConfig struct {
	ingest.Config `yaml:",inline"`
	HTTP          push.Config `yaml:"http"`
}

func (c ingestConfig) validate() error {
	err := c.HTTP.Validate()
	if err != nil {
		err = fmt.Errorf("http: %s", strings.ReplaceAll(err.Error(), "\n", "\nhttp: "))
	}
	return errors.Join(c.Config.Validate(), err)
}

// rulesConfig says which rules run. Without paths it is the shipped pack.
type rulesConfig struct {
	Paths []string `yaml:"paths"`
	Watch bool     `yaml:"watch"` // reload when a file changes; SIGHUP reloads in any case
}

type engineConfig struct {
	Disorder         time.Duration `yaml:"disorder"`
	Workers          int           `yaml:"workers"`            // 0: one for each core
	MaxPendingEvents int           `yaml:"max_pending_events"` // of one partition that is ahead of the others
}

type deadLettersConfig struct {
	File     string `yaml:"file"`
	MaxBytes int64  `yaml:"max_bytes"`
	Topic    string `yaml:"topic"` // in the cluster of the source; used instead of the file when it is set
	Alerts   string `yaml:"alerts"`
}

// sinksConfig holds the destinations. One takes part when it is named in the file.
type sinksConfig struct {
	Stdout     stdoutSink     `yaml:"stdout"`
	File       fileSink       `yaml:"file"`
	Kafka      kafkaSink      `yaml:"kafka"`
	ClickHouse clickhouseSink `yaml:"clickhouse"`
	Syslog     syslogSink     `yaml:"syslog"`

	HTTP httpSinksConfig `yaml:",inline"`

	named map[string]bool
}

type stdoutSink struct {
	Queue sinks.Config `yaml:"queue"`
}

type fileSink struct {
	filesink.Config `yaml:",inline"`
	Queue           sinks.Config `yaml:"queue"`
}

type kafkaSink struct {
	kafkasink.Config `yaml:",inline"`
	Queue            sinks.Config `yaml:"queue"`
}

type clickhouseSink struct {
	clickhouse.Config `yaml:",inline"`
	Queue             sinks.Config `yaml:"queue"`
}

type syslogSink struct {
	syslog.Config `yaml:",inline"`
	Queue         sinks.Config `yaml:"queue"`
}

type httpConfig struct {
	Listen string `yaml:"listen"` // empty: no metrics
}

type logConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json
}

func defaultConfig() config {
	return config{
		Kafka: kafka.DefaultConfig(), Ingest: ingestConfig{ingest.DefaultConfig(), push.DefaultConfig()}, Geo: geo.DefaultConfig(),
		Route:       router.DefaultConfig(),
		Rules:       rulesConfig{Watch: true, Paths: []string{}},
		Engine:      engineConfig{Disorder: 2 * time.Second, MaxPendingEvents: 1 << 20},
		State:       stateConfig{Location: defaultState, Interval: 5 * time.Second},
		Limits:      defaultLimits(),
		BlindSpots:  blindspot.DefaultConfig(),
		DeadLetters: deadLettersConfig{File: "gatewatch-dead-letters.jsonl", MaxBytes: 256 << 20, Alerts: "gatewatch-refused-alerts.jsonl"},
		Sinks: sinksConfig{
			Stdout:     stdoutSink{Queue: sinks.DefaultConfig()},
			File:       fileSink{filesink.DefaultConfig(), sinks.DefaultConfig()},
			Kafka:      kafkaSink{kafkasink.DefaultConfig(), sinks.DefaultConfig()},
			ClickHouse: clickhouseSink{clickhouse.DefaultConfig(), clickhouse.DefaultQueue()},
			HTTP:       defaultHTTPSinks(),
			Syslog:     syslogSink{syslog.DefaultConfig(), sinks.DefaultConfig()},
		},
		HTTP: httpConfig{Listen: "127.0.0.1:9095"}, Log: logConfig{Level: "info", Format: "text"},
		ShutdownTimeout: 20 * time.Second, Inventory: inventory.DefaultConfig(),
	}
}

// readConfig reads the file; every mistake in it is an error with its position.
func readConfig(path string) (config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return config{}, usagef("read configuration: %w", err)
	}
	c, err := parseConfig(text)
	if err != nil {
		return config{}, usagef("%s: %w", path, err)
	}
	c.dir = filepath.Dir(path)
	return c, nil
}

func parseConfig(text []byte) (config, error) {
	c := defaultConfig()
	file, err := parser.Parse(flowseq.Tokens(lexer.Tokenize(string(text))), 0)
	if err != nil {
		return c, mistake(err, nil)
	}
	if len(file.Docs) > 1 {
		return c, errors.New("the file holds several documents; one is enough")
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return c, c.validate()
	}
	body := file.Docs[0].Body
	if err := resolveSecrets(body); err != nil {
		return c, err
	}
	if err := checkDurations(body, reflect.TypeFor[config]()); err != nil {
		return c, err
	}
	c.Sinks.named = namedSinks(body)
	if err := yaml.NodeToValue(body, &c, yaml.Strict()); err != nil {
		return c, mistake(err, body)
	}
	return c, c.validate()
}

// validate reports everything that is wrong, section by section.
func (c *config) validate() error {
	var errs []error
	section := func(name string, err error) {
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				errs = append(errs, fmt.Errorf("%s: %s", name, line))
			}
		}
	}
	section("kafka", c.Kafka.Validate())
	section("ingest", c.Ingest.validate())
	section("geo", c.Geo.Validate())
	section("route", c.Route.Validate())
	section("engine", c.Engine.validate())
	section("state", c.State.validate())
	section("limits", c.Limits.validate())
	section("blind_spots", c.BlindSpots.Validate())
	section("dead_letters", c.DeadLetters.validate())
	section("log", c.Log.validate())
	section("inventory", c.Inventory.Validate())
	if c.ShutdownTimeout <= 0 {
		section("shutdown_timeout", errors.New("must be positive"))
	}
	if len(c.Sinks.named) == 0 {
		section("sinks", errors.New("is empty; name at least one: stdout, file, kafka, clickhouse, splunk, elastic, …"))
	}
	for name, validate := range map[string]func() error{
		"file": c.Sinks.File.Validate, "kafka": c.Sinks.Kafka.Validate, "clickhouse": c.Sinks.ClickHouse.Validate,
		"syslog": c.Sinks.Syslog.Validate,
	} {
		if c.Sinks.named[name] {
			section("sinks."+name, validate())
		}
	}
	for _, d := range c.Sinks.HTTP.destinations() {
		if c.Sinks.named[d.name] {
			section("sinks."+d.name, d.validate())
		}
	}
	return errors.Join(errs...)
}

func (c engineConfig) validate() error {
	var errs []error
	if c.Disorder < 0 || c.Disorder > time.Hour {
		errs = append(errs, fmt.Errorf("disorder is %v, must be between 0s and 1h", c.Disorder))
	}
	if c.Workers < 0 || c.Workers > 1024 {
		errs = append(errs, fmt.Errorf("workers is %d, must be between 0 and 1024", c.Workers))
	}
	if c.MaxPendingEvents < 1 {
		errs = append(errs, fmt.Errorf("max_pending_events is %d, must be positive", c.MaxPendingEvents))
	}
	return errors.Join(errs...)
}

func (c deadLettersConfig) validate() error {
	if c.File == "" && c.Topic == "" {
		return errors.New("name a file or a topic")
	}
	if c.Alerts == "" {
		return errors.New("alerts is empty; name the file that keeps what a sink refuses")
	}
	if c.MaxBytes < 1<<16 {
		return fmt.Errorf("max_bytes is %d, must be at least %d", c.MaxBytes, 1<<16)
	}
	return nil
}

func (c logConfig) validate() error {
	if _, err := c.handler(os.Stderr); err != nil {
		return err
	}
	return nil
}

// checkDurations reports durations that cannot be read with their place, which the decoder would not say.
func checkDurations(n ast.Node, t reflect.Type) error {
	for i := range t.NumField() {
		field := t.Field(i)
		name, inline := strings.CutSuffix(field.Tag.Get("yaml"), ",inline")
		node := child(n, name)
		if inline {
			node = n
		}
		switch {
		case node == nil:
		case field.Type == reflect.TypeFor[time.Duration]():
			text := node.String()
			if s, ok := node.(*ast.StringNode); ok {
				text = s.Value
			}
			if _, err := time.ParseDuration(text); err != nil {
				position := node.GetToken().Position
				return fmt.Errorf("[%d:%d] %s: %q is no duration; write 500ms, 2s, 5m or 1h", position.Line, position.Column, name, text)
			}
		case field.Type.Kind() == reflect.Struct && field.IsExported():
			if err := checkDurations(node, field.Type); err != nil {
				return err
			}
		}
	}
	return nil
}

func namedSinks(body ast.Node) map[string]bool {
	named := map[string]bool{}
	for _, v := range mappingValues(child(body, "sinks")) {
		named[v.Key.String()] = true
	}
	return named
}

func mappingValues(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

func child(n ast.Node, key string) ast.Node {
	for _, v := range mappingValues(n) {
		if v.Key.String() == key {
			return v.Value
		}
	}
	return nil
}

// secretKeys are the options whose value may be {env: NAME} or {file: PATH} instead of text.
var secretKeys = map[string]bool{
	"password": true, "privacy_key": true, "username": true, "token": true, "api_key": true, "client_secret": true,
	"routing_key": true, "secret": true, "previous_secret": true, "url": true, "proxy": true,
}

// resolveSecrets replaces {env: NAME} and {file: PATH} by what the environment or the file holds. A secret never comes from
// the command line, where every user of the machine sees it.
func resolveSecrets(n ast.Node) error {
	if sequence, ok := n.(*ast.SequenceNode); ok {
		for _, v := range sequence.Values {
			if err := resolveSecrets(v); err != nil {
				return err
			}
		}
	}
	for _, v := range mappingValues(n) {
		if !secretKeys[v.Key.String()] || len(mappingValues(v.Value)) == 0 {
			if err := resolveSecrets(v.Value); err != nil {
				return err
			}
			continue
		}
		secret, err := readSecret(v.Value)
		if err != nil {
			position := v.Value.GetToken().Position
			return fmt.Errorf("[%d:%d] %s: %w", position.Line, position.Column, v.Key, err)
		}
		v.Value = ast.String(token.String(secret, secret, v.Value.GetToken().Position))
	}
	return nil
}

func readSecret(n ast.Node) (string, error) {
	values := mappingValues(n)
	if len(values) != 1 {
		return "", errors.New("write {env: NAME} or {file: PATH}")
	}
	name := strings.Trim(values[0].Value.String(), `"'`)
	switch values[0].Key.String() {
	case "env":
		secret, ok := os.LookupEnv(name)
		if !ok || secret == "" {
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}
		return secret, nil
	case "file":
		text, err := os.ReadFile(filepath.Clean(name))
		if err != nil {
			return "", err
		}
		return strings.TrimRight(string(text), "\r\n"), nil
	}
	return "", errors.New("write {env: NAME} or {file: PATH}")
}
