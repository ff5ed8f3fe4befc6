// Package ask has the sub-commands that ask the running engine.
package ask

import (
	"context"
	"time"

	"edgepdm/shared/cli"
	"edgepdm/shared/event"
	"edgepdm/shared/request"
)

// Explain is the sub-command that shows what in a thing's next row points to a fault.
func Explain(ctx context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("inference-engine explain -thing NAME [-wait TIME]", s)
	thing := fs.String("thing", "", "the `NAME` of the thing; required")
	wait := fs.Duration("wait", time.Minute, "how long to wait for the thing's next row, 1s to 1h")
	var flags request.Flags
	flags.Define(fs, event.InferenceEngine)
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if *thing == "" {
		return cli.Usagef("-thing: required")
	}
	if *wait < time.Second {
		return cli.Usagef("-wait: %v is not between 1s and 1h", *wait)
	}
	c := event.Explain{Thing: *thing, Wait: int(*wait / time.Second)}
	if err := c.Check(); err != nil {
		return cli.Usagef("%v", err)
	}
	return flags.Do(ctx, s, request.Call{Component: event.InferenceEngine, Command: event.CommandExplain, Arguments: c})
}
