package drift

import (
	"math"
	"slices"
)

// faults watches the share of rows that are faulty, by Page's test (Page 1954) of the logarithm of how much likelier the rows of a
// block are if the share has grown. The mean number of blocks until a false alarm is at least exp(pageLimit) (Lorden 1971).
type faults struct {
	Rows, Faulty      float64 // learned
	Blocks            moments // of the share in a block
	N, K              int     // of the block at hand
	P0, P1            float64 // usual, and grown; 0: not known yet
	Wide              float64 // how much more than by chance blocks differ
	Sum               float64 // Page's
	LastN, LastFaulty float64 // of the last windows, which fade
}

const (
	pageLimit  = 22 // 1,000 weeks of ten things have 4 million blocks: exp(15)
	pageMost   = 1.5 * pageLimit
	pageBlocks = 40 // are learned from at least
	fade       = 1 - 1./longBlocks
)

// learn counts a row while the line learns.
func (f *faults) learn(faulty bool) {
	f.add(faulty)
	if f.N == blockRows {
		f.block()
	}
}

func (f *faults) add(faulty bool) {
	f.N++
	if faulty {
		f.K++
	}
}

// block ends a block.
func (f *faults) block() {
	n, k := float64(f.N), float64(f.K)
	f.N, f.K = 0, 0
	f.LastN, f.LastFaulty = fade*f.LastN+n, fade*f.LastFaulty+k
	if n == 0 {
		return
	}
	if f.P0 == 0 {
		f.Rows, f.Faulty = f.Rows+n, f.Faulty+k
		f.Blocks.add(k / n)
		return
	}
	f.Sum += (k*math.Log(f.P1/f.P0) + (n-k)*math.Log((1-f.P1)/(1-f.P0))) / f.Wide
	f.Sum = max(0, min(pageMost, f.Sum))
}

// settle takes what was learned as usual, once it is enough.
func (f *faults) settle() {
	if f.P0 > 0 || f.Blocks.N < pageBlocks {
		return
	}
	// The share may be somewhat higher than what was seen: by two standard deviations.
	f.Wide = max(1, f.Blocks.variance()*blockRows/max(f.Faulty/f.Rows, 1/f.Rows))
	p := (f.Faulty + 1 + 2*math.Sqrt((f.Faulty+1)*f.Wide)) / f.Rows
	f.P0 = min(0.9, p)
	f.P1 = min(0.99, max(2*f.P0, f.P0+0.03))
}

func (f *faults) ratio() float64 { return f.Sum / pageLimit }

func (f *faults) figure() Figure {
	return Figure{Kind: FaultRate, Value: f.Sum, Limit: pageLimit, Usual: f.Faulty / f.Rows, Now: f.LastFaulty / max(f.LastN, 1)}
}

// tally counts sensors that the model does not have.
type tally struct {
	counts map[string]int
	rows   int
	blocks int
	fresh  bool     // a window is complete, and
	last   []string // what was found in it
}

const (
	maxUnknown   = 64
	unknownShare = 0.01
)

func (t *tally) add(names []string) {
	t.rows++
	for _, name := range names {
		if _, known := t.counts[name]; known || len(t.counts) < maxUnknown {
			if t.counts == nil {
				t.counts = make(map[string]int)
			}
			t.counts[name]++
		}
	}
}

// block ends a block; after those of a window it is said which sensors came often enough.
func (t *tally) block() {
	if t.blocks++; t.blocks < longBlocks {
		return
	}
	t.last = nil
	for name, n := range t.counts {
		if float64(n) > unknownShare*float64(t.rows) && len(t.last) < MaxFigures {
			t.last = append(t.last, name)
		}
	}
	slices.Sort(t.last)
	clear(t.counts)
	t.rows, t.blocks, t.fresh = 0, 0, true
}
