// Package component is what every Greengrass component of edgepdm does alike: connect to the nucleus, read and validate
// the configuration, enter the component's work and enter it again when the configuration changes, report health, stop.
package component

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/shared/wait"
)

// Spec describes a component whose configuration has the type C. C's fields carry `json` tags; a Validate method on C or
// *C is called on what was read. Every component also has the keys of Common.
type Spec[C any] struct {
	Name    string // e.g. com.edgepdm.InferenceEngine
	Version string
	Default func() C // the configuration when no key is set

	// Run does the work until ctx ends, and then returns nil in well under 5 s. It sets the state to OK once it is ready,
	// and is entered again, with the same Runtime, when the configuration has changed. An error ends the component:
	// return one only if a restart may help.
	Run func(ctx context.Context, rt *Runtime, config C) error
}

// Environment is what a component finds around it.
type Environment struct {
	Getenv  func(string) string
	WorkDir string // the component's own directory, kept between runs
	Log     *slog.Logger
	Level   *slog.LevelVar   // level of Log, set from the configuration
	Now     func() time.Time // nil for time.Now
	Settle  time.Duration    // wait for further configuration events before reading; a change of n leaves makes n events
	Backoff wait.Backoff     // between attempts to reconnect
	Grace   time.Duration    // wait for the end of the process after the nucleus refused its token: a stop of the nucleus looks so
	Stop    time.Duration    // for Run, to end after ctx ended: a file operation may hang; 0 for ever
	Deaf    time.Duration    // without word of its own health messages, which the nucleus took, before subscriptions are made again
}

// OSEnvironment is the environment of a process that a nucleus started: its working directory is the work directory.
func OSEnvironment() Environment {
	level := new(slog.LevelVar)
	return Environment{
		Getenv: os.Getenv, WorkDir: ".", Level: level,
		Log:    slog.New(NewLogHandler(os.Stdout, os.Stderr, level)),
		Settle: 200 * time.Millisecond, Grace: 5 * time.Second, Stop: 4500 * time.Millisecond, Deaf: 15 * time.Second, Backoff: wait.Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second},
	}
}

// Run runs the component until ctx ends or it fails. A lost connection is made again. A refused token ends the component,
// as only a restart by the nucleus brings a new one, but for nucleus lite, which knows the component by its process, too.
func Run[C any](ctx context.Context, spec Spec[C], env Environment) error {
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, spec, env) }()
	var late <-chan time.Time // nil until ctx ends
	done := ctx.Done()
	for {
		select {
		case err := <-ended:
			return err
		case <-done:
			done = nil
			if env.Stop > 0 {
				timer := time.NewTimer(env.Stop)
				defer timer.Stop()
				late = timer.C
			}
		case <-late:
			return errHangs
		}
	}
}

// errHangs is returned while something still runs: the process has to end now, before the nucleus kills it. What was
// acknowledged is on disk.
var errHangs = errors.New("asked to stop, and something hangs: a disk or a file system does not answer")

func run[C any](ctx context.Context, spec Spec[C], env Environment) error {
	options, err := ipc.FromEnvironment(env.Getenv)
	if err != nil {
		return err
	}
	options.Logger = env.Log
	store := newLastGood(env.WorkDir)
	rt := newRuntime(spec.Name, spec.Version, env)
	wait := func(ctx context.Context, attempt int, err error) {
		env.Log.Warn("no connection to the nucleus; trying again", "error", err, "attempt", attempt)
		env.Backoff.Wait(ctx, attempt)
	}
	for failed := 0; ; {
		client, err := connect(ctx, spec.Name, options, wait)
		if errors.Is(err, ipc.ErrRefused) {
			env.Log.Info("the nucleus refuses the token; it may be stopping", "error", err)
			return awaitEnd(ctx, env.Grace, err)
		}
		if err == nil {
			options.AuthToken = client.Token()
			begun := time.Now()
			err = session(ctx, spec, env, rt, client, store)
			_ = client.Close()
			rt.inFlight.Wait() // the connection's end is an answer
			if time.Since(begun) > env.Backoff.Max {
				failed = 0
			}
		}
		again := errors.Is(err, ipc.ErrConnectionLost) || errors.Is(err, ipc.ErrEnded) || errors.Is(err, errUnready) || errors.Is(err, errDeaf)
		switch {
		case ctx.Err() != nil && (again || errors.Is(err, ctx.Err())):
			return nil
		case !again:
			return err
		}
		failed++
		wait(ctx, failed, err)
	}
}

// connect makes the connection: with the token, or by the component's name where the nucleus refuses the token.
func connect(ctx context.Context, name string, o ipc.Options, wait func(context.Context, int, error)) (*ipc.Client, error) {
	client, err := ipc.Redial(ctx, o, wait)
	if !errors.Is(err, ipc.ErrRefused) {
		return client, err
	}
	o.AuthToken, o.ComponentName = "", name
	named, nameErr := ipc.Dial(ctx, o)
	if nameErr != nil {
		return nil, fmt.Errorf("connect by token: %w; by name: %w", err, nameErr)
	}
	return named, nil
}

// awaitEnd gives the nucleus time to end the process, and returns nil when it does: a nucleus that stops breaks the
// connections and refuses the tokens before it ends its components.
func awaitEnd(ctx context.Context, wait time.Duration, refused error) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-timer.C:
		return refused
	}
}
