package offline

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"edgepdm/shared/cli"
	"edgepdm/test/must"
)

// TestScoreWithLeaves scores a model with both engines; their margins differ in the last digits at most.
func TestScoreWithLeaves(t *testing.T) {
	folder := filepath.Join(models, "3.0.5-names")
	rows := read(t, folder, "X.csv")
	native, err := score(t, strings.NewReader(rows), "-model", filepath.Join(folder, "model.ubj"))
	must.OK(t, err)
	second, err := score(t, strings.NewReader(rows), "-model", filepath.Join(folder, "model.ubj"), "-engine", "leaves")
	must.OK(t, err)
	near(t, second, native)
}

// TestScoreLightGBM scores a model of LightGBM, and has its answers.
func TestScoreLightGBM(t *testing.T) {
	folder := filepath.Join(models, "..", "leaves", "testdata", "4.7.0-binary")
	rows := read(t, folder, "..", "X.csv")
	got, err := score(t, strings.NewReader(rows), "-model", filepath.Join(folder, "model.txt"), "-engine", "leaves")
	must.OK(t, err)
	margins, predictions := strings.Fields(read(t, folder, "margin.csv")), strings.Fields(read(t, folder, "pred.csv"))
	want := "margin,prediction\n"
	for i, margin := range margins {
		want += margin + "," + predictions[i] + "\n"
	}
	near(t, got, want)
	_, err = score(t, strings.NewReader(rows), "-model", filepath.Join(folder, "model.txt"))
	if err == nil || !strings.Contains(err.Error(), "leaves") {
		t.Errorf("the native engine: %v", err)
	}
}

// near wants two tables of scores to be the same up to the roundings of float32.
func near(t *testing.T, got, want string) {
	t.Helper()
	a, err := csv.NewReader(strings.NewReader(got)).ReadAll()
	must.OK(t, err)
	b, err := csv.NewReader(strings.NewReader(want)).ReadAll()
	if err != nil || len(a) != len(b) || len(a) < 10 || strings.Join(a[0], ",") != strings.Join(b[0], ",") {
		t.Fatalf("%v\n%s\nwant\n%s", err, got, want)
	}
	for i := 1; i < len(a); i++ {
		for k := range a[i] {
			x, err1 := strconv.ParseFloat(a[i][k], 64)
			y, err2 := strconv.ParseFloat(b[i][k], 64)
			if err1 != nil || err2 != nil || !(math.Abs(x-y) <= 2e-6*max(1, math.Abs(y))) {
				t.Errorf("line %d: %v, want %v", i+1, a[i], b[i])
			}
		}
	}
}

func TestUnknownEngine(t *testing.T) {
	_, err := score(t, strings.NewReader(""), "-model", "x", "-engine", "quick")
	if err == nil || !strings.Contains(err.Error(), `-engine is "quick", which is neither native nor leaves`) {
		t.Error(err)
	}
}

// TestInspectLightGBM prints what is in a model of LightGBM, or why it is refused.
func TestInspectLightGBM(t *testing.T) {
	folder := filepath.Join(models, "..", "leaves", "testdata")
	var out strings.Builder
	streams := cli.Streams{In: strings.NewReader(""), Out: &out, Err: &strings.Builder{}}
	must.OK(t, Inspect(t.Context(), []string{"-model", filepath.Join(folder, "2.2.3-multiclass", "model.txt")}, streams))
	var f lightFacts
	must.OK(t, json.Unmarshal([]byte(out.String()), &f))
	if f.Format != "lightgbm-v2" || f.Engine != "leaves" || f.Objective != "multiclass num_class:3" || f.Features != 4 || f.Outputs != 3 ||
		f.Trees != 9 || f.Iterations != 3 || f.Nodes != 99 || len(f.FeatureNames) != 0 || len(f.SHA256) != 64 {
		t.Errorf("%+v", f)
	}
	err := Inspect(t.Context(), []string{"-model", filepath.Join(folder, "4.7.0-categorical", "model.txt")}, streams)
	if err == nil || !strings.Contains(err.Error(), "categorical splits") {
		t.Error(err)
	}
}
