package engine_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/event"
	"edgepdm/shared/shadow"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// Each thing's latest prediction is the reported state of its shadow, with the grant that the README shows.
func TestPredictionsGoToShadows(t *testing.T) {
	r := newRig(t, func(o *localcore.Options) { o.ShadowManager = true })
	coretest.Configure(t, r.core, engineName, coretest.ShownMerge(t, "inference-engine"))
	updates, err := r.client.Subscribe(t.Context(), "$aws/things/press-1/shadow/name/prediction/update/accepted", "")
	must.OK(t, err)
	r.start(shippedModel)
	r.await("a model", ok)
	_, rows, _ := golden(t)
	var last event.Prediction
	for seq := uint64(1); seq <= 30; seq++ {
		r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(seq, rows[seq%uint64(len(rows))])))
		last = r.prediction()
	}
	var got map[string]any
	for timeout := time.After(time.Minute); got["id"] != last.ID; {
		select {
		case m := <-updates.Events():
			var doc struct {
				State struct {
					Reported map[string]any `json:"reported"`
				} `json:"state"`
			}
			must.OK(t, json.Unmarshal(m.Payload, &doc))
			got = doc.State.Reported
		case <-timeout:
			t.Fatalf("the last state is %v, want %s", got, last.ID)
		}
	}
	want := map[string]any{
		"id": last.ID, "ts": last.TS.Format(time.RFC3339Nano), "label": last.Label, "probability": last.Probability,
		"threshold": last.Threshold, "model": last.Model.Version, "text": last.Text, "simulated": false,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("state %v, want %v", got, want)
	}
	h := r.await("all of them", func(h event.Health) bool {
		return h.Counters[shadow.CounterWritten]+h.Counters[shadow.CounterSuperseded] == 30
	})
	if h.State != event.StateOK || h.Counters[engine.CounterRows] != 30 { // the shadows' messages are no rows
		t.Errorf("%+v", h)
	}
	if denials := r.core.Denials(); len(denials) > 0 {
		t.Errorf("denials %+v", denials)
	}
}

// Where there are no shadows the state says so, as long as there is no worse; predictions are published all the same.
func TestWithoutShadowsPredictionsArePublished(t *testing.T) {
	need.Long(t)
	r := newRig(t, func(o *localcore.Options) { o.Mode = localcore.Lite })
	coretest.Configure(t, r.core, engineName, map[string]any{"predictionShadow": "prediction", "model": "/no/such/file"})
	r.start(shippedModel)
	r.await("no model", func(h event.Health) bool { return h.State == event.StateNoModel })
	coretest.Configure(t, r.core, engineName, map[string]any{"model": ""})
	degraded := func(h event.Health) bool {
		return h.State == event.StateDegraded && h.Conditions[0].Code == event.CodeShadow && h.Conditions[0].Detail == shadow.Unsupported && h.Model != nil
	}
	r.await("no shadows", degraded)
	_, rows, _ := golden(t)
	r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(1, rows[0])))
	if p := r.prediction(); p.Seq != 1 {
		t.Errorf("%+v", p)
	}
	coretest.Configure(t, r.core, engineName, map[string]any{"predictionShadow": ""})
	r.await("nothing wrong", ok)
}

func TestShadowInputCanBeOff(t *testing.T) {
	r := newRig(t)
	coretest.Configure(t, r.core, engineName, map[string]any{"shadowInput": false})
	r.start(shippedModel)
	r.await("a model", ok)
	r.publish("$aws/things/press-1/shadow/update/accepted", []byte(`{"state":{"desired":{"property":"0.53"}},"version":12}`))
	_, rows, _ := golden(t)
	r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(1, rows[0])))
	if p := r.prediction(); p.Epoch != "e1" {
		t.Errorf("%+v", p)
	}
	h := r.await("the row", func(h event.Health) bool { return h.Counters[engine.CounterPredictions] == 1 })
	if h.Counters[engine.CounterRows] != 1 {
		t.Errorf("%+v", h.Counters)
	}
}

func TestPredictionShadowMustBeAName(t *testing.T) {
	for name, want := range map[string]bool{"": true, "a:b_c-9": true, "a/b": false, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false} {
		c := engine.Default()
		c.PredictionShadow = name
		if err := c.Validate(); (err == nil) != want || err != nil && !strings.HasPrefix(err.Error(), "predictionShadow:") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
