package engine

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"edgepdm/test/must"
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
			want := readCSV(t, filepath.Join(filepath.Dir(path), answers))
			for i, row := range readCSV(t, filepath.Join(filepath.Dir(path), "X.csv")) {
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

func readCSV(t *testing.T, path string) [][]float32 {
	t.Helper()
	f, err := os.Open(path)
	must.OK(t, err)
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	must.OK(t, err)
	rows := make([][]float32, len(records))
	for i, record := range records {
		for _, text := range record {
			v, err := strconv.ParseFloat(text, 32)
			must.OK(t, err)
			rows[i] = append(rows[i], float32(v))
		}
	}
	return rows
}
