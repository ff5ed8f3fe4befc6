// Package drift finds out on the device whether what a model is given on a line, or what it says of it, is still what it was.
//
// Rows are counted in the bins of the training's baseline. A Line has sliding windows of 200 and 500 rows and of 24 hours, and compares
// each with what is usual by the population stability index (PSI). What is usual is, by the Options, the training's baseline or what the
// line itself showed: machines differ from each other and from those of the training, so each thing has counts of its own, and a window
// is compared with the mixture of the things whose rows are in it. Limits are computed from the size of the window, the bins and the
// number of tests, and from how much the windows of the line differ by themselves, which is learned, too: rows follow each other, and days
// differ from nights. Memory is bounded, and a row that counts allocates nothing.
package drift

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"time"
)

const (
	// blockRows are judged together.
	blockRows = 25
	// shortBlocks and longBlocks are how many blocks the windows of rows have.
	shortBlocks, longBlocks = 8, 20
	// slices of sliceTime make up the window of a day.
	daySlices = 8
	sliceTime = 24 * time.Hour / daySlices

	// fineBins are those in which is counted until the line is known, and cells those of a column from then on.
	fineBins = 24
	cells    = 12
	groups   = cells - 1 // the last cell has missing values
	// leastGroup is the least share of a group of bins: fewer rows tell little, and make the PSI jump.
	leastGroup = 0.09

	// MaxColumns is how many inputs of a model are looked at.
	MaxColumns = 4096
	// MaxThings is how many things of a line are looked at. One more takes the place of one that was silent for silentThing.
	MaxThings   = 1000
	silentThing = 7 * 24 * time.Hour
)

// Column is what training saw of an input. Without edges the line learns where its values are.
type Column struct {
	Edges     []float32 // ascending; bin i has the values from Edges[i-1] up to but not at Edges[i]
	Counts    []uint64  // one more than edges
	Missing   uint64
	Low, High float32 // the lowest and the highest value; only for figures, NaN: not known
}

// Options say what is compared with what.
type Options struct {
	Columns  []Column // the model's inputs
	Score    Column   // its probabilities
	Training bool     // compare with the training, not with what the line itself showed
	Learn    time.Duration
}

// Plan is what lines of a model have in common.
type Plan struct {
	columns  []column // the score's is the last
	training bool
	learn    time.Duration
	known    bool // where the values of all columns are
	sum      string
	chances  map[[2]int]float64 // limits by number of groups and rows
}

type column struct {
	edges     []float32
	counts    []float64 // nil: training says nothing of it
	missing   float64
	low, high float32
}

// scoreEdges are for probabilities of which training says nothing.
var scoreEdges = []float32{1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.99}

// NewPlan prepares for lines. Columns beyond MaxColumns are not looked at.
func NewPlan(o Options) *Plan {
	p := &Plan{training: o.Training, learn: o.Learn, chances: make(map[[2]int]float64)}
	hash := sha256.New()
	write := func(v any) { _ = binary.Write(hash, binary.LittleEndian, v) } // a hash takes everything
	for _, c := range append(slices.Clone(o.Columns[:min(len(o.Columns), MaxColumns)]), o.Score) {
		own := prepare(c)
		p.columns = append(p.columns, own)
		write(uint32(len(own.edges)))
		write(own.edges)
		write(uint32(len(own.counts)))
		write(own.counts)
	}
	score := &p.columns[len(p.columns)-1]
	if len(score.edges) == 0 {
		score.edges = scoreEdges
	}
	if p.training = p.training && p.Trained(); !p.training {
		p.learn = max(p.learn, 1)
	}
	if some := slices.ContainsFunc(p.columns[:p.size()], func(c column) bool { return len(c.edges) > 0 }); some {
		for i := range p.columns {
			if c := &p.columns[i]; len(c.edges) == 0 {
				c.edges = []float32{0} // training tells of others: rows are not awaited for the sake of this one
			}
		}
	}
	p.known = !slices.ContainsFunc(p.columns, func(c column) bool { return len(c.edges) == 0 })
	write([]int64{int64(o.Learn), int64(len(p.columns))})
	write(o.Training)
	p.sum = hex.EncodeToString(hash.Sum(nil)[:16])
	return p
}

// prepare takes over what training says of a column, in at most fineBins.
func prepare(c Column) column {
	own := column{low: c.Low, high: c.High, missing: float64(c.Missing)}
	if len(c.Edges) == 0 && len(c.Counts) == 1 && c.Low <= c.High { // training saw one value
		c.Edges, c.Counts = []float32{c.Low, math.Nextafter32(c.High, float32(math.Inf(1)))}, []uint64{0, c.Counts[0], 0}
	}
	if len(c.Edges) == 0 || len(c.Counts) != len(c.Edges)+1 {
		return own
	}
	total := 0.
	for _, n := range c.Counts {
		total += float64(n)
	}
	least := 0.
	if len(c.Counts) > fineBins {
		least = total / (fineBins - 2)
	}
	sum := 0.
	for i, n := range c.Counts {
		sum += float64(n)
		if last := i == len(c.Counts)-1; last || sum >= least && len(own.edges) < fineBins-1 {
			if own.counts = append(own.counts, sum); !last {
				own.edges = append(own.edges, c.Edges[i])
			}
			sum = 0
		}
	}
	return own
}

// trained reports whether training says how the values of a column are spread.
func (c *column) trained() bool { return len(c.counts) > 1 }

// blind reports whether nothing is learned of the line.
func (p *Plan) blind() bool { return p.training && p.known && p.learn == 0 }

// size is how many inputs a row has, without the score.
func (p *Plan) size() int { return len(p.columns) - 1 }

// Trained reports whether the plan has anything of the training to compare with.
func (p *Plan) Trained() bool {
	return slices.ContainsFunc(p.columns, func(c column) bool { return c.trained() })
}

// bin returns the bin of a value that is not missing.
func bin(edges []float32, x float32) int {
	low, high := 0, len(edges)
	for low < high {
		if middle := (low + high) / 2; edges[middle] <= x {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// grouping puts bins together so that each group has its share of the values. A column that nearly always has one value gets a
// group for it, and one for what is below and one above, where there are bins.
func grouping(counts []float64) []uint8 {
	total, most := 0., 0
	for i, n := range counts {
		if total += n; n > counts[most] {
			most = i
		}
	}
	of := make([]uint8, len(counts))
	group, sum, left := 0, 0., total
	for i, n := range counts {
		of[i] = uint8(group)
		sum, left = sum+n, left-n
		if sum >= leastGroup*total && left >= leastGroup*total && group < groups-1 {
			group, sum = group+1, 0
		}
	}
	if group > 0 && total > 0 {
		return of
	}
	group = 0
	for i := range of {
		if i > 0 && (i == most || i == most+1) {
			group++
		}
		of[i] = uint8(group)
	}
	return of
}

// quantileEdges are edges between about equal shares of the values, of which there are some.
func quantileEdges(values []float32) []float32 {
	slices.Sort(values)
	var edges []float32
	if len(values) == 0 {
		return []float32{0}
	}
	for i := 1; i < fineBins-1; i++ {
		x := values[i*len(values)/(fineBins-1)]
		if x > values[0] && (len(edges) == 0 || x > edges[len(edges)-1]) {
			edges = append(edges, x)
		}
	}
	for _, beyond := range []float32{values[0], math.Nextafter32(values[len(values)-1], float32(math.Inf(1)))} {
		if !slices.Contains(edges, beyond) && len(edges) < fineBins-1 {
			edges = append(edges, beyond)
		}
	}
	slices.Sort(edges)
	return edges
}

// median is about the middle of counts in groups of bins, by the edges between them; NaN where there are none.
func median(counts []float64, edges []float32, low, high float32) float64 {
	total := 0.
	for _, n := range counts {
		total += n
	}
	if total == 0 {
		return math.NaN()
	}
	sum := 0.
	for i, n := range counts {
		if sum+n < total/2 {
			sum += n
			continue
		}
		from, to := low, high
		if i > 0 {
			from = edges[i-1]
		}
		if i < len(edges) {
			to = edges[i]
		}
		switch {
		case !(from <= to) && i > 0, math.IsInf(float64(to), 0):
			return float64(from)
		case !(from <= to), math.IsInf(float64(from), 0):
			return float64(to)
		}
		return float64(from) + (float64(to)-float64(from))*(total/2-sum)/n
	}
	return math.NaN()
}

// chanceLimit returns a limit for groups that have the shares p. Where each has its share, the same serves for all columns with as many
// groups: that of groups as small as they may be, but for one.
func (p *Plan) chanceLimit(shares []float64, n int, l float64) float64 {
	k := len(shares)
	if k < 2 || slices.Min(shares) < leastGroup {
		return chanceLimit(shares, n, l)
	}
	at := [2]int{k, n}
	if _, known := p.chances[at]; !known {
		worst := make([]float64, k)
		for g := range worst {
			worst[g] = leastGroup
		}
		worst[0] = 1 - leastGroup*float64(k-1)
		p.chances[at] = chanceLimit(worst, n, l)
	}
	return p.chances[at]
}
