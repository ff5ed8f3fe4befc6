package component

import (
	"slices"
	"sync"
	"time"

	"edgepdm/shared/event"
)

// latencyBounds are the upper bounds of the buckets, in microseconds; one more bucket has what took longer.
var latencyBounds = []int64{250, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000}

// latencyTime is how long what was measured counts for the quantiles at least; at most twice that.
const latencyTime = time.Minute

// Latencies counts how long something took, in bounded memory. Its methods may be called from several goroutines.
type Latencies struct {
	now func() time.Time

	mu             sync.Mutex
	all            []uint64
	before, recent []uint64 // of the minute before, and of this one
	begun          time.Time
}

func newLatencies(now func() time.Time) *Latencies {
	n := len(latencyBounds) + 1
	return &Latencies{now: now, all: make([]uint64, n), before: make([]uint64, n), recent: make([]uint64, n)}
}

// Latencies are what the health messages tell of how long the component's work takes, once there is something.
func (rt *Runtime) Latencies() *Latencies { return rt.latencies }

// Observe counts what began then and ended now.
func (l *Latencies) Observe(begun, now time.Time) {
	i, _ := slices.BinarySearch(latencyBounds, now.Sub(begun).Microseconds())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn(now)
	l.all[i]++
	l.recent[i]++
}

// turn begins another minute, if it is time. mu is held.
func (l *Latencies) turn(now time.Time) {
	since := now.Sub(l.begun)
	if since > -latencyTime && since < latencyTime { // another goroutine may have looked at the clock a little later, and been first
		return
	}
	l.before, l.recent = l.recent, l.before
	clear(l.recent)
	if since < 0 || since >= 2*latencyTime {
		clear(l.before)
	}
	l.begun = now
}

// report returns what the next health message says; nil: nothing was measured.
func (l *Latencies) report() *event.Latency {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn(l.now())
	var all uint64
	counts := make([]uint64, len(l.recent))
	for i := range counts {
		all += l.all[i]
		counts[i] = l.before[i] + l.recent[i]
	}
	if all == 0 {
		return nil
	}
	return &event.Latency{P50US: quantile(counts, 0.5), P99US: quantile(counts, 0.99), BoundsUS: latencyBounds, Counts: slices.Clone(l.all)}
}

// quantile returns the upper bound of the bucket that a share of what was counted is in, or below; 0: nothing was.
func quantile(counts []uint64, share float64) int64 {
	var all, below uint64
	for _, n := range counts {
		all += n
	}
	for i, n := range counts {
		if below += n; n > 0 && float64(below) >= share*float64(all) {
			return latencyBounds[min(i, len(latencyBounds)-1)]
		}
	}
	return 0
}
