package leaves

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"edgepdm/shared/gbdt"
	"edgepdm/test/must"
)

const (
	shortSoak = 2000
	// What ParseLightGBM may allocate in all, garbage included, for a byte of the file: every number is read as text, kept,
	// written as text for leaves, and read and kept by it.
	maxBytesPerByte = 40
	allocationBase  = 16 << 10
)

// TestMutated damages the models of testdata in a seeded way, and wants each to be read or refused with words, within a
// bound on memory; what is read is scored. SOAK in the environment sets the number of files.
func TestMutated(t *testing.T) {
	count := shortSoak
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			t.Fatalf("SOAK: %v", err)
		}
	}
	var seeds [][]byte
	for _, file := range lightModels(t) {
		data, err := gbdt.ReadFile(file)
		must.OK(t, err)
		seeds = append(seeds, data)
	}
	read, worst := 0, 0.0
	for i := range count {
		rnd := rand.New(rand.NewPCG(8, uint64(i)))
		data := mutate(rnd, seeds[rnd.IntN(len(seeds))])
		before := allocated()
		ok, err := tryLightGBM(data)
		used := allocated() - before
		if err != nil {
			t.Fatalf("file %d of the seed: %v", i, err)
		}
		if used > allocationBase+maxBytesPerByte*uint64(len(data)) {
			t.Fatalf("file %d of the seed: %d bytes were allocated for a file of %d", i, used, len(data))
		}
		if ok {
			read++
		}
		worst = max(worst, (float64(used)-allocationBase)/float64(len(data)))
	}
	t.Logf("%d files: %d read; most memory %.1f bytes a byte", count, read, worst)
	if read == 0 || read == count {
		t.Error("the mutations do not reach far")
	}
}

// TestManyTrees holds the bound on memory where what is kept for a tree weighs most.
func TestManyTrees(t *testing.T) {
	trees := make([]string, 5000)
	for i := range trees {
		trees[i] = "num_leaves=1\nnum_cat=0\nsplit_feature=\nthreshold=\ndecision_type=\nleft_child=\nright_child=\nleaf_value=1\n"
	}
	data := lightText(t, trees)
	before := allocated()
	if _, err := ParseLightGBM(data, gbdt.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	if used := allocated() - before; used > allocationBase+maxBytesPerByte*uint64(len(data)) {
		t.Errorf("%d bytes were allocated for a file of %d", used, len(data))
	}
}

// tryLightGBM reads a file, and scores with it what it reads. It fails if that went wrong in a way that no file may cause.
func tryLightGBM(data []byte) (read bool, err error) {
	m, err := ParseLightGBM(data, gbdt.DefaultLimits())
	if err != nil {
		for _, kind := range []error{gbdt.ErrFormat, gbdt.ErrInvalid, gbdt.ErrUnsupported, gbdt.ErrLimit} {
			if errors.Is(err, kind) && len(err.Error()) > len(kind.Error())+len(": it is x") && len(err.Error()) < 1000 {
				return false, nil
			}
		}
		return false, fmt.Errorf("refused with %w", err)
	}
	if m.NumFeature > 1<<16 {
		return true, nil
	}
	scorer, row := m.NewScorer(), make([]float32, m.NumFeature)
	for i := range row {
		row[i] = []float32{0, float32(math.NaN()), 1}[i%3]
	}
	margin, err := scorer.Margin(nil, row)
	if err != nil {
		return true, err
	}
	if n := len(scorer.Predict(nil, margin)); n != m.Predictions || len(margin) != m.Outputs {
		return true, fmt.Errorf("%d margins, %d predictions", len(margin), n)
	}
	return true, nil
}

// mutate changes a few places of a file: bytes, numbers, lines; or cuts it.
func mutate(rnd *rand.Rand, data []byte) []byte {
	if end := strings.Index(string(data), "end of trees\n"); rnd.IntN(4) > 0 { // what follows scores nothing
		data = data[:end+len("end of trees\n")]
	}
	data = slices.Clone(data)
	for range 1 + rnd.IntN(3) {
		at := rnd.IntN(len(data))
		switch rnd.IntN(6) {
		case 0:
			data[at] = byte(rnd.IntN(256))
		case 1:
			data[at] ^= 1 << rnd.IntN(8)
		case 2: // another digit keeps the length, which tree_sizes holds
			for at < len(data)-1 && (data[at] < '0' || data[at] > '9') {
				at++
			}
			data[at] = byte('0' + rnd.IntN(10))
		case 3:
			n := min(rnd.IntN(40), len(data)-at)
			data = slices.Delete(data, at, at+n)
		case 4:
			n := min(rnd.IntN(40), len(data)-at)
			data = slices.Insert(data, at, slices.Clone(data[at:at+n])...)
		case 5:
			data = data[:at]
		}
		if len(data) == 0 {
			return data
		}
	}
	return data
}

// allocated returns the bytes that the process has allocated so far.
func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

// FuzzLightGBM reads whatever it is given: go test -run '^$' -fuzz FuzzLightGBM ./shared/gbdt/leaves
func FuzzLightGBM(f *testing.F) {
	f.Add(lightText(f, []string{tinyTree, tinyTree}))
	for _, file := range lightModels(f)[:4] {
		data, err := gbdt.ReadFile(file)
		must.OK(f, err)
		f.Add(data)
	}
	f.Add(lightText(f, edited("decision_type=8", "decision_type=4"), "binary sigmoid:1", "regression sqrt"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := tryLightGBM(data); err != nil {
			t.Error(err)
		}
	})
}
