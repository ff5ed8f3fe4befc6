package forwarder

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/ledger"
	"edgepdm/shared/request"
	"edgepdm/shared/wait"
)

const (
	ledgerName   = "sequence-numbers"
	measureEvery = time.Second

	// After the end was asked for:
	stopGrace = 3 * time.Second // for what was received, to get to the disk
	sendGrace = time.Second     // for a request under way, to be answered: cut off, it would have to be sent again
)

// Forwarder delivers what leaves the site. One Run is under way at a time.
type Forwarder struct {
	Core   string // the core's thing name, part of the cloud topics
	Getenv func(string) string
	Now    func() time.Time // time.Now in production

	state *state
}

// Run takes, keeps and delivers messages until ctx ends. It is the component's Run. Neither a disk that fails nor a cloud
// that cannot be used ends it: it goes on with what works, says what does not, and tries again.
func (f *Forwarder) Run(ctx context.Context, rt *component.Runtime, config Config) error {
	subs := make(map[string]*ipc.Subscription[ipc.TopicMessage])
	for _, filter := range []string{
		event.FilterAlert, event.FilterPrediction, event.TopicPredictionBatch, event.FilterModel, event.FilterDrift, event.TopicComparison, event.FilterLabel, event.TopicAlarmKPI,
	} {
		sub, err := rt.Subscribe(ctx, filter)
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", filter, err)
		}
		subs[filter] = sub
	}
	if f.state == nil {
		f.state = openState(rt, f.Now)
	}
	sequences := ledger.Begin(filepath.Join(rt.WorkDir, ledgerName), maxThings)
	defer func() { _ = sequences.Close() }()

	uplink := newUplink(rt)
	out := newOutboxes(rt, config, f.Now, f.state, uplink)
	acks := newAcks(rt)
	alerts := &alertIntake{
		rt: rt, now: f.Now, acks: acks, dedup: f.state.dedup, iot: out.alertsIoT, sns: out.alertsSNS, normal: config.AlertTopicNormal,
		alerts: subs[event.FilterAlert], models: subs[event.FilterModel], labels: subs[event.FilterLabel], kpis: subs[event.TopicAlarmKPI],
		drifts: subs[event.FilterDrift], comparisons: subs[event.TopicComparison],
	}
	predictions := &predictionIntake{
		rt: rt, now: f.Now, acks: acks, filter: newFilter(config.Sample, config.MaxLabelChanges), ledger: sequences,
		predictions: out.predictions, changes: out.changes, pending: make(chan pending, maxPending),
		single: subs[event.FilterPrediction], batches: subs[event.TopicPredictionBatch],
	}
	telemetry := &telemetryIntake{rt: rt, now: f.Now, every: config.TelemetrySample, to: out.telemetry}
	if config.TelemetrySample > 0 {
		var single, batches error
		telemetry.single, single = rt.Subscribe(ctx, event.FilterTelemetry)
		telemetry.batches, batches = rt.Subscribe(ctx, event.TopicTelemetryBatch)
		if err := errors.Join(single, batches); err != nil {
			return fmt.Errorf("subscribe to telemetry: %w", err)
		}
	}
	gateway := &gateway{
		rt: rt, config: config, getenv: f.Getenv, core: f.Core, heart: make(chan sink, 1), prefix: config.TopicPrefix + "/" + f.Core, uplink: uplink, out: out,
		status: func(a event.Alert) alertStatus { return f.state.dedup.status(a, f.Now()) },
	}
	monitor := &monitor{rt: rt, now: f.Now, state: f.state, ledger: sequences, out: out, uplink: uplink, subs: subs}
	operator := &operator{
		rt: rt, out: out, monitor: monitor, replayer: newReplayer(rt, f.Now, f.state, out), desk: request.NewServer(event.CloudForwarder, rt.WorkDir, f.Now, rt.Log),
	}
	heart := &heart{rt: rt, now: f.Now, core: f.Core, interval: config.Heartbeat, heard: make(map[string]event.Health)}
	if config.Heartbeat > 0 {
		var err error
		if heart.health, err = rt.Subscribe(ctx, event.FilterHealth); err != nil {
			return fmt.Errorf("subscribe to %s: %w", event.FilterHealth, err)
		}
	}
	rt.Conditions().Expect(event.CodeCloudAccess, placeAWS)
	rt.SetState(event.StateOK, "")

	group, work := errgroup.WithContext(ctx)
	keep, release := wait.Outlive(work, stopGrace)
	defer release()
	for _, s := range out.all {
		group.Go(func() error { s.run(work); return nil })
	}
	group.Go(func() error { return alerts.receiveAlerts(work, keep) })
	group.Go(func() error { return alerts.receiveModels(work, keep) })
	group.Go(func() error { return alerts.receiveDrifts(work, keep) })
	group.Go(func() error { return alerts.receiveComparisons(work, keep) })
	group.Go(func() error { return alerts.receiveLabels(work, keep) })
	group.Go(func() error { return alerts.receiveKPIs(work, keep) })
	group.Go(func() error { return heart.beat(work, gateway.heart) })
	group.Go(func() error { return predictions.receive(work, keep) })
	group.Go(func() error { return telemetry.receive(work, keep) })
	group.Go(func() error { gateway.connect(work); return nil })
	group.Go(func() error { gateway.watchConnection(work); return nil })
	group.Go(func() error { every(work, measureEvery, func() { monitor.look(work) }); return nil })
	group.Go(func() error { every(work, measureEvery, func() { operator.look(work) }); return nil })
	var acknowledging sync.WaitGroup
	acknowledging.Go(func() { predictions.acknowledge(keep) })

	err := group.Wait()
	monitor.look(work) // drops go to the disk
	close(predictions.pending)
	out.close() // answers what is pending
	acknowledging.Wait()
	gateway.close()
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

// state outlives a change of the configuration, and most of it the process.
type state struct {
	dead    map[string]*deadLetters // by file
	drops   *drops
	dedup   *dedup
	overrun map[string]overrun // by subscription
}

// deadOf returns the dead letters of a stream.
func (s *state) deadOf(stream string) *deadLetters { return s.dead[deadName(stream)] }

// openState reads what earlier processes left. What cannot be read is logged, and starts empty.
func openState(rt *component.Runtime, now func() time.Time) *state {
	s := &state{dead: make(map[string]*deadLetters), overrun: make(map[string]overrun)}
	var err error
	check := func(lost string) {
		if err != nil {
			rt.Log.Error(lost, "error", err)
		}
	}
	for _, name := range deadNames() {
		s.dead[name], err = openDeadLetters(rt.WorkDir, name, deadLettersSize, now)
		check("the number of dropped dead letters could not be read")
	}
	s.drops, err = openDrops(rt.WorkDir)
	check("previous drops could not be read: they are not reported")
	s.dedup, err = openDedup(rt.WorkDir, recentAlerts)
	check("previous alerts could not be read: they may leave again without a mark")
	return s
}
