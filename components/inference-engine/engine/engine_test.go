package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/table"
)

const (
	engineName   = event.InferenceEngine
	shippedModel = "../model/model.ubj"
)

// rig is an engine on the embedded core, with its real recipe, and a client that plays the rest of the plant.
type rig struct {
	t           *testing.T
	core        *localcore.Core
	env         component.Environment
	client      *ipc.Client
	health      *coretest.Health
	predictions *ipc.Subscription[ipc.TopicMessage]
	events      *ipc.Subscription[ipc.TopicMessage] // of models
	heard       map[string]bool                     // ids of events
	stop        func()
}

func newRig(t *testing.T, set ...func(*localcore.Options)) *rig {
	core := coretest.Start(t, set...)
	r := &rig{
		t: t, core: core, heard: make(map[string]bool), client: coretest.Client(t, core),
		env: coretest.Environment(t, core, engineName, "inference-engine", slog.New(slog.DiscardHandler)),
	}
	coretest.Configure(t, core, engineName, map[string]any{"healthInterval": "100ms"})
	r.health = coretest.HealthOf(t, r.client, engineName)
	r.events, r.predictions = coretest.Subscribe(t, r.client, event.FilterModel), coretest.Subscribe(t, r.client, event.FilterPrediction)
	return r
}

// newLoggedRig returns a rig with what its engine logs.
func newLoggedRig(t *testing.T) (*rig, *coretest.Lines) {
	t.Helper()
	r, log := newRig(t), new(coretest.Lines)
	r.env.Log = slog.New(slog.NewTextHandler(log, nil))
	return r, log
}

// start runs the engine until stop or the end of the test.
func (r *rig) start(model string) {
	r.startRun((&engine.Engine{ShippedModel: model, Now: time.Now}).Run)
}

// startRun does that with another Run.
func (r *rig) startRun(run func(context.Context, *component.Runtime, engine.Config) error) {
	r.stop = coretest.Run(r.t, r.env, component.Spec[engine.Config]{Name: engineName, Version: "1.2.3", Default: engine.Default, Run: run}, r.health)
}

// await reads health messages until one is as wanted.
func (r *rig) await(what string, wanted func(event.Health) bool) event.Health {
	r.t.Helper()
	return r.health.Await(what, wanted)
}

func (r *rig) publish(topic string, payload []byte) {
	r.t.Helper()
	must.OK(r.t, r.client.Publish(r.t.Context(), topic, payload))
}

func (r *rig) prediction() event.Prediction {
	r.t.Helper()
	select {
	case m := <-r.predictions.Events():
		p, err := event.DecodePrediction(m.Payload)
		must.OK(r.t, err)
		if m.Topic != event.PredictionTopic(p.Thing) {
			r.t.Errorf("prediction for %s on %s", p.Thing, m.Topic)
		}
		return p
	case <-time.After(time.Minute):
		r.t.Fatal("no prediction")
		return event.Prediction{}
	}
}

func ok(h event.Health) bool { return h.State == event.StateOK && h.Model != nil }

// golden returns the rows that the training XGBoost scored, with their margins, and the model's features.
func golden(t *testing.T) (features []string, rows [][]float32, margins []float32) {
	t.Helper()
	columns, lines := table.Read(t, "../model/golden.csv")
	for _, row := range lines {
		margins, rows = append(margins, row[0]), append(rows, row[1:])
	}
	return columns[1:], rows, margins
}

func telemetry(seq uint64, values []float32) event.Telemetry {
	return event.Telemetry{V: 1, Thing: "press-1", Line: "line-7", Epoch: "e1", Seq: seq, TS: time.Now().UTC(), Values: values}
}

func encode(t *testing.T, message any) []byte {
	t.Helper()
	payload, err := json.Marshal(message)
	must.OK(t, err)
	return payload
}

// Every form of telemetry gives the score that XGBoost gave.
func TestScoresAsXGBoostDoes(t *testing.T) {
	r := newRig(t)
	r.start(shippedModel)
	h := r.await("a model", ok)
	features, rows, margins := golden(t)
	for i, row := range rows {
		m := telemetry(uint64(i+1), row)
		m.Schema = event.SchemaOf(features)
		switch i % 3 {
		case 0:
			r.publish(event.TelemetryTopic(m.Thing), encode(t, m))
		case 1:
			m.Values, m.Packed = nil, row
			r.publish(event.TopicTelemetryBatch, encode(t, event.TelemetryBatch{V: 1, Rows: []event.Telemetry{m}}))
		case 2:
			m.Values, m.Readings = nil, event.Readings{}
			for j, x := range row {
				m.Readings[features[j]] = x
			}
			r.publish(event.TelemetryTopic(m.Thing), encode(t, m))
		}
		p := r.prediction()
		want := 1 / (1 + math.Exp(-float64(margins[i])))
		if math.Abs(p.Probability-want) > 1e-6 {
			t.Errorf("row %d: probability %v, want %v", i, p.Probability, want)
		}
		label := event.LabelNotFaulty
		if p.Probability >= p.Threshold {
			label = event.LabelFaulty
		}
		if p.ID != m.ID() || p.Line != "line-7" || p.Model != *h.Model || p.Label != label || !strings.Contains(p.Text, "Predicted Label "+label) {
			t.Errorf("row %d: %+v", i, p)
		}
	}
}

// Bad telemetry of every kind is counted by its reason, and the engine goes on.
func TestInvalidTelemetryIsCountedByReason(t *testing.T) {
	r := newRig(t)
	r.start(shippedModel)
	r.await("a model", ok)
	_, rows, _ := golden(t)
	topic := event.TelemetryTopic("press-1")
	short := telemetry(1, rows[0][:10])
	foreign := telemetry(2, rows[0])
	foreign.Schema = "0123456789abcdef"
	elsewhere := telemetry(3, rows[0])
	elsewhere.Thing = "press-2"
	unknown := telemetry(4, nil)
	unknown.Readings = event.Readings{"no such sensor": 1}
	for _, payload := range [][]byte{
		[]byte("not JSON"),
		[]byte(`{"v":1,"thing":"press-1","epoch":"e1","seq":9,"ts":"2026-01-01T00:00:00Z","values":[Infinity]}`),
		[]byte(`{"v":1,"thing":"press-1","epoch":"e1","seq":9,"ts":"2026-01-01T00:00:00Z","values":[1e99]}`),
		append(encode(t, telemetry(1, rows[0])), make([]byte, 7000)...),
		encode(t, short), encode(t, foreign), encode(t, elsewhere), encode(t, unknown),
		[]byte(`{"v":2}`),
	} {
		r.publish(topic, payload)
	}
	slash := telemetry(5, rows[0])
	slash.Thing = "press/1"
	r.publish("pdm/v1/telemetry/press/1", encode(t, slash))
	r.publish(topic, encode(t, telemetry(10, rows[0])))
	if p := r.prediction(); p.Seq != 10 {
		t.Errorf("prediction for %+v", p)
	}
	h := r.await("all counted", func(h event.Health) bool {
		return h.Counters[engine.CounterRows] == 11 && h.Counters[engine.CounterPredictions] == 1
	})
	for reason, want := range map[event.Reason]uint64{
		event.ReasonMalformed: 1, event.ReasonInfinity: 2, event.ReasonOversized: 1, event.ReasonLength: 1,
		event.ReasonSchema: 1, event.ReasonName: 2, event.ReasonSensor: 1, event.ReasonVersion: 1,
	} {
		if got := h.Counters[event.CounterTelemetryInvalid+string(reason)]; got != want {
			t.Errorf("%s: %d, want %d (%v)", reason, got, want, h.Counters)
		}
	}
}

// A row of a known thing whose epoch is longer than any is refused like others, and the engine goes on.
func TestAnEpochThatIsTooLong(t *testing.T) {
	r := newRig(t)
	r.start(shippedModel)
	r.await("a model", ok)
	_, rows, _ := golden(t)
	topic := event.TelemetryTopic("press-1")
	r.publish(topic, encode(t, telemetry(1, rows[0])))
	r.prediction()
	for range 2 {
		long := telemetry(1, rows[0])
		long.Epoch = strings.Repeat("e", event.MaxEpoch+1)
		r.publish(topic, encode(t, long))
	}
	r.publish(topic, encode(t, telemetry(2, rows[0])))
	if p := r.prediction(); p.Seq != 2 {
		t.Errorf("prediction for %+v", p)
	}
	r.await("all counted", func(h event.Health) bool {
		return h.Counters[engine.CounterPredictions] == 2 && h.Counters[event.CounterTelemetryInvalid+string(event.ReasonName)] == 2
	})
}

// Rows published while the engine is down are counted when it is back.
func TestGapsAreCountedAcrossRestarts(t *testing.T) {
	r := newRig(t)
	_, rows, _ := golden(t)
	r.start(shippedModel)
	first := r.await("a model", ok).Run
	for seq := uint64(1); seq <= 3; seq++ {
		r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(seq, rows[0])))
		r.prediction()
	}
	r.stop()
	r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(4, rows[0]))) // nobody hears it
	r.start(shippedModel)
	r.await("a new run", func(h event.Health) bool { return ok(h) && h.Run != first })
	r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(6, rows[0])))
	r.prediction()
	h := r.await("the prediction", func(h event.Health) bool { return h.Counters[engine.CounterPredictions] == 1 })
	if got := h.Counters[event.CounterTelemetryMissed]; got != 2 {
		t.Errorf("missed %d rows, want 2", got)
	}
}

// A model that cannot be used is refused with a reason; a better configuration brings the engine to work.
func TestUnusableModelsAreRefused(t *testing.T) {
	need.Long(t)
	whole, err := os.ReadFile(shippedModel)
	must.OK(t, err)
	truncated := filepath.Join(t.TempDir(), "truncated.ubj")
	must.OK(t, os.WriteFile(truncated, whole[:len(whole)/2], 0o600))
	good, err := filepath.Abs(shippedModel)
	must.OK(t, err)
	r := newRig(t)
	r.start(truncated)
	h := r.await("NO_MODEL", func(h event.Health) bool { return h.State == event.StateNoModel })
	if h.Detail == "" || h.Model != nil {
		t.Errorf("%+v", h)
	}
	_, rows, _ := golden(t)
	r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(1, rows[0])))
	r.await("the row counted", func(h event.Health) bool { return h.Counters[event.CounterTelemetryInvalid+"no-model"] == 1 })

	coretest.Configure(t, r.core, engineName, map[string]any{"model": "/no/such/file"})
	r.await("the file's name", func(h event.Health) bool {
		return h.State == event.StateNoModel && strings.Contains(h.Detail, "/no/such/file")
	})
	coretest.Configure(t, r.core, engineName, map[string]any{"model": good})
	r.await("a model", ok)
	r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(2, rows[0])))
	if p := r.prediction(); p.Seq != 2 {
		t.Errorf("%+v", p)
	}
	// best needs a model that was trained with early stopping; this one was not.
	coretest.Configure(t, r.core, engineName, map[string]any{"iterations": "best"})
	r.await("the reason", func(h event.Health) bool {
		return h.State == event.StateNoModel && strings.Contains(h.Detail, "iterations")
	})
}

// A change of the threshold changes labels between two rows, and loses none.
func TestThresholdIsConfigurable(t *testing.T) {
	r := newRig(t)
	r.start(shippedModel)
	r.await("a model", ok)
	_, rows, _ := golden(t)
	for i, threshold := range []float64{1e-12, 1} {
		coretest.Configure(t, r.core, engineName, map[string]any{"threshold": threshold})
		for seq := uint64(1); ; seq++ { // until the change has arrived
			r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(uint64(i)*1000+seq, rows[0])))
			if p := r.prediction(); p.Threshold == threshold {
				want := []string{event.LabelFaulty, event.LabelNotFaulty}[i]
				if p.Label != want {
					t.Errorf("threshold %v: %+v, want %s", threshold, p, want)
				}
				break
			}
		}
	}
}

func TestShadowUpdatesAreScored(t *testing.T) {
	r := newRig(t)
	r.start(shippedModel)
	r.await("a model", ok)
	r.publish("$aws/things/Iot-Sensor/shadow/update/accepted",
		[]byte(`{"state":{"desired":{"property":"0.53"}},"version":12,"timestamp":1795448155}`))
	if p := r.prediction(); p.ID != "Iot-Sensor-shadow-12" {
		t.Errorf("%+v", p)
	}
}

// The shipped model is one that the engine takes, and its golden rows come out bit for bit.
func TestShippedModelIsGolden(t *testing.T) {
	data, err := gbdt.ReadFile(shippedModel)
	must.OK(t, err)
	m, err := gbdt.Parse(data)
	must.OK(t, err)
	features, rows, margins := golden(t)
	if fmt.Sprint(features) != fmt.Sprint(m.FeatureNames) || len(rows) < 10 {
		t.Fatalf("%d golden rows of %d features", len(rows), len(features))
	}
	scorer := gbdt.NewScorer(m)
	for i, row := range rows {
		got, err := scorer.Margin(nil, row)
		must.OK(t, err)
		if math.Float32bits(got[0]) != math.Float32bits(margins[i]) {
			t.Errorf("row %d: margin %v, want %v", i, got[0], margins[i])
		}
	}
}
