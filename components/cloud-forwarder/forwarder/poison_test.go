package forwarder_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/shared/event"
	"edgepdm/shared/request"
	"edgepdm/shared/spool"
	"edgepdm/test/need"
)

type deadLetter struct {
	Stream, ID, Reason string
	Time               time.Time
	Record             json.RawMessage
}

func (r *rig) deadLetters() []deadLetter {
	r.t.Helper()
	var data []byte
	for _, name := range []string{"dead-alerts.jsonl", "dead-letters.jsonl"} {
		part, err := os.ReadFile(r.path(name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			r.t.Fatal(err)
		}
		data = append(data, part...)
	}
	var letters []deadLetter
	for line := range bytes.Lines(data) {
		var letter deadLetter
		if err := json.Unmarshal(line, &letter); err != nil {
			r.t.Fatalf("%v in %s", err, line)
		}
		letters = append(letters, letter)
	}
	return letters
}

// F7: what no sink will ever take goes to the dead letters, with stream, id and reason, and what is behind it arrives.
func TestPoisonGoesToTheDeadLetters(t *testing.T) {
	r := newRig(t)
	good := alert("good")
	topic := event.AlertTopic("press-1")
	garbage := spool.Record{ID: "garbage", Time: someTime.UnixNano(), Payload: []byte("\xffnot JSON")}
	r.store("alerts-sns", garbage,
		r.record("alerts-sns", "no-alert", topic, json.RawMessage(`{"v":1}`)),
		r.record("alerts-sns", good.ID, topic, encode(t, good)))
	r.store("alerts-iot",
		r.record("alerts-iot", "wildcard", "pdm/v1/alert/+", encode(t, alert("wildcard"))), // the service answers 400
		r.record("alerts-iot", "large", topic, json.RawMessage(`{"text":"`+strings.Repeat("x", 128<<10)+`"}`)),
		r.record("alerts-iot", good.ID, topic, encode(t, good)))
	r.start()
	r.iot.await(t, "good alert", has("good"))
	r.awaitSNS(has("good"))
	h := r.await("four dead letters", func(h event.Health) bool {
		return h.Counters["stream.alerts-iot.dead"] == 2 && h.Counters["stream.alerts-sns.dead"] == 2 && h.Drained()
	})
	if h.State != event.StateOK || h.Counters["stream.alerts-iot.sent"] != 1 || h.Uplink != event.UplinkUp {
		t.Errorf("%+v", h)
	}
	letters := r.deadLetters()
	slices.SortFunc(letters, func(a, b deadLetter) int { return strings.Compare(a.ID, b.ID) })
	if len(letters) != 4 {
		t.Fatalf("%d dead letters", len(letters))
	}
	for i, want := range []deadLetter{
		{Stream: "alerts-sns", ID: "garbage", Reason: "refused for good: invalid character"},
		{Stream: "alerts-iot", ID: "large", Reason: "AWS IoT Core over HTTPS carries 131072"},
		{Stream: "alerts-sns", ID: "no-alert", Reason: "name"},
		{Stream: "alerts-iot", ID: "wildcard", Reason: "InvalidRequestException"},
	} {
		got := letters[i]
		if got.Stream != want.Stream || got.ID != want.ID || !strings.Contains(got.Reason, want.Reason) || !got.Time.Equal(someTime) || len(got.Record) == 0 {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// A dead letter that the disk does not take is tried again; in the end it stands in the log, and the stream goes on.
func TestDeadLetterThatTheDiskDoesNotTake(t *testing.T) {
	r := newRig(t)
	if err := os.Mkdir(r.path("dead-alerts.jsonl"), 0o700); err != nil {
		t.Fatal(err)
	}
	good := alert("good")
	r.store("alerts-sns",
		r.record("alerts-sns", "bad", event.AlertTopic("press-1"), json.RawMessage(`{"v":1,"text":"the last word"}`)),
		r.record("alerts-sns", good.ID, event.AlertTopic("press-1"), encode(t, good)))
	r.start()
	r.awaitState(event.StateDegraded, "alerts-sns dead letters: write dead letter: open ")
	r.awaitSNS(has("good"))
	r.awaitState(event.StateOK, "")
	log, err := os.ReadFile(r.log)
	if err != nil || !bytes.Contains(log, []byte("dead letter could not be written; this line is its only copy")) || !bytes.Contains(log, []byte("the last word")) {
		t.Errorf("%v, log %s", err, log)
	}
}

// F7: a missing topic is no poison: its alerts wait, are delivered when it is there, and meanwhile the state says why.
func TestMissingTopicIsNoPoison(t *testing.T) {
	r := newRig(t)
	arn := r.cloud.Endpoints().TopicARN
	r.configure(map[string]any{"alertTopicArn": arn + "-other"})
	r.start()
	r.alert("a-1")
	r.iot.await(t, "alert", has("a-1"))
	r.awaitState(event.StateDegraded, "alerts-sns deliver: NotFound: Topic does not exist")
	h := r.awaitCounter("stream.alerts-sns.depth", 1)
	if h.Counters["stream.alerts-sns.dead"] != 0 || h.Uplink != event.UplinkUp {
		t.Errorf("%+v", h)
	}
	r.configure(map[string]any{"alertTopicArn": arn})
	r.awaitSNS(has("a-1"))
	r.awaitState(event.StateOK, "")
	if letters := r.deadLetters(); len(letters) > 0 {
		t.Errorf("%+v", letters)
	}
}

// A message that just fits is not poison because it was sent before: the mark does not count for the limits.
func TestMarkDoesNotMakePoison(t *testing.T) {
	r := newRig(t)
	a := alert("a-1")
	a.Text = strings.Repeat("<", (event.Local.Limit()-len(encode(t, a))+len(a.Text))/6) // `\u003c` each
	if err := r.cloud.Throttle("sns", 1); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.publish(event.AlertTopic(a.Thing), a)
	r.acks.await(t, "acknowledgement", has("a-1"))
	r.awaitSNS(has("a-1"))
	if letters := r.deadLetters(); len(letters) > 0 {
		t.Errorf("%+v", letters)
	}
}

// F7: dead letters are sent again on request, and one that still cannot be is a dead letter again.
func TestDeadLettersAreSentAgain(t *testing.T) {
	need.Long(t)
	r := newRig(t)
	r.configure(map[string]any{"predictionSink": "iotcore-ipc"})
	r.start()
	r.awaitState(event.StateOK, "")
	if text, err := r.ask(event.CommandReplay); err != nil || text != "there are no dead letters" {
		t.Errorf("%q, %v", text, err)
	}
	large := r.predict(1, 3, func(p *event.Prediction) { p.Text = strings.Repeat("x", 5000) }) // 4,500 bytes fit
	small := r.predict(4, 4)
	r.await("dead letters", func(h event.Health) bool {
		return h.Counters["stream.predictions.dead"] == 3 && h.Counters["stream.predictions.sent"] == 1
	})
	letters := r.deadLetters()
	if len(letters) != 3 || letters[0].ID != large[0] || !strings.Contains(letters[0].Reason, "AWS IoT Core over IPC carries 4500") {
		t.Fatalf("%+v", letters)
	}
	r.configure(map[string]any{"predictionSink": "iot-data"})
	r.awaitState(event.StateOK, "")
	lost := encode(t, map[string]any{"stream": "no-such", "id": "lost", "time": someTime, "reason": "before", "record": map[string]any{"a": 1}})
	f, err := os.OpenFile(r.path("dead-letters.jsonl"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(append(lost, "\nhalf a li\n"...))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	want := "3 dead letters are back in their streams, and will be sent; 2 lines are not"
	if text, err := r.ask(event.CommandReplay); err != nil || !strings.HasPrefix(text, want) {
		t.Fatalf("%q, %v", text, err)
	}
	r.iot.await(t, "predictions", has(large...))
	checkOrder(t, r.iot, "/prediction/", large)
	if r.iot.counts()[small[0]] != 0 {
		t.Error("a message that was no dead letter came again")
	}
	r.await("an end", func(event.Health) bool {
		left, err := filepath.Glob(r.path("replay-*"))
		return err == nil && len(left) == 0
	})
	letters = r.deadLetters()
	if len(letters) != 1 || letters[0].ID != "lost" || letters[0].Reason != "there is no such stream; before: before" {
		t.Errorf("%+v", letters)
	}
	if text, err := r.ask(event.CommandReplay); err != nil || !strings.HasPrefix(text, "0 dead letters are back in their streams, and will be sent; 1 lines are not") {
		t.Errorf("%q, %v", text, err)
	}
	if letters = r.deadLetters(); len(letters) != 1 || letters[0].ID != "lost" {
		t.Errorf("%+v", letters)
	}
	if text, err := r.ask("forget"); err == nil || !strings.Contains(err.Error(), `does not know the command "forget"`) {
		t.Errorf("%q, %v", text, err)
	}
}

// ask gives the forwarder a command on the device.
func (r *rig) ask(command string) (string, error) {
	return request.Call{Component: event.CloudForwarder, WorkDir: r.env.WorkDir, Command: command, Timeout: 20 * time.Second}.Do(r.t.Context())
}

// More dead letters than there is room for are dropped, counted and told, until somebody takes the rest; they push out no dead
// alert, and they do not fill the log.
func TestDroppedDeadLettersAreTold(t *testing.T) {
	need.Long(t)
	r := newRig(t)
	const letters = 200
	large := json.RawMessage(`{"text":"` + strings.Repeat("x", 128<<10) + `"}`)
	var records []spool.Record
	for i := range letters {
		records = append(records, r.record("predictions", fmt.Sprint("p-", i), event.PredictionTopic("press-1"), large))
	}
	r.store("predictions", records...)
	r.store("alerts-iot", r.record("alerts-iot", "a-1", event.AlertTopic("press-1"), large))
	r.start()
	r.awaitCounter("stream.predictions.dead", letters)
	r.awaitState(event.StateDegraded, "dead letters were dropped, as there is room for 20 MB of them")
	h := r.await("drops", func(h event.Health) bool { return h.Counters[forwarder.CounterDeadDropped] > 0 })
	kept := len(r.deadLetters()) - 1
	old, err := os.ReadFile(r.path("dead-letters.jsonl.old"))
	if err != nil {
		t.Fatal(err)
	}
	if kept += bytes.Count(old, []byte{'\n'}); kept+int(h.Counters[forwarder.CounterDeadDropped]) != letters || h.Conditions[0].Code != event.CodeDelivery {
		t.Errorf("%d kept of %d: %+v", kept, letters, h)
	}
	if r.deadLetters()[0].ID != "a-1" {
		t.Error("the dead alert is gone")
	}
	if n := strings.Count(readFile(t, r.log), "\n"); n > 20 {
		t.Errorf("%d lines in the log", n)
	}
	r.stop()
	r.start() // the next process knows it
	r.awaitState(event.StateDegraded, "dead letters were dropped, as there is room for 20 MB of them")
	if text, err := r.ask(event.CommandReplay); err != nil || !strings.HasPrefix(text, fmt.Sprint(kept+1, " dead letters are back")) {
		t.Errorf("%q, %v", text, err)
	}
	r.awaitState(event.StateOK, "")
}
