package leaves

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"edgepdm/shared/gbdt"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// refusals are all reasons for which New may refuse a sound model.
var refusals = []string{
	"it has categorical splits",
	"its leaves hold a value for each output",
	"the outputs have different base scores",
	"it was never trained",
}

// TestEnginesAgree scores the models that stand in the repository with both engines.
func TestEnginesAgree(t *testing.T) {
	agree(t, models(t, filepath.Join("..", "testdata")), map[string]int{
		refusals[0]: 12, refusals[1]: 5, refusals[2]: 11, refusals[3]: 2,
	})
}

// TestEnginesAgreeOnAll does so with every model of the reference data.
func TestEnginesAgreeOnAll(t *testing.T) {
	agree(t, models(t, need.Shared(t, "models")), map[string]int{
		refusals[0]: 9, refusals[1]: 5,
	})
}

// agree compares both engines on every file, and wants as many refused for each reason as given.
func agree(t *testing.T, files []string, want map[string]int) {
	t.Helper()
	refused := make(map[string]int)
	scored, rows, worst := 0, 0, 0.0
	for _, file := range files {
		m := readXGBoost(t, file)
		second, err := New(m)
		if err != nil {
			reason := reasonOf(err)
			if reason == "" {
				t.Errorf("%s: %v", file, err)
			}
			refused[reason]++
			continue
		}
		scored++
		n, off := compareEngines(t, file, m, second)
		rows, worst = rows+n, max(worst, off)
	}
	t.Logf("%d files: %d scored by both, %d rows, margins differ by at most %.2g; refused: %v", len(files), scored, rows, worst, refused)
	if fmt.Sprint(refused) != fmt.Sprint(want) {
		t.Errorf("refused %v, want %v", refused, want)
	}
}

func reasonOf(err error) string {
	for _, reason := range refusals {
		if errors.Is(err, gbdt.ErrUnsupported) && strings.HasSuffix(err.Error(), reason) {
			return reason
		}
	}
	return ""
}

// compareEngines scores the rows that come with a model, and rows on the edges of its splits. It returns their number and
// the largest difference of margins, relative to the margin or 1.
func compareEngines(t *testing.T, file string, m *gbdt.Model, second *Model) (int, float64) {
	t.Helper()
	rows := edgeRows(m, 30)
	if path := filepath.Join(filepath.Dir(file), "X.csv"); exists(path) {
		for _, row := range readTable(t, path) {
			rows = append(rows, toFloat32(row))
		}
	}
	native, scorer, reference := gbdt.NewScorer(m), second.NewScorer(), newExactModel(m)
	worst := 0.0
	for i, row := range rows {
		want, err := native.Margin(nil, row)
		must.OK(t, err)
		got, err := scorer.Margin(nil, row)
		must.OK(t, err)
		exact := reference.sums(row)
		for k := range want {
			off := math.Abs(float64(got[k])-float64(want[k])) / max(1, math.Abs(float64(want[k])))
			worst = max(worst, off)
			if !(off <= Tolerance) || m.Booster != "gblinear" && got[k] != float32(exact[k]) {
				t.Errorf("%s: row %d: margin %d is %v, gbdt gives %v, the float64 sum is %v", file, i, k, got[k], want[k], exact[k])
			}
		}
		predicted, transformed := scorer.Predict(nil, got), native.Predict(nil, got)
		if fmt.Sprint(predicted) != fmt.Sprint(transformed) {
			t.Errorf("%s: row %d: predictions %v, gbdt's transform gives %v", file, i, predicted, transformed)
		}
	}
	return len(rows), worst
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// tiny is an XGBoost model over the features a and b, base margin 0:
//
//	tree 0: a < 1.5 (missing left) ? -1 : b < 0.25 (missing right) ? 2 : 4
//	tree 1: 0.5
const tiny = `{"version":[3,0,5],"learner":{"attributes":{},"feature_names":["a","b"],"feature_types":[],
"gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_trees":"2","num_parallel_tree":"1"},
"iteration_indptr":[0,1,2],"tree_info":[0,0],"trees":[
{"id":0,"tree_param":{"num_nodes":"5","size_leaf_vector":"1"},"left_children":[1,-1,3,-1,-1],"right_children":[2,-1,4,-1,-1],
"split_indices":[0,0,1,0,0],"split_conditions":[1.5E0,-1E0,2.5E-1,2E0,4E0],"default_left":[1,0,0,0,0],"split_type":[0,0,0,0,0]},
{"id":1,"tree_param":{"num_nodes":"1","size_leaf_vector":"1"},"left_children":[-1],"right_children":[-1],
"split_indices":[0],"split_conditions":[5E-1],"default_left":[0]}]}},
"learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"2","num_target":"1","boost_from_average":"1"},
"objective":{"name":"binary:logistic","reg_loss_param":{"scale_pos_weight":"1"}}}}`

// parseTiny parses the tiny model with parts of it replaced, given as pairs of old and new.
func parseTiny(t testing.TB, pairs ...string) *gbdt.Model {
	t.Helper()
	m, err := gbdt.Parse([]byte(must.Replace(t, tiny, pairs...)))
	must.OK(t, err)
	return m
}

// TestReadForest wants the trees as gbdt has them.
func TestReadForest(t *testing.T) {
	got := readForest(parseTiny(t))
	want := forest{
		trees: [][]node{
			{{1.5, 0, true, 1}, {value: -1}, {0.25, 1, false, 3}, {value: 2}, {value: 4}},
			{{value: 0.5}},
		},
		outputOf: []int32{0, 0}, weights: []float32{},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// TestThresholds holds the test `<` at its edges: leaves tests `<=`.
func TestThresholds(t *testing.T) {
	const denormal = math.SmallestNonzeroFloat32
	nan := float32(math.NaN())
	for _, c := range []struct {
		threshold   string
		left, right []float32
	}{
		{"1.5E0", []float32{1.4999999, -1, nan}, []float32{1.5, 1.5000001}},
		{"0E0", []float32{-denormal, -1}, []float32{0, float32(math.Copysign(0, -1)), denormal}},
		{"-0E0", []float32{-denormal}, []float32{0, float32(math.Copysign(0, -1)), denormal}},
		{"1E-45", []float32{0, -1}, []float32{denormal, 1}},
		{"Infinity", []float32{math.MaxFloat32, 0, nan}, nil},
		{"-Infinity", []float32{nan}, []float32{-math.MaxFloat32, 0}},
		{"-3.4028235E38", []float32{nan}, []float32{-math.MaxFloat32, 0}},
		{"3.4028235E38", []float32{3e38}, []float32{math.MaxFloat32}},
	} {
		m := parseTiny(t, "[1.5E0,", "["+c.threshold+",")
		second, err := New(m)
		must.OK(t, err)
		scorer := second.NewScorer()
		for _, side := range []struct {
			values []float32
			want   float32
		}{{c.left, -0.5}, {c.right, 2.5}} {
			for _, v := range side.values {
				if got, err := scorer.Margin(nil, []float32{v, 0}); err != nil || got[0] != side.want {
					t.Errorf("%v < %s: margin %v, %v, want %v", v, c.threshold, got, err, side.want)
				}
			}
		}
	}
}

// TestWithoutTrees scores a model of no rounds.
func TestWithoutTrees(t *testing.T) {
	start, end := strings.Index(tiny, `{"id":0`), strings.Index(tiny, `]}},`)
	m := parseTiny(t, tiny[start:end], "", `"num_trees":"2"`, `"num_trees":"0"`, "[0,1,2]", "[0]", `"tree_info":[0,0]`, `"tree_info":[]`,
		`"base_score":"5E-1"`, `"base_score":"7.5E-1"`)
	second, err := New(m)
	must.OK(t, err)
	if got, err := second.NewScorer().Margin(nil, []float32{0, 0}); err != nil || got[0] != m.BaseMargin[0] {
		t.Errorf("margin %v, %v, want %v", got, err, m.BaseMargin)
	}
}

// TestUnequalOutputs refuses a model whose outputs have different numbers of trees.
func TestUnequalOutputs(t *testing.T) {
	m := parseTiny(t, `"num_class":"0"`, `"num_class":"2"`, "binary:logistic", "multi:softprob")
	_, err := New(m)
	if !errors.Is(err, gbdt.ErrUnsupported) || !strings.Contains(err.Error(), "output 0 has 2 trees, output 1 has 0") {
		t.Error(err)
	}
}

// TestBadRows wants the errors of gbdt's scorer, word for word.
func TestBadRows(t *testing.T) {
	m := parseTiny(t)
	second, err := New(m)
	must.OK(t, err)
	native, scorer := gbdt.NewScorer(m), second.NewScorer()
	for _, row := range [][]float32{nil, {1}, {1, 2, 3}, {1, float32(math.Inf(1))}, {float32(math.Inf(-1)), 1}} {
		_, want := native.Margin(nil, row)
		_, got := scorer.Margin(nil, row)
		if got == nil || want == nil || got.Error() != want.Error() {
			t.Errorf("%v: %v, gbdt says %v", row, got, want)
		}
	}
}

// TestConcurrent scores with one model in several goroutines.
func TestConcurrent(t *testing.T) {
	m := readXGBoost(t, filepath.Join("..", "testdata", "3.0.5-dart_multi", "model.ubj"))
	second, err := New(m)
	must.OK(t, err)
	rows, reference := edgeRows(m, 200), newExactModel(m)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			scorer := second.NewScorer()
			var margin []float32
			for _, row := range rows {
				var err error
				if margin, err = scorer.Margin(margin, row); err != nil {
					t.Error(err)
					return
				}
				for k, exact := range reference.sums(row) {
					if margin[k] != float32(exact) {
						t.Errorf("margin %d is %v, want %v", k, margin[k], exact)
						return
					}
				}
			}
		})
	}
	wait.Wait()
}

// TestNoAllocation scores without allocating.
func TestNoAllocation(t *testing.T) {
	second, err := New(parseTiny(t))
	must.OK(t, err)
	scorer, row := second.NewScorer(), []float32{1, 2}
	var margin, prediction []float32
	allocations := testing.AllocsPerRun(100, func() {
		margin, _ = scorer.Margin(margin, row)
		prediction = scorer.Predict(prediction, margin)
	})
	if allocations != 0 {
		t.Errorf("%v allocations a row", allocations)
	}
}
