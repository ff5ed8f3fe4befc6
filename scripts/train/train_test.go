// Package train tests the training script: it has no Go code of its own.
package train

import (
	"bytes"
	"context"
	"encoding/csv"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"edgepdm/components/sensor-simulator/generate"
	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/cli"
	"edgepdm/shared/gbdt"
	"edgepdm/test/need"
	"edgepdm/test/tools"
)

// train runs the script, and returns the folder with the model.
func train(t *testing.T, data string) string {
	t.Helper()
	need.Installed(t, tools.XGBoost)
	out := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(need.Root(t), "scripts", "train", "train.sh"), data, out)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("train: %v\n%s", err, text)
	}
	return out
}

func table(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.csv.gz")
	var out bytes.Buffer
	args := []string{"-rows", "3000", "-seed", "5", "-faulty", "0.1", "-out", path}
	if err := generate.Run(t.Context(), args, cli.Streams{Out: &out, Err: &out}); err != nil {
		t.Fatalf("generate: %v\n%s", err, &out)
	}
	return path
}

// A model that real XGBoost trains here is scored bit for bit as that XGBoost scores it, and a second training gives the
// same bytes.
func TestTrainedModelIsScoredAsXGBoostDoes(t *testing.T) {
	data := table(t)
	first, second := train(t, data), train(t, data)
	for _, name := range []string{"model.ubj", "golden.csv", "report.md"} {
		a, err := os.ReadFile(filepath.Join(first, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(second, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s of two trainings differs", name)
		}
	}
	checkGolden(t, first, plant.Sensors())
}

func TestTrainsOnTheWorkshopsData(t *testing.T) {
	out := train(t, need.Shared(t, "aps/aps_train_rows_0-8999.csv.gz"))
	checkGolden(t, out, nil)
}

// A table that cannot be trained with is refused before XGBoost is installed: here there is no environment, and none is made.
func TestTableIsCheckedFirst(t *testing.T) {
	need.Tool(t, "python3", "Debian: apt-get install python3")
	root := t.TempDir()
	scripts := filepath.Join(root, "scripts", "train")
	if err := os.CopyFS(scripts, os.DirFS(filepath.Join(need.Root(t), "scripts", "train"))); err != nil {
		t.Fatal(err)
	}
	damaged := []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03damaged")
	for _, test := range []struct{ name, text, want string }{
		{"no class", "a,b\n1,2\n", "no header with a column called class"},
		{"a label", "a,class\n1,maybe\n", "line 2: the class is 'maybe', not neg, pos, 0 or 1"},
		{"a number", "a,class\n1,neg\nx1,pos\n", "line 3: column a: 'x1' is not a number"},
		{"too large a number", "a,class\n1e39,neg\n", "line 2: column a: 1e39 is no finite float32"},
		{"a row", "a,class\n1,neg\n1\n", "line 3: 1 fields, the header has 2"},
		{"few rows", "a,class\n" + strings.Repeat("1,neg\n", 100) + strings.Repeat("2,pos\n", 9), "fewer than 10 rows of class pos"},
		{"a gzip file", string(damaged), "rows.csv: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "rows.csv")
			if err := os.WriteFile(data, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), filepath.Join(scripts, "train.sh"), data, t.TempDir()).CombinedOutput()
			if err == nil || !strings.Contains(string(out), test.want) || strings.Contains(string(out), "Traceback") || strings.Contains(string(out), "installing") {
				t.Errorf("%v: %s", err, out)
			}
			if _, err := os.Stat(filepath.Join(root, ".cache")); err == nil {
				t.Error("it has begun to install")
			}
		})
	}
}

// checkGolden scores the golden rows and compares with the margins that XGBoost gave.
func checkGolden(t *testing.T, dir string, sensors []string) {
	t.Helper()
	bytesOfModel, err := gbdt.ReadFile(filepath.Join(dir, "model.ubj"))
	if err != nil {
		t.Fatal(err)
	}
	model, err := gbdt.Parse(bytesOfModel)
	if err != nil {
		t.Fatal(err)
	}
	if sensors != nil && strings.Join(model.FeatureNames, ",") != strings.Join(sensors, ",") || model.NumFeature != 168 {
		t.Errorf("features %v", model.FeatureNames)
	}
	if threshold, err := strconv.ParseFloat(model.Attributes["edgepdm.threshold"], 64); err != nil || !(threshold > 0 && threshold < 1) {
		t.Errorf("threshold %q", model.Attributes["edgepdm.threshold"])
	}
	f, err := os.Open(filepath.Join(dir, "golden.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(records) < 11 {
		t.Fatalf("%d golden rows", len(records)-1)
	}
	scorer := gbdt.NewScorer(model)
	for i, record := range records[1:] {
		row := make([]float32, len(record))
		for j, field := range record {
			x, err := strconv.ParseFloat(field, 32)
			if err != nil && field != "" {
				t.Fatal(err)
			}
			if field == "" {
				x = math.NaN()
			}
			row[j] = float32(x)
		}
		margin, err := scorer.Margin(nil, row[1:])
		if err != nil {
			t.Fatal(err)
		}
		if math.Float32bits(margin[0]) != math.Float32bits(row[0]) {
			t.Errorf("golden row %d: margin %v, XGBoost's is %v", i, margin[0], row[0])
		}
	}
}
