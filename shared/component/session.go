package component

import (
	"context"
	"errors"
	"fmt"

	"edgepdm/shared/durable"
	"edgepdm/shared/ipc"
)

// errUnready marks an error of the nucleus, at the beginning of a session, that may pass.
var errUnready = errors.New("the nucleus is not ready")

// session does the component's work over one connection. It returns nil when ctx ends or the work is done.
func session[C any](ctx context.Context, spec Spec[C], env Environment, rt *Runtime, client *ipc.Client, store *lastGood) error {
	rt.connected(client)
	loopback := rt.startLoopback(ctx, client, env.Deaf, env.Backoff.Max)
	defer loopback.stop()
	stopHealth := rt.startHealth(ctx, loopback)
	defer stopHealth()

	stopValidating := validateDeployments(ctx, spec, rt, client, env.Backoff)
	defer stopValidating()
	granted, stopRetrying := rt.retrySubscriptions(ctx, client, env.Backoff.Max)
	defer stopRetrying()
	changes := &configWatcher{client: client, log: rt.Log, backoff: env.Backoff, settle: env.Settle, granted: granted}
	if err := changes.subscribe(ctx); err != nil {
		changes.again(err)
	}
	current, err := initialConfig(ctx, spec, rt, client, store)
	if err != nil {
		return err
	}
	for {
		work := startWork(ctx, spec, rt, current)
		next, err := watch(ctx, spec, rt, changes, current, work.done)
		workErr := work.stop()
		switch {
		case loopback.deaf.Load():
			return errDeaf
		case client.Err() != nil:
			return client.Err() // whatever else failed, failed because there is no connection
		case workErr != nil:
			return workErr
		case err != nil || next == nil:
			return err
		}
		if next != current {
			store.keep(next.raw, rt.Log)
			rt.setConfigProblem("")
			rt.Log.Info("configuration changed: starting work with the new one")
			current = next
		}
		rt.endGeneration()
	}
}

// configuration is one that was read and found valid.
type configuration[C any] struct {
	raw    map[string]any
	common Common
	value  C
}

// initialConfig reads the configuration at the start. A bad one gives the last good one, kept on disk; without one it
// returns nil, and the work waits for a change.
func initialConfig[C any](ctx context.Context, spec Spec[C], rt *Runtime, client *ipc.Client, store *lastGood) (*configuration[C], error) {
	config, err := readConfig(ctx, spec, rt.Log, client)
	if err == nil {
		store.keep(config.raw, rt.Log)
		rt.setConfigProblem("")
		return config, nil
	}
	if !errors.Is(err, errBadConfig) {
		return nil, fmt.Errorf("%w: %w", errUnready, err)
	}
	rt.setConfigProblem(err.Error())
	raw, loadErr := store.load()
	if errors.Is(loadErr, durable.ErrDamaged) {
		rt.setConfigProblem(fmt.Sprintf("%v; the last good configuration is damaged, so that none is in force", err))
	}
	if loadErr != nil {
		rt.Log.Error("the configuration is refused, and there is no last good one: waiting for a change", "error", err, "last_good", loadErr)
		return nil, nil
	}
	config, loadErr = parseConfig(spec, rt.Log, raw)
	if loadErr != nil {
		rt.Log.Error("the configuration is refused, and so is the last good one: waiting for a change", "error", err, "last_good", loadErr)
		return nil, nil
	}
	rt.Log.Error("the configuration is refused: the last good one stays in force", "error", err)
	return config, nil
}

// work is the component's Run under way.
type work struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// startWork enters the component's Run, or with no configuration something that only waits.
func startWork[C any](ctx context.Context, spec Spec[C], rt *Runtime, config *configuration[C]) *work {
	ctx, cancel := context.WithCancel(ctx)
	w := &work{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		if config == nil {
			<-ctx.Done()
			return
		}
		rt.applyCommon(config.common)
		rt.beginWork()
		w.err = spec.Run(ctx, rt, config.value)
		if ctx.Err() != nil && errors.Is(w.err, ctx.Err()) {
			w.err = nil
		}
	}()
	return w
}

func (w *work) stop() error {
	w.cancel()
	<-w.done
	return w.err
}
