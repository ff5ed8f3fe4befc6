package engine

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
	"edgepdm/test/table"
)

// BenchmarkReasons makes predictions of faulty rows of the shipped model, from the row's values to the message: without reasons, and
// with them in each. Both print ns/row, and the second its multiple of the first.
func BenchmarkReasons(b *testing.B) {
	core := coretest.Start(b)
	env := coretest.Environment(b, core, event.InferenceEngine, "inference-engine", slog.New(slog.DiscardHandler))
	_, lines := table.Read(b, "../model/golden.csv")
	run := func(ctx context.Context, rt *component.Runtime, config Config) error {
		config.Threshold = 1e-12
		model, err := loadModel("../model/model.ubj", config)
		must.OK(b, err)
		must.OK(b, model.unexplained)
		faults := &models{}
		faults.inUse.Store(&use{model, nil, probation{}})
		losses := newLosses(rt, config, time.Now, 0)
		defer losses.close()
		s := &scorer{
			rt: rt, config: config, now: time.Now, models: faults, life: newLifeScorer(rt, time.Now, &models{}), losses: losses, outlet: newOutlet(rt, time.Now, false, losses.record),
			logged: make(map[event.Reason]time.Time), limit: newReasonsLimit(config), asks: newAsks(),
		}
		without := 0.0
		measure := func(name string, limit func()) (ns float64) {
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					limit()
					row := event.Telemetry{V: event.Version, Thing: "press-1", Epoch: "a", Seq: uint64(i + 1), TS: time.Unix(1e9, 0), Values: lines[i%len(lines)][1:]}
					s.score(ctx, &event.Row{Telemetry: row}, time.Now())
					s.outlet.waiting, s.outlet.bytes = s.outlet.waiting[:0], 0
				}
				ns = float64(b.Elapsed()) / float64(b.N)
				b.ReportMetric(ns, "ns/row")
				if without > 0 {
					b.ReportMetric(ns/without, "x-without")
				}
			})
			return ns
		}
		s.limit.every = 0
		without = measure("without", func() {})
		measure("with", func() {
			s.limit.every = time.Second
			clear(s.limit.given)
			s.limit.rows.at, s.limit.time.at = time.Time{}, time.Time{} // full again
		})
		if given := rt.Counter(CounterReasons).Load(); given == 0 {
			b.Fatal("no row has reasons")
		}
		return nil
	}
	must.OK(b, component.Run(b.Context(), component.Spec[Config]{Name: event.InferenceEngine, Version: "1.2.3", Default: Default, Run: run}, env))
}
