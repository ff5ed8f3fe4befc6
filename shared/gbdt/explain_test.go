package gbdt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"edgepdm/test/must"
	"edgepdm/test/need"
)

// TestExplainReference holds the contributions of the repository's own reference data against XGBoost's.
func TestExplainReference(t *testing.T) { explainAll(t, ownReference, 290) }

// TestExplainWholeReference holds the contributions of every model of the whole reference data against XGBoost's.
func TestExplainWholeReference(t *testing.T) {
	explainAll(t, need.Shared(t, "models"), 590)
}

// explainAll explains the rows of every model below root that has contribs.csv beside it, and wants what XGBoost gave.
func explainAll(t *testing.T, root string, least int) {
	t.Helper()
	files, rows, worst := 0, 0, 0.0
	for _, r := range references(t, root, 0) {
		path := filepath.Join(r.expected, "contribs.csv")
		if _, err := os.Stat(path); err != nil {
			continue
		}
		m, err := r.read()
		if err != nil {
			t.Errorf("%s: %v", r.files, err)
			continue
		}
		if r.release == "0.90" && m.Booster == "dart" { // it drops trees when it predicts
			continue
		}
		files++
		rows += len(readTable(t, path))
		d, text := compareContributions(t, m, filepath.Join(r.expected, "X.csv"), path)
		bound := 2e-6
		if r.release == "0.90" { // its contributions miss its margins by as much: 1.2.1 explains the same model with what we have
			bound = 4e-6
		}
		if worst = max(worst, d); d > bound {
			t.Errorf("%s: %s", r.files, text)
		}
	}
	t.Logf("%d files, %d rows: the largest difference is %.2g x max(1, the row's largest contribution)", files, rows, worst)
	if files < least {
		t.Errorf("%d files, at least %d expected", files, least)
	}
}

// compareContributions returns the largest difference to max(1, largest contribution of the row), and where it is.
func compareContributions(t *testing.T, m *Model, inputs, answers string) (worst float64, where string) {
	t.Helper()
	e, err := NewExplainer(m)
	if err != nil {
		t.Fatalf("%s: %v", answers, err)
	}
	want := readTable(t, answers)
	var got []float32
	for i, row := range readTable(t, inputs) {
		if got, err = e.Explain(got, row); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want[i]) {
			t.Fatalf("%s: %d contributions, %d expected", answers, len(got), len(want[i]))
		}
		scale := 1.0
		for _, v := range want[i] {
			scale = max(scale, float64(v), -float64(v))
		}
		for k, v := range got {
			d := float64(v) - float64(want[i][k])
			if d = max(d, -d) / scale; !(d <= worst) {
				worst, where = d, fmt.Sprintf("row %d, contribution %d is %v instead of %v", i+1, k, v, want[i][k])
			}
		}
	}
	return worst, where
}

// TestExplainFormats explains the committed models of every format, and wants the contributions to sum to the margin, no memory
// to be taken for a row, and a clone to say the same at the same time.
func TestExplainFormats(t *testing.T) {
	explained := 0
	for _, file := range committedModels(t) {
		m, err := readModel(file)
		must.OK(t, err)
		if m, err = m.Cut(AutoIterations); err != nil {
			t.Fatal(err)
		}
		e, err := NewExplainer(m)
		if bare := filepath.ToSlash(file) == "testdata/3.0.5-multi_target_vec/model.ubj"; bare {
			if !errors.Is(err, ErrNotExplained) {
				t.Errorf("vector leaves of 3.0 have no cover: %v", err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		explained++
		rows := readTable(t, filepath.Join(filepath.Dir(file), "X.csv"))
		rows = rows[:min(len(rows), 40)]
		var want [][]float32
		for _, row := range rows {
			got, err := e.Explain(nil, row)
			must.OK(t, err)
			sumsToMargin(t, m, row, got)
			want = append(want, got)
		}
		dst := make([]float32, len(want[0]))
		if allocs := testing.AllocsPerRun(10, func() { dst, _ = e.Explain(dst, rows[0]) }); allocs != 0 {
			t.Errorf("%s: %v allocations a row", file, allocs)
		}
		var group sync.WaitGroup
		for range 2 {
			clone := e.Clone()
			group.Go(func() {
				var dst []float32
				for i, row := range rows {
					if dst, err := clone.Explain(dst, row); err != nil || !slices.Equal(dst, want[i]) {
						t.Errorf("%s: a clone explains row %d as %v, %v", file, i+1, dst, err)
					}
				}
			})
		}
		group.Wait()
	}
	if explained < 40 {
		t.Errorf("%d models were explained", explained)
	}
}

// TestExplainNewest holds what only XGBoost since 3.3 explains, or explains so, against it: vector leaves, nodes that no training
// row reached, and more than eight features on a way.
func TestExplainNewest(t *testing.T) {
	root := filepath.Join("testdata", "explain")
	explainAll(t, root, 4)
	m, err := readModel(filepath.Join(root, "xgboost-3.4.1", "deep", "model.ubj"))
	must.OK(t, err)
	if e, err := NewExplainer(m); err != nil || len(e.tables.rules) < 2 {
		t.Errorf("no tree has more than eight features on a way, %v", err)
	}
}
