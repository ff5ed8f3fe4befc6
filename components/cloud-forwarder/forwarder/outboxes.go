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
	streamTelemetry   = "telemetry"
)

const (
	spoolDir        = "spool"
	retryMin        = 100 * time.Millisecond
	alertQueueBytes = 64 << 20 // alerts are refused beyond it, and stay with the alarm manager
)

// streamNames are those of all streams, whether they are used or not.
func streamNames() []string {
	return []string{streamAlertsIoT, streamAlertsIoT + suffixLater, streamAlertsSNS, streamAlertsSNS + suffixLater, streamPredictions, streamChanges, streamTelemetry}
}

// bounds are those of a stream; 0 is none.
type bounds struct {
	bytes int64         // on disk
	free  int64         // bytes that the disk keeps for others
	age   time.Duration // of a message
}

func (c Config) bounds(stream string) bounds {
	floor := int64(c.MinFreeMB) << 20
	switch stream {
	case streamPredictions:
		return bounds{int64(c.MaxSpoolMB) << 20, floor, c.PredictionMaxAge}
	case streamChanges: // it is small, and takes changes also where the oldest predictions have to make room
		return bounds{fastLaneBytes, 0, c.PredictionMaxAge}
	case streamTelemetry: // it gives way to all others
		return bounds{int64(c.MaxTelemetryMB) << 20, 2 * floor, 0}
	default: // alerts have room on a disk that predictions have stopped to fill
		return bounds{alertQueueBytes, floor / 4, c.AlertMaxAge}
	}
}

// outboxes are the streams.
type outboxes struct {
	alertsIoT   lanes
	alertsSNS   lanes     // of nil without a topic
	topicless   []*stream // alerts that wait for a topic while there is none
	predictions *stream
	changes     *stream // label changes while predictions wait
	telemetry   *stream // nil where none leaves, and none waits
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
	add := func(name string, options spool.Options) *stream {
		bounds := config.bounds(name)
		options.MaxBytes, options.MinFree, options.Now, options.Log = bounds.bytes, bounds.free, now, rt.Log
		s := &stream{
			name: name, dir: filepath.Join(rt.WorkDir, spoolDir, name), options: options, opened: make(chan struct{}),
			sinks: make(chan sink, 1), timeout: config.Timeout, backoff: wait.Backoff{Min: retryMin, Max: config.RetryMax},
			parallel: 1, maxAge: bounds.age, dead: state.deadOf(name), uplink: uplink, rt: rt, drops: state.drops, dropped: make(map[spool.Reason]uint64),
		}
		rt.Conditions().Expect(event.CodeDisk, s.name+" "+placeOpen)
		o.all = append(o.all, s)
		return s
	}
	used := func(name string) bool {
		_, err := os.Stat(filepath.Join(rt.WorkDir, spoolDir, name))
		return !errors.Is(err, os.ErrNotExist)
	}
	addAlerts := func(name string) *stream { return add(name, spool.Options{WhenFull: spool.Reject}) }
	o.alertsIoT = lanes{addAlerts(streamAlertsIoT), addAlerts(streamAlertsIoT + suffixLater)}
	if config.AlertTopicARN != "" {
		o.alertsSNS = lanes{addAlerts(streamAlertsSNS), addAlerts(streamAlertsSNS + suffixLater)}
	} else {
		for _, name := range []string{streamAlertsSNS, streamAlertsSNS + suffixLater} {
			if used(name) { // there was a topic
				o.topicless = append(o.topicless, addAlerts(name))
			}
		}
	}
	o.predictions = add(streamPredictions, spool.Options{GroupCommit: config.GroupCommit, WhenFull: spool.DropOldest})
	o.predictions.parallel, o.predictions.loose = config.Parallel, true
	if a := config.Archive; a.Bucket != "" {
		o.predictions.archive = &archive{
			records: uint64(a.AfterRecords), age: a.AfterAge, bytes: a.MaxObjectMB << 20, backoff: wait.Backoff{Min: archiveRetry, Max: archiveRefused},
		}
	}
	o.changes = add(streamChanges, spool.Options{GroupCommit: config.GroupCommit, WhenFull: spool.DropOldest})
	o.changes.behind = o.predictions
	if config.TelemetrySample > 0 || used(streamTelemetry) {
		before := o.all
		o.telemetry = add(streamTelemetry, spool.Options{GroupCommit: config.GroupCommit, WhenFull: spool.DropOldest})
		o.telemetry.before, o.telemetry.loose = before, true
		if a := config.Archive; a.Bucket != "" {
			o.telemetry.archive = &archive{
				records: 1, bytes: a.MaxObjectMB << 20, every: archiveEvery, backoff: wait.Backoff{Min: archiveRetry, Max: archiveRefused},
			}
		}
	}
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
