package leaves

import (
	"fmt"
	"math"
	"slices"

	"edgepdm/shared/gbdt"
)

// Scorer scores rows with a Model, as gbdt.Scorer does. It holds scratch memory, so it belongs to one goroutine at a time.
type Scorer struct {
	model   *Model
	row     []float64    // NumFeature
	sums    []float64    // Outputs
	xgboost *gbdt.Scorer // for its Predict; nil for LightGBM
}

// NewScorer returns a scorer for m. The scorers of a model share its trees.
func (m *Model) NewScorer() *Scorer {
	s := &Scorer{model: m, row: make([]float64, m.NumFeature), sums: make([]float64, m.Outputs)}
	if m.xgboost != nil {
		s.xgboost = gbdt.NewScorer(m.xgboost)
	}
	return s
}

// Fork returns a scorer of the same model for another goroutine.
func (s *Scorer) Fork() *Scorer {
	other := &Scorer{model: s.model, row: make([]float64, len(s.row)), sums: make([]float64, len(s.sums))}
	if s.xgboost != nil {
		other.xgboost = s.xgboost.Fork()
	}
	return other
}

// Margin scores one row: NumFeature values in the model's order, NaN where one is missing. It returns the model's Outputs
// margins in dst, which it grows if need be and may be nil; with room in dst it allocates nothing.
//
// The error wraps gbdt.ErrRowLength, or gbdt.ErrRowInfinite and names the column, from 1; dst then holds nothing of use.
func (s *Scorer) Margin(dst, row []float32) ([]float32, error) {
	m := s.model
	if len(row) != m.NumFeature {
		return dst, fmt.Errorf("%w: %d where the model has %d features", gbdt.ErrRowLength, len(row), m.NumFeature)
	}
	for i, v := range row {
		if m.xgboost != nil && m.xgboost.Missing != nil && v == *m.xgboost.Missing {
			v = float32(math.NaN())
		}
		s.row[i] = float64(v)
		if v-v == 0 {
			continue
		}
		if v == v {
			return dst, fmt.Errorf("column %d: %w", i+1, gbdt.ErrRowInfinite)
		}
		if m.missingAsZero {
			s.row[i] = 0
		}
	}
	width := m.Outputs / len(m.ensembles)
	for i, ensemble := range m.ensembles {
		if err := ensemble.Predict(s.row, 0, s.sums[i*width:(i+1)*width]); err != nil {
			return dst, fmt.Errorf("score with leaves: %w", err)
		}
	}
	dst = slices.Grow(dst[:0], m.Outputs)[:m.Outputs]
	for i, sum := range s.sums {
		dst[i] = float32(sum / m.divisor)
	}
	return dst, nil
}

// Predict turns one row's margins into predictions as the model's objective does. It returns the model's Predictions values
// in dst, which it grows if need be and may be margin itself.
func (s *Scorer) Predict(dst, margin []float32) []float32 {
	if s.xgboost != nil {
		return s.xgboost.Predict(dst, margin)
	}
	dst = slices.Grow(dst[:0], len(margin))[:len(margin)]
	s.model.transform.predict(dst, margin)
	return dst
}

func finite(v float64) bool { return math.Abs(v) <= math.MaxFloat64 }
