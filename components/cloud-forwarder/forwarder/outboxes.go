package forwarder

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/spool"
	"edgepdm/shared/wait"
)

// Names of the streams.
const (
	streamAlertsIoT   = "alerts-iot"
	streamAlertsSNS   = "alerts-sns"
	suffixLater       = "-later" // of those with what is not urgent
	streamPredictions = "predictions"
	streamChanges     = "label-changes" // those that pass predictions
)

const (
	spoolDir        = "spool"
	retryMin        = 100 * time.Millisecond
	alertQueueBytes = 64 << 20 // alerts are refused beyond it, and stay with the alarm manager
)

// outboxes are the streams.
type outboxes struct {
	alertsIoT   lanes
	alertsSNS   lanes     // of nil without a topic
	topicless   []*stream // alerts that wait for a topic while there is none
	predictions *stream
	changes     *stream // label changes while predictions wait
	all         []*stream
}

// lanes are the streams of alerts to a sink. What is urgent does not wait for the rest.
type lanes struct {
	urgent *stream // what is of high severity, or of none
	later  *stream // what is of medium or low severity
}

// of returns the stream of alerts of a severity.
func (l lanes) of(s event.Severity) *stream {
	if s == event.SeverityMedium || s == event.SeverityLow {
		return l.later
	}
	return l.urgent
}

// all returns the streams; none without a sink.
func (l lanes) all() []*stream {
	if l.urgent == nil {
		return nil
	}
	return []*stream{l.urgent, l.later}
}

func newOutboxes(rt *component.Runtime, config Config, now func() time.Time, state *state, uplink *uplink) *outboxes {
	o := &outboxes{}
	add := func(name string, dead *deadLetters, maxAge time.Duration, options spool.Options) *stream {
		options.Now, options.Log = now, rt.Log
		s := &stream{
			name: name, dir: filepath.Join(rt.WorkDir, spoolDir, name), options: options, opened: make(chan struct{}),
			sinks: make(chan sink, 1), timeout: config.Timeout, backoff: wait.Backoff{Min: retryMin, Max: config.RetryMax},
			parallel: 1, maxAge: maxAge, dead: dead, uplink: uplink, rt: rt, drops: state.drops, dropped: make(map[spool.Reason]uint64),
		}
		rt.Conditions().Expect(event.CodeDisk, s.name+" "+placeOpen)
		o.all = append(o.all, s)
		return s
	}
	floor := int64(config.MinFreeMB) << 20
	// Alerts have room on a disk that predictions have stopped to fill.
	alerts := spool.Options{MaxBytes: alertQueueBytes, MinFree: floor / 4, WhenFull: spool.Reject}
	addAlerts := func(name string) *stream { return add(name, state.deadAlerts, config.AlertMaxAge, alerts) }
	o.alertsIoT = lanes{addAlerts(streamAlertsIoT), addAlerts(streamAlertsIoT + suffixLater)}
	if config.AlertTopicARN != "" {
		o.alertsSNS = lanes{addAlerts(streamAlertsSNS), addAlerts(streamAlertsSNS + suffixLater)}
	} else {
		for _, name := range []string{streamAlertsSNS, streamAlertsSNS + suffixLater} {
			if _, err := os.Stat(filepath.Join(rt.WorkDir, spoolDir, name)); !errors.Is(err, os.ErrNotExist) { // there was a topic
				o.topicless = append(o.topicless, addAlerts(name))
			}
		}
	}
	o.predictions = add(streamPredictions, state.deadPredictions, config.PredictionMaxAge, spool.Options{
		GroupCommit: config.GroupCommit, MaxBytes: int64(config.MaxSpoolMB) << 20, MinFree: floor, WhenFull: spool.DropOldest,
	})
	o.predictions.parallel, o.predictions.loose = config.Parallel, true
	if a := config.Archive; a.Bucket != "" {
		o.predictions.archive = &archive{
			records: uint64(a.AfterRecords), age: a.AfterAge, bytes: a.MaxObjectMB << 20, backoff: wait.Backoff{Min: archiveRetry, Max: archiveRefused},
		}
	}
	// It is small, and takes changes also where the oldest predictions have to make room.
	o.changes = add(streamChanges, state.deadPredictions, config.PredictionMaxAge, spool.Options{
		GroupCommit: config.GroupCommit, MaxBytes: fastLaneBytes, WhenFull: spool.DropOldest,
	})
	o.changes.behind = o.predictions
	rt.Counter(event.CounterStreams).Store(uint64(len(o.all)))
	return o
}

// named returns the stream of that name; nil when there is none.
func (o *outboxes) named(name string) *stream {
	for _, s := range o.all {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (o *outboxes) close() {
	for _, s := range o.all {
		s.close()
	}
}

// opened waits until the streams are open. Meanwhile messages wait in their subscriptions.
func opened(ctx context.Context, streams ...*stream) bool {
	for _, s := range streams {
		if s == nil {
			continue
		}
		select {
		case <-s.opened:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
