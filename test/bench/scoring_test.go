// Package bench measures what the project claims about its speed, with the peers in the same run: make bench.
package bench

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/gbdt"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/table"
)

const modelDir = "components/inference-engine/model"

// BenchmarkScoring scores rows of the shipped model (168 sensors, 100 trees): with shared/gbdt, and with XGBoost's own Python
// package, a row at a time and in batches of 1,024. Each prints ns/row, and the peers their multiple of ours.
func BenchmarkScoring(b *testing.B) {
	root := need.Root(b)
	data, err := gbdt.ReadFile(filepath.Join(root, modelDir, "model.ubj"))
	must.OK(b, err)
	model, err := gbdt.Parse(data)
	must.OK(b, err)
	rows := goldenRows(b, filepath.Join(root, modelDir, "golden.csv"))
	scorer := gbdt.NewScorer(model)
	var ours float64
	b.Run("edgepdm", func(b *testing.B) {
		b.ReportAllocs()
		margin := make([]float32, 1)
		for i := 0; b.Loop(); i++ {
			if margin, err = scorer.Margin(margin, rows[i%len(rows)]); err != nil {
				b.Fatal(err)
			}
		}
		ours = float64(b.Elapsed()) / float64(b.N)
		b.ReportMetric(ours, "ns/row")
	})
	for _, batch := range []int{1, 1024} {
		b.Run("python-xgboost-batch-"+strconv.Itoa(batch), func(b *testing.B) {
			ns := pythonScoring(b, xgboostPython(b), filepath.Join(root, modelDir), batch)
			b.ReportMetric(ns, "ns/row")
			b.ReportMetric(ns/ours, "x-ours")
			b.ReportMetric(0, "ns/op") // of starting Python: no figure
		})
	}
}

func goldenRows(b *testing.B, path string) [][]float32 {
	var rows [][]float32
	_, lines := table.Read(b, path)
	for _, line := range lines {
		rows = append(rows, line[1:])
	}
	return rows
}

// pythonScoring returns the nanoseconds a row of inplace_predict, which is XGBoost's fastest way from Python.
func pythonScoring(b *testing.B, python, dir string, batch int) float64 {
	const script = `
import sys, time, numpy, xgboost
folder, batch = sys.argv[1], int(sys.argv[2])
booster = xgboost.Booster(model_file=folder + "/model.ubj")
booster.set_param({"nthread": 1})
table = numpy.genfromtxt(folder + "/golden.csv", delimiter=",", skip_header=1, dtype=numpy.float32)[:, 1:]
rows = numpy.resize(table, (batch, table.shape[1]))
for _ in range(20):
    booster.inplace_predict(rows, predict_type="margin", validate_features=False)
count, begin = 0, time.perf_counter()
while time.perf_counter() - begin < 1:
    booster.inplace_predict(rows, predict_type="margin", validate_features=False)
    count += batch
print((time.perf_counter() - begin) / count * 1e9)
`
	return runPython(b, python, script, dir, strconv.Itoa(batch))
}

// runPython runs a script that prints a number.
func runPython(b *testing.B, python, script string, args ...string) float64 {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, append([]string{"-c", script}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("run XGBoost: %v\n%s", err, &errs)
	}
	x, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	must.OK(b, err)
	return x
}
