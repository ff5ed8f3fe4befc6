package engine

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
	"edgepdm/test/table"
)

// BenchmarkQuality makes predictions of rows of the shipped model, from the row's values to the message, in turns with and without a judgement
// of the values' quality. It prints what the judgement adds, in percent,
// as the median of pairs: that is steady also on a busy machine.
func BenchmarkQuality(b *testing.B) {
	core := coretest.Start(b)
	env := coretest.Environment(b, core, event.InferenceEngine, "inference-engine", slog.New(slog.DiscardHandler))
	_, lines := table.Read(b, "../model/golden.csv")
	run := func(ctx context.Context, rt *component.Runtime, config Config) error {
		config.Threshold = 1 // no row has reasons
		model, err := loadModel("../model/model.ubj", config)
		must.OK(b, err)
		faults := &models{}
		faults.inUse.Store(&use{model, nil, probation{}})
		losses := newLosses(rt, config, time.Now)
		defer losses.close()
		s := &scorer{
			rt: rt, config: config, now: time.Now, models: faults, life: newLifeScorer(rt, time.Now, &models{}), losses: losses, outlet: newOutlet(rt, false),
			logged: make(map[event.Reason]time.Time), limit: newReasonsLimit(config), asks: newAsks(),
		}
		on := newQualities(nil, rt, 10*time.Minute)
		on.use(model)
		seq := uint64(0)
		rows := func(q *qualities) time.Duration {
			s.qualities = q
			begin := time.Now()
			for range 100 {
				seq++
				row := event.Telemetry{V: event.Version, Thing: "press-1", Epoch: "a", Seq: seq, TS: time.Unix(1e9, 0), Values: lines[seq%uint64(len(lines))][1:]}
				s.score(ctx, event.Row{Telemetry: row}, time.Now())
				s.outlet.waiting, s.outlet.bytes = s.outlet.waiting[:0], 0
			}
			return time.Since(begin)
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
		return nil
	}
	must.OK(b, component.Run(b.Context(), component.Spec[Config]{Name: event.InferenceEngine, Version: "1.2.3", Default: Default, Run: run}, env))
}
