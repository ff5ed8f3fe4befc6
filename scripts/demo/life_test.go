package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"edgepdm/components/inference-engine/scoring"
	"edgepdm/components/sensor-simulator/generate"
	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/window"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// The model of remaining life covers the truth of machines that it has not seen about as often as it says, with the windows of
// the device, and is small.
func TestLifeModelCoversTheTruth(t *testing.T) {
	t.Chdir(need.Root(t))
	b, err := lifeModel.build()
	must.OK(t, err)
	path := filepath.Join(lifeModel.dir, "model.ubj")
	packed, err := envelope.Pack(io.Discard, path)
	must.OK(t, err)
	b.Version, b.Created, b.Expires, b.Archive = "1.0.0", begin, begin.Add(time.Hour), packed.Archive
	if m, err := envelope.BuildManifest(path, filepath.Join(lifeModel.dir, "golden.csv"), b); err != nil || m.Role != event.RoleLife || m.Life.Unit != "hours" {
		t.Fatalf("%v", err)
	}
	data, err := gbdt.ReadFile(path)
	must.OK(t, err)
	if len(data) > 300_000 {
		t.Errorf("the model has %d bytes", len(data))
	}
	model, err := gbdt.Parse(data)
	must.OK(t, err)
	windows, err := window.New(*b.Inputs, math.MaxInt64)
	must.OK(t, err)

	columns := make([]int, len(b.Inputs.Sensors))
	for i, name := range b.Inputs.Sensors {
		columns[i] = slices.Index(plant.Sensors(), name)
	}
	scorer, account := gbdt.NewScorer(model), lifeAccount{}
	var features, outputs []float32
	for i := range 24 {
		thing := fmt.Sprintf("unseen-%d", i)
		machine := plant.New(77, thing)
		machine.Age()
		for seq := range uint64(250) {
			row, values := machine.Step(generate.LifeInterval), make([]float32, len(columns))
			for k, column := range columns {
				values[k] = row.Values[column]
			}
			features, _ = windows.Add(features[:0], thing, window.Row{Epoch: "e", Seq: seq + 1, TS: begin, Values: values})
			outputs, err = scorer.Margin(outputs[:0], features)
			must.OK(t, err)
			life, err := scoring.Life(outputs, *b.Life)
			must.OK(t, err)
			account.add(life, &row.Remaining)
		}
	}
	t.Logf("coverage %.3f of %d rows, mean width %.1f h", account.coverage(), account.rows, account.meanWidth())
	if c := account.coverage(); c < 0.85 || c > 0.99 || account.meanWidth() > 30 {
		t.Errorf("coverage %.3f at nominal %v, mean width %.1f h", c, b.Life.Coverage, account.meanWidth())
	}
}

// A training may be described by files, which must be what they seem.
func TestBuildRefusesADamagedFile(t *testing.T) {
	dir := t.TempDir()
	must.OK(t, os.WriteFile(filepath.Join(dir, "life.json"), []byte("{"), 0o600))
	if _, err := (product{dir: dir}).build(); err == nil || !bytes.Contains([]byte(err.Error()), []byte("life.json")) {
		t.Errorf("%v", err)
	}
}

// Rows of the plant are as far apart in the machines' time as those of the life model's training, whatever the rate.
func TestRowsAreAsFarApartAsInTraining(t *testing.T) {
	for _, rate := range []float64{0.5, 1, 2, 20, 1000} {
		for _, length := range []time.Duration{time.Second, 30 * time.Second, time.Hour} {
			o := options{things: 3, rate: rate}
			config := o.plant(length)
			if between := config["timeScale"].(float64) / rate; between != generate.LifeInterval.Seconds() {
				t.Errorf("at %v rows a second they are %v simulated seconds apart", rate, between)
			}
			text, err := json.Marshal(config["lives"])
			must.OK(t, err)
			var lives []struct{ Fault, Remaining string }
			must.OK(t, json.Unmarshal(text, &lives))
			for _, l := range lives {
				remaining, err := time.ParseDuration(l.Remaining)
				must.OK(t, err)
				must.OK(t, plant.CheckWear(plant.Fault(l.Fault), remaining))
			}
			if len(lives) != 3 {
				t.Errorf("%d machines wear", len(lives))
			}
		}
	}
	if config := (&options{things: 1, rate: 2, input: "rows.csv"}).plant(time.Minute); config["life"] != nil || config["input"] != "rows.csv" {
		t.Errorf("%v", config)
	}
}
