package engine

import (
	"context"
	"log/slog"
	"math"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/modelevents"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
	"edgepdm/test/table"
)

// rowBench scores rows of the shipped model, from the row's values to the prediction's message.
type rowBench struct {
	*scorer
	rt    *component.Runtime
	lines [][]float32
	seq   uint64
}

// withRows runs a benchmark with an engine's scorer, as it is without a candidate.
func withRows(b testing.TB, run func(ctx context.Context, r *rowBench)) {
	b.Helper()
	core := coretest.Start(b)
	env := coretest.Environment(b, core, event.InferenceEngine, "inference-engine", slog.New(slog.DiscardHandler))
	_, lines := table.Read(b, "../model/golden.csv")
	work := func(ctx context.Context, rt *component.Runtime, config Config) error {
		config.Threshold = 1 // no row has reasons
		model, err := loadModel("../model/model.ubj", config)
		must.OK(b, err)
		faults := &models{}
		faults.inUse.Store(&use{model, nil, probation{}})
		losses := newLosses(rt, config, time.Now, 0)
		defer losses.close()
		s := &scorer{
			rt: rt, config: config, now: time.Now, models: faults, life: newLifeScorer(rt, time.Now, &models{}), losses: losses, outlet: newOutlet(rt, time.Now, false, losses.record),
			logged: make(map[event.Reason]time.Time), limit: newReasonsLimit(config), asks: newAsks(),
		}
		s.qualities = newQualities(nil, rt, 10*time.Minute)
		alarms, err := rt.Subscribe(ctx, event.TopicAlarmEvent)
		must.OK(b, err)
		s.drifts = newDrifts(rt, config.Drift, config.MaxThings, time.Now, modelevents.Open(filepath.Join(rt.WorkDir, newsFile), time.Now), alarms)
		ctx, end := context.WithCancel(ctx)
		looking := make(chan struct{})
		go func() {
			defer close(looking)
			s.drifts.run(ctx)
		}()
		run(ctx, &rowBench{s, rt, lines, 0})
		end()
		<-looking
		s.drifts.close()
		return nil
	}
	must.OK(b, component.Run(b.Context(), component.Spec[Config]{Name: event.InferenceEngine, Version: "1.2.3", Default: Default, Run: work}, env))
}

// rows scores n rows, and returns the time and the allocations.
func (r *rowBench) rows(ctx context.Context, n int) (took time.Duration, allocations uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	for range n {
		r.seq++
		row := event.Telemetry{V: event.Version, Thing: "press-1", Epoch: "a", Seq: r.seq, TS: time.Unix(1e9, 0), Values: r.lines[r.seq%uint64(len(r.lines))][1:]}
		r.score(ctx, &event.Row{Telemetry: row}, time.Now())
		r.outlet.waiting, r.outlet.bytes = r.outlet.waiting[:0], 0
	}
	took = time.Since(begin)
	runtime.ReadMemStats(&after)
	return took, after.Mallocs - before.Mallocs
}

// BenchmarkRow scores rows without a candidate.
func BenchmarkRow(b *testing.B) {
	withRows(b, func(ctx context.Context, r *rowBench) {
		b.ReportAllocs()
		r.rows(ctx, 1000)
		b.ResetTimer()
		r.rows(ctx, b.N)
	})
}

// A row costs at most five allocations, from its message to that of its prediction.
func TestARowsAllocations(t *testing.T) {
	withRows(t, func(ctx context.Context, r *rowBench) {
		backlog := newBacklog()
		backlog.superseded = new(atomic.Uint64)
		i := &intake{rt: r.rt, now: time.Now, scorer: r.scorer, losses: r.losses, outlet: r.outlet, backlog: backlog, rows: new(atomic.Uint64)}
		messages := make([]ipc.TopicMessage, 200)
		const size = 4
		for n := range messages {
			rows := make([][]byte, size)
			for m := range rows {
				r.seq++
				row := event.Telemetry{V: event.Version, Thing: "press-1", Line: "line-1", Epoch: "abc", Seq: r.seq, TS: time.Now(), Packed: event.Packed(r.lines[0][1:])}
				rows[m] = must.JSON(t, row)
			}
			var taken int
			if messages[n].Payload, taken = event.JoinTelemetry(rows); taken != size {
				t.Fatalf("%d rows in a message", taken)
			}
		}
		pass := func(m ipc.TopicMessage) {
			i.batch(m, time.Now())
			for !backlog.empty() {
				i.row = backlog.take(time.Now())
				i.scorer.score(ctx, &i.row.Row, i.row.arrived)
			}
			if _, taken, rows := r.outlet.join(); taken != size || rows != size {
				t.Fatalf("%d predictions of %d rows", taken, rows)
			}
			r.outlet.waiting, r.outlet.bytes = r.outlet.waiting[size:], 0
		}
		n, least := 0, math.Inf(1) // now and then others allocate meanwhile, such as the core
		for range 10 {
			least = min(least, testing.AllocsPerRun(len(messages)/10-1, func() { pass(messages[n]); n++ }))
		}
		if least > 5*size {
			t.Errorf("%v allocations for %d rows", least, size)
		}
	})
}
