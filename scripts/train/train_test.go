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
)

const venvHow = "Debian: apt-get install python3-venv"

// train runs the script, and returns the folder with the model.
func train(t *testing.T, data string) string {
	t.Helper()
	need.Tool(t, "python3", venvHow)
	if err := exec.CommandContext(t.Context(), "python3", "-c", "import ensurepip").Run(); err != nil {
		if os.Getenv("REQUIRE_ALL") == "1" {
			t.Fatalf("python3 cannot make virtual environments, and REQUIRE_ALL=1: %s", venvHow)
		}
		t.Skipf("python3 cannot make virtual environments: %s", venvHow)
	}
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
