package manager

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

// Names of the counters in the health messages.
const (
	CounterRaised      = "alarm.raised"
	CounterCleared     = "alarm.cleared"
	CounterPublished   = "alert.published"   // first publications
	CounterRepublished = "alert.republished" // for want of an acknowledgement
	CounterAcked       = "alert.acknowledged"
	CounterPending     = "alert.pending" // alerts that wait for the forwarder now
	CounterDropped     = "alert.dropped" // too many waited
	CounterInvalid     = "message.invalid"
	CounterPredictions = "prediction.received"
	CounterUnwatched   = "prediction.unwatched" // of things beyond maxThings
	CounterUplinkDown  = "uplink.down"          // 1 while the forwarder cannot reach the cloud
	CounterGaps        = "prediction.missed"    // predictions that never arrived, by their sequence numbers
)

const (
	bookName = "alarms.json"
	tickTime = time.Second
)

// Manager decides on alarms. New things come from predictions.
type Manager struct {
	CoreThing string           // the core's own thing name, for alarms that concern no machine
	Now       func() time.Time // time.Now in production
}

// Run watches the plant until ctx ends. It is the component's Run.
func (m Manager) Run(ctx context.Context, rt *component.Runtime, config Config) error {
	r := &run{rt: rt, config: config, now: m.Now, core: m.CoreThing, things: make(map[string]*thing), sent: make(map[string]time.Time)}
	var err error
	if r.book, err = openBook(filepath.Join(rt.WorkDir, bookName)); err != nil {
		if !errors.Is(err, errNewerFormat) {
			return err
		}
		rt.SetState(event.StateDegraded, err.Error())
		rt.Log.Error("alarms are not watched: deploy the newer version again, or move the file away", "error", err)
		<-ctx.Done()
		return nil
	}
	if r.book.aside != "" {
		rt.Log.Error("the alarms on disk were spoilt: alarms and alerts of before are not known", "set_aside", r.book.aside)
	}
	return r.run(ctx)
}

// run is one Run of the manager.
type run struct {
	rt     *component.Runtime
	config Config
	now    func() time.Time
	core   string
	book   *book
	things map[string]*thing
	sent   map[string]time.Time // alerts of the outbox that were published, by id
	due    time.Time            // before it nothing has to be sent

	uplinkDownSince time.Time // zero while the cloud can be reached
}

// thing is what is known of a machine since the start.
type thing struct {
	line      string
	heard     time.Time
	vote      vote
	epoch     string
	seq       uint64
	simulated bool
}

func (r *run) run(ctx context.Context) error {
	subs := make([]*ipc.Subscription[ipc.TopicMessage], 0, 4)
	for _, filter := range []string{event.FilterPrediction, event.FilterHealth, event.TopicAckAlert, event.TopicTestAlarm} {
		sub, err := r.rt.Subscribe(ctx, filter)
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", filter, err)
		}
		subs = append(subs, sub)
	}
	predictions, healths, acks, tests := subs[0], subs[1], subs[2], subs[3]
	r.rt.SetState(event.StateOK, "")
	ticker := time.NewTicker(tickTime)
	defer ticker.Stop()
	if err := r.send(ctx, r.now()); err != nil { // what the last run left
		return err
	}
	for {
		var handler func([]byte, time.Time) error
		var m ipc.TopicMessage
		var open bool
		var from *ipc.Subscription[ipc.TopicMessage]
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			r.tick(r.now())
			open = true
		case m, open = <-predictions.Events():
			handler, from = r.prediction, predictions
		case m, open = <-healths.Events():
			handler, from = r.health, healths
		case m, open = <-acks.Events():
			handler, from = r.ack, acks
		case m, open = <-tests.Events():
			handler, from = r.testAlarm, tests
		}
		if !open {
			return fmt.Errorf("receive: %w", from.Err())
		}
		now := r.now()
		if handler != nil {
			if err := handler(m.Payload, now); err != nil {
				r.rt.Counter(CounterInvalid).Add(1)
				r.rt.Log.Warn("message ignored", "topic", m.Topic, "error", err)
			}
		}
		if err := r.send(ctx, now); err != nil {
			return err
		}
	}
}

func (r *run) prediction(payload []byte, now time.Time) error {
	p, err := event.DecodePrediction(payload)
	if err != nil {
		return err
	}
	if err := event.CheckName(p.Thing); err != nil {
		return err
	}
	r.rt.Counter(CounterPredictions).Add(1)
	t := r.things[p.Thing]
	if t == nil {
		if len(r.things) >= r.config.MaxThings {
			r.rt.Counter(CounterUnwatched).Add(1)
			return nil
		}
		t = &thing{}
		_, t.vote.raised = r.book.find(p.Thing, event.FaultMachine)
		r.things[p.Thing] = t
	}
	if t.epoch == p.Epoch && p.Seq > t.seq+1 {
		r.rt.Counter(CounterGaps).Add(p.Seq - t.seq - 1)
	}
	t.line, t.heard, t.epoch, t.seq, t.simulated = p.Line, now, p.Epoch, p.Seq, p.Simulated
	if _, silent := r.book.find(p.Thing, event.FaultSilence); silent {
		r.clear(p.Thing, event.FaultSilence, now)
	}
	raise, clear := r.config.Raise, r.config.Clear
	if raise == 0 {
		raise = p.Threshold
	}
	if clear == 0 {
		clear = raise / 2
	}
	if !t.vote.add(p.Probability, raise, clear, r.config.Votes, r.config.Window) {
		return nil
	}
	if t.vote.raised {
		r.enter(event.Alert{
			Thing: p.Thing, Line: p.Line, Fault: event.FaultMachine, Severity: event.SeverityHigh, Since: now,
			Probability: p.Probability, Model: &p.Model, Simulated: p.Simulated,
		}, event.AlarmUnacknowledged, now)
	} else {
		r.clear(p.Thing, event.FaultMachine, now)
	}
	return nil
}

// health watches the uplink, of which the forwarder's health messages tell.
func (r *run) health(payload []byte, now time.Time) error {
	h, err := event.DecodeHealth(payload)
	if err != nil {
		return err
	}
	switch h.Uplink {
	case event.UplinkDown:
		if r.uplinkDownSince.IsZero() {
			r.uplinkDownSince = now
			r.rt.Counter(CounterUplinkDown).Store(1)
		}
	case event.UplinkUp:
		r.uplinkDownSince = time.Time{}
		r.rt.Counter(CounterUplinkDown).Store(0)
		if _, raised := r.book.find(r.core, event.FaultUplinkDown); raised {
			r.clear(r.core, event.FaultUplinkDown, now)
		}
	}
	return nil
}

func (r *run) ack(payload []byte, _ time.Time) error {
	a, err := event.DecodeAck(payload)
	if err != nil {
		return err
	}
	known := false
	for _, id := range a.IDs {
		if r.book.acknowledge(id) {
			delete(r.sent, id)
			r.rt.Counter(CounterAcked).Add(1)
			known = true
		}
	}
	if known {
		r.save()
	}
	return nil
}

func (r *run) testAlarm(payload []byte, now time.Time) error {
	c, err := event.DecodeTestAlarm(payload)
	if err != nil {
		return err
	}
	if c.Thing == "" {
		c.Thing = r.core
	}
	r.rt.Log.Info("test alarm", "thing", c.Thing, "by", c.By)
	r.enter(event.Alert{Thing: c.Thing, Line: c.Line, Fault: event.FaultTest, Severity: event.SeverityLow, Since: now}, event.AlarmUnacknowledged, now)
	return nil
}

// tick looks for what did not happen.
func (r *run) tick(now time.Time) {
	if r.book.dirty {
		r.save()
	}
	if r.config.Silence > 0 {
		for name, t := range r.things {
			if _, raised := r.book.find(name, event.FaultSilence); !raised && now.Sub(t.heard) >= r.config.Silence {
				r.enter(event.Alert{
					Thing: name, Line: t.line, Fault: event.FaultSilence, Severity: event.SeverityMedium, Since: t.heard, Simulated: t.simulated,
				}, event.AlarmUnacknowledged, now)
			}
		}
	}
	if _, raised := r.book.find(r.core, event.FaultUplinkDown); !raised && r.config.UplinkDown > 0 &&
		!r.uplinkDownSince.IsZero() && now.Sub(r.uplinkDownSince) >= r.config.UplinkDown {
		r.enter(event.Alert{
			Thing: r.core, Fault: event.FaultUplinkDown, Severity: event.SeverityMedium, Since: r.uplinkDownSince,
		}, event.AlarmUnacknowledged, now)
	}
}

// clear ends a raised alarm.
func (r *run) clear(thing string, fault event.Fault, now time.Time) {
	a, ok := r.book.find(thing, fault)
	if !ok {
		return
	}
	r.enter(event.Alert{
		Thing: a.Thing, Line: a.Line, Fault: a.Fault, Severity: a.Severity, Since: a.Since, Simulated: a.Simulated,
	}, event.AlarmNormal, now)
}

// enter puts an alert into the book, on disk.
func (r *run) enter(a event.Alert, state event.AlarmState, now time.Time) {
	a.State, a.TS, a.Since = state, now.UTC(), a.Since.UTC()
	a.Text = text(a, now)
	a, dropped := r.book.enter(a)
	r.rt.Counter(CounterDropped).Add(uint64(dropped))
	counter := CounterRaised
	if state == event.AlarmNormal {
		counter = CounterCleared
	}
	r.rt.Counter(counter).Add(1)
	r.due = time.Time{}
	r.rt.Log.Info("alarm", "id", a.ID, "thing", a.Thing, "fault", a.Fault, "state", a.State, "text", a.Text)
	r.save()
}

// save writes the book; when that fails the alarms go on in memory.
func (r *run) save() {
	r.rt.Counter(CounterPending).Store(uint64(len(r.book.outbox)))
	if err := r.book.save(); err != nil {
		r.rt.SetState(event.StateDegraded, err.Error())
		r.rt.Log.Error("alarms are not on disk, and would be lost with this process", "error", err)
		return
	}
	r.rt.SetState(event.StateOK, "")
}

// republishLimit is how many alerts, the oldest, are published again at a time.
const republishLimit = 100

// send publishes the alerts of the outbox that are new, or were not acknowledged in time (promise F12).
func (r *run) send(ctx context.Context, now time.Time) error {
	if now.Before(r.due) {
		return nil
	}
	r.due = now.Add(r.config.Republish)
	for i, a := range r.book.outbox {
		last, before := r.sent[a.ID]
		if before && (i >= republishLimit || now.Sub(last) < r.config.Republish) {
			if next := last.Add(r.config.Republish); i < republishLimit && next.Before(r.due) {
				r.due = next
			}
			continue
		}
		payload, err := event.Encode(a)
		if err == nil {
			err = r.rt.IPC().Publish(ctx, event.AlertTopic(a.Thing), payload)
		}
		switch {
		case errors.Is(err, ipc.ErrConnectionLost):
			return err
		case err != nil && ctx.Err() == nil:
			r.rt.Log.Error("an alert was not published; it will be tried again", "id", a.ID, "error", err)
		}
		r.sent[a.ID] = now
		if before {
			r.rt.Counter(CounterRepublished).Add(1)
		} else {
			r.rt.Counter(CounterPublished).Add(1)
		}
	}
	return nil
}
