package component

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"edgepdm/shared/ipc"
)

// watcher hears of changes of the component's configuration. When the nucleus ends the subscription, it subscribes anew.
type watcher struct {
	client  *ipc.Client
	log     *slog.Logger
	backoff Backoff
	settle  time.Duration

	events <-chan ipc.ConfigurationUpdateEvents // nil while there is no subscription
	retry  <-chan time.Time                     // nil while there is one
	failed int                                  // attempts to subscribe anew
}

func (w *watcher) subscribe(ctx context.Context) error {
	sub, err := w.client.SubscribeToConfigurationUpdate(ctx, ipc.SubscribeToConfigurationUpdateRequest{})
	if err != nil {
		return err
	}
	w.events, w.retry, w.failed = sub.Events(), nil, 0
	return nil
}

// again plans the next attempt to subscribe.
func (w *watcher) again(err error) {
	w.failed++
	w.events, w.retry = nil, time.After(w.backoff.Delay(w.failed))
	w.log.Warn("changes of the configuration are not heard; trying again", "error", err, "attempt", w.failed)
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
		case _, open := <-w.events:
			switch {
			case open:
				w.quiet(ctx)
				return true
			case w.client.Err() != nil:
				return false
			}
			w.again(errors.New("the nucleus ended the subscription"))
		case <-w.retry:
			if err := w.subscribe(ctx); err != nil {
				w.again(err)
				continue
			}
			return true // it may have changed meanwhile
		}
	}
}

// quiet reads events until none has come for a while: a change of n leaves makes n events.
func (w *watcher) quiet(ctx context.Context) {
	timer := time.NewTimer(w.settle)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-w.events:
			if !open {
				return
			}
			timer.Reset(w.settle)
		case <-timer.C:
			return
		}
	}
}

// watch waits until the work ends (nil, nil), the context ends (nil, nil), or a valid configuration that differs from
// the current one arrives. A bad one is refused and logged.
func watch[C any](ctx context.Context, spec Spec[C], rt *Runtime, changes *watcher, current *configuration[C], workDone <-chan struct{}) (*configuration[C], error) {
	for changes.wait(ctx, workDone) {
		next, err := readConfig(ctx, spec, rt.Log, changes.client)
		switch {
		case errors.Is(err, errBadConfig):
			rt.setConfigProblem(err.Error())
			rt.Log.Error("the new configuration is refused: the old one stays in force", "error", err)
		case err != nil:
			return nil, err
		case current != nil && reflect.DeepEqual(next.raw, current.raw):
			rt.setConfigProblem("")
		default:
			return next, nil
		}
	}
	return nil, changes.client.Err()
}

// judge answers a classic nucleus that asks, before a deployment, whether a configuration is valid: a bad one fails the
// deployment. Nucleus lite does not ask. The function that it returns ends it.
func judge[C any](ctx context.Context, spec Spec[C], rt *Runtime, client *ipc.Client) (stop func()) {
	sub, err := client.SubscribeToValidateConfigurationUpdates(ctx, ipc.SubscribeToValidateConfigurationUpdatesRequest{})
	if err != nil {
		if !errors.Is(err, ipc.ErrNotSupported) {
			rt.Log.Warn("deployments of a bad configuration are not refused", "error", err)
		}
		return func() {}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for event := range sub.Events() {
			report := verdict(spec, rt.Log, event.ValidateConfigurationUpdateEvent)
			request := ipc.SendConfigurationValidityReportRequest{ConfigurationValidityReport: report}
			if _, err := client.SendConfigurationValidityReport(ctx, request); err != nil && ctx.Err() == nil {
				rt.Log.Warn("the verdict on a new configuration is not sent", "error", err)
			}
		}
	})
	return func() {
		_ = sub.Close()
		wg.Wait()
	}
}

// verdict judges the configuration that a deployment is about to apply.
func verdict[C any](spec Spec[C], log *slog.Logger, event *ipc.ValidateConfigurationUpdateEvent) ipc.ConfigurationValidityReport {
	report := ipc.ConfigurationValidityReport{Status: ipc.ConfigurationAccepted, DeploymentID: event.DeploymentID}
	var raw map[string]any
	err := event.Configuration.Decode(&raw)
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
