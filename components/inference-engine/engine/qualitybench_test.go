package engine

import (
	"context"
	"slices"
	"testing"
	"time"
)

// BenchmarkQuality makes predictions of rows of the shipped model, from the row's values to the message, in turns with and without a judgement
// of the values' quality. It prints what the judgement adds, in percent,
// as the median of pairs: that is steady also on a busy machine.
func BenchmarkQuality(b *testing.B) {
	withRows(b, func(ctx context.Context, r *rowBench) {
		on := r.qualities
		rows := func(q *qualities) time.Duration {
			r.qualities = q
			took, _ := r.rows(ctx, 100)
			return took
		}
		rows(on)
		var without, ratios []float64
		for b.Loop() {
			one := rows(nil).Seconds()
			without, ratios = append(without, one), append(ratios, rows(on).Seconds()/one)
		}
		slices.Sort(without)
		slices.Sort(ratios)
		b.ReportMetric(without[len(without)/2]*1e7, "ns/row-without")
		b.ReportMetric(100*(ratios[len(ratios)/2]-1), "percent-more")
	})
}
