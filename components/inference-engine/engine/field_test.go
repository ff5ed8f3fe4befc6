package engine_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/event"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
)

// A time that JSON cannot say, or that cannot be, costs its row and nothing else.
func TestTimesEndNothing(t *testing.T) {
	r := newRig(t)
	batches := r.batches()
	r.start(shippedModel)
	first := r.await("a model", ok).Run
	_, rows, _ := golden(t)
	bad := []string{"2026-11-27T00:00:00+24:00", "2026-11-27T00:00:00-24:00", "2026-11-27T23:00:00+23:60", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59-23:00"}
	row := func(seq uint64, ts string) string {
		m := telemetry(seq, rows[0])
		m.TS = time.Time{}
		return strings.Replace(string(encode(t, m)), "0001-01-01T00:00:00Z", ts, 1)
	}
	for i, ts := range bad {
		r.publish(event.TelemetryTopic("press-1"), []byte(row(uint64(i+1), ts)))
	}
	good := telemetry(6, nil)
	good.Packed = rows[0]
	last := good
	last.Seq = 8
	packed := string(encode(t, good))
	odd := strings.Replace(packed, good.TS.Format(time.RFC3339Nano), bad[0], 1)
	odd = strings.Replace(odd, `"seq":6`, `"seq":7`, 1)
	r.publish(event.TopicTelemetryBatch, []byte(`{"v":1,"rows":[`+packed+","+odd+","+string(encode(t, last))+`]}`))
	if c := r.collect(batches, 2); len(c.batched) != 2 || c.batched[1].Seq != 8 {
		t.Errorf("%+v", c)
	}
	for _, stamp := range []string{"1795819627000", "-1795819627", "9223372036854775807"} {
		r.publish("$aws/things/press-9/shadow/update/accepted",
			[]byte(`{"state":{"reported":{"property":71.5}},"version":2,"timestamp":`+stamp+`}`))
	}
	r.publish("$aws/things/press-9/shadow/update/accepted", []byte(`{"state":{"desired":{"property":1}},"version":3,"timestamp":1795819627}`))
	if p := r.prediction(); p.Thing != "press-9" || p.Seq != 3 {
		t.Errorf("%+v", p)
	}
	h := r.await("all counted", func(h event.Health) bool {
		return h.Counters[event.CounterTelemetryInvalid+string(event.ReasonSequence)] == uint64(len(bad))+1+3 && h.Counters[engine.CounterPredictions] == 3
	})
	if h.Run != first || h.State != event.StateOK || h.Counters[event.CounterTelemetryMissed] != 0 {
		t.Errorf("%+v", h)
	}
}

// Sequences that go on after one another, a shadow's versions and a wild number make no row missed that is not.
func TestOnlyMissedRowsAreMissed(t *testing.T) {
	_, rows, _ := golden(t)
	row := func(epoch string, seq uint64) (string, []byte) {
		m := telemetry(seq, rows[0])
		m.Epoch = epoch
		return event.TelemetryTopic("press-1"), encode(t, m)
	}
	for name, c := range map[string]struct {
		publish func(row func(epoch string, seq uint64), shadow func(version int))
		missed  uint64
		count   map[string]uint64
	}{
		"the last row of the sequence before": {func(row func(string, uint64), _ func(int)) {
			for seq := uint64(1); seq <= 10; seq++ {
				row("a", seq)
			}
			row("b", 1)
			row("a", 11)
			row("b", 2)
		}, 0, nil},
		"a shadow's update that is refused": {func(row func(string, uint64), shadow func(int)) {
			for seq := uint64(1); seq <= 5; seq++ {
				row("a", seq)
			}
			shadow(12)
			row("a", 6)
		}, 0, nil},
		"a wild number": {func(row func(string, uint64), _ func(int)) {
			row("a", 1)
			row("a", math.MaxUint64)
			row("a", 2)
			row("a", 5)
		}, 2, map[string]uint64{engine.CounterJumps: 1}},
		"rows that were overtaken": {func(row func(string, uint64), _ func(int)) {
			for _, seq := range []uint64{1, 5, 2, 3, 4, 6} {
				row("a", seq)
			}
		}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.start(shippedModel)
			r.await("a model", ok)
			n := uint64(0)
			c.publish(func(epoch string, seq uint64) {
				r.publish(row(epoch, seq))
				n++
			}, func(version int) {
				r.publish("$aws/things/press-1/shadow/update/accepted", fmt.Appendf(nil, `{"state":{"reported":{"nothing":1}},"version":%d}`, version))
			})
			h := r.await("all rows", func(h event.Health) bool { return h.Counters[engine.CounterPredictions] == n })
			if h.State != event.StateOK || h.Counters[event.CounterTelemetryMissed] != c.missed || h.Counters[event.CounterTelemetryUnheard] != 0 {
				t.Errorf("%+v", h)
			}
			for name, want := range c.count {
				if h.Counters[name] != want {
					t.Errorf("%s is %d, want %d", name, h.Counters[name], want)
				}
			}
		})
	}
}

// Two senders under one name are told, once, and their rows are not missed.
func TestTwoSendersAreTold(t *testing.T) {
	r, log := newLoggedRig(t)
	r.start(shippedModel)
	r.await("a model", ok)
	_, rows, _ := golden(t)
	for i := range uint64(100) {
		for epoch, begin := range map[string]uint64{"aaaa": 100_000, "bbbb": 200_000} {
			m := telemetry(begin+i, rows[0])
			m.Epoch = epoch
			r.publish(event.TelemetryTopic("press-1"), encode(t, m))
		}
	}
	h := r.await("all rows", func(h event.Health) bool {
		return h.Counters[engine.CounterRows] == 200 && h.Counters[engine.CounterTwoSenders] > 0
	})
	if h.State != event.StateDegraded || !strings.Contains(h.Detail, "press-1") || !strings.Contains(h.Detail, "two senders") || h.Counters[event.CounterTelemetryMissed] != 0 {
		t.Errorf("%+v", h)
	}
	if n := strings.Count(log.String(), "two senders"); n != 1 {
		t.Errorf("%d lines", n)
	}
}

// A producer that counts in tens is one line in the log, and not one a row.
func TestGapsAreLoggedSeldom(t *testing.T) {
	r, log := newLoggedRig(t)
	r.start(shippedModel)
	r.await("a model", ok)
	_, rows, _ := golden(t)
	for i := range uint64(100) {
		r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(10*i+10, rows[0])))
	}
	r.await("the gaps", func(h event.Health) bool { return h.Counters[event.CounterTelemetryMissed] == 99*9 })
	if n := strings.Count(log.String(), "never arrived"); n != 1 {
		t.Errorf("%d lines", n)
	}
}

// A configuration that is deployed while the artifacts cannot be read says nothing of them: the store has the model.
func TestAHotDeploymentNeedsNoArtifact(t *testing.T) {
	t.Run("the shipped model", func(t *testing.T) { hotDeployment(t, false) })
	t.Run("one that the configuration names", func(t *testing.T) { hotDeployment(t, true) })
}

func hotDeployment(t *testing.T, named bool) {
	model := filepath.Join(t.TempDir(), "model.ubj")
	data, err := os.ReadFile(shippedModel)
	must.OK(t, err)
	must.OK(t, os.WriteFile(model, data, 0o600))
	r, log := newLoggedRig(t)
	if named {
		coretest.Configure(t, r.core, engineName, map[string]any{"model": model})
		r.start(shippedModel)
	} else {
		r.start(model)
	}
	r.await("a model", ok)
	must.OK(t, os.Remove(model)) // root's, and unreadable, would be no obstacle to a test that root runs
	coretest.Configure(t, r.core, engineName, map[string]any{"threshold": 0.25})
	_, rows, _ := golden(t)
	for seq := uint64(1); ; seq++ { // until the change has arrived
		r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(seq, rows[0])))
		if p := r.prediction(); p.Threshold == 0.25 {
			break
		}
	}
	r.await("OK", ok)
	if text := log.String(); strings.Contains(text, "level=ERROR") {
		t.Error(text)
	}
}

// An artifact that cannot be read at first is tried again, and that is not worth a word.
func TestAnArtifactThatComesLate(t *testing.T) {
	model := filepath.Join(t.TempDir(), "model.ubj")
	r, log := newLoggedRig(t)
	r.start(model)
	_, rows, _ := golden(t)
	r.await("the start", func(h event.Health) bool { // rows are heard
		r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(1, rows[0])))
		return h.State == event.StateStarting && h.Counters[event.CounterTelemetryInvalid+"no-model"] > 0
	})
	data, err := os.ReadFile(shippedModel)
	must.OK(t, err)
	must.OK(t, os.WriteFile(model, data, 0o600))
	r.await("a model", ok)
	if text := log.String(); strings.Contains(text, "level=ERROR") {
		t.Error(text)
	}
}

// What is no sensor of the model costs no row, whatever it is, and is counted; a sensor that is no number does. Set points are
// no measurements.
func TestWhatIsNoSensorIsIgnored(t *testing.T) {
	r := newRig(t)
	r.start(shippedModel)
	r.await("a model", ok)
	features, _, _ := golden(t)
	row := func(seq int, readings string) {
		r.publish(event.TelemetryTopic("press-1"), fmt.Appendf(nil,
			`{"v":1,"thing":"press-1","epoch":"e","seq":%d,"ts":"%s","readings":{%s}}`, seq, time.Now().UTC().Format(time.RFC3339), readings))
	}
	shadow := func(version int, state string) {
		r.publish("$aws/things/press-1/shadow/update/accepted", fmt.Appendf(nil, `{"state":{%s},"version":%d}`, state, version))
	}
	row(1, fmt.Sprintf(`%q:20,"firmware":"1.2.3","on":true,"list":[1],"more":{"x":1},"huge":1e39,"none":null`, features[0]))
	if p := r.prediction(); p.Seq != 1 {
		t.Errorf("%+v", p)
	}
	shadow(7, fmt.Sprintf(`"reported":{%q:"20","firmware":"1.2.3"},"desired":{%q:30,"mode":"auto"}`, features[0], features[0]))
	if p := r.prediction(); p.Seq != 7 || p.Epoch != event.ShadowEpoch {
		t.Errorf("%+v", p)
	}
	row(2, fmt.Sprintf(`%q:"hot"`, features[0]))
	row(3, `"firmware":"1.2.3"`)
	shadow(8, fmt.Sprintf(`"desired":{%q:30}`, features[0]))
	h := r.await("all", func(h event.Health) bool { return h.Counters[engine.CounterRows] == 5 })
	for name, want := range map[string]uint64{
		engine.CounterUnknown: 6 + 3 + 1 + 1, event.CounterTelemetryInvalid + string(event.ReasonMalformed): 1, event.CounterTelemetryInvalid + string(event.ReasonSensor): 2,
		event.CounterTelemetryMissed: 0,
	} {
		if h.Counters[name] != want {
			t.Errorf("%s is %d, want %d", name, h.Counters[name], want)
		}
	}
}
