package localcloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	notifierName   = "polly-notifier"
	functionMemory = "128"
	// functionGrace is the time between SIGTERM and SIGKILL, as Lambda gives it.
	functionGrace = 2 * time.Second
)

// function runs a Lambda function: one environment, that is one process of the bootstrap, started by the first
// invocation and again when it has died.
type function struct {
	name           string
	path, dir, arn string
	timeout        time.Duration
	environment    func() []string
	now            func() time.Time
	log            *slog.Logger

	invoking sync.Mutex // one at a time

	mu     sync.Mutex
	run    *run
	closed bool
}

// run is one process of the bootstrap.
type run struct {
	stop    context.CancelFunc // SIGTERM, then SIGKILL
	kill    func() error
	pending chan *invocation // what the process is to take
	exited  chan struct{}
	err     error // how it ended; valid after exited is closed

	mu        sync.Mutex
	current   *invocation // what the process has taken
	initError error       // why it says that it cannot start
}

// invocation is one event on its way through the function.
type invocation struct {
	id       string
	event    []byte
	deadline time.Time
	response []byte     // valid after done received nil
	done     chan error // receives once
}

// newFunction makes a function that is not started yet.
func newFunction(name, path string, opts Options, log *slog.Logger) *function {
	return &function{
		name: name, path: path, dir: opts.Dir, timeout: opts.FunctionTimeout, now: opts.Now, log: log,
		arn: fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", opts.Region, account, name),
	}
}

// invoke runs the function on an event, and returns what it answers.
func (f *function) invoke(ctx context.Context, event []byte) ([]byte, error) {
	f.invoking.Lock()
	defer f.invoking.Unlock()
	r, err := f.environmentReady()
	if err != nil {
		return nil, err
	}
	inv := &invocation{id: newID(), event: event, deadline: f.now().Add(f.timeout), done: make(chan error, 1)}
	timer := time.NewTimer(f.timeout)
	defer timer.Stop()
	pending := r.pending
	for {
		select {
		case pending <- inv:
			pending = nil // taken
		case err := <-inv.done:
			return inv.response, err
		case <-r.exited:
			return inv.response, r.exitError(inv)
		case <-timer.C:
			if err := r.kill(); err != nil {
				f.log.Warn("kill function", "err", err)
			}
			<-r.exited
			return nil, fmt.Errorf("task timed out after %s", f.timeout)
		case <-ctx.Done():
			return nil, fmt.Errorf("invoke function: %w", ctx.Err())
		}
	}
}

// exitError says how an invocation fails when the process ends during it.
func (r *run) exitError(inv *invocation) error {
	select {
	case err := <-inv.done: // it answered before it ended
		return err
	default:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.initError != nil {
		return r.initError
	}
	if r.err != nil {
		return &functionError{"Runtime exited with error: " + r.err.Error(), "Runtime.ExitError"}
	}
	return &functionError{"Runtime exited without providing a reason", "Runtime.ExitError"}
}

// environmentReady returns the process that runs, or a new one.
func (f *function) environmentReady() (*run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errors.New("the cloud is closed")
	}
	if f.run != nil {
		select {
		case <-f.run.exited:
			f.run.stop()
		default:
			return f.run, nil
		}
	}
	r, err := f.start()
	if err != nil {
		return nil, err
	}
	f.run = r
	return r, nil
}

func (f *function) start() (*run, error) {
	out, err := os.OpenFile(filepath.Join(f.dir, f.name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of function: %w", err)
	}
	defer out.Close() // the process has its own
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, f.path)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = f.dir, f.environment(), out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = functionGrace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the cloud, which stops the function in order
	if err := cmd.Start(); err != nil {
		stop()
		return nil, fmt.Errorf("start function: %w", err)
	}
	f.log.Info("function started", "pid", cmd.Process.Pid)
	r := &run{stop: stop, kill: cmd.Process.Kill, pending: make(chan *invocation), exited: make(chan struct{})}
	go func() { // ends with the process; close waits for it
		r.err = cmd.Wait()
		f.log.Info("function ended", "pid", cmd.Process.Pid, "err", r.err)
		close(r.exited)
	}()
	return r, nil
}

// process returns the process's run for a call of the Runtime API.
func (f *function) process() *run {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.run
}

// close stops the process: SIGTERM, then SIGKILL after the grace period or when ctx ends.
func (f *function) close(ctx context.Context) {
	f.mu.Lock()
	f.closed = true
	r := f.run
	f.mu.Unlock()
	if r == nil {
		return
	}
	r.stop()
	select {
	case <-r.exited:
	case <-ctx.Done():
		if err := r.kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			f.log.Warn("kill function", "err", err)
		}
		<-r.exited
	}
}
