package forwarder_test

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/shared/event"
	"edgepdm/test/localcore"
)

// row is one of a thing; with so many values it has as many bytes as a local message carries.
func row(thing string, seq uint64, values int) event.Telemetry {
	t := event.Telemetry{V: 1, Thing: thing, Line: "line 7", Epoch: "e", Seq: seq, TS: someTime.Add(time.Duration(seq) * time.Second), Values: make(event.Values, values)}
	for i := range t.Values {
		t.Values[i] = float32(i) + 0.5
	}
	return t
}

func (r *rig) row(t event.Telemetry) string {
	r.t.Helper()
	r.publish(event.TelemetryTopic(t.Thing), t)
	return t.ID()
}

// heard reports whether the forwarder has subscribed to telemetry.
func (r *rig) heard() bool {
	return slices.ContainsFunc(r.core.Grants(), func(g localcore.Grant) bool {
		return g.Component == forwarderName && strings.Contains(g.Resource, "telemetry") && g.Used
	})
}

// Of each machine one row leaves in a while, alone or out of a batch, as it came but for its id.
func TestTelemetrySample(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"telemetrySample": "60s"})
	r.start()
	first := row("press-1", 1, 3)
	r.row(first)
	for seq := uint64(2); seq <= 20; seq++ {
		r.row(row("press-1", seq, 3))
	}
	packed := []byte(`{"v":1.0,"thing":"press-2","epoch":"e","seq":1.0,"ts":"2026-11-23T10:00:00+02:00","f32":"AACAPwAAwH8=","more":"<&>"}`)
	named := []byte(`{"v":1,"id":"own","thing":"press-3","epoch":"e","seq":1,"ts":"2026-11-23T10:00:00Z","readings":{"a":1}}`)
	batch, taken := event.JoinTelemetry([][]byte{packed, encode(t, row("press-2", 2, 3)), named, []byte(`{"v":1,"thing":"press-4","seq":1}`), encode(t, row("press-1", 21, 3))})
	if taken != 5 {
		t.Fatalf("%d in a batch", taken)
	}
	for topic, payload := range map[string]string{
		event.TelemetryTopic("press-5"): string(encode(t, row("press-6", 1, 3))), event.TelemetryTopic("press-7"): "no JSON", event.TopicTelemetryBatch: `{"v":2}`,
	} {
		if err := r.client.Publish(t.Context(), topic, []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.client.Publish(t.Context(), event.TopicTelemetryBatch, batch); err != nil {
		t.Fatal(err)
	}
	r.iot.await(t, "the first ones", has(first.ID(), "press-2-e-1", "own"))
	r.awaitCounter(forwarder.CounterTelemetryInvalid, 4)
	r.row(row("last", 1, 3))
	r.iot.await(t, "the last one", has("last-e-1"))

	r.ahead.Add(int64(61 * time.Second))
	again := r.row(row("press-1", 22, 3))
	r.iot.await(t, "the next one", has(again))
	want := map[string]string{
		first.ID():    `{"id":"press-1-e-1",` + string(encode(t, first)[1:]),
		"press-2-e-1": `{"id":"press-2-e-1",` + string(packed[1:]),
		"own":         string(named),
	}
	for _, a := range r.iot.all() {
		text, known := want[a.ids[0]]
		if known && string(a.payload) != text {
			t.Errorf("%s became %s", text, a.payload)
		}
		sent, err := event.DecodeTelemetry(a.payload)
		if err != nil || a.topic != "edgepdm/core-1/"+event.TelemetryTopic(sent.Thing) {
			t.Errorf("%s on %s: %v", a.payload, a.topic, err)
		}
	}
	if n := len(r.iot.all()); n != 5 {
		t.Errorf("%d rows left: %v", n, r.iot.counts())
	}
	h := r.await("all counted", func(h event.Health) bool { return h.Counters["stream.telemetry.sent"] == 5 && h.Drained() })
	if h.Counters["stream.telemetry.accepted"] != 5 || h.Counters[forwarder.CounterInvalid] != 0 {
		t.Errorf("%+v", h.Counters)
	}
}

// Telemetry is opt-in: without, nothing is subscribed to. What waits when it is switched off leaves all the same, with its mark.
func TestTelemetryIsOptIn(t *testing.T) {
	r := newRig(t)
	r.start()
	if r.heard() {
		t.Error("it hears telemetry that nobody asked for")
	}
	r.cloud.SetUplink(false)
	r.configure(map[string]any{"telemetrySample": "1s"})
	r.await("telemetry", func(event.Health) bool { return r.heard() })
	id := r.row(row("press-1", 1, 900))
	r.awaitCounter("stream.telemetry.accepted", 1)
	r.stop()
	r.configure(map[string]any{"telemetrySample": "0s"})
	r.start()
	r.awaitCounter("stream.telemetry.depth", 1)
	r.cloud.SetUplink(true)
	r.iot.await(t, "the row", has(id))
	r.awaitCounter("stream.telemetry.depth", 0)
	for _, a := range r.iot.all() {
		if got, err := event.DecodeTelemetry(a.payload); err != nil || got.ID() != id || !reflect.DeepEqual(got.Values, row("press-1", 1, 900).Values) {
			t.Errorf("%s: %v", a.payload, err)
		}
	}
}

// F6: telemetry waits while others have a backlog.
func TestTelemetryGivesWay(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"telemetrySample": "1s"})
	r.cloud.SetUplink(false)
	r.start()
	predictions := r.ontoDisk(1, 60)
	var rows []string
	for i := range 5 {
		rows = append(rows, r.row(row(fmt.Sprintf("press-%d", i), 1, 3)))
	}
	r.awaitCounter("stream.telemetry.accepted", 5)
	r.cloud.SetUplink(true)
	r.iot.await(t, "all", has(append(slices.Clone(predictions), rows...)...))
	before := 0
	for _, a := range r.iot.all() {
		if strings.Contains(a.topic, "/telemetry/") {
			break
		}
		before++
	}
	if before < len(predictions)-8 {
		t.Errorf("telemetry passed %d predictions", len(predictions)-before)
	}
}

// F5: where the disk is short, telemetry is dropped before anything else, and counted.
func TestTelemetryIsDroppedFirst(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"telemetrySample": "24h", "maxTelemetryMB": 16, "groupCommit": "0s"})
	r.cloud.SetUplink(false)
	r.start()
	predictions := r.ontoDisk(1, 20)
	const rows = 1800 // of nearly 6 kB: two segments and a half
	for from := 0; from < rows; from += 100 {
		for i := range 100 {
			r.row(row(fmt.Sprintf("press-%d", from+i), 1, 900))
		}
		r.awaitCounter("stream.telemetry.accepted", uint64(from+100))
	}
	h := r.awaitCounter("stream.telemetry.depth", rows)
	if h.Counters["stream.telemetry.bytes"] < 9<<20 {
		t.Fatalf("%d bytes", h.Counters["stream.telemetry.bytes"])
	}
	r.configure(map[string]any{"minFreeMB": 1 << 30}) // more than any disk has
	h = r.await("drops", func(h event.Health) bool { return h.Counters["stream.telemetry.dropped.free-space"] > 0 })
	if n := h.Counters["stream.telemetry.bytes"]; n > 5<<20 {
		t.Errorf("%d bytes are left", n)
	}
	if n := h.Counters["stream.predictions.dropped"]; n != 0 || h.Counters["stream.predictions.depth"] != 20 {
		t.Errorf("%d predictions are dropped", n)
	}
	r.configure(map[string]any{"minFreeMB": 0})
	r.cloud.SetUplink(true)
	r.iot.await(t, "predictions", has(predictions...))
	r.iot.await(t, "the newest row", has(fmt.Sprintf("press-%d-e-1", rows-1)))
}

// With a bucket, telemetry leaves as objects only: one as soon as it is full. What the bucket does not take stays, and leaves by
// itself where there is no bucket any more.
func TestTelemetryLeavesAsObjects(t *testing.T) {
	r := newRig(t)
	b := r.archive(map[string]any{"maxObjectMB": 1})
	r.configure(map[string]any{"telemetrySample": "24h"})
	var requests atomic.Int32
	b.on(func(w http.ResponseWriter, _ *http.Request, pass func(http.ResponseWriter)) {
		if requests.Add(1) <= 2 {
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		pass(w)
	})
	r.start()
	const rows = 250 // of more than 5 kB: an object of one MiB, and a part of the next
	for i := range rows {
		r.row(row(fmt.Sprintf("press-%d", i), 1, 900))
	}
	r.awaitCounter("stream.telemetry.accepted", rows)
	h := r.await("an object", func(h event.Health) bool {
		n := h.Counters["stream.telemetry.archived"]
		return n > 0 && n+h.Counters["stream.telemetry.depth"] == rows // which is measured now and then
	})
	objects := r.lines()
	count := make(map[string]int)
	for key, lines := range objects {
		if !strings.HasPrefix(key, "raw/telemetry/core=core-1/date=2026-11-23/press-0-e-1-") {
			t.Errorf("an object is %s", key)
		}
		for _, m := range lines {
			count[fmt.Sprint(m["id"])]++
			if m["core"] != "core-1" || m["kind"] != "telemetry" || m["line"] != "line 7" || len(m["values"].([]any)) != 900 {
				t.Errorf("%v", m)
			}
		}
	}
	if n := len(count); len(objects) != 1 || n < 150 || n > 210 || h.Counters["stream.telemetry.depth"] != uint64(rows-n) || len(r.iot.all()) != 0 {
		t.Errorf("%d rows in %d objects, %d wait, %d by themselves", n, len(objects), h.Counters["stream.telemetry.depth"], len(r.iot.all()))
	}
	r.configure(map[string]any{"archive": map[string]any{"bucket": ""}})
	r.await("the rest", func(h event.Health) bool { return h.Counters["stream.telemetry.sent"] == rows && h.Drained() })
	for _, a := range r.iot.all() {
		count[a.ids[0]]++
	}
	for i := range rows {
		if id := fmt.Sprintf("press-%d-e-1", i); count[id] != 1 {
			t.Errorf("%s arrived %d times", id, count[id])
		}
	}
}
