package engine

import (
	"math"
	"testing"
	"time"

	"edgepdm/shared/event"
)

func TestAssemblerMergesPartsAndAgesThem(t *testing.T) {
	nan := float32(math.NaN())
	m := &activeModel{features: 3, sensors: map[string]int{"a": 0, "b": 1, "c": 2}}
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a := newAssembler(time.Minute)
	for _, c := range []struct {
		what     string
		after    time.Duration
		epoch    string
		readings event.Readings
		want     []float32
		unknown  int
		reason   event.Reason
	}{
		{"first part", 0, "e", event.Readings{"a": 1}, []float32{1, nan, nan}, 0, ""},
		{"second part", 30 * time.Second, "e", event.Readings{"b": 2, "x": 9}, []float32{1, 2, nan}, 1, ""},
		{"a is too old", 61 * time.Second, "e", event.Readings{"c": 3}, []float32{nan, 2, 3}, 0, ""},
		{"missing on purpose", 62 * time.Second, "e", event.Readings{"b": nan}, []float32{nan, nan, 3}, 0, ""},
		{"nothing known", 63 * time.Second, "e", event.Readings{"x": 1, "y": 2}, nil, 2, event.ReasonSensor},
		{"the workshop's property", 64 * time.Second, event.ShadowEpoch, event.Readings{"property": 0.5}, []float32{0.5, nan, 3}, 0, ""},
		{"property of another sender", 65 * time.Second, "e", event.Readings{"property": 0.7}, nil, 1, event.ReasonSensor},
	} {
		row, unknown, invalid := a.merge(m, &event.Telemetry{Thing: "p", Epoch: c.epoch, Readings: c.readings}, begin.Add(c.after))
		var reason event.Reason
		if invalid != nil {
			reason = invalid.Reason
		}
		if reason != c.reason || unknown != c.unknown || len(row) != len(c.want) {
			t.Errorf("%s: row %v, unknown %d, reason %q", c.what, row, unknown, reason)
			continue
		}
		for i, want := range c.want {
			if row[i] != want && !(row[i] != row[i] && want != want) {
				t.Errorf("%s: row %v, want %v", c.what, row, c.want)
				break
			}
		}
	}
}
