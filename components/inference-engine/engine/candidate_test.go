package engine_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
)

const (
	secondModel  = "../../../scripts/demo/second-model/model.ubj"
	secondGolden = "../../../scripts/demo/second-model/golden.csv"
)

func proving(m *envelope.Manifest) {
	m.Format, m.Rollout = 3, &envelope.Rollout{Mode: envelope.ModeShadow}
}

// duel is a rig whose engine scores with the shipped model, and takes candidates.
type duel struct {
	*rig
	p           *publisher
	shipped     string
	comparisons *ipc.Subscription[ipc.TopicMessage]
	rows        [][]float32
	seq         uint64
}

// newDuel begins with such settings of the candidate.
func newDuel(t *testing.T, settings map[string]any) *duel {
	t.Helper()
	r := newRig(t)
	d := &duel{rig: r, p: newPublisher(r), comparisons: coretest.Subscribe(t, r.client, event.TopicComparison)}
	_, d.rows, _ = golden(t)
	coretest.Configure(t, r.core, engineName, map[string]any{"candidate": settings})
	r.start(shippedModel)
	d.shipped = r.await("a model", ok).Model.Version
	return d
}

// quick are settings of a rule that decides at once. The golden rows are few, and none like those of a machine: their scores say little.
func quick() map[string]any {
	return map[string]any{"rows": 50, "time": "0s", "report": "1s", "latency": 1000, "psi": 2, "cpuShare": 1}
}

// score has a row scored, and returns its prediction.
func (d *duel) score() event.Prediction {
	d.t.Helper()
	d.seq++
	d.publish(event.TelemetryTopic("press-1"), encode(d.t, telemetry(d.seq, d.rows[d.seq%uint64(len(d.rows))])))
	p := d.prediction()
	if p.Seq != d.seq {
		d.t.Fatalf("prediction of row %d, want %d", p.Seq, d.seq)
	}
	return p
}

// until has rows scored until the next event of a model.
func (d *duel) until(step event.ModelStep) event.ModelEvent {
	d.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(time.Minute); ; <-tick.C {
		select {
		case m := <-d.events.Events():
			e, err := event.DecodeModelEvent(m.Payload)
			must.OK(d.t, err)
			if d.heard[e.ID] {
				continue
			}
			d.heard[e.ID] = true
			if e.Event != step {
				d.t.Fatalf("event %+v, want %s", e, step)
			}
			return e
		case <-timeout:
			d.t.Fatalf("no event %s", step)
		default:
			d.score()
		}
	}
}

// compared waits for a comparison as wanted.
func (d *duel) compared(what string, wanted func(event.Comparison) bool) event.Comparison {
	d.t.Helper()
	var last event.Comparison
	for timeout := time.After(time.Minute); ; {
		select {
		case m := <-d.comparisons.Events():
			c, err := event.DecodeComparison(m.Payload)
			must.OK(d.t, err)
			if last = c; wanted(c) {
				return c
			}
		case <-timeout:
			d.t.Fatalf("no comparison with %s; the last is %+v", what, last)
		}
	}
}

// hold delivers the second model as a candidate.
func (d *duel) hold(version string, spoil ...func(*envelope.Manifest)) {
	d.t.Helper()
	d.p.deliverFile(secondModel, secondGolden, version, func(m *envelope.Manifest) {
		proving(m)
		for _, s := range spoil {
			s(m)
		}
	}, nil)
	if e := d.until(event.ModelShadowing); e.Version != version || !strings.Contains(e.Detail, "is scored beside simulated-compressor "+d.shipped) {
		d.t.Errorf("%+v", e)
	}
}

// M9: a candidate gets the rows after the active model, which goes on, and takes over by the rule, on probation and with the other
// one behind it.
func TestACandidateIsPromotedByTheRule(t *testing.T) {
	d := newDuel(t, quick())
	d.hold("2.0.0")
	if p := d.score(); p.Model.Version != d.shipped {
		t.Errorf("the candidate scores: %+v", p)
	}
	e := d.until(event.ModelActivated)
	if e.Version != "2.0.0" || !strings.HasPrefix(e.Detail, "promoted: ") || !strings.Contains(e.Detail, "labels agree in ") {
		t.Errorf("%+v", e)
	}
	c := d.compared("a promotion", func(c event.Comparison) bool { return c.Decision == event.DecisionPromote })
	if c.Active.Version != d.shipped || c.Candidate.Version != "2.0.0" || c.Rows < 50 || c.Agreement < 0.9 || len(c.Rules) != 6 || c.P99[0] <= 0 || c.P99[1] <= 0 {
		t.Errorf("%+v", c)
	}
	t.Log(e.Detail)
	if p := d.score(); p.Model.Version != "2.0.0" {
		t.Errorf("%+v", p)
	}
	h := d.await("the promoted model", func(h event.Health) bool { return ok(h) && h.Model.Version == "2.0.0" })
	if h.Counters[engine.CounterCandidateRows] < 50 || h.Counters[engine.CounterModelsActivated] != 1 {
		t.Errorf("%v", h.Counters)
	}
	if text, err := d.ask(event.CommandRollback, ""); err != nil || !strings.Contains(text, "2.0.0 to simulated-compressor "+d.shipped) {
		t.Errorf("%q, %v", text, err)
	}
}

// A candidate of shuffled labels is rejected with its figures, and is not tried again.
func TestAWrongCandidateIsRejected(t *testing.T) {
	d := newDuel(t, quick())
	d.holdWrong("2.0.0")
	e := d.until(event.ModelRejected)
	if e.Version != "2.0.0" || !strings.Contains(e.Detail, "agreement is ") || !strings.Contains(e.Detail, "must be at least 95 %") {
		t.Errorf("%+v", e)
	}
	t.Log(e.Detail)
	c := d.compared("a rejection", func(c event.Comparison) bool { return c.Decision == event.DecisionReject })
	if len(c.Differ) == 0 || c.Differ[0].Thing != "press-1" || c.Differ[0].Epoch != "e1" {
		t.Errorf("%+v", c)
	}
	if p := d.score(); p.Model.Version != d.shipped {
		t.Errorf("%+v", p)
	}
	d.p.deliverFile(secondModel, secondGolden, "2.0.0", proving, nil)
	if e := d.until(event.ModelRejected); !strings.Contains(e.Detail, "quarantined") {
		t.Errorf("it is tried again: %+v", e)
	}
	d.hold("2.0.1")
}

// A candidate that is damaged on disk is let go, and nothing is held against its version: delivered again, it is compared again.
func TestADamagedCandidateMayComeAgain(t *testing.T) {
	d := newDuel(t, map[string]any{"rows": 1_000_000})
	d.hold("2.0.0")
	first := d.await("a run", ok).Run
	d.stop()
	files, err := filepath.Glob(filepath.Join(d.env.WorkDir, "models", "versions", "2.0.0-*", "model.ubj"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	data := must.Read(t, files[0])
	data[len(data)/2] ^= 1
	must.OK(t, os.WriteFile(files[0], data, 0o600))
	d.start(shippedModel)
	d.await("a new run", func(h event.Health) bool { return ok(h) && h.Run != first })
	if e := d.until(event.ModelRejected); e.Version != "2.0.0" || !strings.Contains(e.Detail, "has changed since it was accepted: model-fetcher look -again brings it again") {
		t.Errorf("%+v", e)
	}
	d.hold("2.0.0")
}

// holdWrong delivers the shipped model with its leaves turned round.
func (d *duel) holdWrong(version string) {
	d.t.Helper()
	model, golden := wrongModel(d.t)
	d.p.deliverFile(model, golden, version, proving, nil)
	d.until(event.ModelShadowing)
}

// wrongModel makes a model of one split, whose label has nothing to do with the rows' state, of the shipped model's features.
func wrongModel(t *testing.T) (model, goldenFile string) {
	t.Helper()
	features, rows, _ := golden(t)
	names := string(must.JSON(t, features))
	types := strings.Repeat(`"float",`, len(features))
	text := fmt.Sprintf(`{"version":[3,0,5],"learner":{"attributes":{},"feature_names":%s,"feature_types":[%s],
"gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_parallel_tree":"1","num_trees":"1"},"iteration_indptr":[0,1],"tree_info":[0],"trees":[
{"id":0,"tree_param":{"num_nodes":"3","size_leaf_vector":"1"},"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[0,0,0],
"split_conditions":[%v,-2.5,1.25],"default_left":[0,0,0]}]}},
"learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"%d","num_target":"1"},
"objective":{"name":"binary:logistic","reg_loss_param":{"scale_pos_weight":"1"}}}}`, names, strings.TrimSuffix(types, ","), rows[0][0], len(features))
	var lines bytes.Buffer
	lines.WriteString("margin," + strings.Join(features, ",") + "\n")
	for _, row := range rows[:3] {
		margin := "1.25"
		if row[0] < rows[0][0] {
			margin = "-2.5"
		}
		lines.WriteString(margin)
		for _, x := range row {
			fmt.Fprintf(&lines, ",%v", x)
		}
		lines.WriteString("\n")
	}
	dir := t.TempDir()
	model, goldenFile = filepath.Join(dir, "model.json"), filepath.Join(dir, "golden.csv")
	must.OK(t, os.WriteFile(model, []byte(text), 0o600))
	must.OK(t, os.WriteFile(goldenFile, lines.Bytes(), 0o600))
	return model, goldenFile
}
