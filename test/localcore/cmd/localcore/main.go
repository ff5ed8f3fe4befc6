// Command localcore runs an embedded Greengrass core with the components of a staged tree.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"edgepdm/shared/cli"
	"edgepdm/test/localcore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := program().Main(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}

func program() cli.Program {
	var flags strings.Builder
	_, _ = parse([]string{"-help"}, cli.Streams{Err: &flags}) // only for the text: there is but one command
	return cli.Program{
		Name:    "localcore",
		Version: cli.Version(""),
		Summary: "runs an embedded, strict Greengrass core for development and demonstrations",
		Commands: []cli.Command{{
			Summary: "deploy what is staged and run it until SIGINT or SIGTERM\n\n" + flags.String(),
			Run:     run,
		}},
	}
}

// settings are the command line.
type settings struct {
	options   localcore.Options
	externals [][2]string // name, recipe file
	updates   map[string]any
	only      []string
}

func parse(args []string, s cli.Streams) (settings, error) {
	set := settings{updates: make(map[string]any)}
	fs := cli.NewFlagSet("localcore -root DIR [-stage DIR] [flags]", s)
	fs.StringVar(&set.options.Root, "root", "", "`directory` of the core; made when it is missing")
	fs.StringVar(&set.options.Stage, "stage", "", "staged `directory` (artifacts-build) whose recipes are deployed, each in its newest version")
	mode := fs.String("mode", "classic", "which nucleus to be: classic or lite")
	fs.BoolVar(&set.options.ShadowManager, "shadows", false, "serve device shadows, as with aws.greengrass.ShadowManager (classic)")
	fs.DurationVar(&set.options.ErrorReset, "error-reset", time.Hour, "errors of a component further apart than this do not add up to BROKEN")
	broker := fs.String("broker", "127.0.0.1:0", "loopback `address` of the MQTT broker that stands for IoT Core")
	verbose := fs.Bool("v", false, "log what the core does")
	fs.Func("external", "`NAME=RECIPE_FILE` of a program that the core does not run; its environment is written to ROOT/env/NAME.env; repeatable", func(v string) error {
		name, file, ok := strings.Cut(v, "=")
		if !ok || name == "" || file == "" {
			return errors.New("must be NAME=RECIPE_FILE")
		}
		set.externals = append(set.externals, [2]string{name, file})
		return nil
	})
	fs.Func("merge", "`NAME=JSON` to merge into a component's configuration; repeatable", func(v string) error {
		name, text, _ := strings.Cut(v, "=")
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		var merge map[string]any
		if err := dec.Decode(&merge); err != nil || name == "" {
			return errors.New("must be NAME=JSON with a JSON object")
		}
		if set.updates[name] != nil {
			return fmt.Errorf("%s is given twice", name)
		}
		set.updates[name] = map[string]any{"merge": merge}
		return nil
	})
	fs.Func("only", "`NAME[,NAME]` to deploy of the stage, with what they depend on, instead of everything", func(v string) error {
		set.only = append(set.only, strings.Split(v, ",")...)
		return nil
	})
	if err := cli.Parse(fs, args); err != nil {
		return set, err
	}
	switch {
	case set.options.Root == "":
		return set, cli.Usagef("-root is required")
	case *mode != "classic" && *mode != "lite":
		return set, cli.Usagef("-mode is %q, must be classic or lite", *mode)
	case set.options.ErrorReset <= 0:
		return set, cli.Usagef("-error-reset must be positive")
	case set.options.Stage == "" && len(set.only) > 0:
		return set, cli.Usagef("-only needs -stage")
	}
	set.options.BrokerAddr = *broker
	if *mode == "lite" {
		set.options.Mode = localcore.Lite
	}
	level := slog.LevelWarn
	if *verbose {
		level = slog.LevelDebug
	}
	set.options.Logger = slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: level}))
	return set, nil
}

// run is the command: an error of the core's end is reported even when the work was in order.
func run(ctx context.Context, args []string, s cli.Streams) (err error) {
	set, err := parse(args, s)
	if err != nil {
		return err
	}
	var out sync.Mutex
	say := func(format string, args ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Fprintf(s.Out, format+"\n", args...)
	}
	set.options.OnState = func(name string, from, to localcore.State) { say("%s %s -> %s", name, from, to) }
	components := make(map[string]string)
	if set.options.Stage != "" {
		if components, err = choose(set.options.Stage, set.only); err != nil {
			return err
		}
	}
	core, err := localcore.New(set.options)
	if err != nil {
		return err
	}
	defer func() { // the components get their time to stop though ctx has ended
		err = errors.Join(err, core.Close(context.WithoutCancel(ctx)))
	}()
	if err := core.Start(ctx); err != nil {
		return err
	}
	say("socket %s", core.SocketPath())
	say("broker mqtt://%s", core.BrokerAddr())
	for _, e := range set.externals {
		if _, err := core.AddExternal(e[0], e[1]); err != nil {
			return fmt.Errorf("-external %s: %w", e[0], err)
		}
	}
	err = core.Deploy(ctx, localcore.Deployment{Components: components, ConfigurationUpdate: set.updates})
	if ctx.Err() != nil {
		return nil // asked to stop
	}
	if err != nil {
		return err
	}
	say("ready")
	<-ctx.Done()
	return nil
}

// choose returns the staged components, or those of them that only names.
func choose(stage string, only []string) (map[string]string, error) {
	staged, err := localcore.Staged(stage)
	if err != nil || len(only) == 0 {
		return staged, err
	}
	chosen := make(map[string]string)
	for _, name := range only {
		version, ok := staged[name]
		if !ok {
			return nil, cli.Usagef("-only %s is not staged; staged are %s", name,
				strings.Join(slices.Sorted(maps.Keys(staged)), ", "))
		}
		chosen[name] = version
	}
	return chosen, nil
}
