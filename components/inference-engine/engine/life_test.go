package engine_test

import (
	"math"
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
	"edgepdm/shared/request"
	"edgepdm/shared/window"
	"edgepdm/test/coretest"
	"edgepdm/test/lifemodel"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// wearing is a machine whose rows have the sensors of both models, and what its life model has to say of them.
type wearing struct {
	r       *rig
	thing   string
	seq     uint64
	begun   time.Time
	known   []string // sensors of the fault model
	row     []float32
	windows *window.Windows
	scorer  *gbdt.Scorer
}

func newWearing(r *rig, thing string) *wearing {
	r.t.Helper()
	features, rows, _ := golden(r.t)
	w := &wearing{r: r, thing: thing, begun: time.Now().UTC(), known: features, row: rows[0]}
	var err error
	w.windows, err = window.New(*lifemodel.Inputs(), 1<<20)
	must.OK(r.t, err)
	model, err := gbdt.Parse(must.Read(r.t, filepath.Join(lifemodel.Folder(), "model.ubj")))
	must.OK(r.t, err)
	w.scorer = gbdt.NewScorer(model)
	return w
}

// next publishes the next row, and returns its prediction, and the life that is right.
func (w *wearing) next(temp, wear float32) (event.Prediction, event.Life) {
	w.r.t.Helper()
	w.seq++
	ts := w.begun.Add(time.Duration(w.seq) * time.Second)
	remaining := 99.5
	m := event.Telemetry{V: 1, Thing: w.thing, Epoch: "e1", Seq: w.seq, TS: ts, Remaining: &remaining, Readings: event.Readings{"temp": temp, "wear": wear}}
	for i, name := range w.known {
		m.Readings[name] = w.row[i]
	}
	w.r.publish(event.TelemetryTopic(m.Thing), encode(w.r.t, m))
	features, outcome := w.windows.Add(nil, w.thing, window.Row{Epoch: "e1", Seq: w.seq, TS: ts, Values: []float32{temp, wear}})
	if outcome != window.Added {
		w.r.t.Fatal(outcome)
	}
	margin, err := w.scorer.Margin(nil, features)
	must.OK(w.r.t, err)
	life, err := scoring.Life(w.scorer.Predict(nil, margin), envelope.LifeScale{Unit: "hours", Cap: 100, Coverage: 0.9, Margin: 1.5})
	must.OK(w.r.t, err)
	p := w.r.prediction()
	if p.Seq != w.seq || p.Thing != w.thing || p.Remaining == nil || *p.Remaining != remaining {
		w.r.t.Errorf("prediction %+v for row %d", p, w.seq)
	}
	return p, *life
}

// estimated publishes rows of a machine that wears, and checks the life of each.
func (w *wearing) estimated(rows int) {
	w.r.t.Helper()
	for range rows {
		x := float32(w.seq%40) / 40
		if p, want := w.next(60+30*x, x/2); p.Life == nil || *p.Life != want {
			w.r.t.Fatalf("row %d: life %+v, want %+v", w.seq, p.Life, want)
		}
	}
}

// deliverLife delivers a version of the life model; spoil, if not nil, changes the manifest before it is signed.
func (p *publisher) deliverLife(version string, spoil func(*envelope.Manifest)) {
	p.t.Helper()
	m, archive := lifemodel.Publish(p.t, version, time.Now().UTC().Truncate(time.Second))
	if spoil != nil {
		spoil(&m)
	}
	lifemodel.Deliver(p.t, p.inbox, "life-"+version, m, archive, p.key)
}

// lifeEvent waits for an event of a life model.
func (r *rig) lifeEvent(step event.ModelStep, version string) event.ModelEvent {
	r.t.Helper()
	e := r.modelEvent(step)
	if e.Role != event.RoleLife || e.Name != lifemodel.Name || e.Version != version {
		r.t.Errorf("%+v", e)
	}
	return e
}

func (r *rig) rollBackLife() (string, error) {
	r.t.Helper()
	return request.Call{
		Component: event.InferenceEngine, WorkDir: r.env.WorkDir, Command: event.CommandRollback,
		Arguments: event.Rollback{Role: event.RoleLife, Reason: "too short"}, Timeout: 20 * time.Second,
	}.Do(r.t.Context())
}

// whileStopped gives a command while the engine is stopped: that which begins next takes it first of all.
func (r *rig) whileStopped(ask func() (string, error)) (text string, err error) {
	r.t.Helper()
	r.stop()
	left := r.waiting()
	done := make(chan struct{})
	go func() {
		defer close(done)
		text, err = ask()
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); r.waiting() == left; <-tick.C {
		if time.Now().After(deadline) {
			r.t.Fatal("the command was not left")
		}
	}
	r.start(shippedModel)
	<-done
	return text, err
}

// waiting returns how many files of commands there are.
func (r *rig) waiting() int {
	r.t.Helper()
	files, err := os.ReadDir(filepath.Join(r.env.WorkDir, "requests"))
	must.OK(r.t, err)
	return len(files)
}

// A life model lives beside the fault model: it is delivered, estimates, goes back and goes away by itself. Its rows outlive the
// process.
func TestLifeBesideFaults(t *testing.T) {
	need.Long(t)
	r, p, shipped := atWork(t)
	w := newWearing(r, "press-1")
	if got, _ := w.next(60, 0); got.Life != nil {
		t.Errorf("life %+v without a model of it", got.Life)
	}
	r.status("active model: simulated-compressor "+shipped, "active life model: none")
	if _, err := r.rollBackLife(); err == nil || !strings.Contains(err.Error(), "there is no life model") {
		t.Error(err)
	}

	p.deliverLife("1.0.0", nil)
	r.lifeEvent(event.ModelActivated, "1.0.0")
	r.await("the life model", func(h event.Health) bool {
		return ok(h) && h.Model.Version == shipped && h.LifeModel != nil && h.LifeModel.Version == "1.0.0"
	})
	w = newWearing(r, "press-2")
	w.estimated(20)
	p.deliverLife("1.1.0", nil) // has the same inputs: the rows before count
	r.lifeEvent(event.ModelActivated, "1.1.0")
	w.estimated(5)
	r.status("active model: simulated-compressor "+shipped, "active life model: tiny-life 1.1.0", "model before: tiny-life 1.0.0")

	r.stop()
	r.start(shippedModel)
	r.await("the life model", func(h event.Health) bool { return ok(h) && h.LifeModel != nil && h.LifeModel.Version == "1.1.0" })
	w.estimated(5)
	for range 5 { // without a value, all windows get empty
		w.next(float32(math.NaN()), float32(math.NaN()))
	}
	h := r.await("the counters", func(h event.Health) bool { return h.Counters[engine.CounterLifeMissing+"windows"] > 0 })
	if h.Counters[engine.CounterLifeRows] < 5 {
		t.Errorf("%v", h.Counters)
	}
	w.estimated(5)

	for _, c := range []struct{ says, active string }{
		{"rolled back from tiny-life 1.1.0 to tiny-life 1.0.0", "1.0.0"}, {"rolled back from tiny-life 1.0.0; no life model is active now", ""},
	} {
		if text, err := r.whileStopped(r.rollBackLife); err != nil || !strings.Contains(text, c.says) {
			t.Fatalf("%q, %v", text, err)
		}
		r.modelEvent(event.ModelRolledBack)
		r.await("the model before", func(h event.Health) bool {
			return ok(h) && h.Model.Version == shipped && (h.LifeModel == nil) == (c.active == "") && (h.LifeModel == nil || h.LifeModel.Version == c.active)
		})
	}
	if got, _ := w.next(60, 0); got.Life != nil || got.Model.Version != shipped {
		t.Errorf("%+v", got)
	}
	ask := func() (string, error) { return r.ask(event.CommandStatus, "") }
	if text, err := r.whileStopped(ask); err != nil || !strings.Contains(text, "active life model: not loaded yet") {
		t.Errorf("%q, %v", text, err)
	}
	r.status("active life model: none\nlast outcome: tiny-life 1.0.0 rolled-back")
}

// What is wrong with a life model is said, and no fault of the others.
func TestBadLifeModels(t *testing.T) {
	need.Long(t)
	r, p, shipped := atWork(t)
	p.deliverLife("1.0.0", nil)
	r.lifeEvent(event.ModelActivated, "1.0.0")
	w := newWearing(r, "press-1")
	w.estimated(3)
	for i, c := range []struct {
		says  string
		spoil func(*envelope.Manifest)
	}{
		{"golden row mismatch", func(m *envelope.Manifest) { m.Golden[0].Margins[2] += 0.5 }},
		{"not above 1.0.0", func(m *envelope.Manifest) { m.Version = "0.9.0" }},
		{"tiny-life, this one is another", func(m *envelope.Manifest) { m.Name = "another" }},
	} {
		p.deliverLife("1.0."+string(rune('1'+i)), c.spoil)
		if e := r.modelEvent(event.ModelRejected); e.Role != event.RoleLife || !strings.Contains(e.Detail, c.says) {
			t.Errorf("%s: %+v", c.says, e)
		}
		p.gone()
		w.estimated(1)
	}
	r.await("both models as before", func(h event.Health) bool {
		return ok(h) && h.Model.Version == shipped && h.LifeModel != nil && h.LifeModel.Version == "1.0.0" && h.Counters[engine.CounterModelsRejected] == 3
	})
	p.deliver("1.1.0", nil, nil) // and the fault model can be replaced
	if e := r.modelEvent(event.ModelActivated); e.Version != "1.1.0" || e.Role != "" {
		t.Errorf("%+v", e)
	}
	w.estimated(1)
}

// A life model that is too slow, or a store of life models that cannot be opened, does not concern the fault model.
func TestASlowLifeModelIsSentBackAlone(t *testing.T) {
	need.Long(t)
	r := newRig(t)
	p := newPublisher(r)
	coretest.Configure(t, r.core, engineName, map[string]any{"maxScore": "1ns", "probation": "1h"})
	must.OK(t, os.WriteFile(filepath.Join(r.env.WorkDir, "models-life"), []byte("a file"), 0o600))
	r.start(shippedModel)
	r.await("the trouble", func(h event.Health) bool {
		return h.State == event.StateDegraded && h.Model != nil && len(h.Conditions) == 1 && h.Conditions[0].Place == "life: store of models" &&
			h.Conditions[0].Code == event.CodeDisk
	})
	w := newWearing(r, "press-1")
	w.next(60, 0)
	must.OK(t, os.Remove(filepath.Join(r.env.WorkDir, "models-life")))
	shipped := r.await("the store", func(h event.Health) bool { return ok(h) && len(h.Conditions) == 0 }).Model.Version
	p.deliverLife("1.0.0", nil)
	r.lifeEvent(event.ModelActivated, "1.0.0")
	for i := 0; ; i++ {
		got, _ := w.next(60, 0)
		if got.Model.Version != shipped || i > 40 {
			t.Fatalf("row %d: %+v", i, got)
		}
		if got.Life == nil && i > 1 {
			break
		}
	}
	if e := r.lifeEvent(event.ModelRolledBack, "1.0.0"); !strings.Contains(e.Detail, "took more than 1ns") {
		t.Errorf("%+v", e)
	}
	r.await("no life model", func(h event.Health) bool { return ok(h) && h.Model.Version == shipped && h.LifeModel == nil })
	p.deliverLife("1.0.1", nil)
	r.lifeEvent(event.ModelActivated, "1.0.1")
}

// A row of values has the sensors of the fault model only; rows that lack the life model's have no life.
func TestLifeWithoutItsSensors(t *testing.T) {
	r, p, _ := atWork(t)
	p.deliverLife("1.0.0", nil)
	r.lifeEvent(event.ModelActivated, "1.0.0")
	_, rows, _ := golden(t)
	r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(1, rows[0])))
	if got := r.prediction(); got.Life != nil || got.Label == event.LabelNoData {
		t.Errorf("%+v", got)
	}
	m := telemetry(2, nil)
	m.Readings = event.Readings{"temp": 60} // is the first part of a row
	r.publish(event.TelemetryTopic("press-1"), encode(t, m))
	if got := r.prediction(); got.Life != nil || got.Label != event.LabelNoData {
		t.Errorf("%+v", got)
	}
	r.await("the counters", func(h event.Health) bool {
		return h.Counters[engine.CounterLifeMissing+"windows"] == 1 && h.Counters[engine.CounterLifeRows] == 1
	})
}

// Without memory for the last rows there is no life, and that is counted.
func TestLifeWithoutMemory(t *testing.T) {
	r := newRig(t)
	p := newPublisher(r)
	coretest.Configure(t, r.core, engineName, map[string]any{"windowMemory": 100})
	r.start(shippedModel)
	r.await("a model", ok)
	p.deliverLife("1.0.0", nil)
	r.lifeEvent(event.ModelActivated, "1.0.0")
	w := newWearing(r, "press-1")
	for range 3 {
		if got, _ := w.next(60, 0); got.Life != nil || got.Label == event.LabelNoData {
			t.Errorf("%+v", got)
		}
	}
	r.await("the counter", func(h event.Health) bool {
		return h.Counters[engine.CounterLifeMissing+"memory"] == 3 && h.Counters[engine.CounterLifeRows] == 0
	})
}

// meanModel is a fault model of one tree over the mean of a sensor.
const meanModel = `{"version":[3,0,5],"learner":{"attributes":{},"feature_names":["a_mean_3"],"feature_types":["float"],
"gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_parallel_tree":"1","num_trees":"1"},"iteration_indptr":[0,1],"tree_info":[0],"trees":[
{"id":0,"tree_param":{"num_nodes":"3","size_leaf_vector":"1"},"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[0,0,0],
"split_conditions":[1.5,-0.5,0.25],"default_left":[0,0,0]}]}},
"learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"1","num_target":"1"},
"objective":{"name":"binary:logistic","reg_loss_param":{"scale_pos_weight":"1"}}}}`

// A fault model may have inputs over time, too: rows have its sensors.
func TestAFaultModelOverTime(t *testing.T) {
	need.Long(t)
	r, p, _ := atWork(t)
	dir := t.TempDir()
	model, rows := filepath.Join(dir, "model.json"), filepath.Join(dir, "golden.csv")
	must.OK(t, os.WriteFile(model, []byte(meanModel), 0o600))
	must.OK(t, os.WriteFile(rows, []byte("margin,a_mean_3\n-0.5,1\n0.25,2\n"), 0o600))
	p.deliverFile(model, rows, "2.0.0", func(m *envelope.Manifest) {
		m.Format, m.Inputs = 2, &window.Spec{Sensors: []string{"a"}, Inputs: []window.Input{{Sensor: "a", Stat: window.Mean, Rows: 3}}}
		m.Schema = event.SchemaOf(m.Sensors())
	}, nil)
	r.modelEvent(event.ModelActivated)
	high := 1 / (1 + math.Exp(-0.25))
	for i, c := range []struct {
		a      float32
		faulty bool
	}{{1, false}, {1.9, false}, {1.9, true}, {1.9, true}, {0, false}} {
		m := telemetry(uint64(i+1), []float32{c.a})
		m.Schema = event.SchemaOf([]string{"a"})
		if i%2 == 1 {
			m.Values, m.Schema, m.Readings = nil, "", event.Readings{"a": c.a}
		}
		r.publish(event.TelemetryTopic(m.Thing), encode(t, m))
		if got := r.prediction(); (math.Abs(got.Probability-high) < 1e-6) != c.faulty || got.Model.Version != "2.0.0" {
			t.Errorf("row %d: %+v", i+1, got)
		}
	}
}
