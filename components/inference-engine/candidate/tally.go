package candidate

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// bins are of equal width, of probabilities.
const bins = 10

// Tally has figures of rows. Pairs are of the active model and the candidate.
type Tally struct {
	Rows      uint64          `json:"rows"`
	Agree     uint64          `json:"agree"` // with the same label
	Faulty    [2]uint64       `json:"faulty"`
	Bins      [2][bins]uint64 `json:"bins"`
	Sum       float64         `json:"sum"` // of the margins' differences
	SumSquare float64         `json:"sum2"`
	Most      float64         `json:"most"` // of them, without its sign
	Took      [2]latencies    `json:"took"`
}

func (t *Tally) add(r Row) {
	t.Rows++
	if r.Faulty[0] == r.Faulty[1] {
		t.Agree++
	}
	for i, p := range r.Probability {
		if r.Faulty[i] {
			t.Faulty[i]++
		}
		t.Bins[i][min(int(p*bins), bins-1)]++
		t.Took[i].add(r.Took[i])
	}
	d := logOdds(r.Probability[1]) - logOdds(r.Probability[0])
	t.Sum += d
	t.SumSquare += d * d
	t.Most = max(t.Most, math.Abs(d))
}

// maxLogOdds is that of the probability next to 1 that a float32 has.
const maxLogOdds = 16

// logOdds returns the margin that a probability stands for.
func logOdds(p float32) float64 {
	x := float64(p)
	return min(max(math.Log(x)-math.Log1p(-x), -maxLogOdds), maxLogOdds)
}

// Agreement returns the share of rows with the same label.
func (t *Tally) Agreement() float64 { return t.share(t.Agree) }

// FaultRates returns the shares of faulty rows.
func (t *Tally) FaultRates() [2]float64 {
	return [2]float64{t.share(t.Faulty[0]), t.share(t.Faulty[1])}
}

func (t *Tally) share(n uint64) float64 {
	if t.Rows == 0 {
		return 0
	}
	return float64(n) / float64(t.Rows)
}

// Margin returns the mean and the standard deviation of the candidate's margins less the active model's.
func (t *Tally) Margin() (mean, spread float64) {
	if t.Rows == 0 {
		return 0, 0
	}
	n := float64(t.Rows)
	mean = t.Sum / n
	return mean, math.Sqrt(max(t.SumSquare/n-mean*mean, 0))
}

// PSI returns the population stability index of the candidate's probabilities against the active model's. Half a row in each bin
// more keeps empty ones finite.
func (t *Tally) PSI() float64 {
	const more = 0.5
	all := float64(t.Rows) + bins*more
	psi := 0.0
	for i := range bins {
		a, c := (float64(t.Bins[0][i])+more)/all, (float64(t.Bins[1][i])+more)/all
		psi += (c - a) * math.Log(c/a)
	}
	return psi
}

// The bins of latencies: each is a tenth wider than the one before, from 100 ns on to 8 s.
const (
	latencyBins   = 192
	latencyFirst  = 100 * time.Nanosecond
	latencyFactor = 1.1
)

var latencyEdges = func() (edges [latencyBins]float64) { // upper ones, in nanoseconds
	edge := float64(latencyFirst)
	for i := range edges {
		edges[i] = edge
		edge *= latencyFactor
	}
	return edges
}()

// latencies counts how long rows took, by bin.
type latencies [latencyBins]uint32

func (l *latencies) add(d time.Duration) {
	i, _ := slices.BinarySearch(latencyEdges[:], float64(d))
	l[min(i, latencyBins-1)]++
}

func (l *latencies) total() (n uint64) {
	for _, x := range l {
		n += uint64(x)
	}
	return n
}

// rank returns the edges of the bin that has the k-th shortest, from 1.
func (l *latencies) rank(k float64) (low, high time.Duration) {
	seen := 0.0
	for i, n := range l {
		if seen += float64(n); n > 0 && seen >= k {
			if i > 0 {
				low = time.Duration(latencyEdges[i-1])
			}
			return low, time.Duration(latencyEdges[i])
		}
	}
	return 0, 0
}

// quantile returns the middle of the bin that has it.
func (l *latencies) quantile(q float64) time.Duration {
	low, high := l.rank(max(math.Ceil(q*float64(l.total())), 1))
	return (low + high) / 2
}

// bounds returns between what a quantile lies, each with a confidence of 95 %, by order statistics.
func (l *latencies) bounds(q float64) (low, high time.Duration) {
	const z = 1.645
	n := float64(l.total())
	spread := z * math.Sqrt(n*q*(1-q))
	low, _ = l.rank(max(math.Floor(n*q-spread), 1))
	_, high = l.rank(min(math.Ceil(n*q+spread)+1, n))
	return low, high
}

// check says what in figures that were read from disk cannot be.
func (t *Tally) check() error {
	for _, x := range []float64{t.Sum, t.SumSquare, t.Most} {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("a sum is %v", x)
		}
	}
	for i := range t.Bins {
		n := uint64(0)
		for _, x := range t.Bins[i] {
			n += x
		}
		if n != t.Rows || t.Took[i].total() != t.Rows || t.Faulty[i] > t.Rows {
			return fmt.Errorf("%d rows, in its bins are %d and %d", t.Rows, n, t.Took[i].total())
		}
	}
	return nil
}
