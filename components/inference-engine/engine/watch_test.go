package engine_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/event"
	"edgepdm/test/coretest"
)

// Predictions carry the values of the sensors that are watched, as the row has them; those without a value are absent. One that the
// model does not have is told, and the rest works; a prediction stays within what every way to the cloud carries.
func TestWatchedValuesComeWithPredictions(t *testing.T) {
	r := newRig(t)
	features, rows, _ := golden(t)
	coretest.Configure(t, r.core, engineName, map[string]any{"watch": []any{features[0], features[1], "oil_temp_9"}})
	r.start(shippedModel)
	told := func(h event.Health) bool {
		for _, c := range h.Conditions {
			if c.Code == event.CodeConfiguration && c.Place == "watch" && strings.Contains(c.Detail, "no sensor oil_temp_9:") {
				return true
			}
		}
		return false
	}
	r.await("the unknown sensor", func(h event.Health) bool { return h.State == event.StateDegraded && told(h) })
	values := append([]float32(nil), rows[0]...)
	values[0], values[1] = 96.2, float32(math.NaN())
	m := telemetry(1, values)
	r.publish(event.TelemetryTopic(m.Thing), encode(t, m))
	if p := r.prediction(); len(p.Watched) != 1 || p.Watched[features[0]] != 96.2 || p.Label == "" {
		t.Errorf("%+v", p)
	}
	coretest.Configure(t, r.core, engineName, map[string]any{"watch": []any{features[1]}})
	r.await("no complaint", ok)
	m = telemetry(2, nil)
	m.Readings = event.Readings{features[0]: 1, features[1]: -2.5}
	r.publish(event.TelemetryTopic(m.Thing), encode(t, m))
	if p := r.prediction(); len(p.Watched) != 1 || p.Watched[features[1]] != -2.5 {
		t.Errorf("%+v", p)
	}
	coretest.Configure(t, r.core, engineName, map[string]any{"watch": []any{}})
	for seq := uint64(3); ; seq++ { // until the change has arrived
		m := telemetry(seq, values)
		r.publish(event.TelemetryTopic(m.Thing), encode(t, m))
		if r.prediction().Watched == nil {
			return
		}
	}
}

// A wrong watch is refused with its name.
func TestWrongWatchIsNamed(t *testing.T) {
	many := make([]string, event.MaxWatched+1)
	for i := range many {
		many[i] = fmt.Sprint("s", i)
	}
	for want, watch := range map[string][]string{
		"watch: has 33 sensors, at most 32": many, "watch[1]: sensor name has 0 bytes": {"a", ""},
		"watch[0]: sensor name has 65 bytes": {strings.Repeat("n", 65)}, `watch[2]: "a" is there twice`: {"a", "b", "a"},
		"watch[0]: sensor name \"a\\x1b\"": {"a\x1b"},
	} {
		c := engine.Default()
		c.Watch = watch
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	c := engine.Default()
	c.Watch = many[:event.MaxWatched]
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}
