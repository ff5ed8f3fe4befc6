package alarms_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/components/alarm-manager/alarms"
	"edgepdm/shared/event"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
)

// limitRig is a rig with limits.
func limitRig(t *testing.T, mode localcore.Mode, limits ...any) *rig {
	t.Helper()
	r := managedRig(t, mode, map[string]any{"limits": limits})
	r.start()
	return r
}

// watched publishes a row of a machine, and waits until it is heard.
func (r *rig) watched(line, thing string, values event.Watched, change ...func(*event.Prediction)) {
	r.t.Helper()
	r.seq++
	p := event.Prediction{
		V: 1, ID: fmt.Sprintf("%s-e-%d", thing, r.seq), Thing: thing, Line: line, Epoch: "e", Seq: r.seq, TS: time.Now(), Threshold: 0.5,
		Model: event.ModelRef{Version: "m"}, Watched: values,
	}
	for _, c := range change {
		c(&p)
	}
	r.publish(event.PredictionTopic(thing), p)
	r.heard++
	r.await("the row", func(h event.Health) bool { return h.Counters[event.CounterPredictions] == r.heard })
}

func (r *rig) oil(line, thing string, temp float32, change ...func(*event.Prediction)) {
	r.t.Helper()
	r.watched(line, thing, event.Watched{"oil_temp": temp, "other": 1e6}, change...)
}

// A limit that is passed for long enough is an alarm, with the value. Its dead band, a row that is repeated or misdated, a value that is
// missing and a machine that is silent change nothing; a value at its clear ends it. The first limit that matches is the machine's.
func TestLimitsAreAlarms(t *testing.T) {
	for name, mode := range bothModes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := limitRig(t, mode,
				map[string]any{"sensor": "oil_temp", "above": 110, "clear": "105.0", "for": "10s", "line": "line-1", "thing": "compressor-*", "priority": "high"},
				map[string]any{"sensor": "oil_temp", "above": 120, "for": "1h", "thing": "slow-*"},
				map[string]any{"sensor": "oil_temp", "above": 120},
				map[string]any{"sensor": "oil_temp", "below": 5, "fault": "oil-cold"},
			)
			r.oil("line-1", "compressor-2", 112)
			r.oil("line-1", "compressor-3", 130)
			r.ahead.Add(int64(6 * time.Second))
			r.oil("line-1", "compressor-2", 111)
			r.oil("line-1", "compressor-3", 104) // that was too short
			r.nothingElse()
			r.ahead.Add(int64(5 * time.Second))
			a := r.expect("limit-oil_temp", event.AlarmUnacknowledged)
			if a.Text != "oil_temp of line 1, compressor 2 is 111 (limit 110)." || a.Severity != event.SeverityHigh || a.Thing != "compressor-2" ||
				a.Line != "line-1" || a.Model != nil || a.RowTS.IsZero() || a.TS.Sub(a.Since) < 10*time.Second {
				t.Errorf("%+v", a)
			}
			repeated := func(p *event.Prediction) { p.Seq = 1 }
			old := func(p *event.Prediction) { p.TS = p.TS.Add(-48 * time.Hour) }
			r.oil("line-1", "compressor-2", 107)
			r.oil("line-1", "compressor-2", 20, repeated)
			r.oil("line-1", "compressor-2", 20, old)
			r.watched("line-1", "compressor-2", event.Watched{"other": 1})
			r.watched("line-1", "compressor-2", nil, func(p *event.Prediction) { p.Label = event.LabelNoData })
			r.nothingElse()
			r.ahead.Add(int64(time.Hour))
			r.nothingElse()
			r.oil("line-1", "compressor-2", 105)
			if over := r.expect("limit-oil_temp", event.AlarmNormal); !over.Since.Equal(a.Since) || over.Thing != "compressor-2" {
				t.Errorf("%+v after %+v", over, a)
			}

			r.oil("line-2", "press-9", 120) // not above it
			r.nothingElse()
			r.oil("line-2", "press-9", 120.5)
			if a := r.expect("limit-oil_temp", event.AlarmUnacknowledged); a.Thing != "press-9" || a.Severity != event.SeverityMedium ||
				a.Text != "oil_temp of line 2, press 9 is 120.5 (limit 120)." {
				t.Errorf("%+v", a)
			}
			r.oil("line-2", "press-8", 4.5)
			if a := r.expect("oil-cold", event.AlarmUnacknowledged); a.Text != "oil_temp of line 2, press 8 is 4.5 (limit 5)." {
				t.Errorf("%+v", a)
			}
		})
	}
}

// A limit whose sensor comes in no prediction is told, with what to do, once rows have come; a value ends that.
func TestALimitWithoutValuesIsTold(t *testing.T) {
	r := limitRig(t, localcore.Classic, map[string]any{"sensor": "oil_temp", "above": 110, "thing": "press-*"})
	r.ahead.Add(int64(11 * time.Minute))
	r.await("OK without rows", func(h event.Health) bool {
		return ticked(time.Now().Add(-2*time.Second))(h) && h.State == event.StateOK
	})
	r.oil("", "press-1", 20)
	r.watched("", "press-1", event.Watched{"other": 1})
	r.oil("", "pump-1", 20)
	r.ahead.Add(int64(9 * time.Minute))
	told := func(h event.Health) bool {
		for _, c := range h.Conditions {
			if c.Code == event.CodeConfiguration && c.Place == "limits" && strings.Contains(c.Detail, "limits[0]: ") &&
				strings.Contains(c.Detail, "oil_temp") && strings.Contains(c.Detail, "watch of com.edgepdm.InferenceEngine") {
				return true
			}
		}
		return false
	}
	since := time.Now()
	r.await("OK for now", func(h event.Health) bool { return ticked(since)(h) && h.State == event.StateOK })
	r.ahead.Add(int64(2 * time.Minute))
	r.await("the condition", func(h event.Health) bool { return h.State == event.StateDegraded && told(h) })
	r.oil("", "press-2", 20)
	r.await("OK", func(h event.Health) bool { return h.State == event.StateOK })
}

// The alarm of a limit stands over a restart, and ends when the limit is no longer in the configuration; others stand.
func TestTheAlarmOfALimitThatIsGoneEnds(t *testing.T) {
	r := limitRig(t, localcore.Classic, map[string]any{"sensor": "oil_temp", "above": 110}, map[string]any{"sensor": "other", "above": 110})
	r.predict(0.9, 0.9, 0.9)
	r.heard += 3
	r.expect(event.FaultMachine, event.AlarmUnacknowledged)
	r.oil("line-1", "press-1", 111)
	first, second := r.expect("limit-oil_temp", event.AlarmUnacknowledged), r.expect("limit-other", event.AlarmUnacknowledged)
	if second.Text != "other of line 1, press 1 is 1000000 (limit 110)." {
		t.Errorf("%+v", second)
	}
	r.await("the acknowledgements", func(h event.Health) bool {
		return h.Counters[event.CounterAlertPending] == 0 && h.Counters[alarms.CounterAcked] > 1
	})
	r.stop()
	r.begin()
	r.heard = 0
	r.nothingElse()
	r.ahead.Add(int64(brief))
	coretest.Configure(t, r.core, event.AlarmManager, map[string]any{"limits": []any{map[string]any{"sensor": "other", "above": 110}}})
	if over := r.expect("limit-oil_temp", event.AlarmNormal); !over.Since.Equal(first.Since) {
		t.Errorf("%+v after %+v", over, first)
	}
	r.nothingElse()
}

// A machine that moves to a line where the limit is not for it has no alarm of it any more, also if it moves while the manager is
// down; one of the same name goes on.
func TestTheAlarmOfALimitEndsWithTheLine(t *testing.T) {
	r := limitRig(t, localcore.Classic,
		map[string]any{"sensor": "oil_temp", "above": 110, "line": "line-1", "fault": "hot-here"},
		map[string]any{"sensor": "oil_temp", "above": 110, "fault": "hot"},
	)
	r.oil("line-1", "press-1", 111)
	r.oil("line-1", "press-2", 111)
	for range 4 {
		r.expectOneOf("hot-here", "hot")
	}
	r.ahead.Add(int64(brief))
	r.oil("line-2", "press-1", 111)
	if over := r.expect("hot-here", event.AlarmNormal); over.Thing != "press-1" || over.Line != "line-2" {
		t.Errorf("%+v", over)
	}
	r.oil("line-2", "press-1", 111)
	r.nothingElse()
	r.await("the acknowledgement of all alerts, so that none comes again", func(h event.Health) bool {
		return h.Counters[event.CounterAlertPending] == 0 && h.Counters[alarms.CounterAcked] > 5
	})
	r.stop()
	r.start()
	r.heard = 0
	r.oil("line-2", "press-2", 111)
	if over := r.expect("hot-here", event.AlarmNormal); over.Thing != "press-2" || over.Line != "line-2" {
		t.Errorf("%+v", over)
	}
	r.nothingElse()
}

// expectOneOf takes an alert that an alarm of one of the faults is raised.
func (r *rig) expectOneOf(faults ...event.Fault) {
	r.t.Helper()
	a := r.alert()
	if r.ack(a.ID); a.State != event.AlarmUnacknowledged || !slices.Contains(faults, a.Fault) {
		r.t.Errorf("%+v", a)
	}
}
