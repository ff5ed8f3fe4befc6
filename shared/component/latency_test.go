package component

import (
	"reflect"
	"testing"
	"time"

	"edgepdm/shared/event"
)

// Latencies are counted by buckets since the start, and their quantiles are those of the last minutes.
func TestLatencies(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newLatencies(func() time.Time { return now })
	if got := l.report(); got != nil {
		t.Errorf("%+v of nothing", got)
	}
	took := func(n int, d time.Duration) {
		for range n {
			l.Observe(now.Add(-d), now)
		}
	}
	quantiles := func(p50, p99 int64) {
		t.Helper()
		if got := l.report(); got.P50US != p50 || got.P99US != p99 {
			t.Errorf("p50 %d, p99 %d, want %d, %d", got.P50US, got.P99US, p50, p99)
		}
	}
	took(60, 0)
	took(38, 250*time.Microsecond+500)
	took(1, 251*time.Microsecond)
	quantiles(250, 500)
	took(1, 3*time.Millisecond)
	quantiles(250, 500)
	took(2, time.Hour)
	quantiles(250, 10_000_000)
	now = now.Add(latencyTime)
	took(1, 15*time.Millisecond)
	quantiles(250, 10_000_000)
	now = now.Add(latencyTime)
	quantiles(20_000, 20_000)
	now = now.Add(latencyTime)
	quantiles(0, 0)
	took(1, -time.Second) // the clock was set
	quantiles(250, 250)
	now = now.Add(-time.Hour)
	quantiles(0, 0)
	want := &event.Latency{BoundsUS: latencyBounds, Counts: []uint64{99, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2}}
	if got := l.report(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A goroutine that looked at the clock before another one began the next minute takes nothing of what was measured away.
func TestLatenciesOfGoroutinesSideBySide(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newLatencies(func() time.Time { return now })
	for range 10 {
		l.Observe(now.Add(-3*time.Millisecond), now)
	}
	early := now.Add(latencyTime - time.Microsecond)
	now = now.Add(latencyTime)
	l.report() // begins the minute
	l.Observe(early, early)
	if got := l.report(); got.P50US != 5000 || got.P99US != 5000 {
		t.Errorf("p50 %d, p99 %d of ten that took 3 ms and one that took none", got.P50US, got.P99US)
	}
}
