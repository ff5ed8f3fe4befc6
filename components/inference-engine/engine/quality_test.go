package engine_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/event"
	"edgepdm/test/coretest"
	plants "edgepdm/test/plant"
)

// A sensor that is stuck is named in the predictions of its machine, also by the engine's next process, until it moves.
func TestAStuckSensorIsNamed(t *testing.T) {
	r := newRig(t)
	var ahead atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	begin := func() {
		r.startRun((&engine.Engine{ShippedModel: shippedModel, Now: clock}).Run)
		r.await("a model", ok)
	}
	begin()
	machine := plant.New(3, "press-1")
	seq := uint64(0)
	const stuck = 11
	name := plant.Sensors()[stuck]
	rows := func(n int, stick bool) (p event.Prediction) {
		for range n {
			seq++
			ahead.Add(int64(15 * time.Second))
			m := telemetry(seq, machine.Step(15*time.Second).Values)
			if stick {
				m.Values[stuck] = 7.5
			}
			r.publish(event.TelemetryTopic(m.Thing), encode(t, m))
			p = r.prediction()
			if p.Quality != nil && !stick {
				t.Fatalf("row %d: %+v", seq, p.Quality)
			}
		}
		return p
	}
	named := func(p event.Prediction) bool {
		return p.Quality != nil && slices.Equal(p.Quality.Frozen, []string{name})
	}
	rows(150, false)
	if p := rows(36, true); p.Quality != nil {
		t.Errorf("too early: %+v", p.Quality)
	}
	if p := rows(12, true); !named(p) {
		t.Fatalf("%+v", p.Quality)
	}
	onDisk := func() bool {
		data, err := os.ReadFile(filepath.Join(r.env.WorkDir, "quality.json"))
		return err == nil && strings.Contains(string(data), `"frozen":["`+name+`"]`)
	}
	if !plants.Until(10*time.Second, onDisk) { // before the end: the process may be killed
		t.Error("it is not on disk")
	}
	r.stop()
	begin()
	if p := rows(20, true); !named(p) {
		t.Errorf("after a restart: %+v", p.Quality)
	}
	rows(1, true)
	machine.Step(time.Second)
	for range 12 { // until the slice of time is over in which it has moved
		seq++
		ahead.Add(int64(15 * time.Second))
		m := telemetry(seq, machine.Step(15*time.Second).Values)
		r.publish(event.TelemetryTopic(m.Thing), encode(t, m))
		if p := r.prediction(); p.Quality == nil {
			return
		}
	}
	t.Error("it is still named")
}

// Nothing is doubted with frozenAfter 0.
func TestQualityIsOff(t *testing.T) {
	c := engine.Default()
	for after, right := range map[time.Duration]bool{0: true, time.Second: false, 10 * time.Second: true, 25 * time.Hour: false, -1: false} {
		c.FrozenAfter = after
		if err := c.Validate(); (err == nil) != right {
			t.Errorf("%v: %v", after, err)
		}
	}
	r := newRig(t)
	coretest.Configure(t, r.core, engineName, map[string]any{"frozenAfter": "0s"})
	var ahead atomic.Int64
	r.startRun((&engine.Engine{ShippedModel: shippedModel, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}).Run)
	r.await("a model", ok)
	machine := plant.New(3, "press-1")
	for seq := range uint64(150) {
		ahead.Add(int64(time.Minute))
		m := telemetry(seq+1, machine.Step(time.Minute).Values)
		if seq > 100 {
			m.Values[11] = 7.5
		}
		r.publish(event.TelemetryTopic(m.Thing), encode(t, m))
		if p := r.prediction(); p.Quality != nil {
			t.Fatalf("%+v", p.Quality)
		}
	}
}
