package engine

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/components/inference-engine/scoring"
	"edgepdm/test/table"
)

// TestEngineLeaves scores an XGBoost and a LightGBM model with the engine leaves, and wants the probabilities of the
// libraries that wrote them.
func TestEngineLeaves(t *testing.T) {
	testdata := filepath.Join("..", "..", "..", "shared", "gbdt")
	config := Default()
	config.Engine = scoring.Leaves
	for model, rows := range map[string]string{
		"testdata/3.0.5-names/model.ubj": "X.csv", "leaves/testdata/4.7.0-binary/model.txt": "../X.csv",
	} {
		path := filepath.Join(testdata, model)
		m, err := loadModel(path, config)
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Dir(path)
		_, want := table.Read(t, filepath.Join(folder, "pred.csv"))
		_, features := table.Read(t, filepath.Join(folder, rows))
		for i, row := range features {
			if got, err := m.probability(row); err != nil || math.Abs(got-float64(want[i][0])) > 1e-6 {
				t.Errorf("%s: row %d: %v, %v; want %v", model, i, got, err, want[i][0])
			}
		}
	}
	for model, reason := range map[string]string{
		"testdata/3.0.5-categorical/model.ubj": "categorical splits", "leaves/testdata/4.7.0-poisson/model.txt": "a device wants the probability of a fault",
	} {
		if _, err := loadModel(filepath.Join(testdata, model), config); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v, want %q", model, err, reason)
		}
	}
	if _, err := loadModel(filepath.Join(testdata, "leaves/testdata/4.7.0-binary/model.txt"), Default()); err == nil || !strings.Contains(err.Error(), "engine: leaves") {
		t.Errorf("the native engine: %v", err)
	}
}

func TestEngineIsValidated(t *testing.T) {
	config := Default()
	config.Engine = "quick"
	if err := config.Validate(); err == nil || err.Error() != `engine: "quick" is neither native nor leaves` {
		t.Error(err)
	}
}
