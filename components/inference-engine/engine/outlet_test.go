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
)

// Predictions that wait for answers leave when those are given up, also if no more rows come.
func TestWhatWaitsLeavesWhenAnswersAreGivenUp(t *testing.T) {
	core := coretest.Start(t)
	predictions := coretest.Subscribe(t, coretest.Client(t, core), event.FilterPrediction)
	env := coretest.Environment(t, core, event.InferenceEngine, "inference-engine", slog.New(slog.DiscardHandler))
	run := func(ctx context.Context, rt *component.Runtime, config Config) error {
		losses := newLosses(rt, config, time.Now, 0)
		defer losses.close()
		o := newOutlet(rt, time.Now, true, losses.record)
		for o.number < busyAt { // they began long ago
			o.pending[o.number] = publication{}
			o.number++
		}
		o.add(handled{thing: "press-1", epoch: "a", seq: 1, prediction: o.keep([]byte("{}")), arrived: time.Now()})
		i := &intake{rt: rt, now: time.Now, scorer: &scorer{}, losses: losses, outlet: o, backlog: newBacklog(), rows: rt.Counter(CounterRows)}
		must.OK(t, i.subscribe(ctx, false))
		ctx, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- i.run(ctx) }()
		select {
		case <-predictions.Events():
		case <-time.After(time.Minute):
			t.Error("it waits for ever")
		}
		stop()
		return <-ended
	}
	must.OK(t, component.Run(t.Context(), component.Spec[Config]{Name: event.InferenceEngine, Version: "1.2.3", Default: Default, Run: run}, env))
}
