package leaves

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"edgepdm/shared/gbdt"
	"edgepdm/test/need"
)

// BenchmarkMargin scores rows of a large model one after another with each engine:
//
//	go test -run '^$' -bench Margin ./shared/gbdt/leaves
func BenchmarkMargin(b *testing.B) {
	folder := filepath.Join(need.Shared(b, "models"), "xgboost-3.0.5", "bin168")
	m := readXGBoost(b, filepath.Join(folder, "model.ubj"))
	second, err := New(m)
	if err != nil {
		b.Fatal(err)
	}
	rows := mixRows(readTable(b, filepath.Join(folder, "X.csv")), 4096)
	run := func(name string, margin func(dst, row []float32) ([]float32, error)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var dst []float32
			i := 0
			for b.Loop() {
				dst, _ = margin(dst, rows[i])
				if i++; i == len(rows) {
					i = 0
				}
			}
		})
	}
	run("native", gbdt.NewScorer(m).Margin)
	run("leaves", second.NewScorer().Margin)
	b.Logf("%d features, %d trees, %d nodes, depth %d", m.NumFeature, m.NumTrees, m.NumNodes, m.MaxDepth)
}

// mixRows draws n rows whose columns come from any of the given rows: few rows, repeated, would let the branch predictor learn
// them by heart.
func mixRows(rows [][]float64, n int) [][]float32 {
	rnd := rand.New(rand.NewPCG(1, 2))
	mixed := make([][]float32, n)
	for i := range mixed {
		mixed[i] = make([]float32, len(rows[0]))
		for j := range mixed[i] {
			mixed[i][j] = float32(rows[rnd.IntN(len(rows))][j])
		}
	}
	return mixed
}

// BenchmarkLoad makes the same model ready to score, from a parsed one.
func BenchmarkLoad(b *testing.B) {
	m := readXGBoost(b, filepath.Join(need.Shared(b, "models"), "xgboost-3.0.5", "bin168", "model.ubj"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(m); err != nil {
			b.Fatal(err)
		}
	}
}
