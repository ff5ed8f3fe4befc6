package component

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/shared/wait"
)

// configWatcher waits for changes of the component's configuration. When the nucleus ends the subscription, it subscribes again.
type configWatcher struct {
	client  *ipc.Client
	log     *slog.Logger
	backoff wait.Backoff
	settle  time.Duration
	granted <-chan struct{} // a subscription that was refused is made

	events <-chan ipc.ConfigurationUpdateEvents // nil while there is no subscription
	retry  <-chan time.Time                     // nil while there is one
	failed int                                  // attempts to subscribe again
	enter  bool                                 // Run is to be entered again, as granted said
}

func (w *configWatcher) subscribe(ctx context.Context) error {
	sub, err := w.client.SubscribeToConfigurationUpdate(ctx, ipc.SubscribeToConfigurationUpdateRequest{})
	if err != nil {
		return err
	}
	w.events, w.retry, w.failed = sub.Events(), nil, 0
	return nil
}

// again plans the next attempt to subscribe. A component without any configuration has none that changes, as yet.
func (w *configWatcher) again(err error) {
	w.events = nil
	level := slog.LevelWarn
	if isMissing(err) {
		level = slog.LevelDebug
	}
	w.later(level, "changes of the configuration are not heard; trying again", err)
}

// later plans another look at the configuration.
func (w *configWatcher) later(level slog.Level, problem string, err error) {
	w.failed++
	w.retry = time.After(w.backoff.Delay(w.failed))
	w.log.Log(context.Background(), level, problem, "error", err, "attempt", w.failed)
}

// wait returns true when the configuration may have changed, and false when the work, the connection or ctx has ended.
func (w *configWatcher) wait(ctx context.Context, workDone <-chan struct{}) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-workDone:
			return false
		case <-w.client.Done():
			return false
		case <-w.granted:
			w.enter = true
			return true
		case _, open := <-w.events:
			switch {
			case open:
				return w.settled(ctx, workDone)
			case w.client.Err() != nil:
				return false
			}
			w.again(ipc.ErrEnded)
		case <-w.retry:
			w.retry = nil
			if w.events == nil {
				if err := w.subscribe(ctx); err != nil {
					w.again(err)
					continue
				}
			}
			return true // it may have changed meanwhile
		}
	}
}

// settled reads events until none has come for a while, as a change of n leaves makes n events, but not for ever. It returns
// false when the work or ctx has ended.
func (w *configWatcher) settled(ctx context.Context, workDone <-chan struct{}) bool {
	timer, limit := time.NewTimer(w.settle), time.NewTimer(10*w.settle)
	defer timer.Stop()
	defer limit.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-workDone:
			return false
		case _, open := <-w.events:
			if !open {
				return true // the next look finds it closed
			}
			timer.Reset(w.settle)
		case <-timer.C:
			return true
		case <-limit.C:
			return true
		}
	}
}

// watch waits until the work ends (nil, nil), the context ends (nil, nil), or a valid configuration that differs from
// the current one arrives. A bad one is refused and logged. It returns the current one when Run is to be entered again with it.
func watch[C any](ctx context.Context, spec Spec[C], rt *Runtime, changes *configWatcher, current *configuration[C], workDone <-chan struct{}) (*configuration[C], error) {
	for changes.wait(ctx, workDone) {
		if changes.enter {
			changes.enter = false
			return current, nil
		}
		next, err := readConfig(ctx, spec, rt.Log, changes.client)
		if err != nil && !errors.Is(err, errBadConfig) {
			if changes.client.Err() == nil && ctx.Err() == nil {
				changes.later(slog.LevelWarn, "the configuration cannot be read; trying again", err)
			}
			continue
		}
		changes.failed = 0
		switch {
		case err != nil:
			rt.setConfigProblem(err.Error())
			rt.Log.Error("the new configuration is refused: the old one stays in force", "error", err)
		case current != nil && reflect.DeepEqual(next.raw, current.raw):
			rt.setConfigProblem("")
		default:
			return next, nil
		}
	}
	return nil, changes.client.Err()
}
