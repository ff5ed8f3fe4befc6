package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/event"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// stoppedModel was trained with early stopping: one tree of two over a feature, with the golden rows that its leaves give.
const (
	stoppedModel = `{"version":[3,0,5],"learner":{"attributes":{"best_iteration":"0"},"feature_names":["a"],"feature_types":["float"],
"gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_parallel_tree":"1","num_trees":"2"},"iteration_indptr":[0,1,2],"tree_info":[0,0],"trees":[
{"id":0,"tree_param":{"num_nodes":"3","size_leaf_vector":"1"},"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[0,0,0],
"split_conditions":[1.5,-0.5,0.25],"default_left":[0,0,0]},
{"id":1,"tree_param":{"num_nodes":"1","size_leaf_vector":"1"},"left_children":[-1],"right_children":[-1],"split_indices":[0],"split_conditions":[0.5],"default_left":[0]}]}},
"learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"1","num_target":"1"},
"objective":{"name":"binary:logistic","reg_loss_param":{"scale_pos_weight":"1"}}}}`
	stoppedGolden = "margin,a\n0,1\n0.75,2\n"
)

func (p *publisher) deliverStopped(version string) {
	p.t.Helper()
	dir := p.t.TempDir()
	model, golden := filepath.Join(dir, "model.json"), filepath.Join(dir, "golden.csv")
	must.OK(p.t, errors.Join(os.WriteFile(model, []byte(stoppedModel), 0o600), os.WriteFile(golden, []byte(stoppedGolden), 0o600)))
	p.deliverFile(model, golden, version, nil, nil)
}

// A rollback to a model that cannot be used is none: nothing is announced or counted, the active one scores on, also after
// a restart, and the operator hears why. So for the automatic one, which the health messages tell.
func TestNoRollbackToAModelThatCannotBeUsed(t *testing.T) {
	need.Long(t)
	r, p, shipped := atWork(t)
	p.deliverStopped("1.1.0")
	r.modelEvent(event.ModelActivated)
	coretest.Configure(t, r.core, engineName, map[string]any{"iterations": "best"})
	seq := uint64(0)
	score := func() float64 {
		t.Helper()
		seq++
		r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(seq, []float32{1})))
		got := r.prediction()
		if got.Seq != seq || got.Model.Version != "1.1.0" {
			t.Fatalf("row %d is scored as %+v", seq, got)
		}
		return got.Probability
	}
	for score() == 0.5 { // until the change has arrived: the best iteration gives 0.38
	}
	if text, err := r.ask(event.CommandRollback, "false alarms"); err == nil || !strings.Contains(err.Error(), shipped+", cannot be used: iterations") {
		t.Errorf("%q, %v", text, err)
	}
	score()

	p.deliverStopped("1.2.0")
	r.modelEvent(event.ModelActivated)
	r.stop()
	if found, err := filepath.Glob(r.storePath("versions", "1.1.0-*", "model.json")); err != nil || len(found) != 1 {
		t.Fatal(found, err)
	} else if err := os.WriteFile(found[0], []byte(strings.Replace(stoppedModel, "0.25", "0.35", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start(shippedModel)
	r.await("1.2.0", func(h event.Health) bool { return ok(h) && h.Model.Version == "1.2.0" })
	if text, err := r.ask(event.CommandRollback, ""); err == nil || !strings.Contains(err.Error(), "1.1.0, cannot be used: damaged") {
		t.Errorf("%q, %v", text, err)
	}
	h := r.await("all counters", func(h event.Health) bool { return ok(h) && h.Model.Version == "1.2.0" })
	if h.Counters[engine.CounterModelsRolledBack] != 0 {
		t.Errorf("%v", h.Counters)
	}
	for waiting := true; waiting; { // no event but those that came before
		select {
		case m := <-r.events.Events():
			if e, err := event.DecodeModelEvent(m.Payload); err != nil || !r.heard[e.ID] {
				t.Errorf("the event %s, %v", m.Payload, err)
			}
		default:
			waiting = false
		}
	}
}

// A model that is sent back by itself to one that cannot be used stays, and that is said.
func TestNoAutomaticRollbackToAModelThatCannotBeUsed(t *testing.T) {
	r := newRig(t)
	p := newPublisher(r)
	coretest.Configure(t, r.core, engineName, map[string]any{"maxScore": "1ns", "probation": "1h"})
	r.start(shippedModel)
	r.await("a model", ok)
	p.deliverStopped("1.1.0")
	r.modelEvent(event.ModelActivated)
	found, err := filepath.Glob(r.storePath("versions", "shipped-*", "model.ubj"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	must.OK(t, os.Truncate(found[0], 100))
	for seq := uint64(1); seq <= 30; seq++ {
		r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(seq, []float32{1})))
		if got := r.prediction(); got.Model.Version != "1.1.0" {
			t.Fatalf("row %d is scored by %+v", seq, got.Model)
		}
	}
	h := r.await("the reason", func(h event.Health) bool {
		return h.State == event.StateDegraded && len(h.Conditions) == 1 && h.Conditions[0].Place == "roll-back" && h.Conditions[0].Code == event.CodeModelStore
	})
	if h.Counters[engine.CounterModelsRolledBack] != 0 || !strings.Contains(h.Conditions[0].Detail, "took more than 1ns") {
		t.Errorf("%+v", h)
	}
}

// An active model that is damaged, with none before it, gives way to the shipped one, and that is said.
func TestADamagedModelWithNoneBefore(t *testing.T) {
	r := newRig(t)
	r.start(shippedModel)
	shipped := r.await("a model", ok).Model.Version
	r.stop()
	found, err := filepath.Glob(r.storePath("versions", "shipped-*", "model.ubj"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	data := must.Read(t, found[0])
	data[len(data)/2] ^= 1
	must.OK(t, os.WriteFile(found[0], data, 0o600))
	r.start(shippedModel)
	r.whichScores(shipped, event.CodeModelStore, "has changed since it was accepted", "the shipped model "+shipped+" scores")
}

// A delivered model that does not fit the configuration is refused by name, and the one before scores on.
func TestADeliveryThatDoesNotFitTheConfiguration(t *testing.T) {
	r, p, _ := atWork(t)
	p.deliverStopped("1.1.0")
	r.modelEvent(event.ModelActivated)
	coretest.Configure(t, r.core, engineName, map[string]any{"iterations": "best"})
	for seq := uint64(1); ; seq++ { // until the change has arrived
		r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(seq, []float32{1})))
		if r.prediction().Probability < 0.5 {
			break
		}
	}
	p.deliver("1.2.0", nil, nil) // without a best iteration
	if e := r.modelEvent(event.ModelRejected); e.Version != "1.2.0" || e.Name != "simulated-compressor" || !strings.Contains(e.Detail, "iterations") {
		t.Errorf("%+v", e)
	}
	r.stop()
	r.start(shippedModel)
	r.await("the one before", func(h event.Health) bool { return ok(h) && h.Model.Version == "1.1.0" })
}
