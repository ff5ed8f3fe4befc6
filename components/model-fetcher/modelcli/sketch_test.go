package modelcli

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Quantiles are exact of few values, and within the bound of many, whatever their order; edges divide the count evenly.
func TestSketch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, next := range map[string]func(i int) float32{
		"ascending":  func(i int) float32 { return float32(i) },
		"descending": func(i int) float32 { return -float32(i) },
		"normal":     func(int) float32 { return float32(random.NormFloat64()) },
		"steps":      func(int) float32 { return float32(math.Round(10 * random.Float64())) },
		"mostly 0":   func(i int) float32 { return max(0, float32(i%100-90)) },
		"constant":   func(int) float32 { return 7 },
	} {
		for _, n := range []int{1, 20, leastCapacity - 1, 100_000} {
			s := sketch{capacity: leastCapacity}
			sorted := make([]float32, n)
			for i := range sorted {
				sorted[i] = next(i)
				s.add(sorted[i])
			}
			slices.Sort(sorted)
			total := uint64(0)
			for _, w := range s.distinct() {
				total += w.weight
			}
			if total != uint64(n) {
				t.Fatalf("%s: the weights of %d values are %d", name, n, total)
			}
			bound := float64(len(s.levels)) / leastCapacity
			if n < leastCapacity {
				bound = 0
			}
			p5, p95 := s.usual()
			for share, got := range map[float64]float32{0.05: *p5, 0.95: *p95} {
				below, _ := slices.BinarySearch(sorted, got)
				upTo, _ := slices.BinarySearch(sorted, math.Nextafter32(got, float32(math.Inf(1))))
				if rank := math.Ceil(share * float64(n)); float64(below) >= rank+bound*float64(n) || float64(upTo) < rank-bound*float64(n) {
					t.Errorf("%s of %d: the quantile %g is %v, of the ranks %d to %d", name, n, share, got, below, upTo)
				}
			}
			edges := s.edges(mostBins)
			if len(edges) >= mostBins || !slices.IsSorted(edges) || len(slices.Compact(slices.Clone(edges))) != len(edges) {
				t.Fatalf("%s of %d: edges %v", name, n, edges)
			}
			if len(edges) > 0 && (edges[0] != sorted[0] || math.Nextafter32(edges[len(edges)-1], 0) != sorted[n-1] && sorted[n-1] != 0) {
				t.Errorf("%s of %d: the ends %v are not those of %v to %v", name, n, edges, sorted[0], sorted[n-1])
			}
			switch name {
			case "constant":
				if len(edges) != 0 {
					t.Errorf("edges %v of one value", edges)
				}
			case "steps", "mostly 0": // a bin of each value, if they are all there
				if n == 100_000 && len(edges) != len(slices.Compact(sorted))+1 {
					t.Errorf("%s of %d: %d edges of %d values", name, n, len(edges), len(slices.Compact(sorted)))
				}
			default:
				if n == 100_000 && len(edges) != mostBins-1 {
					t.Errorf("%s: %d edges", name, len(edges))
				}
			}
		}
	}
	none := sketch{capacity: leastCapacity}
	if p5, p95 := none.usual(); p5 != nil || p95 != nil || len(none.edges(mostBins)) != 0 {
		t.Error("no values have quantiles")
	}
}
