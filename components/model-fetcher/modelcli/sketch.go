package modelcli

import (
	"cmp"
	"math"
	"slices"
)

const (
	sketchMemory  = 1 << 22 // values in the first levels of all sketches
	leastCapacity = 1 << 10
	mostCapacity  = 1 << 16
)

// sketch keeps a bounded sample of a column's values, from which quantiles are told: the value of a quantile is at most
// levels/capacity of the rows away from it (in ranks), and is exact while there are no more values than capacity. It draws no
// random numbers: equal columns give equal answers. (Munro and Paterson, Selection and Sorting with Limited Storage, 1980.)
type sketch struct {
	capacity int
	count    uint64
	least    float32
	greatest float32
	levels   [][]float32 // a value of level i stands for 1<<i
	odd      []bool      // which half of a level's values goes up next
}

// newSketches returns sketches of n columns.
func newSketches(n int) []sketch {
	capacity := leastCapacity
	for capacity < mostCapacity && 2*capacity*n <= sketchMemory {
		capacity *= 2
	}
	list := make([]sketch, n)
	for i := range list {
		list[i] = sketch{capacity: capacity}
	}
	return list
}

func (s *sketch) add(x float32) {
	if s.count == 0 {
		s.least, s.greatest = x, x
	}
	s.count++
	s.least, s.greatest = min(s.least, x), max(s.greatest, x)
	s.put(0, x)
	for level := 0; level < len(s.levels) && len(s.levels[level]) >= s.capacity; level++ {
		full := s.levels[level]
		slices.Sort(full)
		first := 0
		if s.odd[level] {
			first = 1
		}
		s.odd[level] = !s.odd[level]
		for i := first; i < len(full); i += 2 {
			s.put(level+1, full[i])
		}
		s.levels[level] = full[:0]
	}
}

func (s *sketch) put(level int, x float32) {
	if level == len(s.levels) {
		s.levels, s.odd = append(s.levels, nil), append(s.odd, false)
	}
	s.levels[level] = append(s.levels[level], x)
}

// weighted is a value that stands for many.
type weighted struct {
	value  float32
	weight uint64
}

// distinct returns the values, ascending, each once.
func (s *sketch) distinct() []weighted {
	var all []weighted
	for level, values := range s.levels {
		for _, v := range values {
			all = append(all, weighted{v, 1 << level})
		}
	}
	slices.SortFunc(all, func(a, b weighted) int { return cmp.Compare(a.value, b.value) })
	merged := all[:0]
	for _, w := range all {
		if n := len(merged); n > 0 && merged[n-1].value == w.value {
			merged[n-1].weight += w.weight
			continue
		}
		merged = append(merged, w)
	}
	return merged
}

// usual returns the values that 5 % are lower than, and 5 % higher; nil where there are no values.
func (s *sketch) usual() (p5, p95 *float32) {
	values := s.distinct()
	if len(values) == 0 {
		return nil, nil
	}
	return quantile(values, s.count, 0.05), quantile(values, s.count, 0.95)
}

// quantile returns the least value that a share of the count does not exceed.
func quantile(values []weighted, count uint64, share float64) *float32 {
	target := uint64(math.Ceil(share * float64(count)))
	passed := uint64(0)
	for i := range values {
		if passed += values[i].weight; passed >= target {
			return &values[i].value
		}
	}
	return &values[len(values)-1].value
}

// edges divides the values into at most so many bins. The outermost two lie beyond the least and the greatest value, and are
// empty: so a reader knows how far the values went. Those between have equal counts, as far as equal values, which stay in one
// bin, allow. Values that are all equal have no edges.
func (s *sketch) edges(bins int) []float32 {
	edges := []float32{}
	if s.count == 0 || s.least == s.greatest {
		return edges
	}
	edges = append(edges, s.least)
	left, inBin := s.count, uint64(0)
	for _, w := range s.distinct() {
		open := bins - 1 - len(edges) // without the outermost, those that are full, and the one at hand included
		if inBin > 0 && open > 1 && 2*inBin+w.weight > 2*left/uint64(open) {
			edges = append(edges, w.value)
			left, inBin = left-inBin, 0
		}
		inBin += w.weight
	}
	if end := math.Nextafter32(s.greatest, float32(math.Inf(1))); end <= math.MaxFloat32 {
		edges = append(edges, end)
	}
	return edges
}
