package bench

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"edgepdm/shared/gbdt"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/tools"
)

// BenchmarkExplaining explains rows (SHAP values) of the shipped model, and of one that XGBoost trains here: 100 trees of depth 6
// on 168 sensors, about 5,800 leaves. XGBoost's own pred_contribs explains the same rows of both in a batch of 256, on one core,
// in the same run. Each prints ns/row, and XGBoost its multiple of ours.
func BenchmarkExplaining(b *testing.B) {
	shipped := filepath.Join(need.Root(b), modelDir)
	b.Run("shipped", func(b *testing.B) {
		explaining(b, filepath.Join(shipped, "model.ubj"), goldenRows(b, filepath.Join(shipped, "golden.csv")))
	})
	b.Run("large", func(b *testing.B) {
		folder := b.TempDir()
		leaves := runPython(b, xgboostPython(b), largeScript, folder)
		b.Logf("%.0f leaves", leaves)
		explaining(b, filepath.Join(folder, "model.ubj"), rawRows(b, filepath.Join(folder, "rows.f32"), 168))
	})
}

// largeScript trains a model, and writes rows beside it.
const largeScript = `
import sys, numpy, xgboost
rng = numpy.random.RandomState(1)
x = rng.randn(40000, 168).astype(numpy.float32)
y = x[:, :40].sum(axis=1) + x[:, 40] * x[:, 41] + 3 * rng.randn(len(x))
booster = xgboost.train({"max_depth": 6, "eta": 0.1, "tree_method": "hist", "seed": 1}, xgboost.DMatrix(x, label=y), 92)
booster.save_model(sys.argv[1] + "/model.ubj")
x[:256].tofile(sys.argv[1] + "/rows.f32")
print(sum(tree.count("leaf=") for tree in booster.get_dump()))
`

const explainScript = `
import sys, time, numpy, xgboost
booster = xgboost.Booster(model_file=sys.argv[1])
booster.set_param({"nthread": 1})
rows = xgboost.DMatrix(numpy.fromfile(sys.argv[2], dtype=numpy.float32).reshape(256, -1), nthread=1)
booster.predict(rows, pred_contribs=True, validate_features=False)
count, begin = 0, time.perf_counter()
while time.perf_counter() - begin < 1:
    booster.predict(rows, pred_contribs=True, validate_features=False)
    count += 256
print((time.perf_counter() - begin) / count * 1e9)
`

func xgboostPython(b *testing.B) string {
	return filepath.Join(need.Installed(b, tools.XGBoost), "bin", "python")
}

func explaining(b *testing.B, path string, rows [][]float32) {
	data, err := gbdt.ReadFile(path)
	must.OK(b, err)
	model, err := gbdt.Parse(data)
	must.OK(b, err)
	explainer, err := gbdt.NewExplainer(model)
	must.OK(b, err)
	batch := make([][]float32, 256)
	var raw bytes.Buffer
	for i := range batch {
		batch[i] = rows[i%len(rows)]
		must.OK(b, binary.Write(&raw, binary.LittleEndian, batch[i]))
	}
	var ours float64
	b.Run("edgepdm", func(b *testing.B) {
		b.ReportAllocs()
		var contributions []float32
		for i := 0; b.Loop(); i++ {
			if contributions, err = explainer.Explain(contributions, batch[i%len(batch)]); err != nil {
				b.Fatal(err)
			}
		}
		ours = float64(b.Elapsed()) / float64(b.N)
		b.ReportMetric(ours, "ns/row")
	})
	b.Run("python-xgboost", func(b *testing.B) {
		file := filepath.Join(b.TempDir(), "rows.f32")
		must.OK(b, os.WriteFile(file, raw.Bytes(), 0o600))
		ns := runPython(b, xgboostPython(b), explainScript, path, file)
		b.ReportMetric(ns, "ns/row")
		b.ReportMetric(ns/ours, "x-ours")
		b.ReportMetric(0, "ns/op") // of starting Python: no figure
	})
}

// rawRows reads float32 values.
func rawRows(b *testing.B, path string, columns int) [][]float32 {
	data := must.Read(b, path)
	var rows [][]float32
	for len(data) > 0 {
		row := make([]float32, columns)
		n, err := binary.Decode(data, binary.LittleEndian, row)
		must.OK(b, err)
		rows, data = append(rows, row), data[n:]
	}
	return rows
}
