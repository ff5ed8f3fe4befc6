package forwarder_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/spool"
)

// failing makes IoT Core answer 500 to the messages that a test chooses, until it mends.
func (r *rig) failing(chosen func(topic, id string) bool) (mend func()) {
	var mended atomic.Bool
	r.hook(func(topic string, payload []byte) error {
		if !mended.Load() && chosen(topic, idOf(payload)) {
			return errors.New("this one hurts")
		}
		return nil
	})
	return func() { mended.Store(true) }
}

// F4: a message that the service always fails on steps aside, of the same machine too; that is told with its id, and it
// arrives when the service takes it.
func TestAMessageStepsAside(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		t.Run(fmt.Sprint(parallel), func(t *testing.T) {
			r := newRig(t)
			r.configure(map[string]any{"parallel": parallel})
			ids := r.backlog(60)
			mend := r.failing(func(_, id string) bool { return slices.Contains(ids[6:12], id) })
			r.start()
			r.iot.await(t, "the others", has(slices.Concat(ids[:6], ids[12:])...))
			r.awaitCounter("stream.predictions.depth", 6)
			r.ahead.Add(int64(time.Minute))
			h := r.awaitState(event.StateDegraded, ids[6])
			if h.Conditions[0].Code != event.CodeDelivery || h.Uplink != event.UplinkUp || !strings.Contains(h.Detail, "InternalFailureException") {
				t.Errorf("%+v", h)
			}
			r.predict(100, 101)
			r.iot.await(t, "a new one", has("press-1-e-100"))
			mend()
			r.iot.await(t, "those that stepped aside", has(ids...))
			r.awaitCounter("stream.predictions.depth", 0)
			r.awaitState(event.StateOK, "")
			for _, a := range r.iot.all() {
				if slices.Contains(ids[6:12], a.ids[0]) && !a.replayed() {
					t.Errorf("%s has no mark", a.ids[0])
				}
			}
		})
	}
}

// A machine whose alerts SNS fails on holds up no other machine, and its own alerts keep their order.
func TestAMachineStepsAside(t *testing.T) {
	r := newRig(t)
	arrived := newLedger()
	var mended atomic.Bool
	topic := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		text := q.FormValue("Message")
		if !mended.Load() && strings.Contains(text, "press-1") {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, "<ErrorResponse><Error><Code>InternalFailure</Code><Message>oh</Message></Error></ErrorResponse>")
			return
		}
		for _, id := range []string{"p1-a", "p1-b", "p1-c", "p2-a", "p2-b", "p2-c"} {
			if strings.Contains(text, id) {
				arrived.add("sns/alert/", []byte("{}"), id)
			}
		}
		_, _ = io.WriteString(w, "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>")
	}))
	t.Cleanup(topic.Close)
	r.configure(map[string]any{"endpoints": map[string]any{"sns": topic.URL}})
	r.start()
	for _, n := range []string{"a", "b", "c"} {
		r.alert("p1-" + n)
		r.alert("p2-"+n, func(a *event.Alert) { a.Thing = "press-2" })
	}
	arrived.await(t, "alerts of the other machine", has("p2-a", "p2-b", "p2-c"))
	r.ahead.Add(int64(time.Minute))
	r.awaitState(event.StateDegraded, "alerts-sns deliver: InternalFailure: oh (p1-a)")
	r.awaitCounter("stream.alerts-sns.depth", 3)
	mended.Store(true)
	arrived.await(t, "its alerts", has("p1-a", "p1-b", "p1-c"))
	r.awaitState(event.StateOK, "")
	r.awaitCounter("stream.alerts-sns.depth", 0)
	checkOrder(t, arrived, "sns", []string{"p2-a", "p2-b", "p2-c", "p1-a", "p1-b", "p1-c"})
}

// F4: a service that takes nothing for a while, whatever the machine, gets the messages of each in their order.
func TestOrderOfEachMachineAfterAnOutage(t *testing.T) {
	r := newRig(t)
	mend := r.failing(func(string, string) bool { return true })
	r.start()
	things := []string{"press-1", "press-2", "press-3", "press-4", "press-5"}
	want := make(map[string][]string)
	for n := range 20 {
		for _, thing := range things {
			id := fmt.Sprintf("%s-%d", thing, n)
			want[thing] = append(want[thing], r.alert(id, func(a *event.Alert) { a.Thing = thing }).ID)
		}
	}
	r.await("many attempts", func(h event.Health) bool { return h.Counters["stream.alerts-iot.retried"] > 20 })
	mend()
	for _, thing := range things {
		r.iot.await(t, "alerts", has(want[thing]...))
	}
	r.awaitCounter("stream.alerts-iot.depth", 0)
	for _, thing := range things {
		checkOrder(t, r.iot, "/alert/"+thing, want[thing])
	}
	if h := r.awaitState(event.StateOK, ""); h.Counters["stream.alerts-iot.dead"] > 0 {
		t.Errorf("%+v", h)
	}
}

// A message whose connections are always cut, by something on the way that does not like it, holds up others for a while only.
func TestAMessageThatIsCut(t *testing.T) {
	r := newRig(t)
	ids := r.backlog(20)
	arrived := newLedger()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		payload, _ := io.ReadAll(q.Body)
		if idOf(payload) == ids[6] {
			panic(http.ErrAbortHandler)
		}
		arrived.add("iot", payload, idOf(payload))
		_, _ = io.WriteString(w, `{"message":"OK","traceId":"1"}`)
	}))
	t.Cleanup(server.Close)
	r.configure(map[string]any{"endpoints": map[string]any{"iotData": server.URL}})
	r.start()
	r.await("attempts", func(h event.Health) bool { return h.Counters["stream.predictions.retried"] > 6 })
	if n := len(arrived.all()); n != 6 {
		t.Errorf("%d arrived in disorder: this may be an outage", n)
	}
	r.ahead.Add(int64(time.Minute))
	arrived.await(t, "the others", has(slices.Concat(ids[:6], ids[7:])...))
	r.awaitState(event.StateDegraded, "EOF ("+ids[6]+")")
}

// What steps aside while very many others pass goes to the dead letters in the end, and nothing else does.
func TestAsideHasABound(t *testing.T) {
	r := newRig(t)
	ids := r.backlog(1500)
	r.failing(func(_, id string) bool { return id == ids[10] })
	r.start()
	r.iot.await(t, "the others", has(slices.Concat(ids[:10], ids[11:])...))
	r.awaitCounter("stream.predictions.dead", 1)
	r.awaitCounter("stream.predictions.sent", uint64(len(ids)-1))
	r.awaitState(event.StateOK, "")
	if letters := r.deadLetters(); len(letters) != 1 || letters[0].ID != ids[10] {
		t.Errorf("%+v", letters)
	}
}

// Killed while a message steps aside, the forwarder sends it and what is behind it again, marked; nothing is lost.
func TestKilledWhileAMessageIsAside(t *testing.T) {
	r := newRig(t)
	ids := r.backlog(50)
	mend := r.failing(func(_, id string) bool { return id == ids[3] })
	kill := r.spawn()
	others := slices.Delete(slices.Clone(ids), 3, 4)
	r.iot.await(t, "the others", has(others...))
	kill()
	if left := onDisk(t, r.path("spool", "predictions")); !slices.Contains(left, ids[3]) {
		t.Errorf("%s is not on disk any more", ids[3])
	}
	mend()
	r.start()
	r.iot.await(t, "all", has(ids...))
	r.awaitCounter("stream.predictions.depth", 0)
	seen := make(map[string]bool)
	for _, a := range r.iot.all() {
		if id := a.ids[0]; seen[id] && !a.replayed() {
			t.Errorf("%s came again without the mark", id)
		}
		seen[a.ids[0]] = true
	}
}

// So many alerts of one machine that nothing else has room beside them do not hold up those of another machine for good.
func TestOneMachineDoesNotFillTheWindow(t *testing.T) {
	const alerts = 530 // more than the window has room for
	r := newRig(t)
	r.failing(func(topic, _ string) bool { return strings.Contains(topic, "press-1") })
	var records []spool.Record
	for i := range alerts {
		a := alert(fmt.Sprint("p1-", i))
		records = append(records, r.record("alerts-iot", a.ID, event.AlertTopic(a.Thing), encode(t, a)))
	}
	r.store("alerts-iot", records...)
	r.start()
	r.alert("p2-a", func(a *event.Alert) { a.Thing = "press-2" })
	r.awaitCounter("stream.alerts-iot.accepted", 1)
	r.await("the other machine's alert", func(event.Health) bool {
		r.ahead.Add(int64(2 * time.Minute))
		return r.iot.counts()["p2-a"] > 0
	})
}
