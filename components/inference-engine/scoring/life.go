package scoring

import (
	"fmt"
	"slices"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
)

// LifeOutputs is how many values a life model gives for a row: three quantiles.
const LifeOutputs = 3

// Life reads the values that a life model gives for a row. Quantiles that cross are put in order; the margin of the calibration
// widens the interval, or narrows it, but not beyond the median.
func Life(outputs []float32, scale envelope.LifeScale) (*event.Life, error) {
	if len(outputs) != LifeOutputs {
		return nil, fmt.Errorf("a life model gives %d values, need %d", len(outputs), LifeOutputs)
	}
	var q [LifeOutputs]float64
	for i, x := range outputs {
		if x != x {
			return nil, fmt.Errorf("the life model gave %v", outputs)
		}
		q[i] = float64(x)
	}
	slices.Sort(q[:])
	within := func(x float64) float64 { return min(max(x, 0), scale.Cap) }
	l := event.Life{Median: within(q[1]), Coverage: scale.Coverage, Unit: scale.Unit}
	l.Low = min(within(q[0]-scale.Margin), l.Median)
	l.High = max(within(q[2]+scale.Margin), l.Median)
	l.Beyond = l.High >= scale.Cap
	return &l, nil
}
