package engine_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/request"
	"edgepdm/shared/window"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/table"
)

// reference is a model of XGBoost with its own contributions to rows.
func reference(t *testing.T) (model string, rows, contributions [][]float32) {
	t.Helper()
	dir := filepath.Join(need.Root(t), "shared", "gbdt", "testdata", "reference", "xgboost-3.2.0", "names")
	_, rows = table.Read(t, filepath.Join(dir, "X.csv"))
	_, contributions = table.Read(t, filepath.Join(dir, "contribs.csv"))
	return filepath.Join(dir, "model.ubj"), rows, contributions
}

// Predictions at or above the threshold say what points to a fault, as XGBoost has it, and the others do not; a thing says it
// again only after a while. The model file has no manifest: its features' own names do.
func TestFaultyRowsAreExplained(t *testing.T) {
	model, rows, contributions := reference(t)
	r := newRig(t)
	coretest.Configure(t, r.core, engineName, map[string]any{"model": model})
	r.start(shippedModel)
	r.await("a model", ok)
	faulty := uint64(0)
	publish := func(thing string, seq uint64, row []float32) event.Prediction {
		t.Helper()
		m := telemetry(seq, row)
		m.Thing = thing
		r.publish(event.TelemetryTopic(thing), encode(t, m))
		return r.prediction()
	}
	for i, row := range rows {
		thing := "press-" + strconv.Itoa(i)
		p := publish(thing, 1, row)
		if p.Label != event.LabelFaulty {
			if p.Contributors != nil {
				t.Errorf("row %d is not faulty and has %+v", i, p.Contributors)
			}
			continue
		}
		faulty++
		total, most := 0.0, float32(0)
		for _, x := range contributions[i][:len(row)] {
			total, most = total+max(float64(x), 0), max(most, x)
		}
		if len(p.Contributors) == 0 || math.Abs(p.Contributors[0].Share-float64(most)/total) > 2e-4 {
			t.Errorf("row %d: %+v, want a share of %v first", i, p.Contributors, float64(most)/total)
		}
		if again := publish(thing, 2, row); again.Label != event.LabelFaulty || again.Contributors != nil {
			t.Errorf("row %d says it again: %+v", i, again.Contributors)
		}
	}
	h := r.await("the counters", func(h event.Health) bool { return h.Counters[engine.CounterReasons] == faulty })
	if faulty == 0 || h.Counters[engine.CounterReasonsSpaced] != faulty || h.Counters[engine.CounterReasonsWithheld] != 0 {
		t.Errorf("%d faulty rows: %v", faulty, h.Counters)
	}
	coretest.Configure(t, r.core, engineName, map[string]any{"reasonsEvery": "0s", "threshold": 1e-9})
	for i := 0; ; i++ { // until the change has arrived
		if p := publish("press-off-"+strconv.Itoa(i), 1, rows[0]); p.Threshold == 1e-9 {
			if p.Label != event.LabelFaulty || p.Contributors != nil {
				t.Errorf("switched off: %+v", p)
			}
			break
		}
	}
}

// why asks for an explanation of a thing's next row.
func (r *rig) why(thing string, wait int, progress ...func(string)) (string, error) {
	c := request.Call{
		Component: event.InferenceEngine, WorkDir: r.env.WorkDir, Command: event.CommandExplain,
		Arguments: event.Explain{Thing: thing, Wait: wait}, Timeout: 20 * time.Second,
	}
	if len(progress) > 0 {
		c.Progress = progress[0]
	}
	return c.Do(r.t.Context())
}

// The command explain has the next row of a thing say what points to a fault, whatever its label: in the words of the manifest, for
// those who ask and in the prediction. Other rows of a machine that is well say nothing.
func TestExplainOnRequest(t *testing.T) {
	need.Long(t)
	r, p, _ := atWork(t)
	features, rows, _ := golden(t)
	p.deliver("1.1.0", func(m *envelope.Manifest) {
		m.Display = make(map[string]envelope.Display)
		m.Baseline = &envelope.Baseline{}
		for _, f := range m.Features {
			m.Display[f] = envelope.Display{Name: "the " + f, Unit: "kPa"}
			low, high := float32(-1e9), float32(1e9)
			m.Baseline.Features = append(m.Baseline.Features, envelope.Histogram{Counts: []uint64{1}, P5: &low, P95: &high})
		}
	}, nil)
	r.modelEvent(event.ModelActivated)
	r.status("active model: simulated-compressor 1.1.0")
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := r.why("press-2", 0)
		answers <- answer{text, err}
	}()
	explained, seq := 0, uint64(0)
	for done := false; !done; {
		seq++
		for _, thing := range []string{"press-1", "press-2"} {
			m := telemetry(seq, rows[0])
			m.Thing = thing
			r.publish(event.TelemetryTopic(thing), encode(t, m))
			got := r.prediction()
			if got.Contributors == nil {
				continue
			}
			explained++
			c := got.Contributors[0]
			if thing != "press-2" || c.Name != "the "+c.Sensor || c.Unit != "kPa" || c.Direction != event.DirectionWithin || len(got.Contributors) != event.MaxContributors {
				t.Errorf("%s: %+v", thing, got.Contributors)
			}
		}
		select {
		case a := <-answers:
			done = true
			must.OK(t, a.err)
			for _, want := range []string{"press-2, row press-2-e1-", "What points to a fault", "the ", " kPa", "usually -1e+09 to 1e+09", " %"} {
				if !strings.Contains(a.text, want) {
					t.Errorf("%q is not in %s", want, a.text)
				}
			}
		default:
		}
	}
	if explained != 1 || len(features) == 0 {
		t.Errorf("%d rows are explained", explained)
	}
	if _, err := r.why("press-9", 1); err == nil || !strings.Contains(err.Error(), "no row of press-9 that can be scored came in 1s") {
		t.Errorf("%v", err)
	}
	for want, c := range map[string]event.Explain{`name "a/b" has`: {Thing: "a/b"}, "wait_s is -1": {Thing: "a", Wait: -1}, "wait_s is 3601": {Thing: "a", Wait: 3601}} {
		if _, err := r.why(c.Thing, c.Wait); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	taken := make(chan string, 16)
	go func() {
		text, err := r.why("press-9", 60, func(text string) { taken <- text })
		answers <- answer{text, err}
	}()
	if text := <-taken; text != "waits for the next row of press-9" {
		t.Errorf("%q", text)
	}
	if text := <-taken; !strings.HasPrefix(text, "waits for the next row of press-9, since ") {
		t.Errorf("%q", text)
	}
	r.stop()
	if a := <-answers; a.err == nil || !strings.Contains(a.err.Error(), "the engine stops") {
		t.Errorf("%+v", a)
	}
}

// A model that cannot be explained scores, and says why there are no reasons: in the log, in the status and to who asks.
func TestAModelThatIsNotExplained(t *testing.T) {
	r, log := newLoggedRig(t)
	model := filepath.Join(need.Root(t), "shared", "gbdt", "leaves", "testdata", "4.7.0-binary", "model.txt")
	coretest.Configure(t, r.core, engineName, map[string]any{"model": model, "engine": "leaves", "threshold": 1e-9})
	r.start(shippedModel)
	r.await("a model", ok)
	r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(1, []float32{1, 2, 0, 1})))
	if p := r.prediction(); p.Label != event.LabelFaulty || p.Contributors != nil {
		t.Errorf("%+v", p)
	}
	const why = "the model cannot be explained: it is LightGBM's"
	r.status("no reasons: " + why)
	if _, err := r.why("press-1", 5); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("%v", err)
	}
	if n := strings.Count(log.String(), why); n != 1 {
		t.Errorf("the log says it %d times: %s", n, log)
	}
}

// A model over time is explained by what it was given for the row, of which the sensors are the contributors.
func TestAModelOverTimeIsExplained(t *testing.T) {
	need.Long(t)
	r, p, _ := atWork(t)
	dir := filepath.Join(need.Root(t), "shared", "gbdt", "testdata", "reference", "xgboost-3.2.0", "binary")
	spec := &window.Spec{Sensors: []string{"oil", "air", "load"}, Inputs: []window.Input{
		{Sensor: "oil", Stat: window.Last}, {Sensor: "oil", Stat: window.Mean, Rows: 3}, {Sensor: "air", Stat: window.Last}, {Sensor: "air", Stat: window.Max, Rows: 3},
		{Sensor: "load", Stat: window.Min, Rows: 3}, {Sensor: "load", Stat: window.Mean, Rows: 3},
	}}
	_, rows := table.Read(t, filepath.Join(dir, "X.csv"))
	_, margins := table.Read(t, filepath.Join(dir, "margin.csv"))
	file := filepath.Join(t.TempDir(), "golden.csv")
	lines := []string{"margin," + strings.Join(spec.Names(), ",")}
	for i, row := range rows {
		line := fmt.Sprint(margins[i][0])
		for _, x := range row {
			line += "," + fmt.Sprint(x)
		}
		lines = append(lines, line)
	}
	must.OK(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	coretest.Configure(t, r.core, engineName, map[string]any{"threshold": 1e-9, "reasonsEvery": "1ns"})
	p.deliverFile(filepath.Join(dir, "model.ubj"), file, "2.0.0", func(m *envelope.Manifest) {
		m.Format, m.Inputs, m.Schema = 2, spec, event.SchemaOf(spec.Sensors)
		m.Display = map[string]envelope.Display{"oil": {Name: "oil temperature", Unit: "°C"}}
	}, nil)
	r.modelEvent(event.ModelActivated)
	r.status("active model: simulated-compressor 2.0.0")
	model, err := gbdt.Parse(must.Read(t, filepath.Join(dir, "model.ubj")))
	must.OK(t, err)
	explainer, err := gbdt.NewExplainer(model)
	must.OK(t, err)
	windows, err := window.New(*spec, 1<<20)
	must.OK(t, err)
	var contributions []float32
	explained := 0
	for i, row := range rows {
		m := telemetry(uint64(i+1), row[:3])
		r.publish(event.TelemetryTopic(m.Thing), encode(t, m))
		got := r.prediction()
		features, _ := windows.Add(nil, m.Thing, window.Row{Epoch: m.Epoch, Seq: m.Seq, TS: m.TS, Values: m.Values})
		contributions, err = explainer.Explain(contributions, features)
		must.OK(t, err)
		want, total := make(map[string]float64), 0.0
		for k, input := range spec.Inputs {
			want[input.Sensor] += float64(contributions[k])
		}
		for _, x := range want {
			total += max(x, 0)
		}
		if got.Label == event.LabelFaulty && (len(got.Contributors) == 0) != (total == 0) {
			t.Errorf("row %d: %+v, want %v", i, got, want)
		}
		for _, c := range got.Contributors {
			explained++
			if math.Abs(c.Share-want[c.Sensor]/total) > 2e-4 {
				t.Errorf("row %d: %+v, want %v", i, c, want)
			}
			last := map[string]float32{"oil": row[0], "air": row[1]}[c.Sensor]
			if c.Sensor == "load" && c.Value != nil || c.Sensor != "load" && ((c.Value == nil) != (last != last) || c.Value != nil && *c.Value != last) ||
				(c.Name == "oil temperature") != (c.Sensor == "oil") {
				t.Errorf("row %d: %+v, its last value is %v", i, c, last)
			}
		}
	}
	if explained < len(rows) {
		t.Errorf("%d contributors in %d rows", explained, len(rows))
	}
}
