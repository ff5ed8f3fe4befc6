package gbdt

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"edgepdm/test/must"
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
		must.OK(b, err)
		m, err := Parse(data)
		must.OK(b, err)
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

// BenchmarkExplain explains rows with the shipped model, with one of 91 full trees of depth 6 (5,824 leaves), and with one whose
// few features are tested several times on a way. See test/bench for XGBoost's figures.
func BenchmarkExplain(b *testing.B) {
	shipped, err := readModel(filepath.Join(need.Root(b), "components/inference-engine/model/model.ubj"))
	must.OK(b, err)
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name string
		m    *Model
	}{{"shipped", shipped}, {"leaves-5824", fullModel(b, rnd, 91, 6, 168)}, {"repeated", fullModel(b, rnd, 91, 6, 8)}} {
		b.Run(c.name, func(b *testing.B) {
			m := c.m
			e, err := NewExplainer(m)
			must.OK(b, err)
			rows := make([][]float32, 256)
			for i := range rows {
				rows[i] = make([]float32, m.NumFeature)
				for k := range rows[i] {
					rows[i][k] = valueNear(rnd, m, k)
				}
			}
			b.ReportAllocs()
			var dst []float32
			for i := 0; b.Loop(); i++ {
				dst, _ = e.Explain(dst, rows[i%len(rows)])
			}
		})
	}
}

// valueNear draws the threshold of a split on the feature, so that rows go many ways.
func valueNear(rnd *rand.Rand, m *Model, feature int) float32 {
	nodes := m.forest.nodes
	for range 4 * m.NumFeature {
		if n := nodes[rnd.IntN(len(nodes))]; n.left != 0 && int(n.slot)%m.NumFeature == feature {
			return n.value
		}
	}
	return 0
}

// fullModel has trees whose leaves are all at one depth.
func fullModel(tb testing.TB, rnd *rand.Rand, trees, depth, features int) *Model {
	tb.Helper()
	m := &Model{Booster: "gbtree", NumFeature: features, Outputs: 1, BaseMargin: []float32{0}, outputOf: make([]int32, trees), forest: forest{limits: DefaultLimits()}}
	for range trees {
		inner, n := 1<<depth-1, 1<<(depth+1)-1
		t := &fileTree{numNodes: n, left: make([]int32, n), right: make([]int32, n), feature: make([]int32, n), defaultLeft: make([]int32, n)}
		t.condition, t.cover = make([]float32, n), make([]float32, n)
		t.cover[0] = 1000
		for i := range n {
			t.left[i], t.right[i], t.feature[i], t.condition[i] = -1, -1, int32(rnd.IntN(features)), rnd.Float32()
			if i < inner {
				t.left[i], t.right[i] = int32(2*i+1), int32(2*i+2)
				part := rnd.Float32()
				t.cover[2*i+1], t.cover[2*i+2] = part*t.cover[i], (1-part)*t.cover[i]
			}
		}
		must.OK(tb, m.forest.add(t))
	}
	must.OK(tb, m.forest.bind(features, nil))
	m.countTrees()
	return m
}
