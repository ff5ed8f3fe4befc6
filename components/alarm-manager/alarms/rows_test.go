package alarms_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"edgepdm/components/alarm-manager/alarms"
	"edgepdm/shared/event"
	"edgepdm/test/coretest"
)

// votes publishes a prediction that votes for an alarm, if it votes at all.
func (r *rig) votes(epoch string, seq uint64, at time.Time) {
	r.t.Helper()
	r.publish(event.PredictionTopic("press-1"), event.Prediction{
		V: 1, ID: fmt.Sprintf("press-1-%s-%d", epoch, seq), Thing: "press-1", Line: "line-1", Epoch: epoch, Seq: seq, TS: at, Probability: 0.9, Threshold: 0.5,
	})
}

// Rows that repeat, come late or are dated far from now are counted and raise no alarm, nor do votes that an absence or a
// restart of the producer lies between; what votes has its time in the alert.
func TestOnlyNewsVotes(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		publish func(r *rig)
		counter string
		want    uint64
	}{
		"one, another and the first again": {func(r *rig) {
			r.votes("a", 1, now)
			r.votes("a", 2, now)
			r.votes("a", 1, now)
			r.votes("a", 2, now)
		}, alarms.CounterRepeated, 2},
		"yesterday's batch": {func(r *rig) {
			r.predictQuietly("a", 100)
			for seq := uint64(50); seq < 55; seq++ {
				r.votes("a", seq, now.Add(-20*time.Hour))
			}
		}, alarms.CounterRepeated, 5},
		"overtaken": {func(r *rig) {
			r.predictQuietly("a", 1)
			r.predictQuietly("a", 5)
			for seq := uint64(2); seq < 5; seq++ {
				r.votes("a", seq, now)
			}
		}, alarms.CounterRepeated, 3},
		"a far future": {func(r *rig) {
			for seq := uint64(1); seq < 5; seq++ {
				r.votes("a", seq, now.AddDate(70, 0, 0))
			}
		}, alarms.CounterMisdated, 4},
		"long ago": {func(r *rig) {
			for seq := uint64(1); seq < 5; seq++ {
				r.votes("a", seq, now.Add(-25*time.Hour))
			}
		}, alarms.CounterMisdated, 4},
		"producers that start again": {func(r *rig) {
			r.votes("a", 1, now)
			r.votes("a", 2, now)
			r.votes("b", 1, now)
			r.votes("b", 2, now)
		}, event.CounterPredictions, 4},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c.publish(r)
			h := r.await("all", func(h event.Health) bool { return h.Counters[c.counter] == c.want })
			if told := h.State == event.StateDegraded; told != (c.counter == alarms.CounterMisdated) {
				t.Errorf("%+v", h)
			}
			r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1})
			r.expect(event.FaultTest, event.AlarmUnacknowledged) // and no other before it
			for seq := uint64(201); seq < 204; seq++ {
				r.votes("c", seq, now)
			}
			if a := r.expect(event.FaultMachine, event.AlarmUnacknowledged); !a.RowTS.Equal(now) {
				t.Errorf("%+v", a)
			}
		})
	}
}

// A gap is in a health message at once: the process may be killed before the next one is due.
func TestAGapIsToldAtOnce(t *testing.T) {
	r := stoppedRig(t)
	coretest.Configure(t, r.core, event.AlarmManager, map[string]any{"healthInterval": "1h"})
	r.start()
	r.predict(0.1)
	r.seq += 2
	r.predict(0.1)
	r.await("the gap", func(h event.Health) bool { return h.Counters[alarms.CounterGaps] == 2 })
}

// A wild number is counted once, and hides no gap.
func TestAWildNumberHidesNoGap(t *testing.T) {
	r := newRig(t)
	for _, seq := range []uint64{1, math.MaxUint64, 2, 5} {
		r.votes("a", seq, time.Now())
	}
	h := r.await("all", func(h event.Health) bool { return h.Counters[event.CounterPredictions] == 4 })
	if h.Counters[alarms.CounterJumps] != 1 || h.Counters[alarms.CounterGaps] != 2 {
		t.Errorf("%v", h.Counters)
	}
}

// Votes do not count with those after a silence.
func TestVotesDoNotOutliveASilence(t *testing.T) {
	r := newRig(t)
	r.votes("a", 1, time.Now())
	r.votes("a", 2, time.Now())
	r.await("both", func(h event.Health) bool { return h.Counters[event.CounterPredictions] == 2 })
	r.advance(time.Minute)
	r.expect(event.FaultSilence, event.AlarmUnacknowledged)
	r.votes("a", 3, time.Now())
	r.expect(event.FaultSilence, event.AlarmNormal)
	r.votes("a", 4, time.Now())
	r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1})
	r.expect(event.FaultTest, event.AlarmUnacknowledged)
	r.votes("a", 5, time.Now())
	r.expect(event.FaultMachine, event.AlarmUnacknowledged)
}

// predictQuietly publishes a prediction that votes for no alarm.
func (r *rig) predictQuietly(epoch string, seq uint64) {
	r.t.Helper()
	r.publish(event.PredictionTopic("press-1"), event.Prediction{
		V: 1, ID: fmt.Sprintf("press-1-%s-%d", epoch, seq), Thing: "press-1", Line: "line-1", Epoch: epoch, Seq: seq, TS: time.Now(), Threshold: 0.5,
	})
}

// Rows without data raise an alarm of their own, with the sensors named, and none of the machine; rows that are being assembled
// raise neither.
func TestNoDataIsAnAlarmOfItsOwn(t *testing.T) {
	r := newRig(t)
	publish := func(change func(*event.Prediction)) {
		r.seq++
		p := event.Prediction{
			V: 1, ID: fmt.Sprint(r.seq), Thing: "press-1", Line: "line-1", Epoch: "e", Seq: r.seq, TS: time.Now(), Probability: 0.9, Threshold: 0.5,
			Label: event.LabelNoData, Absent: 168, Missing: "oil_temp, flow",
		}
		change(&p)
		r.publish(event.PredictionTopic("press-1"), p)
	}
	for range 5 {
		publish(func(p *event.Prediction) { p.Assembling = true })
	}
	publish(func(p *event.Prediction) { p.Missing = strings.Repeat("x", 2000) })
	r.await("all", func(h event.Health) bool {
		return h.Counters[event.CounterPredictions] == 5 && h.Counters[alarms.CounterInvalid] == 1
	})
	r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1})
	r.expect(event.FaultTest, event.AlarmUnacknowledged) // and no other before it
	for range 3 {
		publish(func(*event.Prediction) {})
	}
	a := r.expect(event.FaultNoData, event.AlarmUnacknowledged)
	if a.Severity != event.SeverityMedium || a.Text != "No data of 168 sensors of line 1, press 1, such as oil_temp, flow. It cannot be watched. Check its sensors." {
		t.Errorf("%+v", a)
	}
	r.await("both acknowledgements", func(h event.Health) bool { return h.Counters[alarms.CounterAcked] == 2 })
	r.stop()
	r.start() // it is still raised
	r.predict(0.1, 0.1, 0.1)
	r.expect(event.FaultNoData, event.AlarmNormal)
	r.predict(0.9, 0.9, 0.9)
	r.expect(event.FaultMachine, event.AlarmUnacknowledged)
}

// The alarm is raised however long the names of sensors and of the line are: as much of them is told as a message has room for.
func TestNoDataOfSensorsWithLongNames(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ thing, line, name string }{
		{"press-1", "line-1", strings.Repeat("温", 64)}, {"press-2", strings.Repeat("😀", 128), strings.Repeat("<", 64)},
	} {
		for seq := range uint64(3) {
			r.publish(event.PredictionTopic(c.thing), event.Prediction{
				V: 1, ID: fmt.Sprint(c.thing, seq), Thing: c.thing, Line: c.line, Epoch: "e", Seq: seq + 1, TS: time.Now(), Threshold: 0.5,
				Label: event.LabelNoData, Absent: 168, Missing: strings.Join([]string{c.name, c.name, c.name, c.name, c.name}, ", "),
			})
		}
		a := r.expect(event.FaultNoData, event.AlarmUnacknowledged)
		if a.Thing != c.thing || !utf8.ValidString(a.Text) || !strings.HasSuffix(a.Text, ". It cannot be watched. Check its sensors.") {
			t.Errorf("%+v", a)
		}
		if has := strings.Contains(a.Text, c.name[:60]); has != (c.thing == "press-1") { // there is no room beside the other's line
			t.Errorf("%q", a.Text)
		}
	}
}

// What a simulator makes is said to be a simulation: in the text, which is also the SMS and what is spoken.
func TestSimulatedAlarmsSaySo(t *testing.T) {
	r := newRig(t)
	for seq := range uint64(5) {
		r.publish(event.PredictionTopic("press-1"), event.Prediction{
			V: 1, ID: fmt.Sprint("press-1-e-", seq+1), Thing: "press-1", Line: "Line 7", Epoch: "e", Seq: seq + 1, TS: time.Now(),
			Probability: 0.9, Threshold: 0.5, Model: event.ModelRef{Version: "m"}, Simulated: true,
		})
	}
	if a := r.expect(event.FaultMachine, event.AlarmUnacknowledged); a.Text != "Simulation: Fault found on Line 7, press 1. Immediate attention required." {
		t.Errorf("%+v", a)
	}
}
