// Command fleet measures the suite at its bounds: ten thousand machines on one core, and ten thousand cores that look for
// models in one cloud. `make fleet` runs it. It fails when an aim is missed, or when less was published than should have been.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/test/localcore"
)

func main() {
	component.Tool("fleet", "the suite at its bounds: machines of one core, cores of one cloud", runFleet)
}

// options are the flags.
type options struct {
	things int
	every  time.Duration // between two rows of a machine
	length time.Duration
	batch  int
	mode   string
	silent int // of a hundred machines so many publish nothing: the run has to fail

	cores int
	poll  time.Duration

	only   string
	root   string
	report string
}

func runFleet(ctx context.Context, args []string, s cli.Streams) error {
	var o options
	fs := cli.NewFlagSet(`make fleet ARGS="[-for DURATION] [-things N] [-every DURATION] [-batch N] [-mode classic|lite] [-cores N] [-poll DURATION] [-only core|polls] [-report FILE]"`, s)
	fs.DurationVar(&o.length, "for", 3*time.Minute, "`how long` machines publish, whole rounds of -every")
	fs.IntVar(&o.things, "things", 10_000, "`number` of machines")
	fs.DurationVar(&o.every, "every", 10*time.Second, "`time` between two rows of a machine")
	fs.IntVar(&o.batch, "batch", 4, "`rows` a message, 1 to 4")
	fs.StringVar(&o.mode, "mode", "classic", "which `nucleus` the core is: classic or lite")
	fs.IntVar(&o.silent, "silent", 0, "`percent` of the machines that publish nothing: to see that the run fails")
	fs.IntVar(&o.cores, "cores", 10_000, "`number` of cores that look for models")
	fs.DurationVar(&o.poll, "poll", 15*time.Minute, "simulated `time` between two looks of a core, give or take a fifth")
	fs.StringVar(&o.only, "only", "", "one `part`: core (machines of one core) or polls (cores of one cloud)")
	fs.StringVar(&o.root, "root", "bin/fleet-run", "Greengrass root `DIR`, with the logs; emptied at the start")
	fs.StringVar(&o.report, "report", "", "write a JSON report to `FILE`")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	var r report
	var failed error
	if o.only != "polls" {
		failed = r.measureCore(ctx, o, s.Out)
	}
	if o.only != "core" && ctx.Err() == nil {
		failed = errors.Join(failed, r.measurePolls(ctx, o, s.Out))
	}
	return errors.Join(failed, r.write(o.report))
}

func (o *options) check() error {
	switch {
	case o.things < 1 || o.things > 10_000:
		return cli.Usagef("-things: %d is not between 1 and 10000, the most that components watch", o.things)
	case o.every < 100*time.Millisecond || o.length < o.every:
		return cli.Usagef("-for %v has no round of -every %v", o.length, o.every)
	case o.batch < 1 || o.batch > 4:
		return cli.Usagef("-batch: %d is not between 1 and 4", o.batch)
	case o.mode != "classic" && o.mode != "lite":
		return cli.Usagef("-mode: %q is neither classic nor lite", o.mode)
	case o.silent < 0 || o.silent > 100:
		return cli.Usagef("-silent: %d is not between 0 and 100", o.silent)
	case o.cores < 100 || o.cores > 100_000:
		return cli.Usagef("-cores: %d is not between 100 and 100000", o.cores)
	case o.poll < time.Minute || o.poll > 24*time.Hour:
		return cli.Usagef("-poll: %v is not between 1m and 24h", o.poll)
	case o.only != "" && o.only != "core" && o.only != "polls":
		return cli.Usagef("-only: %q is neither core nor polls", o.only)
	}
	if o.report != "" {
		if err := os.WriteFile(o.report, nil, 0o644); err != nil { // better to know before the run than after it
			return cli.Usagef("-report: %v", err)
		}
	}
	root, err := filepath.Abs(o.root)
	if err != nil {
		return fmt.Errorf("find -root: %w", err)
	}
	o.root = root
	return nil
}

// nucleus returns which nucleus the core is.
func (o *options) nucleus() localcore.Mode {
	if o.mode == "lite" {
		return localcore.Lite
	}
	return localcore.Classic
}

// report is what was measured, and which aims were missed.
type report struct {
	Core  *coreReport  `json:"core,omitempty"`
	Polls *pollsReport `json:"polls,omitempty"`
}

func (r *report) write(path string) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func say(out io.Writer, format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
