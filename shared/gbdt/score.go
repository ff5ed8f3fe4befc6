package gbdt

import (
	"fmt"
	"math"
	"slices"
)

// Scorer scores rows with a model. It holds scratch memory, so it belongs to one goroutine at a time; make one for each
// goroutine. It stays valid, and the model unchanged, for as long as either is used.
//
// Numerical splits test value < threshold in float32, as XGBoost does. A missing value has no place in that test, so a
// row is prepared once: it is laid out twice, with -Inf for what is missing in the first half and +Inf in the second, and
// each split looks into the half that sends a missing value its default way. Walking a tree then needs no test for NaN.
type Scorer struct {
	model   *Model
	row     []float32 // 2 x NumFeature, prepared
	present []float32 // scratch of withoutMissing
	perfect *perfectForest
	late    bool        // the base margin is added after the trees
	folds   *foldScorer // of a k-fold archive; then the rest is not used
}

// NewScorer returns a scorer for m. It takes the fast layout where the model allows (numerical splits, one value a leaf,
// depth 8 at most), and otherwise walks the nodes of four trees side by side; the results are the same.
func NewScorer(m *Model) *Scorer {
	if len(m.Folds) > 0 {
		return &Scorer{model: m, folds: newFoldScorer(m, NewScorer)}
	}
	s := newPlainScorer(m)
	s.perfect = newPerfectForest(m)
	return s
}

func newPlainScorer(m *Model) *Scorer {
	if len(m.Folds) > 0 {
		return &Scorer{model: m, folds: newFoldScorer(m, newPlainScorer)}
	}
	return &Scorer{model: m, row: make([]float32, 2*m.NumFeature), late: m.sumsLate()}
}

// Fork returns a scorer of the same model for another goroutine. The two share what scoring does not change.
func (s *Scorer) Fork() *Scorer {
	other := &Scorer{model: s.model, row: make([]float32, len(s.row)), perfect: s.perfect, late: s.late}
	if s.folds != nil {
		other.folds = &foldScorer{predictions: make([]float32, len(s.folds.predictions))}
		for _, f := range s.folds.scorers {
			other.folds.scorers = append(other.folds.scorers, f.Fork())
		}
	}
	return other
}

// Margin scores one row: NumFeature values in the model's order, NaN where one is missing (0 is a value, not a missing
// one). It returns the model's Outputs margins in dst, which it grows if need be and may be nil; with room in dst it
// allocates nothing. Categories are given by their codes.
//
// The error wraps ErrRowLength, or ErrRowInfinite and names the column, from 1; dst then holds nothing of use.
func (s *Scorer) Margin(dst, row []float32) ([]float32, error) {
	m := s.model
	if len(row) != m.NumFeature {
		return dst, wrongLength(len(row), m.NumFeature)
	}
	dst = slices.Grow(dst[:0], m.Outputs)[:m.Outputs]
	if s.folds != nil {
		return dst, s.folds.margin(dst, row)
	}
	if m.Missing != nil {
		row = s.withoutMissing(row, *m.Missing)
	}
	if m.Booster == "gblinear" {
		return dst, s.linear(dst, row)
	}
	if err := s.prepare(row); err != nil {
		return dst, err
	}
	if s.late {
		clear(dst)
	} else {
		copy(dst, m.BaseMargin)
	}
	switch {
	case s.perfect == nil:
		s.addTrees(dst)
	case m.Outputs == 1:
		dst[0] = s.perfect.sum(dst[0], s.row)
	default:
		s.perfect.add(dst, s.row, m.outputOf)
	}
	if s.late {
		for i, b := range m.BaseMargin {
			dst[i] += b
		}
	}
	return dst, nil
}

// Predict turns one row's margins into predictions as the model's objective does: probabilities, expected values, or a
// class. It returns the model's Predictions values in dst, which it grows if need be and may be margin itself.
func (s *Scorer) Predict(dst, margin []float32) []float32 {
	if s.folds != nil {
		dst = slices.Grow(dst[:0], s.model.Predictions)[:s.model.Predictions]
		s.folds.predict(dst, margin)
		return dst
	}
	n := s.model.objective.predictions(len(margin))
	dst = slices.Grow(dst[:0], n)[:n]
	s.model.objective.predict(dst, margin)
	return dst
}

// withoutMissing returns the row with NaN for each value that stands for a missing one.
func (s *Scorer) withoutMissing(row []float32, missing float32) []float32 {
	s.present = append(s.present[:0], row...)
	for i, v := range s.present {
		if v == missing {
			s.present[i] = float32(math.NaN())
		}
	}
	return s.present
}

// prepare fills s.row.
func (s *Scorer) prepare(row []float32) error {
	missingLeft, missingRight := float32(math.Inf(-1)), float32(math.Inf(1))
	lower, upper := s.row[:len(row)], s.row[len(row):][:len(row)]
	for i, v := range row {
		lower[i], upper[i] = v, v
		if v-v != 0 { // NaN or infinite
			if v == v {
				return infiniteColumn(i)
			}
			lower[i], upper[i] = missingLeft, missingRight
		}
	}
	return nil
}

func wrongLength(n, features int) error {
	return fmt.Errorf("%w: %d where the model has %d features", ErrRowLength, n, features)
}

func infiniteColumn(i int) error { return fmt.Errorf("column %d: %w", i+1, ErrRowInfinite) }

// addTrees adds what each tree gives for the prepared row, walking the nodes of four trees side by side, whose loads overlap.
func (s *Scorer) addTrees(dst []float32) {
	roots := s.model.forest.roots
	last, categorical := len(roots)-1, len(s.model.forest.sets) > 0
	for t := 0; t <= last; t += 4 {
		leaves := [4]uint32{roots[t], roots[min(t+1, last)], roots[min(t+2, last)], roots[min(t+3, last)]}
		if categorical {
			s.walkSets(&leaves)
		} else {
			s.walk(&leaves)
		}
		for k, leaf := range leaves[:min(4, len(roots)-t)] {
			s.addLeaf(dst, t+k, leaf)
		}
	}
}

func (s *Scorer) addLeaf(dst []float32, tree int, leaf uint32) {
	m := s.model
	n, size := &m.forest.nodes[leaf], m.forest.vectorSize
	if size == 0 {
		dst[m.outputOf[tree]] += n.value
		return
	}
	for k, v := range m.forest.vectors[int(n.set)*size:][:size] {
		dst[k] += v
	}
}

// walk takes four nodes to the leaves that the prepared row reaches from them. One that has reached its leaf stays there.
func (s *Scorer) walk(at *[4]uint32) {
	nodes, row := s.model.forest.nodes, s.row
	a, b, c, d := at[0], at[1], at[2], at[3]
	for {
		na, nb, nc, nd := &nodes[a], &nodes[b], &nodes[c], &nodes[d]
		if na.left|nb.left|nc.left|nd.left == 0 {
			*at = [4]uint32{a, b, c, d}
			return
		}
		a = na.next(a, row[na.slot])
		b = nb.next(b, row[nb.slot])
		c = nc.next(c, row[nc.slot])
		d = nd.next(d, row[nd.slot])
	}
}

// next returns the child of a numerical split to which a value goes, or the leaf itself. The compiler makes it no branch.
func (n *node) next(self uint32, v float32) uint32 {
	child := n.left + 1
	if v < n.value {
		child = n.left
	}
	if n.left == 0 {
		child = self
	}
	return child
}

// walkSets is walk for trees with categorical splits.
func (s *Scorer) walkSets(leaves *[4]uint32) {
	nodes, sets := s.model.forest.nodes, s.model.forest.sets
	for k, at := range leaves {
		for n := &nodes[at]; n.left != 0; n = &nodes[at] {
			at = n.left
			if v := s.row[n.slot]; n.set == 0 && !(v < n.value) || n.set != 0 && goesRight(v, sets[n.set-1]) {
				at++
			}
		}
		leaves[k] = at
	}
}

// goesRight decides a categorical split: right if the category is in the set, left if it is not or cannot be one
// (common::Decision in src/common/categorical.h, since 1.7.2). A missing value, infinite here, goes its default way.
func goesRight(v float32, set []int32) bool {
	if !(v >= 0 && v < maxCategory) {
		return math.IsInf(float64(v), 1)
	}
	_, found := slices.BinarySearch(set, int32(v))
	return found
}

// linear scores with gblinear: the bias, the base margin, then each value that is not missing, in this order
// (GBLinear::Pred in src/gbm/gblinear.cc).
func (s *Scorer) linear(dst, row []float32) error {
	m := s.model
	clear(dst)
	if len(m.weights) > 0 { // otherwise it was never trained
		copy(dst, m.weights[m.NumFeature*m.Outputs:])
	}
	for k, b := range m.BaseMargin {
		dst[k] += b
	}
	for i, v := range row {
		if v-v != 0 {
			if v == v {
				return infiniteColumn(i)
			}
			continue
		}
		if len(m.weights) == 0 {
			continue
		}
		for k, w := range m.weights[i*m.Outputs:][:m.Outputs] {
			dst[k] += float32(v * w) // the conversion keeps arm64 from fusing the two, which would round once instead of twice
		}
	}
	return nil
}
