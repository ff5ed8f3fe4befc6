package alarms

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/ledger"
	"edgepdm/shared/request"
)

// Names of the counters in the health messages.
const (
	CounterRaised      = "alarm.raised"
	CounterCleared     = "alarm.cleared"
	CounterAckedAlarms = "alarm.acknowledged"
	CounterShelved     = "alarm.shelved"
	CounterSuppressed  = "alarm.suppressed"
	CounterChattering  = "alarm.chattering"
	CounterSummed      = "alarm.summed"         // told in a summary only
	CounterRefused     = "alarm.refused"        // observations that could not be taken
	CounterStanding    = "alarm.standing"       // active now
	CounterUnseen      = "alarm.unacknowledged" // now
	CounterStale       = "alarm.stale"          // active for more than a day
	CounterFlood       = "alarm.flood_min"      // minutes in flood of the last day
	CounterNotices     = "notice.pending"       // labels and figures that wait for the forwarder
	CounterUntold      = "event.dropped"        // events that were not published
	CounterPublished   = "alert.published"      // first publications
	CounterRepublished = "alert.republished"    // as they were not acknowledged
	CounterAcked       = "alert.acknowledged"
	CounterDropped     = "alert.dropped" // too many waited, or entries were damaged on disk
	CounterInvalid     = "message.invalid"
	CounterUnwatched   = "prediction.unwatched" // of things beyond maxThings
	CounterUplinkDown  = "uplink.down"          // 1 while the forwarder cannot reach the cloud
	CounterGaps        = "prediction.missed"    // predictions that never arrived, by their sequence numbers
	CounterJumps       = "prediction.jumps"     // with a number too far from the others to say what is between
	CounterRepeated    = "prediction.repeated"  // with a number that is not newer than the last one
	CounterMisdated    = "prediction.misdated"  // of rows whose time is more than a day from now
	CounterLedger      = "ledger.failed"        // predictions whose number could not be recorded
)

const (
	listName   = "alarms.log"
	watchName  = "watched.json"
	ledgerName = "sequence-numbers"
	tickTime   = time.Second
	stallTime  = 3 * time.Second // between two ticks: the disk or the machine kept the manager from listening
)

// Manager decides on alarms. New things come from predictions.
type Manager struct {
	CoreThing string           // the core's own thing name, for alarms that concern no machine
	Now       func() time.Time // time.Now in production
	Announcer Announcer        // speaks of alarms; nil: nobody does

	publish func(ctx context.Context, topic string, payload []byte) error // of alerts; nil: over the connection
}

// Run watches the plant until ctx ends. It is the component's Run.
func (m Manager) Run(ctx context.Context, rt *component.Runtime, config Config) error {
	r := &run{
		rt: rt, config: config, now: m.Now, core: m.CoreThing, publish: m.publish, announcer: m.Announcer,
		requests: request.NewServer(event.AlarmManager, rt.WorkDir, m.Now, rt.Log), tests: make(map[string]test),
		speaking: make(map[alarm.Key]bool), published: make(map[string]bool), driftAt: make(map[string]time.Time),
	}
	r.taken, r.replies = rt.Publication(event.FilterAlert), rt.Publication(event.ReplyTopic(event.TopicTestAlarm))
	if r.publish == nil {
		r.publish = func(ctx context.Context, topic string, payload []byte) error {
			return rt.IPC().Publish(ctx, topic, payload)
		}
	}
	r.open(r.now())
	defer func() { r.list.close() }()
	r.outbox = newOutbox(config.Republish, r.list.outbox)
	if r.watch, r.unwatched = openWatch(filepath.Join(rt.WorkDir, watchName), r.now()); r.unwatched != nil {
		rt.Log.Error("the list of things could not be read; they are watched once they are heard again", "error", r.unwatched)
	}
	r.renameWatched()
	r.findRetired()
	r.limits = newLimits(config.Limits, r.now())
	r.ledger = ledger.Begin(filepath.Join(rt.WorkDir, ledgerName), ledger.MaxThings)
	r.tellLedger()
	defer func() { _ = r.ledger.Close() }()
	return r.run(ctx)
}

// run is one Run of the manager.
type run struct {
	rt        *component.Runtime
	config    Config
	now       func() time.Time
	core      string
	publish   func(ctx context.Context, topic string, payload []byte) error
	announcer Announcer // nil: nobody speaks
	list      *alarmList
	outbox    *outbox
	courier   *courier
	taken     *component.Publication // of alerts
	replies   *component.Publication
	decoder   event.PredictionDecoder
	watch     *watch
	limits    limits
	ledger    *ledger.Ledger
	numbers   []ledger.Number // of a message's predictions, until they are recorded
	requests  *request.Server // where commands given on the device wait
	tests     map[string]test // test alarms that such commands wait for, by the alert's id

	teller    *teller
	retired   map[string]bool      // things that are no longer watched
	speaking  map[alarm.Key]bool   // alarms that were spoken of, or are to be, and stand
	published map[string]bool      // notices that this run has published
	driftAt   map[string]time.Time // of the last event of drift, by the alarm's thing
	noticedAt time.Time            // when notices were published last
	figuredAt time.Time            // when the figures were brought up to date

	misdatedAt time.Time // when a row's time was wrong; zero: none is told
	ignored    time.Time // when an invalid message was logged
	refusedAt  time.Time // when it was logged that an alarm was not taken
	unsent     time.Time // when it was logged that an alert could not be published
	unread     error     // why the alarms are in memory only
	opened     time.Time // when it was tried last to read them
	unwatched  error     // why the list of things is not known
	due        bool      // the alarm list is to be written before the next alerts are sent
	deaf       bool      // the nucleus refuses a subscription of what is watched
	unkept     bool      // what is watched could not be put on disk
	toldGap    time.Time // when a gap was told at once
	derived    bool      // it was said that clear gives way to a threshold
}

func (r *run) run(ctx context.Context) error {
	ticked := time.Now() // by the ticker's clock, not that of the plant
	filters := []string{
		event.FilterPrediction, event.TopicPredictionBatch, event.FilterHealth, event.TopicAckAlert, event.TopicTestAlarm, event.TopicAckLabel,
		event.TopicOperatorAlarm, event.TopicEngineerAlarm, event.FilterDrift,
	}
	subs := make([]*ipc.Subscription[ipc.TopicMessage], 0, len(filters))
	for _, filter := range filters {
		sub, err := r.rt.Subscribe(ctx, filter)
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", filter, err)
		}
		subs = append(subs, sub)
	}
	predictions, batches, healths, acks, tests := subs[0], subs[1], subs[2], subs[3], subs[4]
	labels, operators, engineers, drifts := subs[5], subs[6], subs[7], subs[8]
	r.teller = startTeller(ctx, r.rt)
	defer r.teller.stop()
	cloud := r.listenToCloud(ctx)
	defer cloud.stop()
	courier, stop := startCourier(ctx, r.publish)
	defer stop()
	r.courier = courier
	r.deaf = predictions.Events() == nil || batches.Events() == nil || healths.Events() == nil
	r.due = true
	r.process(r.list.overdue, r.now())
	r.endOldLimits(r.now())
	r.doubtConfig()
	r.speakAgain()
	r.uplink()
	r.commands(r.now())
	r.ready()
	ticker := time.NewTicker(tickTime)
	defer ticker.Stop()
	defer func() {
		r.keepWatch(r.now(), true)
		r.audit()
	}()
	for {
		r.settle()
		r.send(r.now())
		var handler func([]byte, time.Time) error
		var m ipc.TopicMessage
		var from *ipc.Subscription[ipc.TopicMessage]
		open := true
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			before := ticked
			ticked = time.Now()
			r.tick(r.now(), ticked.Sub(before))
			r.tellLedger()
			r.commands(r.now())
		case o := <-courier.done:
			if err := r.sent(o); err != nil {
				return err
			}
		case m, open = <-predictions.Events():
			handler, from = r.prediction, predictions
		case m, open = <-batches.Events():
			handler, from = r.predictions, batches
		case m, open = <-healths.Events():
			handler, from = r.health, healths
		case m, open = <-acks.Events():
			handler, from = r.ack, acks
		case m, open = <-tests.Events():
			handler, from = r.testCommand, tests
		case m, open = <-labels.Events():
			handler, from = r.ackNotice, labels
		case m, open = <-operators.Events():
			handler, from = r.orderOf(operator), operators
		case m, open = <-engineers.Events():
			handler, from = r.orderOf(engineer), engineers
		case m, open = <-drifts.Events():
			handler, from = r.drift, drifts
		case o := <-cloud.orders:
			r.cloudOrder(o, r.now())
		}
		if !open {
			return fmt.Errorf("receive: %w", from.Err())
		}
		if handler == nil {
			continue
		}
		r.handle(handler, m)
		if from == acks {
			r.acksThatWait(acks.Events())
		}
	}
}

// acksThatWait takes them together with the one that came, so that they cost no writing of their own.
func (r *run) acksThatWait(acks <-chan ipc.TopicMessage) {
	for range len(acks) {
		select {
		case m, open := <-acks:
			if open {
				r.handle(r.ack, m)
			}
		default: // the connection dropped it for a newer one
		}
	}
}

// logEvery is how often an invalid message is logged; all are counted.
const logEvery = 10 * time.Second

// handle gives a message to its handler. A bad one is counted.
func (r *run) handle(handler func([]byte, time.Time) error, m ipc.TopicMessage) {
	now := r.now()
	err := handler(m.Payload, now)
	if err == nil {
		return
	}
	total := r.rt.Counter(CounterInvalid).Add(1)
	if now.Sub(r.ignored) >= logEvery {
		r.ignored = now
		r.rt.Log.Warn("message ignored", "topic", m.Topic, "error", err, "total", total)
	}
}

func (r *run) prediction(payload []byte, now time.Time) error {
	p, err := r.decoder.Decode(payload)
	if err != nil {
		return err
	}
	r.predicted(&p, now)
	r.record()
	return nil
}

// predictions takes those of a batch. A bad one does not spoil the others.
func (r *run) predictions(payload []byte, now time.Time) error {
	batch, err := r.decoder.DecodeBatch(payload)
	if err != nil {
		return err
	}
	var bad error
	for i := range batch {
		p := &batch[i]
		if p.Err == nil {
			r.predicted(&p.Prediction, now)
			continue
		}
		if bad != nil { // the last one is counted with the message
			r.rt.Counter(CounterInvalid).Add(1)
		}
		bad = p.Err
	}
	r.record()
	return bad
}

func (r *run) predicted(p *event.Prediction, now time.Time) {
	r.rt.Counter(event.CounterPredictions).Add(1)
	if r.retired[p.Thing] {
		return
	}
	t := r.watch.things[p.Thing]
	if t == nil {
		silent := func(name string) bool { return r.list.isActive(name, event.FaultSilence) }
		if len(r.watch.things) >= r.config.MaxThings && !r.watch.forget(silent) {
			r.rt.Counter(CounterUnwatched).Add(1)
			return
		}
		t = &thing{}
		r.watch.things[p.Thing] = t
	}
	r.engineWorks(now, false)
	gap, fresh := r.hear(p), t.epoch == ""
	votes := r.votes(t, p, gap, now)
	if votes && (fresh || t.line != p.Line) {
		r.endForeignLimits(p, now)
	}
	t.line, t.absence, t.simulated = p.Line, heard(now), p.Simulated
	r.clear(p.Thing, p.Line, event.FaultSilence, now)
	if votes {
		r.learn(t, p, now)
		r.vote(p, now)
		r.limit(p, now)
		r.quality(p, now)
	}
	r.keep(p, gap)
}

// health watches the engine, and the uplink, of which the forwarder's health messages tell.
func (r *run) health(payload []byte, now time.Time) error {
	h, err := event.DecodeHealth(payload)
	if err != nil {
		return err
	}
	switch h.Component {
	case event.InferenceEngine:
		r.engineHealth(h, now)
	case event.CloudForwarder:
		r.forwarderHealth(h, now)
	}
	return nil
}

func (r *run) forwarderHealth(h event.Health, now time.Time) {
	r.watch.forwarder = heard(now)
	held := withheld(h)
	switch {
	case h.Uplink == event.UplinkDown, held != "":
		if r.watch.down.since.IsZero() {
			r.watch.down = heard(now)
		}
	case h.Uplink == event.UplinkUp:
		r.watch.down = absence{}
	}
	r.watch.held = held
	r.uplink()
	if r.watch.down.since.IsZero() {
		r.clear(r.core, "", event.FaultUplinkDown, now)
	}
}

// uplink tells in the health messages whether the cloud is absent.
func (r *run) uplink() {
	var down uint64
	if !r.watch.down.since.IsZero() {
		down = 1
	}
	r.rt.Counter(CounterUplinkDown).Store(down)
}

func (r *run) ack(payload []byte, _ time.Time) error {
	a, err := event.DecodeAck(payload)
	if err != nil {
		return err
	}
	for _, id := range a.IDs {
		if r.list.acknowledge(id) {
			r.outbox.gone(id)
			r.rt.Counter(CounterAcked).Add(1)
			r.due = true
			r.arrived(id)
		}
	}
	return nil
}

// ackNotice is ack for labels and figures.
func (r *run) ackNotice(payload []byte, _ time.Time) error {
	a, err := event.DecodeAck(payload)
	if err != nil {
		return err
	}
	for _, id := range a.IDs {
		if r.list.acknowledge(id) {
			delete(r.published, id)
			r.due = true
		}
	}
	return nil
}

// tick looks for what did not happen. elapsed is the time since the last tick. What is too much of it does not count, as the
// messages of that time may not have been read; nor does time in which the nucleus delivers nothing.
func (r *run) tick(now time.Time, elapsed time.Duration) {
	r.openAgain(now)
	r.due = r.due || r.list.dirty // the last writing failed
	r.datedAgain(now)
	switch {
	case elapsed >= stallTime:
		r.rt.Log.Warn("the manager did not get to listen; that time does not count as silence", "elapsed", elapsed)
		r.watch.skip(elapsed-tickTime, now)
	case r.deaf, !r.rt.Receives():
		r.watch.skip(elapsed, now)
	}
	r.tellDamage(now)
	r.rt.Conditions().Set(event.CodeConfiguration, placeLimits, r.limits.missing(now))
	r.silences(now)
	if r.config.UplinkDown > 0 {
		o := alarm.Observation{Thing: r.core, Fault: event.FaultUplinkDown, Active: true}
		switch down, forwarder := r.watch.down, r.watch.forwarder; {
		case down.lasts(now) >= r.config.UplinkDown:
			o.Since, o.Text = down.since, uplinkText(r.core, r.watch.held)
			r.observe(o, now)
		case forwarder.lasts(now) >= r.config.UplinkDown:
			o.Since, o.Text = forwarder.since, forwarderText(r.core)
			r.observe(o, now)
		}
	}
	r.process(r.list.system.Tick(now), now)
	r.figures(now)
	r.notices(now)
	r.audit()
	r.keepWatch(now, false)
}

// keepWatch puts on disk what a restart must not make start over.
func (r *run) keepWatch(now time.Time, exactly bool) {
	err := r.watch.save(now, r.config, exactly)
	if err != nil && !r.unkept {
		r.rt.Log.Error("what is watched is not on disk; it will be tried again", "error", err)
	}
	r.unkept = err != nil
}

// send gives the courier the alerts that are new, or were not acknowledged in time (promise F12), if it is not under way.
func (r *run) send(now time.Time) {
	if r.courier.busy {
		return
	}
	if next := r.outbox.next(r.list.outbox, now); len(next.alerts) > 0 {
		r.courier.busy = true
		r.courier.rounds <- next
	}
}

// sent counts what the courier did.
func (r *run) sent(o outcome) error {
	r.courier.busy = false
	r.rt.Counter(CounterPublished).Add(uint64(o.first))
	r.rt.Counter(CounterRepublished).Add(uint64(o.again))
	if o.lost {
		return o.err
	}
	if o.err != nil || o.first+o.again > 0 {
		r.taken.Answered(o.err)
	}
	_, answer := errors.AsType[*ipc.OperationError](o.err)
	if now := r.now(); o.err != nil && !answer && now.Sub(r.unsent) >= logEvery {
		r.unsent = now
		r.rt.Log.Error("an alert was not published; it will be tried again", "id", o.failed, "error", o.err)
	}
	return nil
}
