package window

import (
	"math"
	"testing"
	"time"

	"edgepdm/test/must"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * 1e9)) }

var nan = float32(math.NaN())

func same(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) && !(a[i] != a[i] && b[i] != b[i]) {
			return false
		}
	}
	return true
}

// The statistics of a few rows, by hand.
func TestStatistics(t *testing.T) {
	spec := Spec{Sensors: []string{"unused", "a"}, Inputs: []Input{{Sensor: "a", Stat: Last}}}
	for _, s := range []Stat{Mean, Min, Max, Std, Slope, Count} {
		spec.Inputs = append(spec.Inputs, Input{Sensor: "a", Stat: s, Rows: 3}, Input{Sensor: "a", Stat: s, Time: "4s"})
	}
	w, err := New(spec, 1<<20)
	must.OK(t, err)
	for i, c := range []struct {
		ts    float64
		value float32
		want  []float32 // last; then over rows, over time: mean, min, max, std, slope, count
	}{
		{0, 1, []float32{1, 1, 1, 1, 1, 1, 1, nan, nan, nan, nan, 1, 1}},
		{2, 3, []float32{3, 2, 2, 1, 1, 3, 3, math.Sqrt2, math.Sqrt2, 2, 1, 2, 2}},
		{4, nan, []float32{nan, 2, 3, 1, 3, 3, 3, math.Sqrt2, nan, 2, nan, 2, 1}},
		{5, 9, []float32{9, 6, 6, 3, 3, 9, 9, 3 * math.Sqrt2, 3 * math.Sqrt2, 3, 2, 2, 2}},
		{9, nan, []float32{nan, 9, nan, 9, nan, 9, nan, nan, nan, nan, nan, 1, 0}},
	} {
		got, outcome := w.Add(nil, "p", Row{"e", uint64(i + 1), at(c.ts), []float32{7, c.value}})
		if outcome != Added || !same(got, c.want) {
			t.Errorf("row %d: %v %v, want %v", i+1, outcome, got, c.want)
		}
	}
}
