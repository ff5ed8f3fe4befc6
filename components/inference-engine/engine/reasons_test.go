package engine

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/components/inference-engine/scoring"
	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/window"
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

// read parses a model of gbdt's test data.
func read(t testing.TB, name string, engine scoring.Engine) *scoring.Model {
	t.Helper()
	data, err := gbdt.ReadFile(filepath.Join(gbdtData, filepath.FromSlash(name)))
	must.OK(t, err)
	m, err := scoring.Parse(data, engine, gbdt.AutoIterations)
	must.OK(t, err)
	return m
}

// sixFeatures is a model of six features with names, some of whose rows lack values.
const sixFeatures = "reference/xgboost-3.2.0/names/model.ubj"

// shares returns the contributors by sensor.
func shares(list []event.Contributor) map[string]event.Contributor {
	all := make(map[string]event.Contributor)
	for _, c := range list {
		all[c.Sensor] = c
	}
	return all
}

// whyOf returns the contributors of rows, by sensor.
func whyOf(t *testing.T, model *scoring.Model, manifest envelope.Manifest, rows [][]float32) []map[string]event.Contributor {
	t.Helper()
	r, err := newReasons(model, manifest)
	must.OK(t, err)
	var all []map[string]event.Contributor
	for _, row := range rows {
		list, err := r.contributors(row)
		must.OK(t, err)
		all = append(all, shares(list))
	}
	return all
}

func number(x float32) *float32 { return &x }

// A group is one contributor, with the sum of what its features contribute, and the value that its manifest wants.
func TestGroupsAreOneContributor(t *testing.T) {
	model := read(t, sixFeatures, scoring.Native)
	dir := filepath.Dir(filepath.Join(gbdtData, sixFeatures))
	_, rows := table.Read(t, filepath.Join(dir, "X.csv"))
	_, contributions := table.Read(t, filepath.Join(dir, "contribs.csv"))
	f := model.FeatureNames
	for _, value := range []string{"", envelope.GroupMean, envelope.GroupSum, envelope.GroupMax} {
		manifest := envelope.Manifest{
			Features: f, Display: map[string]envelope.Display{"pair": {Name: "the pair", Unit: "K"}, f[3]: {Unit: "bar", Names: map[string]string{"de": "Druck"}}},
			Groups: []envelope.Group{{Name: "pair", Features: []string{f[0], f[1]}, Value: value}},
		}
		seen := 0
		for i, why := range whyOf(t, model, manifest, rows) {
			row, phi := rows[i], contributions[i]
			sums := map[string]float64{"pair": float64(phi[0]) + float64(phi[1])}
			for k := 2; k < 6; k++ {
				sums[f[k]] = float64(phi[k])
			}
			total := 0.0
			for _, x := range sums {
				total += max(x, 0)
			}
			for name, c := range why {
				if math.Abs(c.Share-sums[name]/total) > 1e-4+2e-5/total {
					t.Errorf("row %d: %s has %v, want %v", i, name, c.Share, sums[name]/total)
				}
			}
			if c, there := why[f[3]]; there && (c.Unit != "bar" || c.Names["de"] != "Druck" || c.Name != "") {
				t.Errorf("%+v", c)
			}
			pair, there := why["pair"]
			if !there {
				continue
			}
			seen++
			a, b := float64(row[0]), float64(row[1])
			want := map[string]float64{"": math.NaN(), envelope.GroupMean: (a + b) / 2, envelope.GroupSum: a + b, envelope.GroupMax: math.Max(a, b)}[value]
			switch { // of what is there
			case a != a && b != b || value == "":
				want = math.NaN()
			case a != a:
				want = b
			case b != b:
				want = a
			}
			got := math.NaN()
			if pair.Value != nil {
				got = float64(*pair.Value)
			}
			if math.Abs(got-want) > 1e-6 || math.IsNaN(got) != math.IsNaN(want) || (pair.Direction == event.DirectionMissing) != (a != a && b != b) ||
				pair.Name != "the pair" || pair.Unit != "K" {
				t.Errorf("row %d, %s of %v and %v: %v, %+v", i, value, a, b, got, pair)
			}
		}
		if seen < 3 {
			t.Errorf("the group points to a fault in %d rows", seen)
		}
	}
}

// A value is told with where it lies beside what is usual; one that is missing says so, also one that the training took for missing.
func TestWhereAValueLies(t *testing.T) {
	model := read(t, sixFeatures, scoring.Native)
	_, rows := table.Read(t, filepath.Join(filepath.Dir(filepath.Join(gbdtData, sixFeatures)), "X.csv"))
	baseline := &envelope.Baseline{Features: make([]envelope.Histogram, 6)}
	for i := range baseline.Features {
		baseline.Features[i].P5, baseline.Features[i].P95 = number(-0.5), number(0.5)
	}
	baseline.Features[4].P95, baseline.Features[5].P5, baseline.Features[5].P95 = nil, nil, nil
	seen := make(map[event.Direction]int)
	for i, why := range whyOf(t, model, envelope.Manifest{Features: model.FeatureNames, Baseline: baseline}, rows) {
		for k, name := range model.FeatureNames {
			c, there := why[name]
			if !there {
				continue
			}
			x := rows[i][k]
			want := event.DirectionWithin
			switch {
			case x != x:
				want = event.DirectionMissing
			case k == 5:
				want = ""
			case x < -0.5:
				want = event.DirectionBelow
			case k == 4:
				want = ""
			case x > 0.5:
				want = event.DirectionAbove
			}
			if c.Direction != want || (c.Low == nil) != (k == 5) || (c.High == nil) != (k >= 4) {
				t.Errorf("row %d: %+v, want %s", i, c, want)
			}
			seen[c.Direction]++
		}
	}
	if len(seen) != 5 {
		t.Errorf("seen are %v", seen)
	}

	const stand = -999
	told := read(t, "3.0.5-missing999/model.pkl4", scoring.Native)
	_, rows = table.Read(t, filepath.Join(gbdtData, "3.0.5-missing999", "X.csv"))
	missing := 0
	for i, why := range whyOf(t, told, envelope.Manifest{}, rows) {
		for name, c := range why {
			x := rows[i][name[1]-'0']
			if (c.Direction == event.DirectionMissing) != (x == stand || x != x) {
				t.Errorf("%v: %+v", x, c)
			}
			if x == stand {
				missing++
			}
		}
	}
	if missing == 0 {
		t.Error("no value stands for a missing one")
	}
}

// A sum that no message can have is left out: the row is scored all the same.
func TestASumBeyondAMessage(t *testing.T) {
	model := read(t, sixFeatures, scoring.Native)
	manifest := envelope.Manifest{Features: model.FeatureNames, Groups: []envelope.Group{{Name: "all", Features: model.FeatureNames, Value: envelope.GroupSum}}}
	row := make([]float32, 6)
	for i := range row {
		row[i] = math.MaxFloat32
	}
	seen := 0
	for _, sign := range []float32{1, -1} {
		for i := range row {
			row[i] *= sign
		}
		for _, c := range whyOf(t, model, manifest, [][]float32{row})[0] {
			seen++
			if _, err := event.Encode(c); err != nil || c.Value != nil || c.Direction != "" || c.Share != 1 {
				t.Errorf("%+v, %v", c, err)
			}
		}
	}
	if seen == 0 {
		t.Error("nothing points to a fault")
	}
}

// The features of one sensor over time are one contributor, with the sensor's last value.
func TestFeaturesOverTimeAreTheirSensor(t *testing.T) {
	model := read(t, sixFeatures, scoring.Native)
	dir := filepath.Dir(filepath.Join(gbdtData, sixFeatures))
	_, rows := table.Read(t, filepath.Join(dir, "X.csv"))
	_, contributions := table.Read(t, filepath.Join(dir, "contribs.csv"))
	f := model.FeatureNames
	baseline := &envelope.Baseline{Features: make([]envelope.Histogram, 6)}
	baseline.Features[0].P5, baseline.Features[0].P95 = number(100), number(200)
	baseline.Features[3].P5, baseline.Features[3].P95 = number(-100), number(0)
	manifest := envelope.Manifest{
		Features: f, Baseline: baseline, Groups: []envelope.Group{{Name: "last", Features: f[5:]}}, Display: map[string]envelope.Display{"oil": {Name: "oil temperature", Unit: "°C"}},
		Inputs: &window.Spec{Sensors: []string{"oil", "air"}, Inputs: []window.Input{
			{Sensor: "oil", Stat: window.Mean, Rows: 3}, {Sensor: "air", Stat: window.Max, Rows: 3}, {Sensor: "air", Stat: window.Min, Rows: 3},
			{Sensor: "oil", Stat: window.Last}, {Sensor: "oil", Stat: window.Count, Rows: 3}, {Sensor: "air", Stat: window.Count, Rows: 3},
		}},
	}
	seen := 0
	for i, why := range whyOf(t, model, manifest, rows) {
		phi := contributions[i]
		sums := map[string]float64{"oil": float64(phi[0]) + float64(phi[3]) + float64(phi[4]), "air": float64(phi[1]) + float64(phi[2]), "last": float64(phi[5])}
		total := max(sums["oil"], 0) + max(sums["air"], 0) + max(sums["last"], 0)
		for name, c := range why {
			if math.Abs(c.Share-sums[name]/total) > 1e-4+2e-5/total {
				t.Errorf("row %d: %s has %v, want %v", i, name, c.Share, sums[name]/total)
			}
		}
		if air, there := why["air"]; there && (air.Value != nil || air.Low != nil) {
			t.Errorf("%+v", air)
		}
		oil, there := why["oil"]
		if !there {
			continue
		}
		seen++
		x := rows[i][3]
		if (oil.Value == nil) != (x != x) || x == x && (*oil.Value != x || *oil.High != 0 || oil.Name != "oil temperature") {
			t.Errorf("row %d: %+v, its last value is %v", i, oil, x)
		}
	}
	if seen < 3 {
		t.Errorf("the sensor points to a fault in %d rows", seen)
	}
}

// The contributions of a k-fold training are the mean of its models', as its prediction is.
func TestReasonsOfFolds(t *testing.T) {
	data, err := gbdt.ReadFile(filepath.Join(gbdtData, "1.5.2-kfold", "model.tar.gz"))
	must.OK(t, err)
	whole, err := gbdt.Parse(data)
	must.OK(t, err)
	_, rows := table.Read(t, filepath.Join(gbdtData, "1.5.2-kfold", "X.csv"))
	rows = rows[:20]
	for i, why := range whyOf(t, read(t, "1.5.2-kfold/model.tar.gz", scoring.Native), envelope.Manifest{}, rows) {
		mean := make([]float64, whole.NumFeature)
		for _, fold := range whole.Folds {
			e, err := gbdt.NewExplainer(fold)
			must.OK(t, err)
			phi, err := e.Explain(nil, rows[i])
			must.OK(t, err)
			for k := range mean {
				mean[k] += float64(phi[k]) / float64(len(whole.Folds))
			}
		}
		total := 0.0
		for _, x := range mean {
			total += max(x, 0)
		}
		if len(why) == 0 && total > 1e-6 {
			t.Errorf("row %d has no contributors", i)
		}
		for k, x := range mean {
			if c, there := why["f"+string(rune('0'+k))]; there && math.Abs(c.Share-x/total) > 2e-4 {
				t.Errorf("row %d, feature %d: %v, want %v", i, k, c.Share, x/total)
			}
		}
	}
	if len(whole.Folds) < 2 {
		t.Error("there are no folds")
	}
}

// XGBoost's models are explained with the engine leaves, too; LightGBM's are not, nor is one without covers, and that is said.
func TestWhatIsExplained(t *testing.T) {
	_, rows := table.Read(t, filepath.Join(filepath.Dir(filepath.Join(gbdtData, sixFeatures)), "X.csv"))
	native := whyOf(t, read(t, sixFeatures, scoring.Native), envelope.Manifest{}, rows)
	for i, why := range whyOf(t, read(t, sixFeatures, scoring.Leaves), envelope.Manifest{}, rows) {
		for name, c := range why {
			if c.Share != native[i][name].Share {
				t.Errorf("%s: %v, and %v with the native engine", name, c.Share, native[i][name].Share)
			}
		}
	}
	config := Default()
	config.Engine = scoring.Leaves
	m, err := loadModel("../../../shared/gbdt/leaves/testdata/4.7.0-binary/model.txt", config)
	if err != nil || !errors.Is(m.unexplained, gbdt.ErrNotExplained) {
		t.Errorf("%v, %+v", err, m)
	}
}

// Names that no message may have are made fit; the constant parts of a contributor stay as they are.
func TestNamesFitAMessage(t *testing.T) {
	model := read(t, sixFeatures, scoring.Native)
	names := []string{strings.Repeat("ä", 64), "a\tb", "\xff", "", "oil temp", "\u202e"}
	_, rows := table.Read(t, filepath.Join(filepath.Dir(filepath.Join(gbdtData, sixFeatures)), "X.csv"))
	r, err := newReasons(model, envelope.Manifest{Features: names})
	must.OK(t, err)
	for _, row := range rows {
		list, err := r.contributors(row)
		must.OK(t, err)
		p := event.Prediction{V: 1, ID: "p-e-1", Thing: "p", Epoch: "e", Seq: 1, TS: time.Now(), Contributors: list}
		payload, err := event.Encode(p)
		must.OK(t, err)
		if _, err := event.DecodePrediction(payload); err != nil {
			t.Errorf("%v: %s", err, payload)
		}
	}
}
