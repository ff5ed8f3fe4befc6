package train

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"edgepdm/components/sensor-simulator/generate"
	"edgepdm/shared/cli"
	"edgepdm/shared/gbdt"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/tools"
)

// python runs one of this folder's scripts with the Python that has XGBoost.
func python(t *testing.T, script string, args ...string) (string, error) {
	t.Helper()
	venv := need.Installed(t, tools.XGBoost)
	args = append([]string{"-B", filepath.Join(need.Root(t), "scripts", "train", script)}, args...)
	out, err := exec.CommandContext(t.Context(), filepath.Join(venv, "bin", "python"), args...).CombinedOutput()
	return string(out), err
}

func simulated(t *testing.T, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.csv.gz")
	var out bytes.Buffer
	if err := generate.Run(t.Context(), append(args, "-out", path), cli.Streams{Out: &out, Err: &out}); err != nil {
		t.Fatalf("generate: %v\n%s", err, &out)
	}
	return path
}

type evaluated struct {
	Threshold   float64 `json:"threshold"`
	Found       int     `json:"found"`
	Missed      int     `json:"missed"`
	FalseAlarms int     `json:"false_alarms"`
	Passed      int     `json:"passed"`
	CostPer1000 float64 `json:"cost_per_1000"`
}

type evaluation struct {
	Rows       int                                      `json:"rows"`
	Faulty     int                                      `json:"faulty"`
	Active     evaluated                                `json:"active"`
	Candidate  evaluated                                `json:"candidate"`
	Difference struct{ Mean, Low, High, Drawn float64 } `json:"difference"`
	Better     bool                                     `json:"better"`
}

func evaluate(t *testing.T, active, candidate, table string, more ...string) (e evaluation, report string) {
	t.Helper()
	out := t.TempDir()
	text, err := python(t, "evaluate.py", append([]string{"-active", active, "-candidate", candidate, "-table", table, "-out", out}, more...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	must.OK(t, json.Unmarshal(must.Read(t, filepath.Join(out, "evaluation.json")), &e))
	return e, string(must.Read(t, filepath.Join(out, "evaluation.md")))
}

// counted says what the device's own scorer makes of the table.
func counted(t *testing.T, modelFile, table string, threshold float64) evaluated {
	t.Helper()
	data, err := gbdt.ReadFile(modelFile)
	must.OK(t, err)
	model, err := gbdt.Parse(data)
	must.OK(t, err)
	unpacked, err := gzip.NewReader(bytes.NewReader(must.Read(t, table)))
	must.OK(t, err)
	rows, err := csv.NewReader(unpacked).ReadAll()
	must.OK(t, err)
	at := map[string]int{}
	for i, name := range rows[0] {
		at[name] = i
	}
	scorer, e := gbdt.NewScorer(model), evaluated{Threshold: threshold}
	for _, row := range rows[1:] {
		var values []float32
		for _, name := range model.FeatureNames {
			v, err := strconv.ParseFloat(row[at[name]], 32)
			if err != nil {
				v = math.NaN()
			}
			values = append(values, float32(v))
		}
		margin, err := scorer.Margin(nil, values)
		must.OK(t, err)
		switch flagged, faulty := scorer.Predict(nil, margin)[0] >= float32(threshold), row[at["class"]] == "pos"; {
		case flagged && faulty:
			e.Found++
		case flagged:
			e.FalseAlarms++
		case faulty:
			e.Missed++
		default:
			e.Passed++
		}
	}
	e.CostPer1000 = float64(500*e.Missed+10*e.FalseAlarms) * 1000 / float64(len(rows)-1)
	return e
}

// packed puts a model into a model.tar.gz as SageMaker does.
func packed(t *testing.T, name string, model []byte) string {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	w := tar.NewWriter(zip)
	must.OK(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(model))}))
	_, err := w.Write(model)
	must.OK(t, err)
	must.OK(t, w.Close())
	must.OK(t, zip.Close())
	path := filepath.Join(t.TempDir(), "model.tar.gz")
	must.OK(t, os.WriteFile(path, b.Bytes(), 0o600))
	return path
}

// Both models are judged on the same rows as the device would judge them, each with its own threshold, and a candidate is
// better only beyond chance.
func TestEvaluate(t *testing.T) {
	need.Long(t)
	root := need.Root(t)
	shipped, second := filepath.Join(root, "components", "inference-engine", "model"), filepath.Join(root, "scripts", "demo", "second-model", "model.ubj")
	rows := simulated(t, "-rows", "2000", "-seed", "11", "-faulty", "0.05")
	e, report := evaluate(t, shipped, packed(t, "xgboost-model", must.Read(t, second)), rows)
	if want := counted(t, filepath.Join(shipped, "model.ubj"), rows, 0.0138525); e.Active != want {
		t.Errorf("active: %+v, want %+v", e.Active, want)
	}
	if want := counted(t, second, rows, 0.0207846); e.Candidate != want {
		t.Errorf("candidate: %+v, want %+v", e.Candidate, want)
	}
	d := e.Difference
	if e.Rows != 2000 || d.Mean != e.Candidate.CostPer1000-e.Active.CostPer1000 || !(d.Low < d.Mean && d.Mean < d.High) || e.Better != (d.High < 0) {
		t.Errorf("%+v", e)
	}
	if !strings.Contains(report, "| cost per 1,000 rows |") {
		t.Errorf("report:\n%s", report)
	}

	if e, report := evaluate(t, shipped, shipped, rows); e.Difference.Low != 0 || e.Difference.High != 0 || e.Better || !strings.Contains(report, "Neither") {
		t.Errorf("a model and itself: %+v\n%s", e, report)
	}
	// The manifest beside a model has the last word on its threshold. At 0.9 many faults are missed.
	strict := t.TempDir()
	model := must.Read(t, second)
	must.OK(t, os.WriteFile(filepath.Join(strict, "model.ubj"), model, 0o600))
	manifest := fmt.Sprintf(`{"threshold":0.9,"model":{"sha256":"%x"}}`, sha256.Sum256(model))
	must.OK(t, os.WriteFile(filepath.Join(strict, "manifest.json"), []byte(manifest), 0o600))
	if e, report := evaluate(t, strict, second, rows); e.Active.Threshold != 0.9 || !e.Better || e.Difference.High >= 0 || !strings.Contains(report, "The candidate is better.") {
		t.Errorf("a better candidate: %+v\n%s", e, report)
	}
	if e, report := evaluate(t, second, strict, rows); e.Better || e.Difference.Low <= 0 || !strings.Contains(report, "The candidate is worse.") {
		t.Errorf("a worse candidate: %+v\n%s", e, report)
	}
	// With dear false alarms it is the other way round.
	if e, _ := evaluate(t, second, strict, rows, "-cost-miss", "1", "-cost-false", "1000"); !e.Better {
		t.Errorf("dear false alarms: %+v", e)
	}
}

// Rows of one machine are alike: with -by the interval is as wide as few machines make it.
func TestEvaluateByMachine(t *testing.T) {
	need.Long(t)
	root := need.Root(t)
	shipped, second := filepath.Join(root, "components", "inference-engine", "model"), filepath.Join(root, "scripts", "demo", "second-model", "model.ubj")
	unpacked, err := gzip.NewReader(bytes.NewReader(must.Read(t, simulated(t, "-rows", "500", "-seed", "12", "-faulty", "0.2"))))
	must.OK(t, err)
	text, err := io.ReadAll(unpacked)
	must.OK(t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	table := "thing," + lines[0] + "\n"
	for i, line := range lines[1:] { // each row ten times, as a machine that hardly changes
		for range 10 {
			table += fmt.Sprintf("press-%d,%s\n", i, line)
		}
	}
	path := filepath.Join(t.TempDir(), "machines.csv")
	must.OK(t, os.WriteFile(path, []byte(table), 0o600))
	byRow, _ := evaluate(t, shipped, second, path)
	byMachine, report := evaluate(t, shipped, second, path, "-by", "thing")
	narrow, wide := byRow.Difference.High-byRow.Difference.Low, byMachine.Difference.High-byMachine.Difference.Low
	if byMachine.Difference.Drawn != 500 || wide < 2.5*narrow || !strings.Contains(report, "machines (column thing), 500 of them") {
		t.Errorf("by row %+v\nby machine %+v\n%s", byRow, byMachine, report)
	}
}

func TestEvaluateRefuses(t *testing.T) {
	need.Long(t)
	root := need.Root(t)
	good := filepath.Join(root, "scripts", "demo", "second-model", "model.ubj")
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		must.OK(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	rows := simulated(t, "-rows", "200", "-seed", "13", "-faulty", "0.2")
	for name, c := range map[string]struct{ candidate, table, want string }{
		"no model":         {"/nowhere/model.ubj", rows, "evaluate: /nowhere/model.ubj: No such file"},
		"an empty folder":  {t.TempDir(), rows, "the folder has no model.ubj"},
		"a pickle":         {file("model", "\x80\x04xgboost"), rows, "model is a pickle, which is never executed"},
		"no model inside":  {packed(t, "other", []byte("{}")), rows, "the archive has no xgboost-model"},
		"a cut archive":    {file("model.tar.gz", "\x1f\x8b\x08\x00damaged"), rows, "the archive cannot be read"},
		"text":             {file("model.ubj", "hello"), rows, "model.ubj is no model that XGBoost 3.0.5 reads"},
		"a life model":     {filepath.Join(root, "scripts", "demo", "life-model"), rows, "it gives no probability of a fault"},
		"no table":         {good, "/nowhere/rows.csv", "/nowhere/rows.csv: No such file"},
		"other columns":    {good, file("rows.csv", "a,class\n1,neg\n2,pos\n"), "there is no column 'motor_current_l1', which"},
		"no faulty row":    {good, file("rows.csv", "motor_current_l1,class\n1,neg\n"), "fewer than 1 rows of class pos"},
		"a bad row":        {good, file("rows.csv", "motor_current_l1,class\n1,neg\nx,pos\n"), "line 3: column motor_current_l1: 'x' is not a number"},
		"a broken package": {filepath.Dir(file("manifest.json", "{")), rows, "the folder has no model.ubj"},
	} {
		out, err := python(t, "evaluate.py", "-active", good, "-candidate", c.candidate, "-table", c.table, "-out", t.TempDir())
		if err == nil || !strings.Contains(out, c.want) || strings.Contains(out, "Traceback") {
			t.Errorf("%s: %v\n%s\nwant %q", name, err, out, c.want)
		}
	}
	if out, err := python(t, "evaluate.py", "-active", good, "-candidate", good, "-table", rows, "-out", t.TempDir(), "-cost-miss", "-1"); err == nil || !strings.Contains(out, "invalid positive value: '-1'") {
		t.Errorf("a cost below 0: %v\n%s", err, out)
	}
}
