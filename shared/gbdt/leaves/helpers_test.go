package leaves

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"edgepdm/shared/gbdt"
	"edgepdm/test/must"
)

// readTable reads rows of numbers separated by commas; nan is missing.
func readTable(t testing.TB, path string) [][]float64 {
	t.Helper()
	data, err := os.ReadFile(path)
	must.OK(t, err)
	var rows [][]float64
	for line := range strings.Lines(string(data)) {
		var row []float64
		for field := range strings.SplitSeq(strings.TrimSpace(line), ",") {
			if field == "" {
				field = "nan"
			}
			v, err := strconv.ParseFloat(field, 64)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			row = append(row, v)
		}
		rows = append(rows, row)
	}
	return rows
}

func toFloat32(row []float64) []float32 {
	out := make([]float32, len(row))
	for i, v := range row {
		out[i] = float32(v)
	}
	return out
}

// edgeRows draws rows for a model whose values are the thresholds of its splits, their neighbours, zero and missing.
func edgeRows(m *gbdt.Model, n int) [][]float32 {
	values := make([][]float32, m.NumFeature)
	collect := func(part *gbdt.Model) {
		for _, tree := range readForest(part).trees {
			for _, node := range tree {
				if node.left == 0 {
					continue
				}
				for _, v := range []float32{
					node.value, math.Nextafter32(node.value, float32(math.Inf(-1))), math.Nextafter32(node.value, float32(math.Inf(1))),
				} {
					if v-v == 0 && len(values[node.feature]) < 64 {
						values[node.feature] = append(values[node.feature], v)
					}
				}
			}
		}
	}
	collect(m)
	for _, fold := range m.Folds {
		collect(fold)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	rows := make([][]float32, n)
	for i := range rows {
		rows[i] = make([]float32, m.NumFeature)
		for j := range rows[i] {
			switch k := rnd.IntN(20); {
			case k == 0:
				rows[i][j] = float32(math.NaN())
			case k == 1:
			case len(values[j]) > 0:
				rows[i][j] = values[j][rnd.IntN(len(values[j]))]
			default:
				rows[i][j] = rnd.Float32() - 0.5
			}
		}
	}
	return rows
}

// exactModel sums the leaves of each output in float64, in the trees' order, walking them as XGBoost does.
type exactModel struct {
	forest  forest
	base    []float32
	missing *float32
	folds   []exactModel
}

func newExactModel(m *gbdt.Model) exactModel {
	if len(m.Folds) == 0 {
		return exactModel{forest: readForest(m), base: m.BaseMargin, missing: m.Missing}
	}
	var e exactModel
	for _, fold := range m.Folds {
		e.folds = append(e.folds, newExactModel(fold))
	}
	return e
}

func (e exactModel) sums(row []float32) []float64 {
	var sums []float64
	for _, fold := range e.folds {
		sums = append(sums, fold.sums(row)...)
	}
	for _, b := range e.base {
		sums = append(sums, float64(b))
	}
	for t, tree := range e.forest.trees {
		n := tree[0]
		for n.left != 0 {
			v := row[n.feature]
			missing := v != v || e.missing != nil && v == *e.missing
			if !missing && v < n.value || missing && n.missingLeft {
				n = tree[n.left]
			} else {
				n = tree[n.left+1]
			}
		}
		sums[e.forest.outputOf[t]] += float64(n.value)
	}
	return sums
}

// models returns the XGBoost model files below a folder.
func models(t testing.TB, root string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if name == "fuzz" || name == "refused" || name == "packed" {
				return filepath.SkipDir
			}
			return nil
		}
		if ext := filepath.Ext(name); ext != ".csv" && ext != ".md" && ext != ".py" && ext != ".txt" && name != "meta.json" {
			files = append(files, path)
		}
		return nil
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%d models in %s, %v", len(files), root, err)
	}
	return files
}

func readXGBoost(t testing.TB, path string) *gbdt.Model {
	t.Helper()
	data, err := gbdt.ReadFile(path)
	must.OK(t, err)
	m, err := gbdt.Parse(data)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return m
}
