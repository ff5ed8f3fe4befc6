package engine_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/drift"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
)

// standingDrift leaves a line with drift of a model of before on disk.
func standingDrift(t *testing.T, r *rig, line string) {
	t.Helper()
	type file struct {
		Format int            `json:"format"`
		Line   string         `json:"line"`
		Model  event.ModelRef `json:"model"`
		State  drift.State    `json:"state"`
	}
	sum := sha256.Sum256([]byte(line))
	dir := filepath.Join(r.env.WorkDir, "drift")
	must.OK(t, os.MkdirAll(dir, 0o700))
	state := durable.State[file]{Path: filepath.Join(dir, hex.EncodeToString(sum[:12])+".json"), Format: 1}
	must.OK(t, state.Save(file{1, line, event.ModelRef{Version: "0.1.0"}, drift.State{Drift: true, Since: time.Now().Add(-time.Hour)}}))
}

func nextDrift(t *testing.T, r *rig, events <-chan event.Drift) event.Drift {
	t.Helper()
	select {
	case e := <-events:
		r.publish(event.TopicAckModel, encode(t, event.Ack{V: 1, IDs: []string{e.ID}}))
		return e
	case <-time.After(time.Minute):
		t.Fatal("nothing is told")
		return event.Drift{}
	}
}

func hearDrift(t *testing.T, r *rig) <-chan event.Drift {
	t.Helper()
	heard, sub := make(chan event.Drift, 100), coretest.Subscribe(t, r.client, event.FilterDrift)
	go func() {
		for m := range sub.Events() {
			if e, err := event.DecodeDrift(m.Payload); err == nil {
				heard <- e
			}
		}
	}()
	return heard
}

// What was told of drift is told again with its id, although the forwarder has acknowledged it: an alarm manager that was away hears of it.
func TestDriftIsToldAgain(t *testing.T) {
	r := newRig(t)
	standingDrift(t, r, "line-1")
	events := hearDrift(t, r)
	var ahead atomic.Int64
	r.startRun((&engine.Engine{ShippedModel: shippedModel, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}).Run)
	r.await("a model", ok)
	_, rows, _ := golden(t)
	r.publish(event.TelemetryTopic("saw-1"), encode(t, event.Telemetry{V: 1, Thing: "saw-1", Line: "line-1", Epoch: "e1", Seq: 1, TS: time.Now().UTC(), Values: slices.Clone(rows[0])}))
	first := nextDrift(t, r, events)
	if first.State != event.DriftOver || first.Line != "line-1" || first.Replayed {
		t.Errorf("%+v", first)
	}
	ahead.Store(int64(11 * time.Minute))
	if again := nextDrift(t, r, events); again.ID != first.ID || !again.Replayed || !again.TS.Equal(first.TS) {
		t.Errorf("%+v after %+v", again, first)
	}
}

// Drift that is not looked for any more does not stand for ever.
func TestDriftEndsWhenItIsTurnedOff(t *testing.T) {
	r := newRig(t)
	coretest.Configure(t, r.core, engineName, map[string]any{"drift": map[string]any{"every": "0s"}})
	standingDrift(t, r, "line-1")
	events := hearDrift(t, r)
	r.start(shippedModel)
	if e := nextDrift(t, r, events); e.State != event.DriftOver || e.Line != "line-1" || e.Model.Version != "0.1.0" {
		t.Errorf("%+v", e)
	}
}

// What the disk did not take of drift is said, and written soon after the disk is well again; nothing is said any more then.
func TestDriftIsKeptOnceTheDiskIsWell(t *testing.T) {
	r := newRig(t)
	dir := filepath.Join(r.env.WorkDir, "drift")
	must.OK(t, os.WriteFile(dir, nil, 0o600)) // where the folder should be
	var ahead atomic.Int64
	r.startRun((&engine.Engine{ShippedModel: shippedModel, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}).Run)
	r.await("a model", ok)
	_, rows, _ := golden(t)
	r.publish(event.TelemetryTopic("saw-1"), encode(t, event.Telemetry{V: 1, Thing: "saw-1", Line: "line-1", Epoch: "e1", Seq: 1, TS: time.Now().UTC(), Values: slices.Clone(rows[0])}))
	r.await("a row that counts", func(h event.Health) bool { return h.Counters[engine.CounterDriftRows] == 1 })
	ahead.Store(int64(11 * time.Minute))
	said := func(h event.Health) bool {
		return slices.ContainsFunc(h.Conditions, func(c event.Condition) bool { return c.Code == event.CodeDisk && c.Place == "drift" })
	}
	r.await("what the disk does", said)
	must.OK(t, os.Remove(dir))
	ahead.Add(int64(11 * time.Second))
	r.await("that the disk is well", func(h event.Health) bool { return ok(h) && !said(h) })
	if kept, err := os.ReadDir(dir); err != nil || len(kept) != 1 {
		t.Errorf("%v, %v", kept, err)
	}
}
