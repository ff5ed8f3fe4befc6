package forwarder_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"edgepdm/shared/event"
)

// F4: where the configuration asks for it, several predictions are under way at a time, never more, while alerts stay in order.
func TestParallelSending(t *testing.T) {
	r := newRig(t)
	const parallel = 4
	r.configure(map[string]any{"parallel": parallel})
	var mu sync.Mutex
	under, most := 0, 0
	full := make(chan struct{})
	r.hook(func(topic string, _ []byte) error {
		if !strings.Contains(topic, "/prediction/") {
			return nil
		}
		mu.Lock()
		if under++; under > most {
			if most = under; most == parallel {
				close(full)
			}
		}
		mu.Unlock()
		<-full // nobody is answered before so many are under way
		mu.Lock()
		under--
		mu.Unlock()
		return nil
	})
	ids := r.backlog(300)
	r.start()
	var alerts []string
	for _, id := range []string{"a-1", "a-2", "a-3"} {
		alerts = append(alerts, r.alert(id).ID)
	}
	r.iot.await(t, "messages", has(append(alerts, ids...)...))
	r.awaitCounter("stream.predictions.depth", 0)
	r.awaitCounter("stream.predictions.sent", uint64(len(ids)))
	checkOrder(t, r.iot, "/alert/", alerts)
	mu.Lock()
	defer mu.Unlock()
	if most != parallel {
		t.Errorf("%d were under way at a time, want %d", most, parallel)
	}
	if n := len(r.iot.all()); n != len(ids)+len(alerts) {
		t.Errorf("%d messages arrived, want %d", n, len(ids)+len(alerts))
	}
}

// F2 and F3: sent in parallel and killed while the oldest is under way, the forwarder has removed nothing behind it; all come,
// a second time only with the mark, and no more of them than the window has.
func TestParallelSendingKilled(t *testing.T) {
	r := newRig(t)
	const parallel, window = 4, 64
	r.configure(map[string]any{"parallel": parallel})
	ids := r.backlog(200)
	release := make(chan struct{})
	r.hook(func(_ string, payload []byte) error {
		if idOf(payload) == ids[0] {
			<-release
		}
		return nil
	})
	kill := r.spawn()
	r.iot.await(t, "what is behind the first one", has(ids[1:window]...))
	r.await("sent", func(h event.Health) bool { return h.Counters["stream.predictions.sent"] == window-1 })
	kill()
	if left := onDisk(t, r.path("spool", "predictions")); !slices.Equal(left, ids) {
		t.Errorf("%d of %d are left on disk", len(left), len(ids))
	}
	close(release)
	r.start()
	r.iot.await(t, "all", has(ids...))
	r.awaitCounter("stream.predictions.depth", 0)
	again := 0
	seen := make(map[string]bool)
	for _, a := range r.iot.all() {
		if id := a.ids[0]; !seen[id] {
			seen[id] = true
		} else if again++; !a.replayed() {
			t.Errorf("%s came again without the mark", id)
		}
	}
	if again < window-1 || again > window {
		t.Errorf("%d came again, want those behind the first one: %d", again, window-1)
	}
}

// A message that no sink takes does not stop those behind it.
func TestParallelSendingWithPoison(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"parallel": 3})
	ids := r.backlog(50)
	r.store("predictions", r.record("predictions", "large", event.PredictionTopic("press-1"), []byte(`{"text":"`+strings.Repeat("x", 128<<10)+`"}`)))
	r.start()
	more := r.predict(51, 60)
	r.iot.await(t, "predictions", has(append(ids, more...)...))
	r.awaitCounter("stream.predictions.dead", 1)
	r.awaitCounter("stream.predictions.depth", 0)
	if letters := r.deadLetters(); len(letters) != 1 || letters[0].ID != "large" {
		t.Errorf("%+v", letters)
	}
}

// One request that finds the uplink down says so until it gets through, whatever the others say.
func TestParallelSendersDoNotContradictEachOther(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"parallel": 3, "timeout": "1s"})
	ids := r.backlog(10)
	release := make(chan struct{})
	r.hook(func(_ string, payload []byte) error {
		if idOf(payload) == ids[0] {
			<-release
		}
		return nil
	})
	r.start()
	r.awaitUplink(event.UplinkDown)
	r.awaitCounter("stream.predictions.sent", 9)
	r.predict(11, 20)
	if h := r.awaitCounter("stream.predictions.sent", 19); h.Uplink != event.UplinkDown {
		t.Errorf("the uplink is %q while a request cannot get through", h.Uplink)
	}
	close(release)
	r.awaitUplink(event.UplinkUp)
}
