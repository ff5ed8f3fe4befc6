package component

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"edgepdm/shared/cli"
	"edgepdm/shared/ipc"
)

// failureDelay is how long a component that failed waits before it exits: a nucleus restarts it at once, and gives it up
// after three failures within an hour.
const failureDelay = 5 * time.Second

// Main runs the component as the process that a nucleus started. Started by hand it fails with a usage error.
func Main[C any](ctx context.Context, spec Spec[C]) error {
	env := OSEnvironment()
	if _, err := ipc.FromEnvironment(env.Getenv); err != nil {
		return cli.Usagef("%v", err)
	}
	env.Log.Info("starting", "component", spec.Name, "version", spec.Version, "pid", os.Getpid())
	err := Run(ctx, spec, env)
	if err != nil {
		if errors.Is(err, errHangs) {
			env.Log.Warn("stopped", "error", err)
			return nil
		}
		env.Log.Error("the component failed and will be restarted", "error", err)
		if !errors.Is(err, ipc.ErrRefused) { // after which Run has waited already
			select {
			case <-ctx.Done():
			case <-time.After(failureDelay):
			}
		}
		return err
	}
	env.Log.Info("stopped")
	return nil
}

// Execute runs a program until it is done or the process is asked to stop, and exits with its code.
func Execute(p cli.Program) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := p.Main(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}

// Tool is Execute for a program of this repository that has one command.
func Tool(name, summary string, run func(context.Context, []string, cli.Streams) error) {
	Execute(cli.Program{Name: name, Version: cli.Version(""), Summary: summary, Commands: []cli.Command{{Summary: summary, Run: run}}})
}
