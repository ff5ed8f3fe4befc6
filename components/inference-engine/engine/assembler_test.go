package engine

import (
	"fmt"
	"math"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ledger"
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

// However many strangers there are, no more is kept than a ledger's things, and nothing of what no model has a sensor for.
func TestAssemblerIsBounded(t *testing.T) {
	m := &activeModel{features: 1, sensors: map[string]int{"a": 0}}
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a := newAssembler(time.Hour)
	merge := func(thing, reading string, at int) {
		_, _, invalid := a.merge(m, &event.Telemetry{Thing: thing, Epoch: "e", Readings: event.Readings{reading: 1}}, begin.Add(time.Duration(at)*time.Millisecond))
		if valid := reading == "a"; valid != (invalid == nil) {
			t.Fatalf("%s of %s: %v", reading, thing, invalid)
		}
	}
	merge("stranger", "x", 0)
	if len(a.things) != 0 {
		t.Errorf("%d things are kept of a message that is invalid", len(a.things))
	}
	for i := range ledger.MaxThings {
		merge(fmt.Sprint("thing-", i), "a", i)
	}
	merge("thing-0", "a", ledger.MaxThings) // so that thing-1 is the silent one
	merge("one more", "a", ledger.MaxThings+1)
	if len(a.things) != ledger.MaxThings || a.things["thing-1"] != nil || a.things["thing-0"] == nil || a.things["one more"] == nil {
		t.Errorf("%d things are kept, thing-1: %v", len(a.things), a.things["thing-1"] != nil)
	}
}
