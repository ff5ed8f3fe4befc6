package scoring

import (
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/shared/gbdt"
	"edgepdm/test/must"
)

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	data, err := gbdt.ReadFile(filepath.Join(append([]string{"..", "..", "..", "shared", "gbdt"}, path...)...))
	must.OK(t, err)
	return data
}

// TestEngines scores a model with both engines, cut to its rounds by either.
func TestEngines(t *testing.T) {
	data := read(t, "testdata", "1.2.1-early_rf", "model.pkl4")
	for _, rounds := range []gbdt.Iterations{gbdt.AutoIterations, gbdt.AllIterations, gbdt.BestIterations} {
		native, err := Parse(data, Native, rounds)
		must.OK(t, err)
		second, err := Parse(data, Leaves, rounds)
		must.OK(t, err)
		row := make([]float32, native.NumFeature)
		for i := range row {
			row[i] = float32(i%5) - 2
		}
		want, err := native.Margin(nil, row)
		must.OK(t, err)
		got, err := second.Margin(nil, row)
		if err != nil || math.Abs(float64(got[0]-want[0])) > 1e-6 {
			t.Errorf("%s: margins %v and %v, %v", rounds, want, got, err)
		}
		var explained [2][]float32
		for i, m := range []*Model{native, second} {
			e, err := m.NewExplainer()
			must.OK(t, err)
			explained[i], err = e.Explain(nil, row)
			must.OK(t, err)
		}
		if len(explained[0]) != native.NumFeature+1 || !slices.Equal(explained[0], explained[1]) {
			t.Errorf("the engines explain %v and %v", explained[0], explained[1])
		}
		native.Scorer, second.Scorer = nil, nil
		if second.Objective != native.Objective || second.Outputs != native.Outputs || second.Predictions != native.Predictions ||
			second.Probability != native.Probability || !slices.Equal(second.FeatureNames, native.FeatureNames) ||
			len(second.Attributes) != len(native.Attributes) {
			t.Errorf("%+v and %+v", native, second)
		}
	}
}

// TestLightGBM reads a LightGBM model with the engine leaves only.
func TestLightGBM(t *testing.T) {
	data := read(t, "leaves", "testdata", "4.7.0-binary", "model.txt")
	for _, rounds := range []gbdt.Iterations{gbdt.AutoIterations, gbdt.AllIterations} {
		m, err := Parse(data, Leaves, rounds)
		must.OK(t, err)
		margin, err := m.Margin(nil, []float32{1, 2, 0, 1})
		if p := m.Predict(nil, margin); err != nil || !m.Probability || len(p) != 1 || !(p[0] > 0 && p[0] < 1) {
			t.Errorf("%v, %v, %v", m, p, err)
		}
		if _, err := m.NewExplainer(); !errors.Is(err, gbdt.ErrNotExplained) {
			t.Errorf("LightGBM's model is explained: %v", err)
		}
	}
	if _, err := Parse(data, Leaves, gbdt.BestIterations); !errors.Is(err, gbdt.ErrNoBestIteration) {
		t.Error(err)
	}
	if _, err := Parse(data, Native, gbdt.AllIterations); !errors.Is(err, gbdt.ErrUnsupported) || !strings.Contains(err.Error(), "engine: leaves") {
		t.Error(err)
	}
}

// TestRefused passes on why a model is refused.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		data   []byte
		engine Engine
		text   string
	}{
		{read(t, "testdata", "3.0.5-categorical", "model.ubj"), Leaves, "categorical splits"},
		{read(t, "leaves", "testdata", "4.7.0-linear", "model.txt"), Leaves, "linear tree"},
		{read(t, "testdata", "3.0.5-names", "model.ubj"), "quick", `engine "quick": native and leaves are known`},
		{[]byte("x"), Leaves, "unsupported model format"},
	} {
		if m, err := Parse(c.data, c.engine, gbdt.AutoIterations); m != nil || err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%v, %v, want %q", m, err, c.text)
		}
	}
}
