package forwarder_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/shared/event"
	"edgepdm/shared/spool"
	"edgepdm/test/localcloud"
)

// F1: once an alert or prediction is acknowledged, a copy of the disk has it, whatever happens to the process.
func TestAcknowledgedMeansOnDisk(t *testing.T) {
	r := newRig(t)
	r.cloud.SetUplink(false)
	r.start()
	for i := range 5 {
		id := fmt.Sprintf("alert-%d", i)
		r.alert(id)
		r.acks.await(t, "acknowledgement", has(id))
		for _, stream := range []string{"alerts-iot", "alerts-sns"} {
			if ids := onDisk(t, r.path("spool", stream)); len(ids) != i+1 || ids[i] != id {
				t.Errorf("%s has %v after the acknowledgement of %s", stream, ids, id)
			}
		}
	}
	ids := r.ontoDisk(1, 500)
	if got := onDisk(t, r.path("spool", "predictions")); fmt.Sprint(got) != fmt.Sprint(ids) {
		t.Errorf("%d predictions are on disk, want %d", len(got), len(ids))
	}
}

// onDisk returns the ids in a copy of a queue's folder.
func onDisk(t *testing.T, dir string) []string {
	t.Helper()
	at := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(at, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	queue, err := spool.Open(at, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	records, err := queue.Peek(1e6, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	if err := queue.Close(); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range records {
		ids = append(ids, r.ID)
	}
	return ids
}

// F12: an alert that is published again for lack of an acknowledgement is acknowledged again, and delivered once to each
// sink; also when the configuration changed meanwhile.
func TestRepeatedAlertIsDeliveredOnce(t *testing.T) {
	r := newRig(t)
	r.start()
	for range 3 {
		r.alert("a-1")
	}
	r.acks.await(t, "three acknowledgements", times("a-1", 3))
	r.configure(map[string]any{"timeout": "9s"})
	r.await("the new configuration", func(event.Health) bool {
		log, err := os.ReadFile(r.log)
		return err == nil && bytes.Contains(log, []byte("configuration changed"))
	})
	r.alert("a-1")
	r.alert("a-2")
	r.acks.await(t, "four acknowledgements", times("a-1", 4))
	r.iot.await(t, "second alert", has("a-2"))
	r.awaitSNS(has("a-2"))
	if n := r.iot.counts()["a-1"]; n != 1 {
		t.Errorf("IoT Core got it %d times", n)
	}
	if n := r.cloud.Journal().IDs(localcloud.KindSNS)["a-1"]; n != 1 {
		t.Errorf("SNS got it %d times", n)
	}
}

// F12: an alert that was published while the forwarder was not running arrives when its owner publishes it again.
func TestAlertOfTheTimeBeforeArrives(t *testing.T) {
	r := newRig(t)
	r.alert("early")
	r.start()
	r.alert("early")
	r.acks.await(t, "acknowledgement", has("early"))
	r.iot.await(t, "alert", has("early"))
	r.awaitSNS(has("early"))
}

// F1 and F12: predictions are acknowledged in groups; numbers that are missing are counted.
func TestPredictionsAreAcknowledgedInGroups(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"groupCommit": "200ms"})
	r.start()
	ids := r.predict(1, 300)
	r.acks.await(t, "acknowledgements", has(ids...))
	n := len(r.acks.all())
	if n > len(ids)/5 {
		t.Errorf("%d messages acknowledge %d predictions", n, len(ids))
	}
	t.Logf("%d messages acknowledge %d predictions", n, len(ids))
	r.predict(304, 304)
	r.awaitCounter(forwarder.CounterMissed, 3)
	// The ids of 30 that are as long as can be, and grow when they are encoded, do not fit into one message.
	long := r.predict(305, 364, func(p *event.Prediction) { p.ID = fmt.Sprint(p.Seq) + strings.Repeat("<", 250) })
	r.acks.await(t, "acknowledgements of long ids", has(long...))
}

// Every change of a label leaves the site, and a sample of the rest; what stays is counted.
func TestLabelChangesAndSamplesLeave(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"sample": "1h"})
	r.start()
	faulty := func(p *event.Prediction) { p.Label = event.LabelFaulty }
	want := r.predict(1, 20)[:1]
	want = append(want, r.predict(21, 30, faulty)[0])
	want = append(want, r.predict(31, 40)[0])
	other := prediction("press-2", 1)
	r.publish(event.PredictionTopic(other.Thing), other)
	want = append(want, other.ID)
	r.awaitCounter(forwarder.CounterSkipped, 37)
	r.iot.await(t, "predictions", has(want...))
	checkOrder(t, r.iot, "/prediction/", want)
}

// IoT Core gets every alert and prediction as it came, on its own topics; SNS gets alarms and their end, as text that a
// person can act on.
func TestWhatEachSinkGets(t *testing.T) {
	r := newRig(t)
	r.start()
	now := func(a *event.Alert) { a.TS = time.Now().UTC() }
	raised := r.alert("a-1", now)
	r.awaitSNS(has("a-1"))
	over := r.alert("a-2", now, func(a *event.Alert) { a.State, a.Text = event.AlarmNormal, "line 7, press 1 is back to normal." })
	angle := r.alert("a-3", now, func(a *event.Alert) { a.Text = "Oil < 5 & rising > 3" })
	p := prediction("press-1", 1)
	r.publish(event.PredictionTopic(p.Thing), p)
	r.iot.await(t, "all", has("a-1", "a-2", "a-3", p.ID))
	counts := r.awaitSNS(has("a-3"))
	if len(counts) != 3 {
		t.Errorf("SNS got %v", counts)
	}
	want := map[string]any{"a-1": raised, "a-2": over, "a-3": angle, p.ID: p}
	for _, a := range r.iot.all() {
		topic := "edgepdm/core-1/pdm/v1/alert/press-1"
		if a.ids[0] == p.ID {
			topic = "edgepdm/core-1/pdm/v1/prediction/press-1"
		}
		if got, want := string(a.payload), string(encode(t, want[a.ids[0]])); got != want || a.topic != topic {
			t.Errorf("%s arrived on %s as\n%s\nwant\n%s", a.ids[0], a.topic, got, want)
		}
	}
	mails := r.cloud.Mails()
	if len(mails) != 3 || mails[0].Subject != "[HIGH] machine-fault: press-1 on line-7" || !strings.Contains(mails[2].Body, angle.Text) ||
		mails[1].Subject != "[NORMAL] machine-fault: press-1 on line-7" || !strings.HasPrefix(mails[1].Body, over.Text+"\n") {
		t.Fatalf("mails %+v", mails)
	}
	const text = `Fault found on line 7, press 1. Immediate attention required.

What:        machine-fault
Machine:     press-1
Line:        line-7
Site:        core-1
Since:       2026-11-23 10:00:00 UTC
Severity:    high
Probability: 97.1 %
Model:       m1
What to do:  Inspect the machine as soon as possible; plan its maintenance before it fails.
Acknowledge: alarm-manager ack -thing press-1 -fault machine-fault -outcome confirmed, on the device
             {"v":1,"do":"acknowledge","thing":"press-1","fault":"machine-fault","outcome":"confirmed","by":"YOUR NAME"} on the IoT topic edgepdm/core-1/pdm/v1/command/operator/alarm, with cloudCommands
             The outcome is confirmed, no-fault-found or planned.
Alert id:    a-1
`
	if mails[0].Body != text {
		t.Errorf("mail\n%s\nwant\n%s", mails[0].Body, text)
	}
}

// Predictions that come in a batch leave the site each as if it had come by itself; a bad one is counted.
func TestPredictionsInBatches(t *testing.T) {
	r := newRig(t)
	r.start()
	one, bad, two, odd, three := prediction("press-1", 1), prediction("a/b", 1), prediction("press-2", 1), prediction("press-1", 2), prediction("press-1", 3)
	odd.TS = time.Unix(0, 0)
	three.Text = "<as> & it came"
	var payloads [][]byte
	for _, p := range []event.Prediction{one, bad, two, odd, three} {
		payloads = append(payloads, encode(t, p))
	}
	batch, taken := event.JoinPredictions(payloads)
	if taken != len(payloads) {
		t.Fatalf("%d in a batch", taken)
	}
	for _, payload := range [][]byte{batch, []byte(`{"v":2}`)} {
		if err := r.client.Publish(t.Context(), event.TopicPredictionBatch, payload); err != nil {
			t.Fatal(err)
		}
	}
	r.acks.await(t, "acknowledgements", has(one.ID, two.ID, three.ID))
	r.iot.await(t, "all", has(one.ID, two.ID, three.ID))
	want := map[string]event.Prediction{one.ID: one, two.ID: two, three.ID: three}
	for _, a := range r.iot.all() {
		p := want[a.ids[0]]
		if topic := "edgepdm/core-1/" + event.PredictionTopic(p.Thing); a.topic != topic || string(a.payload) != string(encode(t, p)) {
			t.Errorf("%s on %s", a.payload, a.topic)
		}
	}
	h := r.await("the bad ones", func(h event.Health) bool { return h.Counters[forwarder.CounterInvalid] == 3 })
	if n := h.Counters[forwarder.CounterMissed]; n != 1 { // the one that was refused
		t.Errorf("%d missed", n)
	}
}

// F11: the health messages count what was accepted, waits, was sent, tried again, refused and ignored.
func TestHealthCounters(t *testing.T) {
	r := newRig(t)
	r.cloud.SetUplink(false)
	r.start()
	r.alert("a-1")
	r.alert("a-2", func(a *event.Alert) { a.State = event.AlarmNormal })
	ids := r.ontoDisk(1, 10)
	for _, payload := range []string{
		"not JSON", `{"v":2}`, `{"v":1,"thing":"press-1"}`, `{"v":1,"id":"x","thing":"a/b"}`,
		`{"v":1,"id":"x","thing":"press-1","epoch":"` + strings.Repeat("e", 99) + `"}`,
		`{"v":1,"id":"x","thing":"press-1","label":"` + strings.Repeat("l", 99) + `"}`,
		`{"v":1,"id":"` + strings.Repeat("i", 300) + `","thing":"press-1"}`,
	} {
		if err := r.client.Publish(t.Context(), event.PredictionTopic("press-1"), []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.client.Publish(t.Context(), event.AlertTopic("press-1"), bytes.Repeat([]byte("x"), 7000)); err != nil {
		t.Fatal(err)
	}
	check := func(h event.Health, want map[string]uint64) bool {
		for name, n := range want {
			if h.Counters[name] != n {
				return false
			}
		}
		return true
	}
	h := r.await("what waits", func(h event.Health) bool {
		return h.Waiting() == 14 && check(h, map[string]uint64{
			"stream.alerts-iot.accepted": 2, "stream.alerts-iot.depth": 2, "stream.alerts-sns.accepted": 2, "stream.alerts-sns.depth": 2,
			"stream.predictions.accepted": 10, "stream.predictions.depth": 10, "message.invalid": 8, "message.refused": 0,
		})
	})
	if h.Counters["stream.predictions.bytes"] == 0 || h.State != event.StateOK || h.Uplink != event.UplinkDown {
		t.Errorf("%+v", h)
	}
	age := uint64(time.Since(someTime.Add(time.Second)) / time.Second) // of the oldest prediction, whose time is its own
	if got := h.Counters["stream.predictions.oldest_s"]; someTime.Before(time.Now()) && (got > age || got+60 < age) {
		t.Errorf("the oldest is %d s old, want some %d", got, age)
	}
	r.cloud.SetUplink(true)
	r.iot.await(t, "all", has(ids...))
	h = r.await("all sent", func(h event.Health) bool {
		return h.Drained() && h.Counters["stream.predictions.retried"] > 0 && check(h, map[string]uint64{
			"stream.alerts-iot.sent": 2, "stream.alerts-sns.sent": 2, "stream.predictions.sent": 10, "stream.predictions.oldest_s": 0,
			"stream.predictions.dead": 0, "stream.predictions.dropped": 0, "stream.predictions.lost": 0, "message.overrun": 0,
		})
	})
	if h.Uplink != event.UplinkUp {
		t.Errorf("%+v", h)
	}
	// A change of the configuration does not begin to count again.
	r.configure(map[string]any{"timeout": "9s"})
	r.predict(11, 11)
	r.awaitCounter("stream.predictions.sent", 11)
}
