package scoring

import (
	"math"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
)

func TestLife(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name    string
		outputs []float32
		margin  float64
		want    event.Life // without coverage and unit
	}{
		{"the margin widens", []float32{20, 30, 40}, 2, event.Life{Low: 18, Median: 30, High: 42}},
		{"the margin narrows", []float32{20, 30, 40}, -3, event.Life{Low: 23, Median: 30, High: 37}},
		{"but not beyond the median", []float32{20, 30, 32}, -5, event.Life{Low: 25, Median: 30, High: 30}},
		{"crossing quantiles", []float32{40, 20, 30}, 1, event.Life{Low: 19, Median: 30, High: 41}},
		{"below 0", []float32{-5, -1, 3}, 2, event.Life{Low: 0, Median: 0, High: 5}},
		{"all below 0", []float32{-9, -8, -7}, 2, event.Life{}},
		{"the cap", []float32{90, 99, 124}, 1, event.Life{Low: 89, Median: 99, High: 125, Beyond: true}},
		{"beyond the cap", []float32{130, 140, inf}, 1, event.Life{Low: 125, Median: 125, High: 125, Beyond: true}},
	} {
		c.want.Coverage, c.want.Unit = 0.9, "hours"
		got, err := Life(c.outputs, envelope.LifeScale{Unit: "hours", Cap: 125, Coverage: 0.9, Margin: c.margin})
		if err != nil || *got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
	for _, outputs := range [][]float32{{1, 2}, {1, nan, 3}, nil} {
		if got, err := Life(outputs, envelope.LifeScale{}); err == nil {
			t.Errorf("%v gives %+v", outputs, got)
		}
	}
}
