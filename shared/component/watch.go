package component

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/shared/wait"
)

// watcher hears of changes of the component's configuration. When the nucleus ends the subscription, it subscribes again.
type watcher struct {
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

func (w *watcher) subscribe(ctx context.Context) error {
	sub, err := w.client.SubscribeToConfigurationUpdate(ctx, ipc.SubscribeToConfigurationUpdateRequest{})
	if err != nil {
		return err
	}
	w.events, w.retry, w.failed = sub.Events(), nil, 0
	return nil
}

// again plans the next attempt to subscribe. A component without any configuration has none that changes, as yet.
func (w *watcher) again(err error) {
	w.events = nil
	level := slog.LevelWarn
	if isMissing(err) {
		level = slog.LevelDebug
	}
	w.later(level, "changes of the configuration are not heard; trying again", err)
}

// later plans another look at the configuration.
func (w *watcher) later(level slog.Level, problem string, err error) {
	w.failed++
	w.retry = time.After(w.backoff.Delay(w.failed))
	w.log.Log(context.Background(), level, problem, "error", err, "attempt", w.failed)
}

// wait returns true when the configuration may have changed, and false when the work, the connection or ctx has ended.
func (w *watcher) wait(ctx context.Context, workDone <-chan struct{}) bool {
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
				return w.quiet(ctx, workDone)
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

// quiet reads events until none has come for a while, as a change of n leaves makes n events, but not for ever. It returns
// false when the work or ctx has ended.
func (w *watcher) quiet(ctx context.Context, workDone <-chan struct{}) bool {
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
func watch[C any](ctx context.Context, spec Spec[C], rt *Runtime, changes *watcher, current *configuration[C], workDone <-chan struct{}) (*configuration[C], error) {
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

// reportTimeout is less than the 20 s that a nucleus waits for a verdict.
const reportTimeout = 10 * time.Second

// judge answers a classic nucleus that asks, before a deployment, whether a configuration is valid: a bad one fails the
// deployment. Nucleus lite does not ask. The function that it returns ends it.
func judge[C any](ctx context.Context, spec Spec[C], rt *Runtime, client *ipc.Client, backoff wait.Backoff) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	subscribe := func() (*ipc.Subscription[ipc.ValidateConfigurationUpdateEvents], error) {
		return client.SubscribeToValidateConfigurationUpdates(ctx, ipc.SubscribeToValidateConfigurationUpdatesRequest{})
	}
	sub, err := subscribe()
	var wg sync.WaitGroup
	wg.Go(func() {
		level := slog.LevelWarn
		for attempt := 1; !errors.Is(err, ipc.ErrNotSupported); attempt++ {
			if err == nil {
				answer(ctx, spec, rt, client, sub)
				attempt, level, err = 1, slog.LevelWarn, sub.Err()
			}
			if ctx.Err() != nil || client.Err() != nil {
				return
			}
			rt.Log.Log(ctx, level, "deployments of a bad configuration are not refused; trying again", "error", err)
			level = slog.LevelDebug
			backoff.Wait(ctx, attempt)
			sub, err = subscribe()
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// answer judges what the nucleus asks about, until the subscription or ctx ends.
func answer[C any](ctx context.Context, spec Spec[C], rt *Runtime, client *ipc.Client, sub *ipc.Subscription[ipc.ValidateConfigurationUpdateEvents]) {
	defer func() { _ = sub.Close() }()
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-sub.Events():
			if !open {
				return
			}
			report := verdict(spec, rt.Log, event.ValidateConfigurationUpdateEvent)
			within, cancel := context.WithTimeout(ctx, reportTimeout)
			request := ipc.SendConfigurationValidityReportRequest{ConfigurationValidityReport: report}
			err := client.SendConfigurationValidityReport(within, request)
			cancel()
			if err != nil && ctx.Err() == nil {
				rt.Log.Warn("the verdict on a new configuration is not sent", "error", err)
			}
		}
	}
}

// verdict judges the configuration that a deployment is about to apply.
func verdict[C any](spec Spec[C], log *slog.Logger, event *ipc.ValidateConfigurationUpdateEvent) ipc.ConfigurationValidityReport {
	report := ipc.ConfigurationValidityReport{Status: ipc.ConfigurationAccepted, DeploymentID: event.DeploymentID}
	raw := make(map[string]any) // without any, the defaults are in force
	var err error
	if len(event.Configuration) > 0 {
		err = event.Configuration.Decode(&raw)
	}
	if err == nil {
		delete(raw, "accessControl") // the nucleus's business
		_, err = parseConfig(spec, log, raw)
	}
	if err != nil {
		report.Status, report.Message = ipc.ConfigurationRejected, err.Error()
		log.Error("a deployment's configuration is rejected", "deployment", event.DeploymentID, "error", err)
	}
	return report
}
