package gbdt

import (
	"errors"
	"path/filepath"
	"strconv"
	"testing"

	"edgepdm/test/must"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestCut(t *testing.T) {
	m := parseTiny(t)
	if all, err := m.Cut(AllIterations); err != nil || all.NumTrees != 2 {
		t.Errorf("all: %+v, %v", all, err)
	}
	best, err := m.Cut(BestIterations)
	must.OK(t, err)
	if best.NumTrees != 1 || best.Iterations != 1 || best.NumNodes != 5 || m.NumTrees != 2 {
		t.Errorf("best: %d trees, %d iterations, %d nodes, and %d trees of all", best.NumTrees, best.Iterations, best.NumNodes, m.NumTrees)
	}
	for model, want := range map[*Model]float32{m: 4.5, best: 4} {
		for layout, s := range map[string]*Scorer{"fast": NewScorer(model), "plain": newPlainScorer(model)} {
			if got, err := s.Margin(nil, []float32{2, 1}); err != nil || got[0] != want {
				t.Errorf("%d trees, %s: %v, %v; want %v", model.NumTrees, layout, got, err, want)
			}
		}
	}
	if again, err := best.Cut(BestIterations); err != nil || again != best {
		t.Errorf("a model that is cut already: %v, %v", again, err)
	}
}

// TestCutAuto wants the rounds that predict of each release uses for what the file is: a pickled Booster up to
// best_ntree_limit, which releases before 2.0 set; what a class of xgboost.sklearn saved up to the best iteration; a
// Booster's own file whole. TestExact compares what the same files give.
func TestCutAuto(t *testing.T) {
	for file, want := range map[string][2]int{ // rounds in the file, rounds that the endpoint uses
		"0.72.1-early_rf/model.pkl2": {6, 2}, "1.2.1-early_rf/model.pkl4": {5, 1}, "1.5.2-binary_hinge/model.pkl5": {6, 6},
		"0.90-early_wrapper/model.pkl3": {10, 7}, "1.2.1-early_raw/xgboost-model": {10, 10}, "1.2.1-early_wrapper/model.json": {10, 7},
		"1.2.1-early_wrapper/model.pkl4": {10, 7}, "1.5.2-early_pickle/model.pkl4": {10, 7}, "1.5.2-early_raw/xgboost-model": {10, 10},
		"1.5.2-early_wrapper/model.json": {10, 7}, "1.5.2-early_wrapper/model.pkl4": {10, 7}, "2.1.4-early_pickle/model.pkl4": {5, 5},
		"2.1.4-early_wrapper/model.json": {5, 2}, "2.1.4-early_wrapper/model.pkl4": {5, 2}, "3.0.5-early_pickle/model.pkl4": {5, 5},
		"3.0.5-early_raw/model.ubj": {5, 5}, "3.0.5-early_wrapper/model.json": {5, 2}, "3.0.5-early_wrapper/model.pkl4": {5, 2},
		"2.1.4-gblinear_multi/model.pkl3": {6, 6}, "3.0.5-names/model.ubj": {8, 8}, "1.5.2-kfold/model.tar.gz": {12, 12},
	} {
		m, err := readModel(filepath.Join("testdata", file))
		must.OK(t, err)
		cut, err := m.Cut(AutoIterations)
		if err != nil || m.Iterations != want[0] || cut.Iterations != want[1] {
			t.Errorf("%s: %d iterations, cut to %d, %v; want %v", file, m.Iterations, cut.Iterations, err, want)
		}
	}
	m := parseTiny(t)
	if cut, err := m.Cut(AutoIterations); err != nil || cut != m {
		t.Errorf("JSON: %v, %v", cut, err)
	}
	pickle, err := Parse(pickled(pushBytes(tiny), ""))
	must.OK(t, err)
	if cut, err := pickle.Cut(AutoIterations); err != nil || cut != pickle {
		t.Errorf("pickled without best_ntree_limit, as since 2.0: %v, %v", cut, err)
	}
	m, err = Parse(pickled(pushBytes(tiny), "\x8c\x10best_ntree_limitK\x01"))
	must.OK(t, err)
	if cut, err := m.Cut(AutoIterations); err != nil || cut.Iterations != 1 {
		t.Errorf("pickled: %v, %v", cut, err)
	}
	m.Attributes["best_iteration"] = "7"
	if cut, err := m.Cut(AutoIterations); err != nil || cut != m {
		t.Errorf("pickled, beyond the end: %v, %v", cut, err)
	}
	folds, err := newFolds([]*Model{parseTiny(t), parseTiny(t)}, DefaultLimits())
	must.OK(t, err)
	if cut, err := folds.Cut(BestIterations); err != nil || cut.Iterations != 2 || cut.NumTrees != 2 || folds.NumTrees != 4 {
		t.Errorf("folds: %+v, %v", cut, err)
	}
}

func TestCutRefuses(t *testing.T) {
	linear, err := readModel("testdata/3.0.5-gblinear_multi/model.json")
	must.OK(t, err)
	linear.Attributes["best_iteration"] = "3"
	for name, c := range map[string]struct {
		model *Model
		which Iterations
		want  error
	}{
		"none":         {parseTiny(t, `"best_iteration":"0",`, ``), BestIterations, ErrNoBestIteration},
		"no number":    {parseTiny(t, `"best_iteration":"0"`, `"best_iteration":"x"`), BestIterations, ErrNoBestIteration},
		"negative":     {parseTiny(t, `"best_iteration":"0"`, `"best_iteration":"-1"`), BestIterations, ErrNoBestIteration},
		"beyond":       {parseTiny(t, `"best_iteration":"0"`, `"best_iteration":"2"`), BestIterations, ErrInvalid},
		"gblinear":     {linear, BestIterations, ErrUnsupported},
		"another word": {parseTiny(t), "some", nil},
		"rounds of an unknown number of trees": {parseTiny(t, `"num_trees":"2","num_parallel_tree":"1"`, `"num_trees":"2"`, `"iteration_indptr":[0,1,2],`, ``),
			BestIterations, ErrUnsupported},
	} {
		if m, err := c.model.Cut(c.which); m != nil || err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v; want %v", name, m, err, c.want)
		}
	}
}

// TestRoundEnds covers how rounds are found in files older than iteration_indptr.
func TestRoundEnds(t *testing.T) {
	run := func(n int, groups ...int32) []int32 {
		var info []int32
		for range n {
			info = append(info, groups...)
		}
		return info
	}
	for name, c := range map[string]struct {
		doc     document
		outputs int
		ends    []int
	}{
		"indptr":              {document{treeInfo: run(10, 0), indptr: []int32{0, 4, 4, 10}}, 1, []int{4, 4, 10}},
		"one output":          {document{treeInfo: run(3, 0)}, 1, []int{1, 2, 3}},
		"three outputs":       {document{treeInfo: run(2, 0, 1, 2)}, 3, []int{3, 6}},
		"declared forest":     {document{treeInfo: run(10, 0), parallel: 5}, 1, []int{5, 10}},
		"forest by attribute": {document{treeInfo: run(9, 0), attributes: map[string]string{"best_iteration": "1", "best_ntree_limit": "6"}}, 1, []int{3, 6, 9}},
		"forest by outputs":   {document{treeInfo: run(2, 0, 0, 1, 1)}, 2, []int{4, 8}},
		"no trees":            {document{indptr: []int32{0}}, 1, nil},
	} {
		c.doc.forest.roots = make([]uint32, len(c.doc.treeInfo))
		ends, err := c.doc.roundEnds(c.outputs)
		if err != nil || len(ends) != len(c.ends) {
			t.Errorf("%s: %v, %v; want %v", name, ends, err, c.ends)
			continue
		}
		for i := range ends {
			if ends[i] != c.ends[i] {
				t.Errorf("%s: %v, want %v", name, ends, c.ends)
			}
		}
	}
}
