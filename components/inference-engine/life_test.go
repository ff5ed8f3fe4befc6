package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/components/inference-engine/scoring"
	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/window"
	"edgepdm/test/coretest"
	"edgepdm/test/lifemodel"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// constantLife is a life model that says 10 to 30 whatever the row has.
const (
	constantLife = `{"version":[3,0,5],"learner":{"attributes":{},"feature_names":["a"],"feature_types":["float"],
"gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_parallel_tree":"1","num_trees":"3"},"iteration_indptr":[0,3],"tree_info":[0,1,2],"trees":[
{"id":0,"tree_param":{"num_nodes":"1","size_leaf_vector":"1"},"left_children":[-1],"right_children":[-1],"split_indices":[0],"split_conditions":[10],"default_left":[0]},
{"id":1,"tree_param":{"num_nodes":"1","size_leaf_vector":"1"},"left_children":[-1],"right_children":[-1],"split_indices":[0],"split_conditions":[20],"default_left":[0]},
{"id":2,"tree_param":{"num_nodes":"1","size_leaf_vector":"1"},"left_children":[-1],"right_children":[-1],"split_indices":[0],"split_conditions":[30],"default_left":[0]}]}},
"learner_model_param":{"base_score":"0E0","num_class":"0","num_feature":"1","num_target":"3"},
"objective":{"name":"reg:quantileerror","quantile_loss_param":{"quantile_alpha":"[0.05,0.5,0.95]"}}}}`
	constantGolden = "margin-0,margin-1,margin-2,a\n10,20,30,1\n"
)

// deliverLife delivers the constant life model, which white space makes so large.
func (p *plant) deliverLife(padding int) {
	p.t.Helper()
	dir := p.t.TempDir()
	model, golden := filepath.Join(dir, "model.json"), filepath.Join(dir, "golden.csv")
	text := append([]byte(constantLife[:1]), bytes.Repeat([]byte(" "), padding)...)
	must.OK(p.t, os.WriteFile(model, append(text, constantLife[1:]...), 0o600))
	must.OK(p.t, os.WriteFile(golden, []byte(constantGolden), 0o600))
	var archive bytes.Buffer
	packed, err := envelope.Pack(&archive, model)
	must.OK(p.t, err)
	m, err := envelope.BuildManifest(model, golden, envelope.Build{
		Name: "constant", Version: "1.0.0", Created: time.Now(), Expires: time.Now().Add(time.Hour), Archive: packed.Archive,
		Role: event.RoleLife, Life: &envelope.LifeScale{Unit: "hours", Cap: 100, Coverage: 0.9},
	})
	must.OK(p.t, err)
	lifemodel.Deliver(p.t, p.inbox, "life", m, archive.Bytes(), p.key)
}

// A life model that ends the process when it is tried is refused after two deaths. A fault model that came at the same time is
// taken all the same.
func TestTwoDeathsOfALifeModel(t *testing.T) {
	need.Long(t)
	p := newPlant(t)
	p.deliverLife(100 << 20)
	p.deliver(0)
	attempt := filepath.Join(p.env.WorkDir, "models-life", "attempt.json")
	for death := range 2 {
		c := p.start()
		tick, timeout := time.NewTicker(time.Millisecond), time.After(time.Minute)
		for waiting := true; waiting; {
			select {
			case <-tick.C:
				text, err := os.ReadFile(attempt)
				waiting = errors.Is(err, fs.ErrNotExist) || !bytes.Contains(text, []byte(`"count":`+string(rune('1'+death))))
			case <-timeout:
				t.Fatal("no attempt is made")
			}
		}
		tick.Stop()
		must.OK(t, c.Process.Kill())
		if err := c.Wait(); err == nil {
			t.Fatal("it was not killed")
		}
	}
	p.start()
	outcomes := map[event.Role]event.ModelEvent{}
	for timeout := time.After(time.Minute); len(outcomes) < 2; {
		select {
		case m := <-p.events.Events():
			e, err := event.DecodeModelEvent(m.Payload)
			must.OK(t, err)
			outcomes[e.Role] = e
		case <-timeout:
			t.Fatalf("%+v", outcomes)
		}
	}
	if e := outcomes[event.RoleLife]; e.Event != event.ModelRejected || !strings.Contains(e.Detail, "trying it ended the process: 2 times in a row") {
		t.Errorf("%+v", e)
	}
	if e := outcomes[""]; e.Event != event.ModelActivated || e.Version != "9.0.0" {
		t.Errorf("%+v", e)
	}
	p.health.Await("the fault model alone", func(h event.Health) bool {
		return h.State == event.StateOK && h.Model != nil && h.Model.Version == "9.0.0" && h.LifeModel == nil
	})
}

// After kill -9 both models are active again; the rows that the kill lost are missing in the windows, and nothing else is.
func TestLifeAfterAKill(t *testing.T) {
	need.Long(t)
	p := newPlant(t)
	predictions := coretest.Subscribe(t, p.client, event.FilterPrediction)
	m, archive := lifemodel.Publish(t, "1.0.0", time.Now().UTC().Truncate(time.Second))
	lifemodel.Deliver(t, p.inbox, "life", m, archive, p.key)
	p.deliver(0)
	model, err := gbdt.Parse(must.Read(t, filepath.Join(lifemodel.Folder(), "model.ubj")))
	must.OK(t, err)
	scorer := gbdt.NewScorer(model)
	var windows *window.Windows
	begun := time.Now().UTC()
	row := func(seq uint64) {
		t.Helper()
		ts, temp, wear := begun.Add(time.Duration(seq)*time.Second), 70+float32(seq), float32(seq)/20
		must.OK(t, p.client.Publish(t.Context(), event.TelemetryTopic("press-1"), must.JSON(t, event.Telemetry{
			V: 1, Thing: "press-1", Epoch: "e1", Seq: seq, TS: ts, Readings: event.Readings{"a": 1, "temp": temp, "wear": wear},
		})))
		features, _ := windows.Add(nil, "press-1", window.Row{Epoch: "e1", Seq: seq, TS: ts, Values: []float32{temp, wear}})
		margin, err := scorer.Margin(nil, features)
		must.OK(t, err)
		want, err := scoring.Life(margin, *m.Life)
		must.OK(t, err)
		select {
		case got := <-predictions.Events():
			p, err := event.DecodePrediction(got.Payload)
			if err != nil || p.Seq != seq || p.Model.Version != "9.0.0" || p.Life == nil || *p.Life != *want {
				t.Fatalf("%s, %v, want life %+v", got.Payload, err, want)
			}
		case <-time.After(time.Minute):
			t.Fatal("no prediction")
		}
	}
	both := func(h event.Health) bool {
		return h.State == event.StateOK && h.Model != nil && h.Model.Version == "9.0.0" && h.LifeModel != nil && h.LifeModel.Version == "1.0.0"
	}
	c := p.start()
	p.health.Await("both models", func(h event.Health) bool { return both(h) && h.Counters[engine.CounterModelsActivated] == 2 })
	windows, err = window.New(*m.Inputs, 1<<20)
	must.OK(t, err)
	for seq := uint64(1); seq <= 5; seq++ {
		row(seq)
	}
	must.OK(t, errors.Join(c.Process.Signal(os.Interrupt), c.Wait())) // the rows are kept
	c = p.start()
	p.health.Await("both models", func(h event.Health) bool { return both(h) && h.Counters[engine.CounterModelsActivated] == 0 })
	saved, err := window.New(*m.Inputs, 1<<20)
	must.OK(t, err)
	for seq := uint64(6); seq <= 7; seq++ {
		row(seq)
	}
	must.OK(t, c.Process.Kill())
	if err := c.Wait(); err == nil {
		t.Fatal("it was not killed")
	}
	if damage, err := saved.Load(filepath.Join(p.env.WorkDir, "windows-life")); damage != nil || err != nil || saved.Stats().Things != 1 {
		t.Fatal(damage, err, saved.Stats())
	}
	windows = saved // without rows 6 and 7
	p.start()
	p.health.Await("both models", func(h event.Health) bool {
		return both(h) && h.Counters[event.CounterTelemetryMissed] == 0 && h.Counters[engine.CounterRows] == 0
	})
	for seq := uint64(8); seq <= 14; seq++ {
		row(seq)
	}
}
