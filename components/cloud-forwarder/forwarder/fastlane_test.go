package forwarder_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/spool"
)

// slow makes IoT Core hold the oldest predictions of press-1 until release.
func (r *rig) slow(ids []string) (release func()) {
	gate := make(chan struct{})
	oldest := make(map[string]bool)
	for _, id := range ids[:len(ids)-20] {
		oldest[id] = true
	}
	r.hook(func(_ string, payload []byte) error {
		if oldest[idOf(payload)] {
			select {
			case <-gate:
			case <-r.t.Context().Done():
			}
		}
		return nil
	})
	return func() { close(gate) }
}

// Changes of labels leave while the backlog of an outage does not get on at all, be that samples or changes, too. Then
// the backlog leaves as a whole.
func TestFreshChangesPassTheBacklog(t *testing.T) {
	for name, old := range map[string]func(*event.Prediction){"of samples": func(*event.Prediction) {}, "of changes": alternate} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.start()
			fresh := []string{"press-2-e-0"}
			r.publish(event.PredictionTopic("press-2"), prediction("press-2", 0))
			r.iot.await(t, "the first", has(fresh...))
			r.cloud.SetUplink(false)
			ids := r.predict(1, 300, old)
			r.acks.await(t, "acknowledgements", has(ids...))
			release := r.slow(ids)
			r.cloud.SetUplink(true)
			for seq := range uint64(20) {
				p := prediction("press-2", seq+1)
				p.Label = fmt.Sprint(seq)
				r.publish(event.PredictionTopic(p.Thing), p)
				r.iot.await(t, "fresh change", has(p.ID))
				fresh = append(fresh, p.ID)
			}
			release()
			r.iot.await(t, "backlog", has(ids...))
			checkOrder(t, r.iot, "/prediction/press-2", fresh)
			if name == "of samples" {
				checkOrder(t, r.iot, "/prediction/press-1", ids)
			}
			r.await("nothing waits", func(h event.Health) bool { return h.Drained() })
		})
	}
}

// F1 and F3: killed at any time, with and without the cloud, nothing of a backlog with changes of labels is lost, and what
// comes again is marked.
func TestNothingIsLostBetweenTheStreams(t *testing.T) {
	r := newRig(t)
	var want []string
	for round := range uint64(6) {
		r.cloud.SetUplink(round%2 == 1)
		kill := r.spawn()
		ids := r.predict(round*80+1, round*80+80, alternate)
		r.acks.await(t, "acknowledgements", has(ids...))
		want = append(want, ids...)
		kill()
	}
	r.cloud.SetUplink(true)
	r.start()
	r.iot.await(t, "all", has(want...))
	r.await("nothing waits", func(h event.Health) bool { return h.Drained() })
	seen := make(map[string]bool)
	for _, a := range r.iot.all() {
		if seen[a.ids[0]] && !a.replayed() {
			t.Errorf("%s came again without the mark", a.ids[0])
		}
		seen[a.ids[0]] = true
	}
	if len(seen) != len(want) {
		t.Errorf("%d of %d arrived", len(seen), len(want))
	}
}

// Changes that the sink does not take go on to the predictions, which have means against that; those behind get on.
func TestRefusedChangeDoesNotStopOthers(t *testing.T) {
	r := newRig(t)
	r.cloud.SetUplink(false)
	r.start()
	for _, thing := range []string{"press-2", "press-3"} {
		r.publish(event.PredictionTopic(thing), prediction(thing, 1))
	}
	ids := append(r.predict(1, 50), "press-2-e-1", "press-3-e-1")
	r.acks.await(t, "acknowledgements", has(ids...))
	r.hook(func(_ string, payload []byte) error {
		if id := idOf(payload); id == "press-2-e-2" {
			return fmt.Errorf("no %s", id)
		}
		return nil
	})
	for _, thing := range []string{"press-2", "press-3"} {
		p := prediction(thing, 2)
		p.Label = event.LabelFaulty
		r.publish(event.PredictionTopic(thing), p)
	}
	r.cloud.SetUplink(true)
	r.iot.await(t, "all but the refused one", has(append(ids, "press-3-e-2")...))
	r.hook(nil)
	r.iot.await(t, "the refused one", has("press-2-e-2"))
}

// A change that is too old before it could be sent leaves neither a condition nor a word of the uplink behind.
func TestAChangeThatIsTooOld(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"predictionMaxAge": "1h"})
	r.cloud.SetUplink(false)
	r.start()
	r.publish(event.PredictionTopic("press-2"), prediction("press-2", 1))
	now := func(p *event.Prediction) { p.TS = time.Now().UTC() }
	r.acks.await(t, "acknowledgements", has(r.predict(1, 50, now)...))
	change := prediction("press-2", 2)
	change.Label, change.TS = event.LabelFaulty, time.Now().UTC()
	r.publish(event.PredictionTopic("press-2"), change)
	r.acks.await(t, "acknowledgement", has(change.ID))
	r.await("attempts", func(h event.Health) bool { return h.Counters["stream.label-changes.retried"] > 1 })
	r.ahead.Add(int64(time.Minute))
	r.awaitState(event.StateDegraded, "label-changes deliver")
	r.ahead.Add(int64(2 * time.Hour))
	r.awaitState(event.StateOK, "")
	r.cloud.SetUplink(true)
	r.alert("a-1")
	r.iot.await(t, "alert", has("a-1"))
	r.awaitUplink(event.UplinkUp)
	if r.iot.counts()[change.ID] != 0 {
		t.Error("it was sent")
	}
}

// changes puts n label changes on disk while the forwarder is not running, and returns their ids.
func (r *rig) changes(thing string, n int) (ids []string) {
	r.t.Helper()
	var records []spool.Record
	for seq := range uint64(n) {
		p := prediction(thing, seq+1)
		ids = append(ids, p.ID)
		records = append(records, r.record("label-changes", p.ID, event.PredictionTopic(thing), encode(r.t, p)))
	}
	r.store("label-changes", records...)
	return ids
}

// Label changes that an earlier process left are sent also where the predictions have no room for them.
func TestLabelChangesLeaveBelowTheFloor(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"minFreeMB": 1 << 30})
	ids := r.changes("press-2", 30)
	r.start()
	r.iot.await(t, "label changes", has(ids...))
	h := r.await("nothing waits", func(h event.Health) bool { return h.Drained() })
	if n := h.Counters["stream.label-changes.dropped"] + h.Counters["stream.predictions.dropped"]; n > 0 {
		t.Errorf("%d dropped", n)
	}
	r.awaitState(event.StateOK, "")
	checkOrder(t, r.iot, "/prediction/", ids)
}

// F3: a label change that an earlier process may have sent keeps its mark on the way through the predictions; others have none.
func TestMovedLabelChangesKeepTheirMark(t *testing.T) {
	r := newRig(t)
	sent := r.changes("press-2", 5)
	queue, err := spool.Open(r.path("spool", "label-changes"), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if records, err := queue.Peek(5, 1<<20); err != nil || len(records) != 5 {
		t.Fatal(records, err)
	}
	if err := queue.Close(); err != nil {
		t.Fatal(err)
	}
	fresh := r.changes("press-3", 5)
	r.start()
	r.iot.await(t, "all", has(append(sent, fresh...)...))
	for _, a := range r.iot.all() {
		if want := strings.Contains(a.topic, "press-2"); a.replayed() != want {
			t.Errorf("%s has a mark: %v", a.ids[0], a.replayed())
		}
	}
	if h := r.awaitCounter("stream.predictions.sent", 10); h.Counters["stream.label-changes.sent"] != 0 {
		t.Errorf("they did not go through the predictions: %v", h.Counters)
	}
}
