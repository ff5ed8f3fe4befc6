package gbdt

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"edgepdm/test/must"
)

// TestExact holds the models that stand in the repository against the predictions of the XGBoost that wrote them, with the
// rounds that its predict uses, and wants cases.md to say what came of it.
func TestExact(t *testing.T) {
	files := committedModels(t)
	kinds, cases := make(map[string]bool), make(map[string]*caseResult)
	for _, file := range files {
		t.Run(filepath.ToSlash(file), func(t *testing.T) {
			m, err := readModel(file)
			must.OK(t, err)
			kinds[m.Format] = true
			all := m.Iterations
			if m, err = m.Cut(AutoIterations); err != nil {
				t.Fatal(err)
			}
			differences := compare(t, m, filepath.Dir(file))
			for _, difference := range differences {
				t.Error(difference)
			}
			release, name, _ := strings.Cut(filepath.Base(filepath.Dir(file)), "-")
			c := cases[name]
			if c == nil {
				c = &caseResult{}
				cases[name] = c
			}
			c.add(fmt.Sprintf("%s `%s` %d of %d", release, m.Format, m.Iterations, all), len(differences) == 0)
		})
	}
	table := []string{"| case | XGBoost, format, rounds used | files | bit-identical |", "|---|---|---|---|"}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		table = append(table, fmt.Sprintf("| %s | %s | %d | %d |", name, strings.Join(c.files, "; "), len(c.files), c.identical))
	}
	checkTable(t, filepath.Join("testdata", "cases.md"), strings.Join(table, "\n"))
	for _, want := range []string{
		"json", "ubjson", "legacy", "legacy-binf", "pickle+legacy", "pickle+config-offset+legacy", "pickle+config-offset+legacy-binf",
		"pickle+snapshot+json", "pickle+snapshot+ubjson", "tar.gz+legacy-binf",
	} {
		if !kinds[want] {
			t.Errorf("testdata has no model of the format %s", want)
		}
	}
}

// caseResult is what came of the files of a case.
type caseResult struct {
	files     []string
	identical int
}

func (c *caseResult) add(file string, identical bool) {
	c.files = append(c.files, file)
	if identical {
		c.identical++
	}
}

// committedModels returns the model files in testdata.
func committedModels(t testing.TB) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"model.*", "xgboost-model"} {
		found, err := filepath.Glob(filepath.Join("testdata", "*", pattern))
		must.OK(t, err)
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Fatal("no models in testdata")
	}
	return files
}

// compare scores X.csv in both layouts and wants margin.csv and pred.csv to the last bit; of a k-fold archive
// pred-mean.csv. It returns the first differences.
func compare(t *testing.T, m *Model, expected string) []string {
	t.Helper()
	rows := readTable(t, filepath.Join(expected, "X.csv"))
	var margins, predictions [][]float32
	if len(m.Folds) > 0 {
		predictions = readTable(t, filepath.Join(expected, "pred-mean.csv"))
	} else {
		margins, predictions = readTable(t, filepath.Join(expected, "margin.csv")), readTable(t, filepath.Join(expected, "pred.csv"))
	}
	if len(rows) == 0 || margins != nil && len(margins) != len(rows) || len(predictions) != len(rows) {
		t.Fatalf("%s: %d rows, %d margins, %d predictions", expected, len(rows), len(margins), len(predictions))
	}
	var differences []string
	for layout, s := range map[string]*Scorer{"fast": NewScorer(m), "plain": newPlainScorer(m)} {
		var margin, prediction []float32
		for i, row := range rows {
			var err error
			if margin, err = s.Margin(margin, row); err != nil {
				t.Fatal(err)
			}
			prediction = s.Predict(prediction, margin)
			if margins != nil && !sameBits(margin, margins[i]) {
				differences = append(differences, fmt.Sprintf("%s: row %d: margin %v, XGBoost gives %v", layout, i, margin, margins[i]))
			}
			if !sameBits(prediction, predictions[i]) {
				differences = append(differences, fmt.Sprintf("%s: row %d: prediction %v, XGBoost gives %v", layout, i, prediction, predictions[i]))
			}
			if len(differences) > 3 {
				return differences
			}
		}
	}
	return differences
}

func sameBits(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}

// readTable reads rows of float32 separated by commas; empty and nan are missing.
func readTable(t testing.TB, path string) [][]float32 {
	t.Helper()
	data := must.Read(t, path)
	var rows [][]float32
	for line := range strings.Lines(string(data)) {
		var row []float32
		for field := range strings.SplitSeq(strings.TrimSpace(line), ",") {
			if field == "" {
				field = "nan"
			}
			v, err := strconv.ParseFloat(field, 32)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			row = append(row, float32(v))
		}
		rows = append(rows, row)
	}
	return rows
}
