package gbdt

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/must"
)

// The fuzz tests look for data that makes Parse or scoring panic, or the two layouts differ; one for each format, as the
// fuzzer finds its way only from files like those that it seeks:
//
//	go test -run '^$' -fuzz FuzzPickle -fuzztime 60s -fuzzminimizetime 20x ./shared/gbdt

func FuzzJSON(f *testing.F)   { fuzzFormat(f, FormatJSON) }
func FuzzUBJSON(f *testing.F) { fuzzFormat(f, FormatUBJSON) }

// FuzzLegacy takes the binary format with and without its prefix, and with a configuration behind it.
func FuzzLegacy(f *testing.F) {
	model := tinyLegacy(1, 2).encode(f)
	f.Add(model)
	f.Add(tinyLegacy(0, 0).encode(f))
	config := `{"learner":{"gradient_booster":{"gbtree_train_param":{"num_parallel_tree":"2"}}},"version":[1,2,1]}`
	f.Add(slices.Concat(configOffset, binary.LittleEndian.AppendUint64(nil, uint64(len(model))), model, []byte(config)))
	fuzzFormat(f, FormatLegacy, FormatLegacyBinf, kindConfigOffset)
}

func FuzzPickle(f *testing.F) {
	model := string(tinyLegacy(0, 0).encode(f))
	f.Add(pickled(pushBytes(model), "\x8c\x0ebest_iterationK\x00\x8c\x10best_ntree_limitK\x02"))
	f.Add([]byte("\x80\x04" + wrapped("XGBClassifier", boosterOf(pushBytes(model), ""), "\x8c\x07missingK\x00") + "."))
	f.Add([]byte("ccopy_reg\n_reconstructor\n(cxgboost.core\nBooster\nc__builtin__\nobject\nNtR(dp5\nS'handle'\nc__builtin__\nbytearray\n(" +
		asRawUnicode(model) + "S'latin-1'\ntRsb."))
	fuzzFormat(f, kindPickle)
}

// FuzzArchive takes tar files: gzip's checksum would keep the fuzzer out.
func FuzzArchive(f *testing.F) {
	f.Add(tarOf([]byte(tiny), "xgboost-model"))
	f.Add(tarOf([]byte(tiny), "./._x", "x/xgboost-model", "xgboost-model-1", "xgboost-model-0"))
	fuzzFormat(f, kindTar, kindGzip)
}

// fuzzFormat starts from the sound files of some kinds, small ones: mutations of a large one are slow and find nothing more.
func fuzzFormat(f *testing.F, kinds ...string) {
	add := func(data []byte) {
		if kind, err := sniff(data); err == nil && slices.Contains(kinds, kind) && len(data) < 5<<10 {
			f.Add(data)
		}
	}
	for _, file := range committedModels(f) {
		data, err := os.ReadFile(file)
		must.OK(f, err)
		add(data)
		if pickle, err := readPickle(data); err == nil {
			add(pickle.payload)
		}
	}
	for _, edits := range [][]string{nil, tinyCategorical, tinyVector} {
		text := strings.Join(strings.Fields(must.Replace(f, tiny, edits...)), "")
		add([]byte(text))
		add(toUBJSON(f, text))
	}
	limits := Limits{FileSize: 1 << 20, Trees: 1 << 10, Nodes: 1 << 14, Depth: 1 << 8, Features: 1 << 10, Outputs: 1 << 8, Categories: 1 << 14}
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := limits.Parse(data); err == nil {
			scoreCuts(t, m)
		}
	})
}

// scoreCuts scores a model with each choice of rounds that it has.
func scoreCuts(t *testing.T, m *Model) {
	for _, which := range []Iterations{AllIterations, AutoIterations, BestIterations} {
		if cut, err := m.Cut(which); err == nil && (cut != m || which == AllIterations) {
			scoreAny(t, cut)
		}
	}
}

// scoreAny scores a few rows with both layouts, and explains them.
func scoreAny(t *testing.T, m *Model) {
	fast, plain := NewScorer(m), newPlainScorer(m)
	explainer, err := NewExplainer(m)
	if err != nil && !errors.Is(err, ErrNotExplained) {
		t.Fatal(err)
	}
	row := make([]float32, m.NumFeature)
	for _, v := range []float32{0, nan, -3.5, 1e6, math.MaxFloat32, -math.MaxFloat32} {
		for i := range row {
			row[i] = v + float32(i)/8
			if math.IsInf(float64(row[i]), 0) {
				row[i] = v
			}
		}
		a, err := fast.Margin(nil, row)
		must.OK(t, err)
		b, err := plain.Margin(nil, row)
		must.OK(t, err)
		for i := range a {
			if a[i] != b[i] && (a[i] == a[i] || b[i] == b[i]) {
				t.Fatalf("row of %v: output %d is %v in the fast layout, %v in the plain one", v, i, a[i], b[i])
			}
		}
		if p := fast.Predict(nil, a); len(p) != m.Predictions {
			t.Fatalf("%d predictions, want %d", len(p), m.Predictions)
		}
		if explainer == nil {
			continue
		}
		contributions, err := explainer.Explain(nil, row)
		if err != nil || slices.ContainsFunc(contributions, func(v float32) bool { return v != v }) {
			t.Fatalf("row of %v: contributions %v, %v", v, contributions, err)
		}
	}
}
