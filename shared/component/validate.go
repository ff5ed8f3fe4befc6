package component

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/shared/wait"
)

// reportTimeout is less than the 20 s that a nucleus waits for a report.
const reportTimeout = 10 * time.Second

// validateDeployments answers a classic nucleus that asks, before a deployment, whether a configuration is valid: a bad one fails the
// deployment. Nucleus lite does not ask. The function that it returns ends it.
func validateDeployments[C any](ctx context.Context, spec Spec[C], rt *Runtime, client *ipc.Client, backoff wait.Backoff) (stop func()) {
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
				reportValidity(ctx, spec, rt, client, sub)
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

// reportValidity answers what the nucleus asks, until the subscription or ctx ends.
func reportValidity[C any](ctx context.Context, spec Spec[C], rt *Runtime, client *ipc.Client, sub *ipc.Subscription[ipc.ValidateConfigurationUpdateEvents]) {
	defer func() { _ = sub.Close() }()
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-sub.Events():
			if !open {
				return
			}
			report := validity(spec, rt.Log, event.ValidateConfigurationUpdateEvent)
			within, cancel := context.WithTimeout(ctx, reportTimeout)
			request := ipc.SendConfigurationValidityReportRequest{ConfigurationValidityReport: report}
			err := client.SendConfigurationValidityReport(within, request)
			cancel()
			if err != nil && ctx.Err() == nil {
				rt.Log.Warn("the report on a new configuration is not sent", "error", err)
			}
		}
	}
}

// validity checks the configuration that a deployment is about to apply.
func validity[C any](spec Spec[C], log *slog.Logger, event *ipc.ValidateConfigurationUpdateEvent) ipc.ConfigurationValidityReport {
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
