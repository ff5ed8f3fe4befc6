package engine

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/test/must"
	"edgepdm/test/table"
)

const gbdtData = "../../../shared/gbdt/testdata"

// tolerance of contributions, against the row's largest or 1: see shared/gbdt.
const tolerance = 2e-6

// For every model of the reference that a device takes, the contributors of each row are those that XGBoost's own contributions
// give: the five largest that point to a fault, and their shares.
func TestContributorsAreXGBoosts(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(gbdtData, "reference", "*", "*", "contribs.csv"))
	must.OK(t, err)
	models, rows := 0, 0
	for _, file := range files {
		dir := filepath.Dir(file)
		path := filepath.Join(dir, "model.ubj")
		if _, err := os.Stat(path); err != nil {
			path = filepath.Join(dir, "xgboost-model")
		}
		m, err := loadModel(path, Default())
		if err != nil { // it tells no probability
			continue
		}
		models++
		if m.unexplained != nil {
			t.Errorf("%s: %v", path, m.unexplained)
			continue
		}
		_, inputs := table.Read(t, filepath.Join(dir, "X.csv"))
		_, want := table.Read(t, file)
		for i, row := range inputs {
			rows++
			got, err := m.reasons.contributors(row)
			must.OK(t, err)
			checkContributors(t, path, m.names, row, want[i], got)
		}
	}
	t.Logf("%d models, %d rows", models, rows)
	if models < 10 {
		t.Errorf("%d models", models)
	}
}

// checkContributors compares with contributions of XGBoost, the last of which is the bias.
func checkContributors(t *testing.T, path string, names []string, row, contributions []float32, got []event.Contributor) {
	t.Helper()
	total, scale := 0.0, 1.0
	want := make(map[string]float64)
	var sorted []float64
	for i, x := range contributions[:len(row)] {
		name := "f" + string(rune('0'+i)) // they have fewer than ten
		if len(names) > 0 {
			name = names[i]
		}
		scale = max(scale, math.Abs(float64(x)))
		if x > 0 {
			want[name] = float64(x)
			sorted = append(sorted, float64(x))
			total += float64(x)
		}
	}
	slices.Sort(sorted)
	slices.Reverse(sorted)
	allowed := 1e-4 + 2*tolerance*scale/max(total, 1e-9) // shares are rounded
	listed := 0.0
	for k, c := range got {
		if k < len(sorted) && math.Abs(c.Share-sorted[k]/total) > allowed || math.Abs(c.Share-want[c.Sensor]/total) > allowed {
			t.Errorf("%s: contributor %d is %s with %v, want %v, and %v in this place", path, k, c.Sensor, c.Share, want[c.Sensor]/total, sorted[min(k, len(sorted)-1)]/total)
		}
		listed += c.Share
		if at := slices.Index(names, c.Sensor); at >= 0 {
			missing := row[at] != row[at]
			if (c.Direction == event.DirectionMissing) != missing || (c.Value == nil) != missing || c.Value != nil && *c.Value != row[at] {
				t.Errorf("%s: %+v, its value is %v", path, c, row[at])
			}
		}
	}
	if len(sorted) > 0 && len(got) < min(len(sorted), event.MaxContributors) && 1-listed > 5*allowed {
		t.Errorf("%s: %d contributors of %d, with %v in all", path, len(got), len(sorted), listed)
	}
}
