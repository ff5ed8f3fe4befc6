package engine_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/window"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/table"
)

// A candidate with inputs over time, of fewer sensors in another order, is scored as it would be if it were active: its windows are its
// own, rows before they are full do not count, and it goes on with them, without a break, when it is promoted.
func TestACandidateOverTime(t *testing.T) {
	need.Long(t)
	d := newDuel(t, undecided())
	features, _, _ := golden(t)
	dir := filepath.Join(need.Root(t), "shared", "gbdt", "testdata", "reference", "xgboost-3.2.0", "binary")
	sensors := []string{features[100], features[2], features[5]}
	at := []int{100, 2, 5}
	spec := &window.Spec{Sensors: sensors, Inputs: []window.Input{
		{Sensor: sensors[0], Stat: window.Last}, {Sensor: sensors[0], Stat: window.Mean, Rows: 3}, {Sensor: sensors[1], Stat: window.Last},
		{Sensor: sensors[1], Stat: window.Max, Rows: 3}, {Sensor: sensors[2], Stat: window.Min, Rows: 3}, {Sensor: sensors[2], Stat: window.Mean, Rows: 3},
	}}
	_, inputs := table.Read(t, filepath.Join(dir, "X.csv"))
	_, margins := table.Read(t, filepath.Join(dir, "margin.csv"))
	lines := []string{"margin," + strings.Join(spec.Names(), ",")}
	for i, row := range inputs {
		line := fmt.Sprint(margins[i][0])
		for _, x := range row {
			line += "," + fmt.Sprint(x)
		}
		lines = append(lines, line)
	}
	file := filepath.Join(t.TempDir(), "golden.csv")
	must.OK(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	for i := range d.rows { // values that the candidate tells apart
		for k, j := range at {
			d.rows[i][j] = inputs[(i*7+k)%len(inputs)][k]
		}
	}
	d.p.deliverFile(filepath.Join(dir, "model.ubj"), file, "2.0.0", func(m *envelope.Manifest) {
		m.Inputs, m.Schema = spec, event.SchemaOf(spec.Sensors)
		proving(m)
	}, nil)
	d.modelEvent(event.ModelShadowing) // no row before

	model, err := gbdt.Parse(must.Read(t, filepath.Join(dir, "model.ubj")))
	must.OK(t, err)
	scorer := gbdt.NewScorer(model)
	windows, err := window.New(*spec, 1<<20)
	must.OK(t, err)
	expect := func(seq uint64) float64 {
		row := d.rows[seq%uint64(len(d.rows))]
		m := telemetry(seq, row)
		given, _ := windows.Add(nil, m.Thing, window.Row{Epoch: m.Epoch, Seq: m.Seq, TS: m.TS, Values: []float32{row[at[0]], row[at[1]], row[at[2]]}})
		margin, err := scorer.Margin(nil, given)
		must.OK(t, err)
		return float64(scorer.Predict(nil, margin)[0])
	}
	const rows = 200
	faulty := 0
	for seq := uint64(1); seq <= rows; seq++ {
		if p := expect(seq); seq >= 3 && p >= 0.5 {
			faulty++
		}
		d.score()
	}
	c := d.compared("all rows", func(c event.Comparison) bool { return c.Rows == rows-2 })
	if got := int(math.Round(c.Faulty[1] * float64(c.Rows))); got != faulty || faulty == 0 || faulty == rows-2 {
		t.Errorf("the candidate calls %d rows faulty, want %d", got, faulty)
	}
	if _, err := d.ask(event.CommandPromote, ""); err != nil {
		t.Fatal(err)
	}
	d.modelEvent(event.ModelActivated)
	row := d.rows[(rows+1)%len(d.rows)]
	m := telemetry(rows+1, []float32{row[at[0]], row[at[1]], row[at[2]]})
	want := expect(rows + 1)
	d.publish(event.TelemetryTopic(m.Thing), encode(t, m))
	if p := d.prediction(); p.Model.Version != "2.0.0" || math.Abs(p.Probability-want) > 1e-7 {
		t.Errorf("%+v, want %v", p, want)
	}
}

// A candidate with a sensor that the active model does not have is rejected for that, and is not tried again.
func TestACandidateWithAnotherSensor(t *testing.T) {
	d := newDuel(t, undecided())
	dir := t.TempDir()
	model, file := filepath.Join(dir, "model.json"), filepath.Join(dir, "golden.csv")
	must.OK(t, os.WriteFile(model, []byte(stoppedModel), 0o600))
	must.OK(t, os.WriteFile(file, []byte(stoppedGolden), 0o600))
	d.p.deliverFile(model, file, "2.0.0", proving, nil)
	if e := d.modelEvent(event.ModelRejected); !strings.Contains(e.Detail, `its sensor "a" is none of the 168`) {
		t.Errorf("%+v", e)
	}
	d.p.deliverFile(model, file, "2.0.0", proving, nil)
	if e := d.modelEvent(event.ModelRejected); !strings.Contains(e.Detail, "quarantined") {
		t.Errorf("%+v", e)
	}
	if p := d.score(); p.Model.Version != d.shipped {
		t.Errorf("%+v", p)
	}
}
