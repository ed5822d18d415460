package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	kafkastate "github.com/gatewatch/gatewatch/cmd/gatewatch/state/kafka"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

// newStateCommand makes "gatewatch state" and its subcommands.
func newStateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Look into what gatewatch remembers over restarts",
		Long: "state shows and checks what a service has kept: what is known of each entity, how far it has read, and which records a\n" +
			"sink has not taken. Nothing is changed. A folder must not be in use; a topic is read while its instances go on.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q; `gatewatch state --help` lists the commands", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(newStateInspectCommand(), newStateVerifyCommand(), newStateExportCommand())
	return cmd
}

// stateFlags say which state is meant and which rules to understand it with.
type stateFlags struct {
	config, location string
	rules            []string
	partition        int
}

func (f *stateFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "take the state, the rules and the key of pseudonyms from this `configuration`")
	flags.StringVar(&f.location, "state", "", "the state: a `folder`, kafka://TOPIC or kafka://HOST:PORT/TOPIC (default that of --config)")
	flags.StringSliceVar(&f.rules, "rules", nil, "rule `files` and directories (default those of --config, or the shipped rules)")
	flags.IntVar(&f.partition, "partition", -1, "only this `partition` of a state in Kafka")
}

// settings merges the flags into the configuration, or into the defaults when there is none.
func (f *stateFlags) settings() (config, error) {
	c := defaultConfig()
	if f.config == "" && f.location == "" {
		return c, usagef("name the state: --config gatewatch.yaml, or --state with a folder or kafka://HOST:PORT/TOPIC")
	}
	if f.config != "" {
		var err error
		if c, err = readConfig(f.config); err != nil {
			return c, err
		}
	}
	if f.location != "" {
		c.State.Location, c.dir = f.location, ""
	}
	if err := c.State.validate(); err != nil {
		return c, usagef("state: %w", err)
	}
	if len(f.rules) > 0 {
		c.Rules.Paths = f.rules
	}
	shared := c.State.shared()
	if from, _ := c.State.topic(connection.Config{}); shared && f.config == "" && len(from.Brokers) == 0 {
		return c, usagef("--state %s names no broker: write kafka://HOST:PORT/TOPIC, or give a --config with kafka.brokers", f.location)
	}
	if f.partition >= 0 && !shared {
		return c, usagef("--partition is for a state in Kafka; this one is a folder")
	}
	return c, nil
}

// open finds the state. Warnings go to stderr.
func (f *stateFlags) open(cmd *cobra.Command) (*stateView, error) {
	c, err := f.settings()
	if err != nil {
		return nil, err
	}
	v := &stateView{config: c, log: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if v.set, err = loadRules(c.Rules.Paths); err != nil {
		return nil, err
	}
	if !c.State.shared() {
		v.location, v.partitions = c.State.folder(c.dir), []int32{noPartition}
		return v, nil
	}
	return v, v.openTopic(cmd.Context(), f.partition)
}

// inState runs work with the state that the flags name.
func (f *stateFlags) inState(cmd *cobra.Command, work func(v *stateView, out io.Writer) error) error {
	v, err := f.open(cmd)
	if err != nil {
		return err
	}
	defer v.close()
	return work(v, cmd.OutOrStdout())
}

// noArguments is for commands that take flags alone.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments, got %q", cmd.Name(), args[0])
	}
	return nil
}

// choose checks the partition that was asked for, or takes all.
func choose(topic *kafkastate.Topic, only int) ([]int32, error) {
	n := topic.Partitions()
	if only >= n {
		return nil, usagef("there is no partition %d: the state has %d, from 0", only, n)
	}
	if only >= 0 {
		return []int32{int32(only)}, nil
	}
	all := make([]int32, n)
	for i := range all {
		all[i] = int32(i)
	}
	return all, nil
}

// fileSize writes a number of bytes for people.
func fileSize(n int64) string {
	for _, u := range []struct {
		bytes float64
		name  string
	}{{1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if float64(n) >= u.bytes {
			return fmt.Sprintf("%.1f %s", float64(n)/u.bytes, u.name)
		}
	}
	return plural(int(n), "byte")
}
