package gbdt

import (
	"fmt"
	"strconv"
)

// Iterations chooses the boosting rounds that a model scores with.
type Iterations string

// The values of Iterations.
const (
	AllIterations  Iterations = "all"  // every round in the file
	BestIterations Iterations = "best" // up to best_iteration, which early stopping found
)

// BestIteration returns the best_iteration attribute, which counts from 0; ok is false if the model has none.
// XGBoost's Python package sets it when training stops early, and until 1.7 always.
func (m *Model) BestIteration() (best int, ok bool) {
	best, err := strconv.Atoi(m.Attributes["best_iteration"])
	return best, err == nil && best >= 0
}

// Cut returns the model with the rounds that it is to score with; the two share what they have in common. Models that
// SageMaker's containers saved are cut already from 1.3 on, and are not before.
//
// BestIterations needs a best_iteration (otherwise the error wraps ErrNoBestIteration) within the rounds that the model
// has, and a tree booster, as gblinear keeps no rounds apart (otherwise it wraps ErrUnsupported).
func (m *Model) Cut(which Iterations) (*Model, error) {
	switch which {
	case AllIterations:
		return m, nil
	case BestIterations:
	default:
		return nil, fmt.Errorf("iterations %q: %q and %q are known", which, AllIterations, BestIterations)
	}
	best, ok := m.BestIteration()
	switch {
	case !ok:
		return nil, refuse(ErrNoBestIteration, "it was not trained with early stopping; use %q", AllIterations)
	case best+1 == m.Iterations:
		return m, nil
	case m.Booster == "gblinear":
		return nil, refuse(ErrUnsupported, "gblinear cannot be cut to its best iteration")
	case best >= m.Iterations:
		return nil, refuse(ErrInvalid, "best_iteration is %d of %d iterations", best, m.Iterations)
	}
	cut := *m
	n := m.roundEnds[best]
	f := &cut.forest
	f.nodes = f.nodes[:f.end(n-1)]
	f.roots, f.depths = f.roots[:n], f.depths[:n]
	cut.outputOf, cut.roundEnds = m.outputOf[:n], m.roundEnds[:best+1]
	cut.countTrees()
	return &cut, nil
}

// roundEnds returns how many trees stand before the end of each round. The file says so since 2.0 (iteration_indptr);
// before, every round has parallel trees for each output.
func (d *document) roundEnds(outputs int) ([]int, error) {
	trees := len(d.forest.roots)
	if len(d.indptr) > 0 {
		ends := make([]int, 0, len(d.indptr)-1)
		for i, p := range d.indptr {
			if i == 0 && p != 0 || i > 0 && p < d.indptr[i-1] {
				return nil, refuse(ErrInvalid, "iteration_indptr does not rise from 0")
			}
			if i > 0 {
				ends = append(ends, int(p))
			}
		}
		if last := d.indptr[len(d.indptr)-1]; int(last) != trees {
			return nil, refuse(ErrInvalid, "iteration_indptr ends at tree %d of %d", last, trees)
		}
		return ends, nil
	}
	round := int64(d.parallelTrees())
	if d.forest.vectorSize == 0 {
		round *= int64(outputs)
	}
	var ends []int
	for end := round; end <= int64(trees); end += round {
		ends = append(ends, int(end))
	}
	return ends, nil
}

// parallelTrees returns num_parallel_tree, which JSON does not hold before 1.6. There best_ntree_limit gives it away, or
// the run of trees for the first of several outputs; otherwise it is 1, as it is for all but random forests.
func (d *document) parallelTrees() int {
	if d.parallel > 0 {
		return d.parallel
	}
	best, err1 := strconv.Atoi(d.attributes["best_iteration"])
	limit, err2 := strconv.Atoi(d.attributes["best_ntree_limit"])
	if err1 == nil && err2 == nil && best >= 0 && limit > 0 && limit%(best+1) == 0 {
		return limit / (best + 1)
	}
	run := 1
	for run < len(d.treeInfo) && d.treeInfo[run] == d.treeInfo[0] {
		run++
	}
	if run < len(d.treeInfo) {
		return run
	}
	return 1
}
