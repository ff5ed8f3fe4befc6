// Command demo runs the components on the embedded Greengrass core, with an observer that keeps account of every row,
// and shows what happens: live in a terminal, or as a report with -headless. `make demo` builds and stages before it.
package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/test/localcore"
)

func main() {
	component.Tool("demo", "the suite on an embedded Greengrass core", runDemo)
}

// shippedModel is the model that the engine uses when -model names no other.
const shippedModel = "components/inference-engine/model/model.ubj"

// options are the demo's flags.
type options struct {
	duration  time.Duration // 0 = until the user ends it
	headless  bool
	seed      uint64
	things    int
	rate      float64
	report    string
	input     string
	model     string
	cuts      int
	kill      bool
	drift     bool
	mode      string
	devices   bool
	console   string // address of the console's page; empty: none
	rtp       string // address of paging speakers
	languages string // of what people are told; several with commas
	build     bool
	stage     string
	notifier  string
	root      string
}

func runDemo(ctx context.Context, args []string, s cli.Streams) error {
	var o options
	fs := cli.NewFlagSet(`make demo ARGS="[-for DURATION] [-headless] [-seed N] [-report FILE] [-input CSV] [-model FILE] [-things N] [-rate N] [-cuts N] [-kill] [-drift] [-mode classic|lite] [-devices] [-console ADDRESS] [-languages NAMES] [-rtp ADDRESS]"`, s)
	fs.DurationVar(&o.duration, "for", 0, "`how long`, e.g. 30s; 0: until Ctrl-C, headless 30s")
	fs.BoolVar(&o.headless, "headless", false, "no live view; the exit code tells whether every row is accounted for")
	fs.Uint64Var(&o.seed, "seed", 1, "`seed` of the simulated machines")
	fs.IntVar(&o.things, "things", 3, "`number` of machines")
	fs.Float64Var(&o.rate, "rate", 2, "`rows` a second of each machine")
	fs.StringVar(&o.report, "report", "", "write a JSON report to `FILE`")
	fs.StringVar(&o.input, "input", "", "replay this `CSV` or CSV.gz instead of simulating")
	fs.StringVar(&o.model, "model", "", "score with this model `FILE` (any that XGBoost writes) instead of the shipped one")
	fs.IntVar(&o.cuts, "cuts", 1, "cut the uplink so many `times`")
	fs.BoolVar(&o.kill, "kill", false, "end each component once by kill -9")
	fs.BoolVar(&o.drift, "drift", false, "let the machines drift, and prove models in the shadow: -things 12, -rate 12, -cuts 0, -for 60s unless given")
	fs.StringVar(&o.mode, "mode", "classic", "which `nucleus` the core is: classic or lite")
	fs.BoolVar(&o.devices, "devices", false, "let the machines be client devices, which find the core by discovery and connect by MQTT")
	fs.StringVar(&o.console, "console", "127.0.0.1:8090", "`ADDRESS` of the operator console's page; empty: none")
	fs.StringVar(&o.languages, "languages", "en", "`NAMES` of the languages that alarms are told in, such as en,de")
	fs.StringVar(&o.rtp, "rtp", "", "speak to paging speakers, too, at this `ADDRESS`, such as 239.255.0.1:5004")
	fs.StringVar(&o.notifier, "notifier", "bin/lambda/polly-notifier/bootstrap", "the Polly notifier's `program`, made by `make lambda`")
	fs.StringVar(&o.stage, "stage", "artifacts-build", "staged tree, in `DIR`")
	fs.BoolVar(&o.build, "build", false, "build the components and the notifier into -root first, instead of -stage and -notifier; make demo does")
	fs.StringVar(&o.root, "root", "demo-run", "Greengrass root `DIR`, with the logs; emptied at the start")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	given := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.drift {
		o.suitDrift(given)
	}
	if err := o.complete(); err != nil {
		return err
	}
	file, isFile := s.Out.(*os.File)
	live := !o.headless && isFile && term.IsTerminal(int(file.Fd()))
	return run(ctx, o, s.Out, live)
}

// nucleus returns which nucleus the core is.
func (o *options) nucleus() localcore.Mode {
	if o.mode == "lite" {
		return localcore.Lite
	}
	return localcore.Classic
}

// complete checks the flags and makes paths absolute: components run in folders of their own.
func (o *options) complete() error {
	if o.headless && o.duration == 0 {
		o.duration = 30 * time.Second
	}
	switch {
	case o.duration < 0:
		return cli.Usagef("-for: %v is negative", o.duration)
	case o.things < 1 || o.things > 1000:
		return cli.Usagef("-things: %d is not between 1 and 1000", o.things)
	case o.mode != "classic" && o.mode != "lite":
		return cli.Usagef("-mode: %q is neither classic nor lite", o.mode)
	case o.devices && (o.mode != "classic" || o.input != ""):
		return cli.Usagef("-devices: client devices take a classic nucleus, and the simulated machines")
	case o.devices && o.things > maxDevices:
		return cli.Usagef("-things: %d is more than the %d that can be client devices: each is a process", o.things, maxDevices)
	case o.drift && (o.input != "" || o.model != ""):
		return cli.Usagef("-drift: takes the simulated machines, and the shipped model")
	case o.drift && o.rowsBeforeDrift() < rowsToLearn:
		return cli.Usagef("-drift: what is usual is learned from %d rows; %d machines at %v rows a second give %.0f until they drift, after %v",
			rowsToLearn, o.things, o.rate, o.rowsBeforeDrift(), driftAt(o.length()))
	case o.cuts < 0 || o.cuts > 100:
		return cli.Usagef("-cuts: %d is not between 0 and 100", o.cuts)
	case !(o.rate > 0 && o.rate <= 1000):
		return cli.Usagef("-rate: %v is not above 0 and at most 1000", o.rate)
	}
	if o.report != "" {
		if err := os.WriteFile(o.report, nil, 0o644); err != nil { // better to know before the demo than after it
			return cli.Usagef("-report: %v", err)
		}
	}
	for _, path := range []*string{&o.input, &o.model, &o.root} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	if o.build {
		o.stage, o.notifier = filepath.Join(o.root, "stage"), filepath.Join(o.root, "polly-notifier")
	}
	if o.input == "" && o.model == "" {
		return nil
	}
	model := o.model
	if model == "" {
		model = shippedModel
	}
	if o.input == "" {
		return checkSimulated(model)
	}
	return checkColumns(o.input, model)
}
