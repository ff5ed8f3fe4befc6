package gbdt

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParse looks for data that makes Parse or scoring panic, or the two layouts differ.
//
//	go test -run '^$' -fuzz FuzzParse -fuzztime 30s ./shared/gbdt
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*", "model.*"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no models: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 1<<10 { // mutations of a large one are slow and find nothing more
			f.Add(data)
		}
	}
	for _, edits := range [][]string{nil, tinyCategorical, tinyVector} {
		text := strings.Join(strings.Fields(edit(f, tiny, edits...)), "")
		f.Add([]byte(text))
		f.Add(toUBJSON(f, text))
	}
	limits := Limits{FileSize: 1 << 20, Trees: 1 << 10, Nodes: 1 << 14, Depth: 1 << 8, Features: 1 << 10, Outputs: 1 << 8}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := limits.Parse(data)
		if err != nil {
			return
		}
		if best, err := m.Cut(BestIterations); err == nil {
			scoreAny(t, best)
		}
		scoreAny(t, m)
	})
}

// scoreAny scores a few rows with both layouts.
func scoreAny(t *testing.T, m *Model) {
	fast, plain := NewScorer(m), newPlainScorer(m)
	row := make([]float32, m.NumFeature)
	for _, v := range []float32{0, nan, -3.5, 1e6, math.MaxFloat32, -math.MaxFloat32} {
		for i := range row {
			row[i] = v + float32(i)/8
			if math.IsInf(float64(row[i]), 0) {
				row[i] = v
			}
		}
		a, err := fast.Margin(nil, row)
		if err != nil {
			t.Fatal(err)
		}
		b, err := plain.Margin(nil, row)
		if err != nil {
			t.Fatal(err)
		}
		for i := range a {
			if a[i] != b[i] && (a[i] == a[i] || b[i] == b[i]) {
				t.Fatalf("row of %v: output %d is %v in the fast layout, %v in the plain one", v, i, a[i], b[i])
			}
		}
		if p := fast.Predict(nil, a); len(p) != m.Predictions {
			t.Fatalf("%d predictions, want %d", len(p), m.Predictions)
		}
	}
}
