package gbdt

import (
	"fmt"
	"strconv"
)

// Iterations chooses the boosting rounds that a model scores with.
type Iterations string

// The values of Iterations.
const (
	AutoIterations Iterations = "auto" // those that the release that wrote the file predicts with; see Cut
	AllIterations  Iterations = "all"  // every round in the file
	BestIterations Iterations = "best" // up to best_iteration, which early stopping found
)

// Known says whether i is one of the constants.
func (i Iterations) Known() bool {
	return i == AutoIterations || i == AllIterations || i == BestIterations
}

// BestIteration returns the best_iteration attribute, which counts from 0; ok is false if the model has none.
// XGBoost's Python package sets it when training stops early, and until 1.7 always.
func (m *Model) BestIteration() (best int, ok bool) {
	best, err := strconv.Atoi(m.Attributes["best_iteration"])
	return best, err == nil && best >= 0
}

// Cut returns the model with the rounds that it is to score with; the two share what they have in common.
// AutoIterations are those that the release that wrote the file uses for what the file is:
//
//   - a pickled Booster that has best_ntree_limit, which releases before 2.0 set: up to the best iteration, as SageMaker's
//     endpoint does (predict with ntree_limit=getattr(booster, "best_ntree_limit", 0), until now). Its containers until 1.2
//     save such pickles; from 1.3 on they save models that are cut already.
//   - a model that a class of xgboost.sklearn saved, as a pickle or (since 1.0) with save_model: up to the best iteration, as
//     predict of that class does since 0.80.
//   - any other file: all rounds, as Booster.predict does.
//
// BestIterations needs a best_iteration (otherwise the error wraps ErrNoBestIteration) within the rounds that the model
// has, and a tree booster, as gblinear keeps no rounds apart (otherwise it wraps ErrUnsupported). Where the file does not
// tell the rounds apart, the error of a cut wraps ErrUnsupported.
func (m *Model) Cut(which Iterations) (*Model, error) {
	if len(m.Folds) > 0 && which != AllIterations {
		return m.cutFolds(which)
	}
	best, ok := m.BestIteration()
	switch which {
	case AllIterations:
		return m, nil
	case AutoIterations:
		// XGBoost takes a limit above the number of trees for all of them.
		if m.Wrapper == "" && !m.endpointCuts || !ok || best >= m.Iterations || m.Booster == "gblinear" {
			return m, nil
		}
	case BestIterations:
	default:
		return nil, fmt.Errorf("iterations %q: %q, %q and %q are known", which, AutoIterations, AllIterations, BestIterations)
	}
	switch {
	case !ok:
		return nil, refuse(ErrNoBestIteration, "it was not trained with early stopping; use %q", AllIterations)
	case best+1 == m.Iterations:
		return m, nil
	case m.Booster == "gblinear":
		return nil, refuse(ErrUnsupported, "gblinear cannot be cut to its best iteration")
	case best >= m.Iterations:
		return nil, refuse(ErrInvalid, "best_iteration is %d of %d iterations", best, m.Iterations)
	case m.roundsGuessed && 2*(best+1) <= m.Iterations: // otherwise no round can have two trees
		return nil, refuse(ErrUnsupported, "its best iteration is %d, but the file does not say how many trees an iteration has "+
			"(XGBoost before 1.6 leaves num_parallel_tree out); use %q", best, AllIterations)
	}
	cut := *m
	n := m.roundEnds[best]
	f := &cut.forest
	f.nodes = f.nodes[:f.end(n-1)]
	if f.covers != nil {
		f.covers = f.covers[:len(f.nodes)]
	}
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
	parallel, _ := d.parallelTrees()
	round := int64(parallel)
	if d.forest.vectorSize == 0 {
		round *= int64(outputs)
	}
	var ends []int
	for end := round; end <= int64(trees); end += round {
		ends = append(ends, int(end))
	}
	return ends, nil
}

// parallelTrees returns num_parallel_tree. Before 1.6 only the configuration of a snapshot holds it; otherwise
// best_ntree_limit gives it away, or the run of trees for the first of several outputs. Failing that it is taken for 1, as
// it is for all but random forests, and known is false.
func (d *document) parallelTrees() (trees int, known bool) {
	if d.parallel > 0 {
		return d.parallel, true
	}
	best, err1 := strconv.Atoi(d.attributes["best_iteration"])
	limit, err2 := strconv.Atoi(d.attributes["best_ntree_limit"])
	if err1 == nil && err2 == nil && best >= 0 && limit > 0 && limit%(best+1) == 0 {
		return limit / (best + 1), true
	}
	run := 1
	for run < len(d.treeInfo) && d.treeInfo[run] == d.treeInfo[0] {
		run++
	}
	if run < len(d.treeInfo) {
		return run, true
	}
	return 1, false
}
