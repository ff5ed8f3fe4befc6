package forwarder_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/shared/event"
	"edgepdm/shared/spool"
	"edgepdm/test/need"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// An alert that the full queue of SNS refuses goes into the queue of IoT Core once, however often it is published again.
func TestAlertThatOneQueueRefuses(t *testing.T) {
	r := newRig(t)
	delete(r.vars, envURL) // nothing is delivered
	var filler []spool.Record
	for i := range 65 { // 64 MiB is the bound
		filler = append(filler, spool.Record{ID: fmt.Sprintf("old-%d", i), Payload: make([]byte, 1<<20)})
	}
	r.store("alerts-sns", filler...)
	r.configure(map[string]any{"alertTopicNormal": false})
	r.start()
	for range 3 {
		r.alert("a-1")
	}
	r.awaitCounter(forwarder.CounterRefused+".full", 3)
	over := r.alert("a-2", func(a *event.Alert) { a.State = event.AlarmNormal }) // not for SNS
	r.acks.await(t, "acknowledgement", has(over.ID))
	r.stop()
	if ids := onDisk(t, r.path("spool", "alerts-iot")); !slices.Equal(ids, []string{"a-1", "a-2"}) {
		t.Errorf("the queue of IoT Core has %v", ids)
	}
	if r.acks.counts()["a-1"] != 0 {
		t.Error("an alert that one queue refused was acknowledged")
	}
}

// Alerts that wait for an SNS topic are told of when there is none any more, and are delivered when there is one again.
func TestAlertsWithoutATopic(t *testing.T) {
	r := newRig(t)
	arn := r.cloud.Endpoints().TopicARN
	r.configure(map[string]any{"alertTopicArn": ""})
	a := alert("a-1")
	r.store("alerts-sns", r.record("alerts-sns", a.ID, event.AlertTopic(a.Thing), encode(t, a)))
	r.start()
	h := r.awaitState(event.StateDegraded, "alerts-sns deliver: alertTopicArn is not set: 1 previous alerts wait for a topic")
	if h.Counters["stream.alerts-sns.depth"] != 1 {
		t.Errorf("%+v", h)
	}
	r.alert("a-2") // IoT Core's only
	r.acks.await(t, "acknowledgement", has("a-2"))
	r.configure(map[string]any{"alertTopicArn": arn})
	if n := r.awaitSNS(has("a-1")); n["a-2"] != 0 {
		t.Errorf("SNS got %v", n)
	}
	r.awaitState(event.StateOK, "")
}

// F5: below the floor of free space nothing more is taken, which is counted by its reason; what waits stays, or makes room
// where the oldest go first.
func TestFloorOfFreeSpace(t *testing.T) {
	r := newRig(t)
	r.cloud.SetUplink(false)
	ids := r.backlog(100)
	r.configure(map[string]any{"minFreeMB": 1 << 30})
	r.start()
	r.alert("a-1")
	r.awaitState(event.StateDegraded, "alerts-iot receive: not put on disk: append: the disk has too little free space")
	h := r.awaitCounter(forwarder.CounterRefused+".free-space", 2) // by both queues
	if h.Counters[forwarder.CounterRefused] != 2 || r.acks.counts()["a-1"] != 0 {
		t.Errorf("%+v", h)
	}
	r.acks.await(t, "acknowledgement", has(r.predict(101, 101)...))
	r.await("drops", func(h event.Health) bool {
		n := h.Counters["stream.predictions.dropped"]
		return n == uint64(len(ids)) && h.Counters["stream.predictions.dropped.free-space"] == n && h.Counters["stream.predictions.depth"] == 1
	})
	r.configure(map[string]any{"minFreeMB": 0})
	r.awaitState(event.StateOK, "")
	r.alert("a-1")
	r.acks.await(t, "acknowledgement", has("a-1"))
}

// F5: predictions that are too old go, are counted by the reason, and are not sent, not even the one that was tried.
func TestAgeIsBounded(t *testing.T) {
	r := newRig(t)
	r.cloud.SetUplink(false)
	r.configure(map[string]any{"predictionMaxAge": "1h"})
	var records []spool.Record
	var ids []string
	for seq := uint64(1); seq <= 20; seq++ {
		p := prediction("press-1", seq)
		record := r.record("predictions", p.ID, event.PredictionTopic(p.Thing), encode(t, p))
		if record.Time = time.Now().Add(-2 * time.Hour).UnixNano(); seq > 15 {
			record.Time = time.Now().UnixNano()
			ids = append(ids, p.ID)
		}
		records = append(records, record)
	}
	r.store("predictions", records...)
	r.start()
	r.await("drops", func(h event.Health) bool {
		return h.Counters["stream.predictions.dropped.age"] == 15 && h.Counters["stream.predictions.dropped"] == 15 &&
			h.Counters["stream.predictions.depth"] == 5
	})
	r.stop() // what was dropped is reported by another process, too
	r.cloud.SetUplink(true)
	r.start()
	r.iot.await(t, "the others", has(ids...))
	checkOrder(t, r.iot, "/prediction/", ids)
	r.awaitCounter("stream.predictions.sent", 5)
	var report event.Dropped
	r.iot.await(t, "a report of the drops", func(n map[string]int) bool {
		for id := range n {
			if strings.HasPrefix(id, "dropped-") {
				return true
			}
		}
		return false
	})
	for _, a := range r.iot.all() {
		if strings.HasSuffix(a.topic, "/"+event.TopicDropped) {
			if err := json.Unmarshal(a.payload, &report); err != nil {
				t.Fatal(err)
			}
		}
	}
	if report.Sum() != 15 || report.Messages["predictions.age"] != 15 || report.Since.IsZero() || report.TS.Before(report.Since) {
		t.Errorf("%+v", report)
	}
	r.await("the report is forgotten", func(event.Health) bool {
		_, err := os.Stat(r.path("drops.json"))
		return os.IsNotExist(err)
	})
}

// After a downgrade, a replay does not lose the letters that the newer version wrote.
func TestReplayKeepsLettersOfANewerVersion(t *testing.T) {
	r := newRig(t)
	first := `{"v":2,"stream":"predictions","id":"newer-1","record":{"a":1},"sum":"x"}` + "\n"
	second := `{"v":2,"stream":7,"letters":["newer-2"]}` + "\n"
	change := `{"v":2,"stream":"label-changes","id":"newer-3"}` + "\n"
	writeFile(t, r.path("replay-1-0.jsonl"), first+second+change)
	r.start()
	r.await("an end", func(event.Health) bool {
		_, err := os.Stat(r.path("replay-1-0.jsonl"))
		return os.IsNotExist(err)
	})
	for name, want := range map[string]string{"dead-letters.jsonl": first + change, "dead-alerts.jsonl": second} {
		if got, err := os.ReadFile(r.path(name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// A replay that fails in the middle goes on where it was, also in the next process: no letter is sent twice.
func TestReplayGoesOnWhereItFailed(t *testing.T) {
	need.Long(t)
	r := newRig(t)
	var lines strings.Builder
	var ids []string
	for seq := uint64(1); seq <= 250; seq++ {
		p := prediction("press-1", seq)
		ids = append(ids, p.ID)
		record := r.record("predictions", p.ID, event.PredictionTopic(p.Thing), encode(t, p))
		letter := map[string]any{"stream": "predictions", "id": p.ID, "time": someTime, "reason": "before", "record": string(record.Payload)}
		if seq == 150 { // this one cannot be buried again
			letter["stream"] = "no-such"
		}
		lines.Write(append(encode(t, letter), '\n'))
	}
	writeFile(t, r.path("replay-1-0.jsonl"), lines.String())
	obstacle := r.path("dead-alerts.jsonl")
	if err := os.Mkdir(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	failures := func() int { return strings.Count(readFile(t, r.log), "dead letters are not sent again yet") }
	for range 2 {
		before := failures()
		r.start()
		r.await("failures", func(event.Health) bool { return failures() >= before+2 })
		r.iot.await(t, "the letters before", has(ids[:149]...))
		r.stop()
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.iot.await(t, "all letters", has(append(ids[150:], ids[:149]...)...))
	for id, n := range r.iot.counts() {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	if letters := r.deadLetters(); len(letters) != 1 || letters[0].ID != ids[149] {
		t.Errorf("%+v", letters)
	}
	r.await("an end", func(event.Health) bool {
		_, err := os.Stat(r.path("replay-1-0.jsonl"))
		return os.IsNotExist(err)
	})
}

// A configuration that cannot work is refused with the name of the field.
func TestValidateNamesTheField(t *testing.T) {
	for field, change := range map[string]func(*forwarder.Config){
		"parallel:":         func(c *forwarder.Config) { c.Parallel = 0 },
		"minFreeMB:":        func(c *forwarder.Config) { c.MinFreeMB = -1 },
		"predictionMaxAge:": func(c *forwarder.Config) { c.PredictionMaxAge = time.Second },
		"alertMaxAge:":      func(c *forwarder.Config) { c.AlertMaxAge = -time.Hour },
		"maxSpoolMB:":       func(c *forwarder.Config) { c.MaxSpoolMB = 1 },
		"region:":           func(c *forwarder.Config) { c.Region = "eu-west-1.example.com/" },

		"archive.bucket:":       func(c *forwarder.Config) { c.Archive.Bucket = "s3://bucket" },
		"archive.prefix:":       func(c *forwarder.Config) { c.Archive.Prefix = "raw/" },
		"archive.prefix: \"x":   func(c *forwarder.Config) { c.Archive.Prefix = strings.Repeat("x", 65) },
		"archive.afterRecords:": func(c *forwarder.Config) { c.Archive.AfterRecords = 99 },
		"archive.afterAge:":     func(c *forwarder.Config) { c.Archive.AfterAge = time.Second },
		"archive.maxObjectMB:":  func(c *forwarder.Config) { c.Archive.MaxObjectMB = 65 },
		"endpoints.s3:":         func(c *forwarder.Config) { c.Endpoints.S3 = "host" },
	} {
		c := forwarder.Default()
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%v, want an error of %s", err, field)
		}
	}
}

// A stream that found the uplink down, and whose only record is then dropped by its age, does not keep it down, nor the
// component DEGRADED.
func TestUplinkAfterTheLastRecordIsDropped(t *testing.T) {
	need.Long(t)
	r := newRig(t)
	r.cloud.SetUplink(false)
	r.configure(map[string]any{"predictionMaxAge": "1m"})
	p := prediction("press-1", 1)
	record := r.record("predictions", p.ID, event.PredictionTopic(p.Thing), encode(t, p))
	record.Time = time.Now().Add(-57 * time.Second).UnixNano()
	r.store("predictions", record)
	r.start()
	r.awaitUplink(event.UplinkDown)
	r.awaitCounter("stream.predictions.dropped.age", 1)
	r.cloud.SetUplink(true)
	a := r.alert("a-1")
	r.iot.await(t, "alert", has(a.ID))
	r.awaitUplink(event.UplinkUp)
}
