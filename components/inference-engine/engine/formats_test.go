package engine

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/test/must"
	"edgepdm/test/table"
)

// TestModelFormats wants the probabilities that XGBoost printed from model files as SageMaker's containers write them,
// whatever their format, with the rounds that the endpoint would use.
func TestModelFormats(t *testing.T) {
	testdata := filepath.Join("..", "..", "..", "shared", "gbdt", "testdata")
	for file, answers := range map[string]string{
		"0.72.1-early_rf/model.pkl2": "pred.csv", "0.90-dart/xgboost-model": "pred.csv", "1.2.1-early_rf/model.pkl4": "pred.csv",
		"3.0.5-names/model.ubj": "pred.csv", "3.4.1-dart/model.ubj": "pred.csv", "1.5.2-kfold/model.tar.gz": "pred-mean.csv",
	} {
		t.Run(file, func(t *testing.T) {
			path := filepath.Join(testdata, file)
			m, err := loadModel(path, Default())
			must.OK(t, err)
			_, want := table.Read(t, filepath.Join(filepath.Dir(path), answers))
			_, features := table.Read(t, filepath.Join(filepath.Dir(path), "X.csv"))
			for i, row := range features {
				if got, err := m.probability(row); err != nil || math.Float32bits(float32(got)) != math.Float32bits(want[i][0]) {
					t.Errorf("row %d: %v, %v; want %v", i, got, err, want[i][0])
				}
			}
		})
	}
	if _, err := loadModel(filepath.Join(testdata, "1.5.2-kfold_vote", "model.tar.gz"), Default()); err == nil {
		t.Error("classes are no probabilities")
	}
}

// A model file may call its version what it likes: of a long one the predictions have the beginning, or who receives them
// refuses all of them.
func TestALongVersionOfAModelFile(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "gbdt", "testdata", "1.2.1-early_wrapper", "model.json"))
	must.OK(t, err)
	version := strings.Repeat("release of line 7 at noon, ", 10)
	path := filepath.Join(t.TempDir(), "model.json")
	data = []byte(strings.Replace(string(data), `"attributes":{`, `"attributes":{"edgepdm.version":"`+version+`",`, 1))
	must.OK(t, os.WriteFile(path, data, 0o600))
	m, err := loadModel(path, Default())
	must.OK(t, err)
	payload, err := event.Encode(event.Prediction{V: event.Version, ID: "press-1-a-1", Thing: "press-1", Model: m.ref, Label: event.LabelFaulty})
	must.OK(t, err)
	if p, err := event.DecodePrediction(payload); err != nil || !strings.HasPrefix(version, p.Model.Version) || len(p.Model.Version) < 100 {
		t.Errorf("%q, %v", p.Model.Version, err)
	}
}
