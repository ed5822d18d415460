// Command gatewatch detects the misuse of APIs in gateway telemetry. README.md says what it does; gatewatch help lists the
// subcommands, each of which stands in a file of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // rules name time zones, and the container image has no zone files

	"github.com/spf13/cobra"

	"github.com/gatewatch/gatewatch/ingest/file"
)

// Exit statuses, as DESIGN promises them to scripts.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or invalid configuration
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second one ends at once what does not end at the first
	root := newRootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "gatewatch: interrupted")
		return exitFailed
	case errors.As(err, &usage) && !errors.Is(err, file.ErrStopped):
		fmt.Fprintln(os.Stderr, "gatewatch:", err)
		return exitUsage
	}
	fmt.Fprintln(os.Stderr, "gatewatch:", err)
	return exitFailed
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "gatewatch",
		Short:         "Detects the misuse of APIs that every check lets through",
		Long:          "gatewatch reads what API gateways log, remembers how every client behaves, and raises an alert when a valid,\nauthorised, successful request is still misuse.",
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q; `gatewatch help` lists the commands", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w; `%s --help` lists the flags", err, c.CommandPath())
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newDemoCommand(), newRunCommand(), newRouteCommand(), newReplayCommand(), newRulesCommand(), newGenerateCommand(), newEvalCommand(), newBenchCommand(), newStateCommand(), newInventoryCommand())
	return root
}

// version is what the Go tool recorded of the build.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
