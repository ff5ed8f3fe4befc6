package engine

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
)

// A model that becomes active while a row is scored scores the next one: the row at hand has its prediction, and may not fit the
// new model.
func TestARowKeepsTheModelThatScoredIt(t *testing.T) {
	config := Default()
	before, err := loadModel(filepath.Join("..", "model", "model.ubj"), config)
	must.OK(t, err)
	after, err := loadModel(filepath.Join("..", "..", "..", "shared", "gbdt", "testdata", "3.0.5-names", "model.ubj"), config)
	if err != nil || after.features == before.features {
		t.Fatalf("%v, %d and %d features", err, before.features, after.features)
	}
	core := coretest.Start(t)
	env := coretest.Environment(t, core, event.InferenceEngine, "inference-engine", slog.New(slog.DiscardHandler))
	run := func(ctx context.Context, rt *component.Runtime, config Config) error {
		m := &models{}
		m.inUse.Store(&use{before, nil, newProbation(config, time.Now())})
		now := func() time.Time { // is asked while the row is scored
			m.inUse.Store(&use{after, nil, newProbation(config, time.Now())})
			return time.Now()
		}
		losses := newLosses(rt, config, time.Now, 0)
		defer losses.close()
		s := &scorer{rt: rt, config: config, now: now, models: m, life: newLifeScorer(rt, time.Now, &models{}), losses: losses, outlet: newOutlet(rt, now, false, losses.record), logged: make(map[event.Reason]time.Time), limit: newReasonsLimit(config), asks: newAsks()}
		row := event.Telemetry{V: event.Version, Thing: "press-1", Epoch: "a", Seq: 1, TS: time.Now(), Values: make([]float32, before.features)}
		s.score(ctx, &event.Row{Telemetry: row}, time.Now())
		var p event.Prediction
		if w := s.outlet.waiting; len(w) != 1 || json.Unmarshal(w[0].prediction, &p) != nil || p.Model != before.ref {
			t.Errorf("%d rows wait, the model is %+v, want %+v", len(w), p.Model, before.ref)
		}
		if s.adopt(); s.model != after {
			t.Error("the next row has the model of before")
		}
		return nil
	}
	must.OK(t, component.Run(t.Context(), component.Spec[Config]{Name: event.InferenceEngine, Version: "1.2.3", Default: Default, Run: run}, env))
}
