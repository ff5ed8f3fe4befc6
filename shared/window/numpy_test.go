package window

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/tools"
)

// exactSpec has every statistic over 20 rows.
func exactSpec() Spec {
	s := Spec{Sensors: []string{"a"}}
	for _, stat := range []Stat{Mean, Std, Slope, Min, Max, Count} {
		s.Inputs = append(s.Inputs, Input{Sensor: "a", Stat: stat, Rows: 20})
	}
	return s
}

// hardValues are large ones with a small variation, with rows whose value is missing.
func hardValues(scale float64) []float32 {
	random := rand.New(rand.NewPCG(11, 5))
	values := make([]float32, 400)
	for i := range values {
		if values[i] = float32(scale + random.NormFloat64()); random.IntN(10) == 0 {
			values[i] = nan
		}
	}
	return values
}

// The mean, the standard deviation and the slope of large values with a small variation are those of exact arithmetic, to
// the last bit of a float32 or the one before.
func TestStatisticsAreExact(t *testing.T) {
	for _, scale := range []float64{0, 1e3, 1e6, -1e7} {
		w, err := New(exactSpec(), 1<<20)
		must.OK(t, err)
		values := hardValues(scale)
		for i, v := range values {
			got, _ := w.Add(nil, "p", Row{"e", uint64(i + 1), start, []float32{v}})
			n, sx, sy, sxx, syy, sxy := new(big.Rat), new(big.Rat), new(big.Rat), new(big.Rat), new(big.Rat), new(big.Rat)
			for j := max(0, i-19); j <= i; j++ {
				if values[j] != values[j] {
					continue
				}
				x, y := big.NewRat(int64(j-i), 1), new(big.Rat).SetFloat64(float64(values[j]))
				n.Add(n, big.NewRat(1, 1))
				sx.Add(sx, x)
				sy.Add(sy, y)
				sxx.Add(sxx, new(big.Rat).Mul(x, x))
				syy.Add(syy, new(big.Rat).Mul(y, y))
				sxy.Add(sxy, new(big.Rat).Mul(x, y))
			}
			if n.Cmp(big.NewRat(2, 1)) < 0 {
				continue
			}
			// n·Sxy - Sx·Sy, and so on, are exact here: no digits cancel.
			spread := func(ab, a, b *big.Rat) *big.Rat {
				return new(big.Rat).Sub(new(big.Rat).Mul(n, ab), new(big.Rat).Mul(a, b))
			}
			mean, _ := new(big.Rat).Quo(sy, n).Float64()
			variance, _ := new(big.Rat).Quo(spread(syy, sy, sy), new(big.Rat).Mul(n, new(big.Rat).Sub(n, big.NewRat(1, 1)))).Float64()
			slope, _ := new(big.Rat).Quo(spread(sxy, sx, sy), spread(sxx, sx, sx)).Float64()
			for k, want := range []float64{mean, math.Sqrt(variance), slope} {
				if !near(got[k], want) {
					t.Fatalf("around %g, row %d, %s: %v, want %v", scale, i, w.spec.Inputs[k].Stat, got[k], want)
				}
			}
		}
	}
}

// near says whether two values are the same but for the last bit of a float32. Of a slope near 0 the last bits are lost.
func near(got float32, want float64) bool {
	return math.Abs(float64(got)-want) <= 1.2e-7*math.Abs(want)+1e-9
}

const numpyScript = `
import sys, numpy as np
values = np.array([float(line) for line in sys.stdin], dtype=np.float32).astype(np.float64)
for i in range(len(values)):
    x = np.arange(max(0, i - 19), i + 1)
    y = values[x]
    x, y = x[~np.isnan(y)] - i, y[~np.isnan(y)]
    if len(y) < 2:
        print()
        continue
    print(y.mean(), y.std(ddof=1), np.polyfit(x, y - y.mean(), 1)[0], y.min(), y.max(), len(y))
`

// Where there is NumPy, it says the same.
func TestStatisticsAreThoseOfNumPy(t *testing.T) {
	python := filepath.Join(need.Installed(t, tools.XGBoost), "bin", "python")
	values := hardValues(1e6)
	cmd := exec.Command(python, "-c", numpyScript)
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(strings.Trim(fmt.Sprint(values), "[]"), " ", "\n"))
	out, err := cmd.Output()
	must.OK(t, err)
	w, err := New(exactSpec(), 1<<20)
	must.OK(t, err)
	lines := strings.Split(string(out), "\n")
	for i, v := range values {
		got, _ := w.Add(nil, "p", Row{"e", uint64(i + 1), start, []float32{v}})
		for k, field := range strings.Fields(lines[i]) {
			want, err := strconv.ParseFloat(field, 64)
			must.OK(t, err)
			if !near(got[k], want) {
				t.Fatalf("row %d, %s: %v, want %v", i, w.spec.Inputs[k].Stat, got[k], want)
			}
		}
	}
	if len(lines) < len(values) {
		t.Errorf("NumPy gave %d lines", len(lines))
	}
}
