package gbdt

import (
	"errors"
	"strconv"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestCut(t *testing.T) {
	m := parseTiny(t)
	if all, err := m.Cut(AllIterations); err != nil || all.NumTrees != 2 {
		t.Errorf("all: %+v, %v", all, err)
	}
	best, err := m.Cut(BestIterations)
	if err != nil {
		t.Fatal(err)
	}
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

func TestCutRefuses(t *testing.T) {
	linear, err := readModel("testdata/3.0.5-gblinear_multi/model.json")
	if err != nil {
		t.Fatal(err)
	}
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
