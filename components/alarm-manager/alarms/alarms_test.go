package alarms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edgepdm/components/alarm-manager/alarms"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/need"
)

// lines is a log that a test can read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// rig is an alarm manager on the embedded core, with its real recipe and a clock that the test sets.
type rig struct {
	t      *testing.T
	core   *localcore.Core
	env    component.Environment
	client *ipc.Client
	alerts *ipc.Subscription[ipc.TopicMessage]
	health *ipc.Subscription[ipc.TopicMessage]
	ahead  atomic.Int64 // of the clock, nanoseconds
	seq    uint64
	heard  uint64 // predictions, by the manager that runs
	log    *lines
	stop   func()
	run    string          // of the health messages
	ended  map[string]bool // runs that are over
	acked  map[string]bool // alerts that were acknowledged, by id

	publishAlert func(ctx context.Context, topic string, payload []byte) error // nil: over the connection
	announcer    alarms.Announcer
}

// newRig returns a rig whose manager runs.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := stoppedRig(t)
	r.start()
	return r
}

// stoppedRig returns one whose manager does not run.
func stoppedRig(t *testing.T, set ...func(*localcore.Options)) *rig {
	t.Helper()
	core := coretest.Start(t, set...)
	log := new(lines)
	r := &rig{
		t: t, core: core, client: coretest.Client(t, core), ended: make(map[string]bool), acked: make(map[string]bool), stop: func() {}, log: log,
		env: coretest.Environment(t, core, event.AlarmManager, "alarm-manager", slog.New(slog.NewTextHandler(log, nil))),
	}
	coretest.Configure(t, core, event.AlarmManager, map[string]any{
		"healthInterval": "100ms", "republish": "1h", "maxPerLine": 1000, "maxPerSite": 1000,
		"rules": []any{map[string]any{"cooldown": "1ms"}}, // an alarm that comes again is told at once
	})
	var err error
	if r.alerts, err = r.client.Subscribe(t.Context(), event.FilterAlert, ""); err != nil {
		t.Fatal(err)
	}
	if r.health, err = r.client.Subscribe(t.Context(), event.HealthTopic(event.AlarmManager), ""); err != nil {
		t.Fatal(err)
	}
	return r
}

// start runs the manager and waits until it is at work.
func (r *rig) start() {
	r.t.Helper()
	r.begin()
	r.await("OK", func(h event.Health) bool { return h.State == event.StateOK })
	r.engine(event.StateOK)
}

// advance sets the clock ahead. The engine is at work at that time too.
func (r *rig) advance(d time.Duration) {
	r.t.Helper()
	r.ahead.Add(int64(d))
	r.engine(event.StateOK)
}

// engine publishes the engine's health. It says that it does so once an hour: its silence is no alarm for so long.
func (r *rig) engine(state event.State) {
	r.t.Helper()
	r.publish(event.HealthTopic("com.edgepdm.InferenceEngine"), event.Health{
		V: 1, Component: "com.edgepdm.InferenceEngine", Run: "1", TS: time.Now(), State: state, IntervalMS: time.Hour.Milliseconds(),
	})
}

// begin runs the manager and does not wait.
func (r *rig) begin() {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	now := func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }
	go func() {
		done <- component.Run(ctx, component.Spec[alarms.Config]{
			Name: event.AlarmManager, Default: alarms.Default, Run: alarms.Manager{CoreThing: "core-1", Now: now, Announcer: r.announcer}.Publishing(r.publishAlert).Run,
		}, r.env)
	}()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("the manager ended with %v", err)
		}
		r.ended[r.run] = true
		r.stop = func() {}
	}
	r.t.Cleanup(func() { r.stop() })
}

func (r *rig) await(what string, wanted func(event.Health) bool) event.Health {
	r.t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case m := <-r.health.Events():
			h, err := event.DecodeHealth(m.Payload)
			if err != nil {
				r.t.Fatal(err)
			}
			if r.ended[h.Run] { // sent before, received now
				continue
			}
			if r.run = h.Run; wanted(h) {
				return h
			}
		case <-timeout:
			r.t.Fatalf("no health message with %s", what)
		}
	}
}

func (r *rig) publish(topic string, message any) {
	r.t.Helper()
	payload, err := json.Marshal(message)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.client.Publish(r.t.Context(), topic, payload); err != nil {
		r.t.Fatal(err)
	}
}

// predict publishes predictions for press-1 with the given probabilities; the threshold is 0.5.
func (r *rig) predict(probabilities ...float64) {
	r.t.Helper()
	for _, p := range probabilities {
		r.seq++
		r.publish(event.PredictionTopic("press-1"), event.Prediction{
			V: 1, ID: fmt.Sprintf("press-1-e-%d", r.seq), Thing: "press-1", Line: "line-1", Epoch: "e", Seq: r.seq, TS: time.Now(),
			Probability: p, Threshold: 0.5, Model: event.ModelRef{Version: "m"},
		})
	}
}

func (r *rig) alert() event.Alert {
	r.t.Helper()
	select {
	case m := <-r.alerts.Events():
		a, err := event.DecodeAlert(m.Payload)
		if err != nil {
			r.t.Fatal(err)
		}
		if m.Topic != event.AlertTopic(a.Thing) {
			r.t.Errorf("alert of %s on %s", a.Thing, m.Topic)
		}
		return a
	case <-time.After(time.Minute):
		r.t.Fatal("no alert")
		return event.Alert{}
	}
}

func (r *rig) ack(id string) {
	r.acked[id] = true
	r.publish(event.TopicAckAlert, event.Ack{V: 1, IDs: []string{id}})
}

// brief is longer than an alarm that is brief, whose end is told later.
const brief = 6 * time.Second

func (r *rig) expect(fault event.Fault, state event.AlarmState) event.Alert {
	r.t.Helper()
	if state == event.AlarmNormal {
		r.ahead.Add(int64(brief))
	}
	a := r.alert()
	for a.Replayed && r.acked[a.ID] { // the clock went on before the acknowledgement was heard
		a = r.alert()
	}
	if a.Fault != fault || a.State != state {
		r.t.Fatalf("alert %+v, want %s %s", a, fault, state)
	}
	r.ack(a.ID)
	return a
}

// A1 and A2: one alarm for a thing and fault, by vote, cleared when it is over.
func TestFaultIsRaisedOnceAndCleared(t *testing.T) {
	r := newRig(t)
	r.predict(0.9, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9)
	raised := r.expect(event.FaultMachine, event.AlarmUnacknowledged)
	if raised.Thing != "press-1" || raised.Line != "line-1" || raised.Severity != event.SeverityHigh || raised.Probability != 0.9 ||
		raised.Text != "Fault found on line 1, press 1. Immediate attention required." || raised.Model == nil {
		t.Errorf("%+v", raised)
	}
	r.predict(0.4, 0.1, 0.1, 0.1, 0.1)
	cleared := r.expect(event.FaultMachine, event.AlarmNormal)
	if cleared.ID == raised.ID || !cleared.Since.Equal(raised.Since) || !cleared.TS.After(raised.TS) {
		t.Errorf("%+v after %+v", cleared, raised)
	}
}

// A faulty row that is delivered again and again is one vote.
func TestRepeatedPredictionVotesOnce(t *testing.T) {
	r := newRig(t)
	r.predict(0.9)
	for range 3 {
		r.seq = 0
		r.predict(0.9)
	}
	r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1})
	r.await("the repeated ones", func(h event.Health) bool { return h.Counters[alarms.CounterRepeated] == 3 })
	r.expect(event.FaultTest, event.AlarmUnacknowledged) // and no other before it
	r.predict(0.9, 0.9)
	r.expect(event.FaultMachine, event.AlarmUnacknowledged)
}

// F12: an alert is published until its id is acknowledged, also by the next process.
func TestAlertIsRepublishedUntilAcknowledged(t *testing.T) {
	r := newRig(t)
	r.predict(0.9, 0.9, 0.9)
	first := r.alert()
	if first.Replayed {
		t.Errorf("%+v", first)
	}
	isAgain := func() { // the same in all, but for the mark
		t.Helper()
		again := r.alert()
		for again.ID != first.ID {
			again = r.alert()
		}
		marked := first
		marked.Replayed = true
		if !reflect.DeepEqual(again, marked) {
			t.Errorf("%+v, then %+v", first, again)
		}
	}
	r.advance(61 * time.Minute) // republish is 1h; silence is raised too
	isAgain()
	r.stop()
	r.start() // whatever it was doing, as after a crash
	isAgain()
	r.ack(first.ID)
	r.await("an acknowledgement", func(h event.Health) bool { return h.Counters[alarms.CounterAcked] >= 1 })
	// The alarm is still raised: the fault is not reported a second time, but its end is.
	r.ahead.Add(int64(brief))
	r.predict(0.9, 0.9, 0.9, 0.1, 0.1, 0.1)
	for {
		a := r.alert()
		if a.ID == first.ID {
			t.Error("published after its acknowledgement")
		}
		if a.Fault == event.FaultMachine {
			if a.State != event.AlarmNormal {
				t.Errorf("%+v", a)
			}
			return
		}
	}
}

// While the forwarder is away, and after a restart, what happens to an alarm waits in its order; another alarm does not wait.
func TestAlertsKeepTheirOrderWhileTheForwarderIsAway(t *testing.T) {
	r := stoppedRig(t)
	coretest.Configure(t, r.core, event.AlarmManager, map[string]any{"republish": "300ms"})
	r.start()
	r.predict(0.9, 0.9, 0.9)
	raised := r.alert()
	r.ahead.Add(int64(brief))
	r.predict(0.1, 0.1, 0.1, 0.9, 0.9, 0.9)
	r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1})
	for {
		a := r.alert()
		if a.Fault == event.FaultTest {
			r.ack(a.ID)
			break
		}
		if a.ID != raised.ID {
			t.Fatalf("%+v overtook %+v", a, raised)
		}
	}
	r.await("all alerts wait", func(h event.Health) bool {
		return h.Counters[alarms.CounterRaised] == 3 && h.Counters[alarms.CounterCleared] == 1 && h.Counters[event.CounterAlertPending] == 3
	})
	r.stop()
	r.start()
	var told []event.AlarmState
	for seen := make(map[string]bool); len(told) < 3; {
		a := r.alert()
		if a.Fault == event.FaultMachine && !seen[a.ID] {
			seen[a.ID] = true
			told = append(told, a.State)
			if !a.Replayed { // each of them may have been sent by the process before
				t.Errorf("%+v", a)
			}
			r.ack(a.ID)
		}
	}
	if want := []event.AlarmState{event.AlarmUnacknowledged, event.AlarmNormal, event.AlarmUnacknowledged}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// Predictions that come in a batch are as good as others; a bad one is counted, and the rest goes on.
func TestPredictionsInBatches(t *testing.T) {
	r := newRig(t)
	batch := event.PredictionBatch{V: 1}
	for seq := range uint64(5) {
		p := event.Prediction{V: 1, ID: fmt.Sprint(seq), Thing: "press-1", Line: "line-1", Epoch: "e", Seq: seq + 1, TS: time.Now(), Probability: 0.9, Threshold: 0.5}
		switch seq {
		case 1:
			p.TS = time.Unix(7, 0)
		case 3:
			p.Thing = "a/b"
		case 4:
			p.Line = strings.Repeat("x", 500)
		}
		batch.Predictions = append(batch.Predictions, p)
	}
	r.publish(event.TopicPredictionBatch, batch)
	r.publish(event.TopicPredictionBatch, map[string]any{"v": 2})
	h := r.await("the bad ones", func(h event.Health) bool { return h.Counters[alarms.CounterInvalid] == 4 })
	if h.Counters[event.CounterPredictions] != 2 || h.Counters[alarms.CounterGaps] != 1 {
		t.Errorf("%v", h.Counters)
	}
	r.seq = 3
	r.predict(0.9)
	r.expect(event.FaultMachine, event.AlarmUnacknowledged)
}

// Noise costs one line in a while, and every message is counted.
func TestNoiseIsLoggedSeldom(t *testing.T) {
	r := newRig(t)
	for range 500 {
		r.publish(event.HealthTopic("com.example.Noise"), "noise")
	}
	r.await("the noise", func(h event.Health) bool { return h.Counters[alarms.CounterInvalid] == 500 })
	if n := strings.Count(r.log.String(), "message ignored"); n != 1 {
		t.Errorf("%d lines", n)
	}
}

func TestSilenceIsAnAlarm(t *testing.T) {
	r := newRig(t)
	r.predict(0.1)
	r.await("the prediction", func(h event.Health) bool { return h.Counters[event.CounterPredictions] == 1 })
	r.advance(31 * time.Second)
	if a := r.expect(event.FaultSilence, event.AlarmUnacknowledged); a.Thing != "press-1" || a.Severity != event.SeverityMedium {
		t.Errorf("%+v", a)
	}
	r.predict(0.1)
	r.expect(event.FaultSilence, event.AlarmNormal)
}

// The alarm says what to do about its cause: a network, a core that is not set up, or a cloud that refuses.
func TestTheUplinkAlarmFitsItsCause(t *testing.T) {
	need.Long(t)
	const network, setUp, service = "Check the network.", "Check region, endpoint and credentials.", "which says why"
	for _, c := range []struct {
		name   string
		code   event.Code
		uplink event.Uplink
		want   string
	}{
		{"another fault", event.CodeDisk, event.UplinkDown, network},
		{"no answer for a while", event.CodeDelivery, event.UplinkDown, network},
		{"no set-up", event.CodeCloudAccess, event.UplinkDown, setUp},
		{"never tried", event.CodeCloudAccess, "", setUp},
		{"refused", event.CodeDelivery, event.UplinkUp, service},
		{"refused over the nucleus", event.CodeDelivery, "", service},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			forwarder := event.Health{
				V: 1, Component: "com.edgepdm.CloudForwarder", TS: time.Now(), State: event.StateDegraded, Uplink: c.uplink,
				Conditions: []event.Condition{{Code: c.code, Place: "x", Detail: "y", Since: time.Now()}},
			}
			r.publish(event.HealthTopic(event.CloudForwarder), forwarder)
			r.await("the news", func(h event.Health) bool { return h.Counters[alarms.CounterUplinkDown] == 1 })
			r.advance(6 * time.Minute)
			if a := r.expect(event.FaultUplinkDown, event.AlarmUnacknowledged); !strings.Contains(a.Text, c.want) {
				t.Errorf("%s", a.Text)
			}
			forwarder.State, forwarder.Uplink, forwarder.Conditions = event.StateOK, event.UplinkUp, nil
			r.publish(event.HealthTopic(event.CloudForwarder), forwarder)
			r.expect(event.FaultUplinkDown, event.AlarmNormal)
		})
	}
}

func TestUplinkDownIsAnAlarm(t *testing.T) {
	r := newRig(t)
	forwarder := event.Health{V: 1, Component: "com.edgepdm.CloudForwarder", TS: time.Now(), State: event.StateOK, Uplink: event.UplinkDown}
	r.publish(event.HealthTopic(event.CloudForwarder), forwarder)
	r.await("the news", func(h event.Health) bool { return h.Counters[alarms.CounterUplinkDown] == 1 })
	r.advance(4 * time.Minute) // not yet
	r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1})
	r.expect(event.FaultTest, event.AlarmUnacknowledged)
	r.advance(2 * time.Minute)
	if a := r.expect(event.FaultUplinkDown, event.AlarmUnacknowledged); a.Thing != "core-1" {
		t.Errorf("%+v", a)
	}
	forwarder.Uplink = event.UplinkUp
	r.publish(event.HealthTopic(event.CloudForwarder), forwarder)
	r.expect(event.FaultUplinkDown, event.AlarmNormal)
}

// A5: every test alarm is an alert of its own; a malformed command is counted.
func TestTestAlarm(t *testing.T) {
	r := newRig(t)
	r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1, Thing: "press-9", Line: "line-2", By: "Ann"})
	first := r.expect(event.FaultTest, event.AlarmUnacknowledged)
	r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1, Thing: "press-9", Line: "line-2", By: "Ann"})
	second := r.expect(event.FaultTest, event.AlarmUnacknowledged)
	if first.ID == second.ID || first.Thing != "press-9" || first.Line != "line-2" {
		t.Errorf("%+v, %+v", first, second)
	}
	r.publish(event.TopicTestAlarm, map[string]any{"v": 1, "thing": "a/b"})
	r.await("the bad command", func(h event.Health) bool { return h.Counters[alarms.CounterInvalid] == 1 })
}
