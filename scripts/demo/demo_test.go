package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/localcloud"
	"edgepdm/test/must"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// tell hands messages to the observer, 5 ms after begin.
func tell(t *testing.T, o *observer, topic string, message any) {
	t.Helper()
	payload, ok := message.([]byte)
	if !ok {
		var err error
		if payload, err = json.Marshal(message); err != nil {
			t.Fatal(err)
		}
	}
	o.handle(ipc.TopicMessage{Topic: topic, Payload: payload}, begin.Add(5*time.Millisecond))
}

func row(seq uint64) event.Telemetry {
	return event.Telemetry{V: 1, Thing: "p", Epoch: "a", Seq: seq, TS: begin, Values: event.Values{1}}
}

func prediction(seq uint64, probability float64) event.Prediction {
	r := row(seq)
	faulty := probability > 0.5
	p := event.Prediction{V: 1, ID: r.ID(), Thing: "p", Epoch: "a", Seq: seq, TS: begin, Probability: probability, Label: event.LabelNotFaulty, Model: event.ModelRef{Version: "m1"}, Faulty: &faulty}
	if faulty {
		p.Label = event.LabelFaulty
	}
	return p
}

func health(run string, counters map[string]uint64) event.Health {
	return event.Health{V: 1, Component: event.InferenceEngine, Run: run, TS: begin, Counters: counters}
}

func TestObserverKeepsAccount(t *testing.T) {
	o := newObserver()
	topic, predicted, healthTopic := event.TelemetryTopic("p"), event.PredictionTopic("p"), event.HealthTopic(event.InferenceEngine)
	tell(t, o, topic, row(1))
	tell(t, o, predicted, prediction(1, 0.1))
	tell(t, o, predicted, prediction(2, 0.9)) // seen before its row
	tell(t, o, event.TopicTelemetryBatch, event.TelemetryBatch{V: 1, Rows: []event.Telemetry{row(2), row(3)}})
	tell(t, o, topic, []byte("not JSON"))
	if got, want := o.balance(), (account{published: 4, predictions: 2, unscored: 2}); got != want || got.settled() {
		t.Errorf("%+v, want %+v, not settled", got, want)
	}
	tell(t, o, healthTopic, health("r1", map[string]uint64{event.CounterTelemetryInvalid + "malformed": 1}))
	if got := o.balance(); got.unscored != 1 || got.settled() {
		t.Errorf("%+v: row 3 is neither scored nor counted", got)
	}
	tell(t, o, healthTopic, health("r2", map[string]uint64{event.CounterTelemetryMissed: 1})) // after a restart
	if got, want := o.balance(), (account{published: 4, predictions: 2, invalid: 1, unscored: 1, missed: 1}); got != want || !got.settled() {
		t.Errorf("%+v, want %+v, settled", got, want)
	}
	r := makeReport(o, nil, nil)
	if r.LatencyMS != (percentiles{5, 5}) || !slices.Equal(r.Models, []string{"m1"}) {
		t.Errorf("%+v", r)
	}
	if o.right != (confusion{truePositive: 1, trueNegative: 1}) {
		t.Errorf("%+v", o.right)
	}
}

// An engine that is behind sends predictions in batches.
func TestObserverTakesBatches(t *testing.T) {
	o := newObserver()
	for seq := range uint64(3) {
		tell(t, o, event.TelemetryTopic("p"), row(seq+1))
	}
	tell(t, o, event.TopicPredictionBatch, event.PredictionBatch{V: 1, Predictions: []event.Prediction{prediction(1, 0.1), prediction(2, 0.9), {}}})
	tell(t, o, event.TopicPredictionBatch, []byte("not JSON"))
	if got, want := o.balance(), (account{published: 3, predictions: 2, unscored: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if d := o.delivery(nil); d.unaccepted != 2 {
		t.Errorf("%+v", d)
	}
}

func TestDeliveryIsHeldAgainstTheJournal(t *testing.T) {
	o := newObserver()
	raised := event.Alert{V: 1, ID: "a-1", Thing: "p", State: event.AlarmUnacknowledged}
	cleared := event.Alert{V: 1, ID: "a-2", Thing: "p", State: event.AlarmNormal}
	again := event.Alert{V: 1, ID: "a-3", Thing: "p", State: event.AlarmUnacknowledged, Change: "unshelved"}
	for _, a := range []event.Alert{raised, cleared, raised, again} { // the third is published again for lack of an acknowledgement
		tell(t, o, event.AlertTopic("p"), a)
	}
	tell(t, o, event.TopicAckPrediction, event.Ack{V: 1, IDs: []string{"p-1", "p-2"}})
	arrived := localcloud.Journal{
		{Kind: localcloud.KindIoT, IDs: []string{"a-1"}}, {Kind: localcloud.KindIoT, IDs: []string{"p-1"}},
		{Kind: localcloud.KindIoT, IDs: []string{"p-1"}}, {Kind: localcloud.KindAudio},
	}
	if got, want := o.delivery(arrived), (delivery{alerts: 1, delivered: 2, lost: 3, duplicates: 1, audio: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestReportHasThePromisedKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	must.OK(t, makeReport(newObserver(), nil, nil).write(path))
	data := must.Read(t, path)
	var keys map[string]any
	must.OK(t, json.Unmarshal(data, &keys))
	want := map[string]any{
		"published": 0.0, "predictions": 0.0, "unscored": 0.0, "invalid": 0.0,
		"latency_ms": map[string]any{"p50": 0.0, "p99": 0.0}, "components": []any{}, "models": []any{},
		"alerts": 0.0, "delivered": 0.0, "lost": 0.0, "unaccepted": 0.0, "asked": 0.0, "duplicates": 0.0, "audio": 0.0, "swaps": 0.0, "refused": []any{},
		"alarms":    map[string]any{"raised": 0.0, "acknowledged": 0.0, "shelved": 0.0, "suppressed": 0.0, "chattering": 0.0, "spoken": 0.0},
		"explained": map[string]any{"alerts": 0.0, "of": 0.0, "predictions": 0.0},
		"life":      map[string]any{"rows": 0.0, "coverage": 0.0, "mean_width": 0.0, "alerts": 0.0},
		"drift":     map[string]any{"found": false, "line": "", "sensors": []any{}, "after_rows": 0.0, "cleared": false, "false": 0.0},
		"shadow":    map[string]any{"candidates": []any{}},
	}
	if !reflect.DeepEqual(keys, want) {
		t.Errorf("%v", keys)
	}
}

// lasting is a prediction with a remaining life, and how much remains in truth.
func lasting(seq uint64, l event.Life, truth float64) event.Prediction {
	p := prediction(seq, 0.1)
	p.Life, p.Remaining = &l, &truth
	l.Coverage, l.Unit = 0.9, "hours"
	return p
}

func lifeOf(low, high float64) event.Life { return event.Life{Low: low, Median: low, High: high} }

func TestReportTellsWhyAndWhen(t *testing.T) {
	o := newObserver()
	beyond := lifeOf(10, 40)
	beyond.Beyond = true
	unknown := lasting(5, lifeOf(1, 2), 0)
	unknown.Remaining = nil
	for _, p := range []event.Prediction{
		lasting(1, lifeOf(10, 20), 10), lasting(2, lifeOf(10, 20), 20.1), lasting(3, beyond, 70), lasting(4, beyond, 9.9), unknown,
	} {
		tell(t, o, event.PredictionTopic("p"), p)
	}
	explained := prediction(6, 0.9)
	explained.Contributors = []event.Contributor{{Sensor: "oil_temp", Share: 1}}
	tell(t, o, event.PredictionTopic("p"), explained)
	tell(t, o, event.PredictionTopic("p"), prediction(7, 0.9))
	l := lifeOf(1, 2)
	l.Coverage, l.Unit = 0.9, "hours"
	for i, a := range []event.Alert{
		{State: event.AlarmUnacknowledged, Reasons: []string{"oil temperature 96 °C"}, Life: &l, Text: "why and when"},
		{State: event.AlarmUnacknowledged},
		{State: event.AlarmUnacknowledged, Change: "re-alarmed", Reasons: []string{"x"}, Life: &l}, // told already
		{State: event.AlarmNormal, Reasons: []string{"x"}, Life: &l},
		{State: event.AlarmUnacknowledged, Fault: event.FaultSilence},
	} {
		a.V, a.ID, a.Thing = 1, "a-"+string(rune('1'+i)), "p"
		if a.Fault == "" {
			a.Fault = event.FaultMachine
		}
		tell(t, o, event.AlertTopic("p"), a)
	}
	if got := o.told(); got != "why and when" {
		t.Errorf("the alarm that is quoted says %q", got)
	}
	r := makeReport(o, nil, nil)
	if want := (explainedReport{Alerts: 1, Of: 2, Predictions: 1}); r.Explained != want {
		t.Errorf("%+v, want %+v", r.Explained, want)
	}
	if want := (lifeReport{Rows: 5, Coverage: 0.5, MeanWidth: 16.2, Alerts: 1}); r.Life != want {
		t.Errorf("%+v, want %+v", r.Life, want)
	}
	labelled, hours := prediction(8, 0.9), 20.
	*labelled.Faulty, labelled.Remaining = false, &hours
	tell(t, o, event.PredictionTopic("p"), labelled)
	hours = 20.1
	labelled.Seq, labelled.ID = 9, "p-a-9"
	tell(t, o, event.PredictionTopic("p"), labelled)
	if want := (confusion{truePositive: 2, early: 1, falsePositive: 1, trueNegative: 5}); o.right != want {
		t.Errorf("%+v, want %+v", o.right, want)
	}
	if o.faulty != 4 {
		t.Errorf("%d faulty rows", o.faulty)
	}
}

// What takes over before the run is no swap of the run.
func TestALifeModelIsNoSwap(t *testing.T) {
	o := newObserver()
	for _, role := range []event.Role{"", event.RoleFault, event.RoleLife} {
		tell(t, o, event.ModelTopic("core"), event.ModelEvent{V: 1, Event: event.ModelActivated, Version: "1.2.3", Role: role})
	}
	if o.swaps != 2 || o.life.model != "1.2.3" {
		t.Errorf("%d swaps, life by %q", o.swaps, o.life.model)
	}
}

func TestPercentile(t *testing.T) {
	values := make([]float64, 100)
	for i := range values {
		values[i] = float64(100 - i)
	}
	if p50, p99 := percentile(values, 50), percentile(values, 99); p50 != 50 || p99 != 99 {
		t.Errorf("p50 %v, p99 %v", p50, p99)
	}
}

// The demo empties only a folder that it made.
func TestEmptyRoot(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	for range 2 {
		lock, err := takeRoot(root)
		must.OK(t, err)
		if left, err := os.ReadDir(root); err != nil || len(left) != 1 {
			t.Errorf("%v, %v", left, err)
		}
		if _, err := takeRoot(root); err == nil || !strings.Contains(err.Error(), "another demo runs in "+root) {
			t.Errorf("a second demo: %v", err)
		}
		must.OK(t, lock.Close())
		must.OK(t, os.WriteFile(filepath.Join(root, "x"), nil, 0o600))
	}
	if _, err := takeRoot(dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a folder of somebody else: %v", err)
	}
}

// Ctrl-C reaches all of the terminal's process group. A device that is in it gets a second signal when the demo stops it, and fails.
func TestCtrlCDoesNotReachTheDevices(t *testing.T) {
	d := &demo{options: options{root: t.TempDir()}}
	c := exec.Command("sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done")
	out, err := c.StdoutPipe()
	must.OK(t, err)
	must.OK(t, d.startDevice(c))
	_, err = out.Read(make([]byte, 1))
	must.OK(t, err)
	group, err := syscall.Getpgid(c.Process.Pid)
	must.OK(t, err)
	if group == syscall.Getpgrp() {
		t.Error("the device is in the demo's process group")
	}
	must.OK(t, d.stopDevices())
}
