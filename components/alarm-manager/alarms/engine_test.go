package alarms_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"edgepdm/components/alarm-manager/alarms"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/need"
)

// engineRig returns a rig whose manager watches engine and machines only.
func engineRig(t *testing.T) *rig {
	t.Helper()
	r := stoppedRig(t)
	coretest.Configure(t, r.core, event.AlarmManager, map[string]any{"uplinkDown": "0s"})
	r.start()
	return r
}

// says publishes a health message of the engine, which sends one every second.
func (r *rig) says(h event.Health) {
	r.t.Helper()
	h.V, h.Component, h.TS, h.IntervalMS = 1, event.InferenceEngine, time.Now(), 1000
	r.publish(event.HealthTopic(event.InferenceEngine), h)
}

// rows publishes a row of each machine, and waits until all that were published are heard.
func (r *rig) rows(from, to int) {
	r.t.Helper()
	for i := from; i < to; i++ {
		r.publish(event.PredictionTopic(fmt.Sprint("press-", i)), event.Prediction{
			V: 1, ID: fmt.Sprint(i), Thing: fmt.Sprint("press-", i), Line: "line-1", TS: time.Now(), Threshold: 0.5,
		})
	}
	r.heard += uint64(to - from)
	r.await("the rows", func(h event.Health) bool { return h.Counters[event.CounterPredictions] == r.heard })
}

// ticked reports whether there was time for a look at all that is absent.
func ticked(since time.Time) func(event.Health) bool {
	return func(h event.Health) bool { return h.TS.Sub(since) > 1500*time.Millisecond }
}

// nothingElse checks that no alert waits, after time enough for a look at all that is absent.
func (r *rig) nothingElse() {
	r.t.Helper()
	r.await("time for a tick", ticked(time.Now()))
	r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1})
	r.expect(event.FaultTest, event.AlarmUnacknowledged)
}

// An engine that is stopped, killed or without a model is one alarm with its cause, however many machines there are, and they
// are none: not while it is down, not when it is back, and not for a manager that was restarted meanwhile. One that is silent
// after that is an alarm again.
func TestAnEngineThatIsDownIsOneAlarm(t *testing.T) {
	const things = 20
	for name, c := range map[string]struct {
		down event.Health // what it says before it is down; no run: nothing
		want string
		back []event.Health
		stop bool // the manager restarts meanwhile
	}{
		"stopped":           {want: "nothing is heard of it", back: []event.Health{{Run: "2", State: event.StateStarting}, {Run: "2", State: event.StateOK}}},
		"back at once":      {want: "nothing is heard of it", back: []event.Health{{Run: "2", State: event.StateOK}}},
		"frozen":            {want: "nothing is heard of it", back: []event.Health{{Run: "1", State: event.StateOK}}},
		"no model":          {event.Health{Run: "2", State: event.StateNoModel, Detail: "model.json: no such file"}, "it has no model: model.json: no such file", []event.Health{{Run: "2", State: event.StateOK}}, false},
		"bad configuration": {event.Health{Run: "2", State: event.StateBadConfig, Detail: "batch: 0"}, "its configuration is refused: batch: 0", []event.Health{{Run: "3", State: event.StateDegraded}}, false},
		"starting":          {event.Health{Run: "2", State: event.StateStarting}, "it does not get beyond its start", []event.Health{{Run: "2", State: event.StateOK}}, false},
		"deaf": {event.Health{Run: "1", State: event.StateDegraded, Conditions: []event.Condition{{Code: event.CodePubSubDeaf, Place: "local messages"}}},
			"the nucleus delivers it no messages", []event.Health{{Run: "1", State: event.StateOK}}, false},
		"refused": {event.Health{Run: "1", State: event.StateDegraded, Conditions: []event.Condition{{Code: event.CodeNotAuthorized, Place: "PublishToTopic " + event.FilterPrediction}}},
			"the nucleus refuses its predictions", []event.Health{{Run: "1", State: event.StateOK}}, false},
		"without telemetry": {event.Health{Run: "1", State: event.StateDegraded, Conditions: []event.Condition{
			{Code: event.CodeNotAuthorized, Place: "SubscribeToTopic " + event.FilterTelemetry}, {Code: event.CodeNotAuthorized, Place: "SubscribeToTopic " + event.TopicTelemetryBatch},
		}}, "the nucleus refuses it telemetry", []event.Health{{Run: "1", State: event.StateOK}}, false},
		"the manager restarts": {want: "nothing is heard of it", back: []event.Health{{Run: "2", State: event.StateOK}}, stop: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := engineRig(t)
			r.says(event.Health{Run: "1", State: event.StateOK})
			r.rows(0, things)
			if c.down.Run != "" {
				r.says(c.down)
			}
			r.nothingElse() // and what it says is heard
			r.ahead.Add(int64(31 * time.Second))
			a := r.expect(event.FaultEngineDown, event.AlarmUnacknowledged)
			if want := "The inference engine of core 1 is not at work: " + c.want + ". No machine is watched. Check the component."; a.Text != want {
				t.Errorf("%q, want %q", a.Text, want)
			}
			if a.Thing != "core-1" || a.Severity != event.SeverityHigh || a.TS.Sub(a.Since) < 30*time.Second {
				t.Errorf("%+v", a)
			}
			r.ahead.Add(int64(10 * time.Minute))
			r.nothingElse()
			if c.stop {
				r.await("the acknowledgement", func(h event.Health) bool {
					return h.Counters[alarms.CounterAcked] > 0 && h.Counters[event.CounterAlertPending] == 0
				})
				r.stop()
				r.begin()
				r.heard = 0
				r.nothingElse()
			}
			for _, h := range c.back {
				r.says(h)
			}
			if over := r.expect(event.FaultEngineDown, event.AlarmNormal); !over.Since.Equal(a.Since) {
				t.Errorf("%+v after %+v", over, a)
			}
			r.nothingElse()
			r.ahead.Add(int64(20 * time.Second))
			r.rows(1, things)
			r.ahead.Add(int64(11 * time.Second))
			r.rows(1, things)
			if a := r.expect(event.FaultSilence, event.AlarmUnacknowledged); a.Thing != "press-0" {
				t.Errorf("%+v", a)
			}
		})
	}
}

// Rows that come are a word of the engine, whatever its health messages say or do not.
func TestRowsAreAWordOfTheEngine(t *testing.T) {
	r := newRig(t)
	r.says(event.Health{Run: "1", State: event.StateOK})
	r.rows(0, 2)
	r.ahead.Add(int64(20 * time.Second))
	r.says(event.Health{Run: "1", State: event.StateNoModel})
	r.nothingElse()
	r.rows(0, 1)
	for range 2 {
		r.ahead.Add(int64(16 * time.Second))
		r.rows(0, 1)
	}
	if a := r.alert(); a.Fault != event.FaultSilence || a.Thing != "press-1" || !strings.Contains(a.Text, "Check its sensors") {
		t.Errorf("%+v", a)
	}
}

// A configuration that is refused is no reason while the last good one is in force.
func TestAnEngineWithItsLastGoodConfigurationWorks(t *testing.T) {
	need.Long(t)
	r := newRig(t)
	r.rows(0, 1)
	for range 2 {
		r.ahead.Add(int64(16 * time.Second))
		r.says(event.Health{Run: "1", State: event.StateBadConfig, Model: &event.ModelRef{Version: "1"}})
		r.await("time to hear it", ticked(time.Now()))
	}
	r.expect(event.FaultSilence, event.AlarmUnacknowledged)
}

// Machines' silence is raised when the engine was heard after it only: of the time before its last word nothing else is known.
func TestSilenceWaitsForAWordOfTheEngine(t *testing.T) {
	r := newRig(t) // its engine says something once an hour
	r.rows(0, 3)
	r.ahead.Add(int64(time.Minute))
	r.nothingElse()
	r.engine(event.StateOK)
	r.expect(event.FaultLine, event.AlarmUnacknowledged) // all of them
	r.await("their silence", func(h event.Health) bool { return h.Counters[alarms.CounterSuppressed] == 3 })
}

// Time in which the nucleus delivers nothing to the manager is no silence, of the engine nor of machines.
func TestADeafManagerRaisesNothing(t *testing.T) {
	need.Long(t)
	r := stoppedRig(t, func(o *localcore.Options) { o.Mode = localcore.Lite })
	r.env.Deaf = 8 * time.Second
	coretest.Configure(t, r.core, event.AlarmManager, map[string]any{"uplinkDown": "0s", "silence": "3s"})
	r.start()
	r.says(event.Health{Run: "1", State: event.StateOK})
	r.rows(0, 3)
	if err := r.core.KillPubSub(); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.health, err = r.client.Subscribe(t.Context(), event.HealthTopic(event.AlarmManager), ipc.ReceiveFromOthers); err != nil {
		t.Fatal(err)
	}
	r.await("a row that is heard after that", func(h event.Health) bool {
		if h.Counters[event.CounterDeaf] == 1 {
			r.publish(event.PredictionTopic("press-0"), event.Prediction{V: 1, ID: "again", Thing: "press-0", TS: time.Now(), Threshold: 0.5})
		}
		return h.Counters[event.CounterPredictions] > r.heard
	})
	if log := r.log.String(); strings.Contains(log, "msg=alarm") {
		t.Errorf("%s", log)
	}
}

// Machines whose predictions the nucleus does not let the manager hear are not silent.
func TestARefusedSubscriptionIsNoSilence(t *testing.T) {
	need.Long(t)
	r := stoppedRig(t)
	coretest.Configure(t, r.core, event.AlarmManager, map[string]any{"uplinkDown": "0s", "silence": "2s"})
	r.start()
	r.rows(0, 3)
	r.stop()
	grants := func(topics ...any) {
		coretest.Configure(t, r.core, event.AlarmManager, map[string]any{"accessControl": map[string]any{
			"aws.greengrass.ipc.pubsub": map[string]any{event.AlarmManager + ":pubsub:1": map[string]any{"resources": topics}},
		}})
	}
	grants(event.FilterHealth, event.HealthTopic(event.AlarmManager), event.TopicAckAlert, event.TopicTestAlarm)
	r.begin()
	begin := time.Now()
	listens := func(h event.Health) bool {
		r.says(event.Health{Run: "1", State: event.StateOK})
		return h.State == event.StateDegraded && h.TS.Sub(begin) > 5*time.Second
	}
	r.await("time for silence", listens)
	if log := r.log.String(); strings.Contains(log, "msg=alarm") {
		t.Errorf("%s", log)
	}
}
