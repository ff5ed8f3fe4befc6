package engine_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/event"
	"edgepdm/test/coretest"
)

// A row with too few values has no verdict, and says which sensors it lacks; the share is configurable.
func TestTooFewValuesAreNoVerdict(t *testing.T) {
	r := newRig(t)
	r.start(shippedModel)
	r.await("a model", ok)
	features, rows, _ := golden(t)
	row := func(present int) []float32 {
		values := append([]float32(nil), rows[0]...)
		for i := range values {
			if values[i] != values[i] {
				values[i] = 1
			}
			if i >= present {
				values[i] = float32(math.NaN())
			}
		}
		return values
	}
	seq := uint64(0)
	predict := func(present int) event.Prediction {
		seq++
		m := telemetry(seq, row(present))
		r.publish(event.TelemetryTopic(m.Thing), encode(t, m))
		return r.prediction()
	}
	n := len(features)
	if p := predict(0); p.Label != event.LabelNoData || p.Absent != n || !strings.HasPrefix(p.Missing, features[0]+", ") || p.Assembling {
		t.Errorf("%+v", p)
	}
	least := int(math.Ceil(0.1 * float64(n)))
	if p := predict(least - 1); p.Label != event.LabelNoData || p.Absent != n-least+1 || !strings.HasPrefix(p.Missing, features[least-1]+", ") {
		t.Errorf("%+v", p)
	}
	if p := predict(least); p.Label == event.LabelNoData || p.Absent != 0 || p.Missing != "" {
		t.Errorf("%+v", p)
	}
	coretest.Configure(t, r.core, engineName, map[string]any{"leastPresent": 0})
	for p := predict(0); p.Label == event.LabelNoData; p = predict(0) { // until the change has arrived
	}
}

// Rows that come in parts have no verdict until every sensor was heard, or the first part is as old as a value may be; after a
// restart likewise.
func TestRowsInPartsHaveNoVerdictUntilTheyAreWhole(t *testing.T) {
	const parts = 14
	r := newRig(t)
	features, rows, _ := golden(t)
	seq := uint64(0)
	part := func(k int) event.Prediction {
		seq++
		m := telemetry(seq, nil)
		m.Readings = event.Readings{}
		for i := k * len(features) / parts; i < (k+1)*len(features)/parts; i++ {
			m.Readings[features[i]] = rows[0][i]
		}
		r.publish(event.TelemetryTopic(m.Thing), encode(t, m))
		return r.prediction()
	}
	run := ""
	for range 2 {
		r.start(shippedModel)
		run = r.await("a model", func(h event.Health) bool { return ok(h) && h.Run != run }).Run
		for k := range 2 * parts {
			p := part(k % parts)
			whole := k >= parts-1
			if none := p.Label == event.LabelNoData; none == whole || p.Assembling == whole {
				t.Errorf("part %d: %+v", k, p)
			}
		}
		r.stop()
	}
	coretest.Configure(t, r.core, engineName, map[string]any{"maxAge": "300ms"})
	r.start(shippedModel)
	r.await("a model", func(h event.Health) bool { return ok(h) && h.Run != run })
	begin := time.Now()
	for p := part(0); p.Assembling; p = part(int(seq) % (parts - 1)) { // the last part never comes
		if time.Since(begin) > 20*time.Second {
			t.Fatal("assembles for ever")
		}
	}
	if took := time.Since(begin); took < 300*time.Millisecond {
		t.Errorf("assembled after %v", took)
	}
}

// The workshop's one property stands for a whole row.
func TestTheWorkshopsPropertyHasAVerdict(t *testing.T) {
	r := newRig(t)
	r.start(shippedModel)
	r.await("a model", ok)
	r.publish("$aws/things/Iot-Sensor/shadow/update/accepted", []byte(`{"state":{"desired":{"property":"0.53"}},"version":12}`))
	if p := r.prediction(); p.Label != event.LabelFaulty && p.Label != event.LabelNotFaulty {
		t.Errorf("%+v", p)
	}
	if h := r.await("the row", func(h event.Health) bool { return h.Counters[engine.CounterPredictions] == 1 }); h.Counters[engine.CounterNoVerdict] != 0 {
		t.Errorf("%v", h.Counters)
	}
}
