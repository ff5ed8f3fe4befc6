package gbdt

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"edgepdm/test/need"
)

// BenchmarkMargin scores the rows of the large models one after another with each layout:
//
//	go test -run '^$' -bench Margin ./shared/gbdt
func BenchmarkMargin(b *testing.B) {
	models := need.Shared(b, "models")
	for _, name := range []string{"xgboost-3.0.5/notebook/xgboost-model", "xgboost-3.0.5/bin168/model.ubj", "xgboost-3.0.5/softprob/model.ubj"} {
		file := filepath.Join(models, name)
		data, err := ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		m, err := Parse(data)
		if err != nil {
			b.Fatal(err)
		}
		rows := mixRows(readTable(b, filepath.Join(filepath.Dir(file), "X.csv")), 4096)
		run := func(layout string, s *Scorer) {
			b.Run(filepath.Base(filepath.Dir(file))+"/"+layout, func(b *testing.B) {
				b.ReportAllocs()
				var dst []float32
				i := 0
				for b.Loop() {
					dst, _ = s.Margin(dst, rows[i])
					if i++; i == len(rows) {
						i = 0
					}
				}
			})
		}
		run("fast", NewScorer(m))
		run("plain", newPlainScorer(m))
		b.Logf("%s: %d features, %d trees, %d nodes, depth %d", name, m.NumFeature, m.NumTrees, m.NumNodes, m.MaxDepth)
	}
}

// mixRows draws n rows whose columns come from any of the given rows: the few rows of a test case, repeated, would let the
// branch predictor learn them by heart.
func mixRows(rows [][]float32, n int) [][]float32 {
	rnd := rand.New(rand.NewPCG(1, 2))
	mixed := make([][]float32, n)
	for i := range mixed {
		mixed[i] = make([]float32, len(rows[0]))
		for j := range mixed[i] {
			mixed[i][j] = rows[rnd.IntN(len(rows))][j]
		}
	}
	return mixed
}
