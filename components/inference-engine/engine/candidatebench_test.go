package engine

import (
	"context"
	"slices"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
	"edgepdm/test/must"
)

// BenchmarkRowWithCandidate scores rows in turns with and without a candidate beside the model, 2,000 a second. It prints what the
// candidate adds to a row, in percent and nanoseconds, as the median of pairs: that is steady also on a busy machine.
func BenchmarkRowWithCandidate(b *testing.B) {
	withRows(b, func(ctx context.Context, r *rowBench) {
		second, err := loadModel("../../../scripts/demo/second-model/model.ubj", r.config)
		must.OK(b, err)
		r.adopt()
		faults := r.models
		faults.another, faults.verdicts = make(chan struct{}, 1), make(chan verdict, 1)
		held := modelstore.Installed{ID: "2.0.0-a", Accepted: time.Unix(1e9, 0)}
		t, err := newTrial(held, r.model, second, r.config)
		must.OK(b, err)
		config := r.config
		config.Candidate.Rows = 1e9
		labels, err := r.rt.Subscribe(ctx, event.FilterLabel)
		must.OK(b, err)
		c := newComparer(r.rt, config, time.Now, faults, labels)
		ctx, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); c.run(ctx) }()
		defer func() { stop(); <-done; c.close() }()
		faults.setTrial(t)
		const rows = 100
		tick := time.NewTicker(rows * time.Second / 2 / 2000)
		defer tick.Stop()
		turn := func(with *trial) (float64, float64) {
			<-tick.C
			faults.trial.Store(with)
			defer faults.trial.Store(t) // for the comparer
			took, allocations := r.rows(ctx, rows)
			return took.Seconds() * 1e9 / rows, float64(allocations) / rows
		}
		turn(t)
		var without, differences, more []float64
		for b.Loop() {
			one, allocations := turn(nil)
			two, with := turn(t)
			without, differences, more = append(without, one), append(differences, two-one), append(more, with-allocations)
		}
		median := func(x []float64) float64 { slices.Sort(x); return x[len(x)/2] }
		b.ReportMetric(median(without), "ns/row-without")
		b.ReportMetric(median(differences), "ns/row-more")
		b.ReportMetric(100*median(differences)/median(without), "percent-more")
		b.ReportMetric(median(more), "allocs/row-more")
		b.ReportMetric(float64(r.rt.Counter(CounterCandidateRows).Load()), "rows-compared")
		b.ReportMetric(float64(r.rt.Counter(CounterCandidateSkipped).Load()), "rows-skipped")
	})
}
