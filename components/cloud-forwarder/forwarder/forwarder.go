package forwarder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"edgepdm/shared/cloud"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/ledger"
	"edgepdm/shared/request"
	"edgepdm/shared/spool"
	"edgepdm/shared/wait"
)

// Names of the streams.
const (
	streamAlertsIoT   = "alerts-iot"
	streamAlertsSNS   = "alerts-sns"
	streamPredictions = "predictions"
	streamChanges     = "label-changes" // those that pass predictions
)

const (
	spoolDir        = "spool"
	ledgerName      = "sequence-numbers"
	deadLettersSize = 10 << 20 // bytes of each of the two kinds, twice with the file before
	deadToldFor     = 24 * time.Hour
	measureEvery    = time.Second
	recentAlerts    = 10_000
	retryMin        = 100 * time.Millisecond
	alertQueueBytes = 64 << 20 // alerts are refused beyond it, and stay with the alarm manager

	// After the end was asked for:
	stopGrace = 3 * time.Second // for what was received, to get to the disk
	sendGrace = time.Second     // for a request under way, to be answered: cut off, it would have to be sent again
)

// Forwarder delivers what leaves the site. One Run is under way at a time; what outlives a change of the configuration is
// kept between them.
type Forwarder struct {
	Core   string // the core's thing name, part of the cloud topics
	Getenv func(string) string
	Now    func() time.Time // time.Now in production

	deadAlerts, deadPredictions *deadLetters
	drops                       *drops

	known   *known
	overrun map[string]overrun // by subscription
}

// overrun is how many messages a subscription had dropped when that was counted last.
type overrun struct {
	sub     *ipc.Subscription[ipc.TopicMessage]
	dropped uint64
}

// Run takes, keeps and delivers messages until ctx ends. It is the component's Run. Neither a disk that fails nor a cloud
// that cannot be used ends it: it goes on with what works, says what does not, and tries again.
func (f *Forwarder) Run(ctx context.Context, rt *component.Runtime, config Config) error {
	r := f.newRun(rt, config)
	var err error
	r.ledger = ledger.Begin(filepath.Join(rt.WorkDir, ledgerName), maxThings)
	defer func() { _ = r.ledger.Close() }()
	if r.alerts, err = r.subscribe(ctx, event.FilterAlert); err != nil {
		return err
	}
	if r.predictions, err = r.subscribe(ctx, event.FilterPrediction); err != nil {
		return err
	}
	if r.batches, err = r.subscribe(ctx, event.TopicPredictionBatch); err != nil {
		return err
	}
	if r.models, err = r.subscribe(ctx, event.FilterModel); err != nil {
		return err
	}
	return r.run(ctx)
}

// run is one Run of the forwarder.
type run struct {
	forwarder *Forwarder
	rt        *component.Runtime
	config    Config
	uplink    *uplink
	damaged   occasions     // lines of dead letters
	access    *cloud.Access // set and used by connect; nil until AWS can be used
	filter    *filter
	ledger    *ledger.Ledger
	toldGap   time.Time // when a gap was last told at once; of the goroutine of predictions
	pending   chan pending
	replayed  map[string]int64 // how much of a file of dead letters is back in the streams; replay's
	replays   replays          // replay's, too

	acks map[string]*component.Publication // by topic

	alerts, predictions, batches, models *ipc.Subscription[ipc.TopicMessage]

	toIoT, toSNS, toPredictions *stream // toSNS is nil without a topic
	toChanges                   *stream // changes of labels while predictions wait
	topicless                   *stream // alerts that wait for a topic while there is none; nil when there never were any
	streams                     []*stream
}

func (f *Forwarder) newRun(rt *component.Runtime, config Config) *run {
	r := &run{
		forwarder: f, rt: rt, config: config, filter: newFilter(config.Sample, config.MaxLabelChanges), pending: make(chan pending, maxPending),
		uplink: newUplink(rt), replayed: make(map[string]int64),
		replays: replays{desk: request.NewDesk(event.CloudForwarder, rt.WorkDir, f.Now, rt.Log)},
		acks: map[string]*component.Publication{
			event.TopicAckAlert:      rt.Publication(event.TopicAckAlert),
			event.TopicAckModel:      rt.Publication(event.TopicAckModel),
			event.TopicAckPrediction: rt.Publication(event.TopicAckPrediction),
		},
	}
	if f.drops == nil {
		var err error
		if f.drops, err = openDrops(rt.WorkDir); err != nil {
			rt.Log.Error("what was dropped before will not be reported", "error", err)
		}
	}
	if f.deadAlerts == nil {
		var errAlerts, errPredictions error
		f.deadAlerts, errAlerts = openDeadLetters(rt.WorkDir, deadAlertsName, deadLettersSize, f.Now)
		f.deadPredictions, errPredictions = openDeadLetters(rt.WorkDir, deadLettersName, deadLettersSize, f.Now)
		if err := errors.Join(errAlerts, errPredictions); err != nil {
			rt.Log.Error("previously dropped dead letters are not reported", "error", err)
		}
	}
	floor := int64(config.MinFreeMB) << 20
	// Alerts have room on a disk that predictions have stopped to fill.
	alertQueue := spool.Options{MaxBytes: alertQueueBytes, MinFree: floor / 4, WhenFull: spool.Reject, Log: rt.Log}
	r.toIoT = r.newStream(streamAlertsIoT, alertQueue)
	r.toIoT.maxAge = config.AlertMaxAge
	if config.AlertTopicARN != "" {
		r.toSNS = r.newStream(streamAlertsSNS, alertQueue)
		r.toSNS.maxAge = config.AlertMaxAge
	} else if _, err := os.Stat(filepath.Join(rt.WorkDir, spoolDir, streamAlertsSNS)); !errors.Is(err, os.ErrNotExist) {
		r.topicless = r.newStream(streamAlertsSNS, alertQueue)
		r.topicless.maxAge = config.AlertMaxAge
	}
	r.toPredictions = r.newStream(streamPredictions, spool.Options{
		GroupCommit: config.GroupCommit, MaxBytes: int64(config.MaxSpoolMB) << 20, MinFree: floor, WhenFull: spool.DropOldest, Log: rt.Log,
	})
	r.toPredictions.maxAge, r.toPredictions.parallel, r.toPredictions.loose = config.PredictionMaxAge, config.Parallel, true
	r.toPredictions.dead = f.deadPredictions
	// It is small, and takes changes also where the oldest predictions have to make room.
	r.toChanges = r.newStream(streamChanges, spool.Options{
		GroupCommit: config.GroupCommit, MaxBytes: fastLaneBytes, WhenFull: spool.DropOldest, Log: rt.Log,
	})
	r.toChanges.maxAge, r.toChanges.dead, r.toChanges.behind = config.PredictionMaxAge, f.deadPredictions, r.toPredictions
	if f.known == nil {
		var err error
		if f.known, err = openKnown(rt.WorkDir, recentAlerts); err != nil {
			rt.Log.Error("alerts of before may leave again, without a mark", "error", err)
		}
		f.overrun = make(map[string]overrun)
	}
	rt.Counter(event.CounterStreams).Store(uint64(len(r.streams)))
	return r
}

func (r *run) newStream(name string, options spool.Options) *stream {
	s := &stream{
		name: name, dir: filepath.Join(r.rt.WorkDir, spoolDir, name), options: options, opened: make(chan struct{}),
		sinks: make(chan sink, 1), timeout: r.config.Timeout, backoff: wait.Backoff{Min: retryMin, Max: r.config.RetryMax},
		parallel: 1, dead: r.forwarder.deadAlerts, uplink: r.uplink, rt: r.rt, drops: r.forwarder.drops, dropped: make(map[spool.Reason]uint64),
	}
	s.options.Now = r.forwarder.Now
	r.rt.Conditions().Expect(event.CodeDisk, s.name+" "+placeOpen)
	r.streams = append(r.streams, s)
	return s
}

// run receives messages and drains the streams until ctx ends, or until the nucleus ends a subscription.
func (r *run) run(ctx context.Context) error {
	r.rt.Conditions().Expect(event.CodeCloudAccess, placeAWS)
	r.rt.SetState(event.StateOK, "")
	work, stop := context.WithCancel(ctx)
	defer stop()
	keep, release := wait.Outlive(work, stopGrace)
	defer release()

	var working, acknowledging sync.WaitGroup
	failed := make(chan error, 3)
	for _, s := range r.streams {
		working.Go(func() { s.run(work) })
	}
	working.Go(func() { r.connect(work) })
	if r.config.PredictionSink == SinkIoTCoreIPC {
		working.Go(func() { r.watchConnection(work) })
	}
	working.Go(func() { failed <- r.receiveAlerts(work, keep) })
	working.Go(func() { failed <- r.receivePredictions(work, keep) })
	working.Go(func() { failed <- r.receiveModels(work, keep) })
	working.Go(func() {
		every(work, measureEvery, func() {
			r.measure()
			r.reportDrops(work)
		})
	})
	working.Go(func() { every(work, measureEvery, func() { r.replay(work) }) })
	acknowledging.Go(func() { r.acknowledge(keep) })

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stop()
	working.Wait()
	r.measure()
	r.reportDrops(work) // to the disk
	close(r.pending)
	for _, s := range r.streams { // answers what is pending
		s.close()
	}
	acknowledging.Wait()
	r.access.Close()
	return err
}

// every does something at once, and again and again, until ctx ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		do()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// measure drops what is too old, and brings the counters up to date that are not counted as it happens.
func (r *run) measure() {
	now := r.forwarder.Now()
	r.rt.Conditions().Set(event.CodeStateOnDisk, ledgerName, r.ledger.State())
	for _, s := range r.streams {
		if s.isOpen() {
			s.expire(now)
			s.measure(now)
		}
	}
	if s := r.topicless; s != nil && s.isOpen() {
		var problem error
		if n := s.queue.Stats().Depth; n > 0 {
			problem = fmt.Errorf("alertTopicArn is not set, and alerts of before wait for a topic: %d", n)
		}
		r.rt.Conditions().Set(event.CodeConfiguration, s.name+" "+placeDeliver, problem)
	}
	r.countDead(now, r.forwarder.deadAlerts, r.forwarder.deadPredictions)
	r.countOverrun(event.FilterAlert, r.alerts)
	r.countOverrun(event.FilterPrediction, r.predictions)
	r.countOverrun(event.TopicPredictionBatch, r.batches)
	r.countOverrun(event.FilterModel, r.models)
}

// countDead tells of dead letters that were dropped: until somebody takes them, or for a day.
func (r *run) countDead(now time.Time, files ...*deadLetters) {
	for _, d := range files {
		dropped, since, last := d.lost()
		var problem error
		if dropped > 0 && now.Sub(last) < deadToldFor {
			problem = fmt.Errorf("%d dead letters were dropped, as there is room for %d MB of them: look at their reasons, and send them again with replay",
				dropped, 2*deadLettersSize>>20)
		}
		r.rt.Conditions().Set(event.CodeDelivery, d.name, problem)
		r.rt.Counter(CounterDeadDropped).Add(since)
		r.forwarder.drops.add(strings.TrimSuffix(d.name, replaySuffix), "full", since, now)
	}
}

// countOverrun counts what was dropped because it came faster than the disk took it.
func (r *run) countOverrun(name string, sub *ipc.Subscription[ipc.TopicMessage]) {
	before := r.forwarder.overrun[name]
	if before.sub != sub { // a new connection
		before.dropped = 0
	}
	dropped := sub.Dropped()
	r.rt.Counter(CounterOverrun).Add(dropped - before.dropped)
	r.forwarder.overrun[name] = overrun{sub, dropped}
}

// connect gives the streams their sinks, as soon as AWS can be used. That does not need the network.
func (r *run) connect(ctx context.Context) {
	prefix := r.config.TopicPrefix + "/" + r.forwarder.Core
	if r.config.PredictionSink == SinkIoTCoreIPC {
		r.toPredictions.sinks <- &iotCoreSink{client: r.rt.IPC, prefix: prefix}
		r.toChanges.sinks <- &iotCoreSink{client: r.rt.IPC, prefix: prefix}
	}
	backoff := wait.Backoff{Min: time.Second, Max: time.Minute}
	for attempt := 1; ; attempt++ {
		problem := r.reach(ctx, prefix)
		if ctx.Err() != nil {
			return
		}
		r.rt.Conditions().Set(event.CodeCloudAccess, placeAWS, problem)
		if problem == nil { // whether the cloud is there, the first message tells
			r.uplink.forget(sender{stream: placeAWS})
			return
		}
		r.uplink.set(sender{stream: placeAWS}, false)
		backoff.Wait(ctx, attempt)
	}
}

// reach gives the streams the sinks that they do not have yet, or says what is missing.
func (r *run) reach(ctx context.Context, prefix string) error {
	if r.access == nil {
		access, err := r.newAccess()
		if err != nil {
			return err
		}
		r.access = access
		r.rt.Conditions().Set(event.CodeConfiguration, placeRootCAs, access.RootCAs)
		if r.toSNS != nil {
			r.toSNS.sinks <- &snsSink{client: r.newSNS(), arn: r.config.AlertTopicARN, access: access, since: r.progress}
		}
	}
	client, err := r.iotData(ctx, r.rt.IPC())
	if err != nil {
		return err
	}
	r.toIoT.sinks <- &iotDataSink{client: client, prefix: prefix, access: r.access}
	if r.config.PredictionSink == SinkIoTData {
		r.toPredictions.sinks <- &iotDataSink{client: client, prefix: prefix, access: r.access}
		r.toChanges.sinks <- &iotDataSink{client: client, prefix: prefix, access: r.access}
	}
	return nil
}
