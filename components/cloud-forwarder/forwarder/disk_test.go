package forwarder_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/shared/event"
	"edgepdm/shared/spool"
	"edgepdm/test/need"
)

// F1 and F10: while the disk does not take an alert it is not acknowledged, the state says why, and the forwarder goes on;
// once the disk works again so does everything, and nothing is lost.
func TestDiskThatFails(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"sample": "1h"})
	r.start()
	away := r.path("away")
	move(t, r.path("spool"), away)
	r.alert("a-1")
	r.awaitState(event.StateDegraded, "alerts-iot receive: not put on disk")
	r.alert("a-1")
	r.awaitCounter(forwarder.CounterRefused, 4) // by two queues
	r.publish(event.TopicAckAlert, event.Ack{V: 1, IDs: []string{"mark"}})
	if r.acks.await(t, "mark", has("mark")); r.acks.counts()["a-1"] != 0 {
		t.Error("an alert that is not on disk was acknowledged")
	}
	r.predict(1, 1)
	r.awaitState(event.StateDegraded, "predictions receive: not put on disk")
	move(t, away, r.path("spool"))
	r.alert("a-1")
	// The change of label was refused: the next prediction counts as one.
	ids := r.predict(2, 2)
	r.acks.await(t, "acknowledgements", has("a-1", ids[0]))
	r.awaitState(event.StateOK, "")
	r.iot.await(t, "messages", has("a-1", ids[0]))
	r.awaitSNS(has("a-1"))
	if n := r.iot.counts()["a-1"]; n != 1 {
		t.Errorf("IoT Core got the alert %d times", n)
	}
}

// An alert that only one of two disks' queues took is not delivered once more each time that it is published again.
func TestHalfAcceptedAlertIsDeliveredOnce(t *testing.T) {
	r := newRig(t)
	r.start()
	away := r.path("away")
	move(t, r.path("spool", "alerts-sns"), away)
	for range 3 {
		r.alert("a-1")
	}
	r.awaitCounter(forwarder.CounterRefused, 3)
	move(t, away, r.path("spool", "alerts-sns"))
	r.alert("a-1")
	r.acks.await(t, "acknowledgement", has("a-1"))
	r.alert("a-2")
	r.iot.await(t, "alerts", has("a-1", "a-2"))
	r.awaitSNS(has("a-1", "a-2"))
	if n := r.iot.counts()["a-1"]; n != 1 {
		t.Errorf("IoT Core got it %d times", n)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// F10: a queue that cannot be opened does not end the forwarder. What comes meanwhile waits, and goes to the disk when that
// works; the other queues are not concerned.
func TestQueueThatCannotBeOpened(t *testing.T) {
	r := newRig(t)
	if err := os.Mkdir(r.path("spool"), 0o700); err != nil {
		t.Fatal(err)
	}
	broken := r.path("spool", "predictions")
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.awaitState(event.StateDegraded, "predictions open: open queue: ")
	r.alert("a-1")
	r.acks.await(t, "acknowledgement", has("a-1"))
	r.iot.await(t, "alert", has("a-1"))
	ids := r.predict(1, 1124)[100:] // a subscription holds 1,024
	r.awaitCounter(forwarder.CounterOverrun, 100)
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	r.awaitState(event.StateOK, "")
	r.acks.await(t, "acknowledgements", has(ids...))
	r.iot.await(t, "predictions", has(ids...))
	checkOrder(t, r.iot, "/prediction/", ids)
}

// A queue that another process has open is waited for, as when a nucleus starts the new version before the old one ended.
func TestQueueOfAnotherProcess(t *testing.T) {
	r := newRig(t)
	other, err := spool.Open(r.path("spool", "alerts-iot"), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.start()
	r.awaitState(event.StateDegraded, "alerts-iot open: open queue: lock folder: in use elsewhere")
	r.alert("a-1")
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	r.acks.await(t, "acknowledgement", has("a-1"))
	r.iot.await(t, "alert", has("a-1"))
	r.awaitState(event.StateOK, "")
}

// F8: damage in a queue costs the records that it hit, which are counted, and nothing else.
func TestDamagedQueue(t *testing.T) {
	r := newRig(t)
	ids := r.backlog(100)
	segments, err := os.ReadDir(r.path("spool", "predictions"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range segments {
		if !strings.HasSuffix(s.Name(), ".seg") {
			continue
		}
		f, err := os.OpenFile(r.path("spool", "predictions", s.Name()), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err == nil {
			_, err = f.WriteAt([]byte("damage"), info.Size()/2)
		}
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
	}
	r.start()
	h := r.await("a lost record, and the others", func(h event.Health) bool {
		return h.Counters["stream.predictions.sent"] >= 98 && h.Counters["stream.predictions.lost"] >= 1 && h.Drained()
	})
	lost := int(h.Counters["stream.predictions.lost"])
	if lost > 2 || lost+len(r.iot.counts()) != len(ids) {
		t.Errorf("%d are lost, %d arrived of %d", lost, len(r.iot.counts()), len(ids))
	}
}

// F5: beyond its bound the queue of predictions drops the oldest, counts them, and alerts are not concerned.
func TestPredictionsAreBounded(t *testing.T) {
	need.Long(t)
	r := newRig(t)
	r.configure(map[string]any{"maxSpoolMB": 16})
	filler := encode(t, strings.Repeat("x", 60<<10))
	for i := range 5 { // 20 MiB
		var records []spool.Record
		for j := range 70 {
			id := fmt.Sprintf("old-%d-%d", i, j)
			records = append(records, r.record("predictions", id, event.PredictionTopic("press-1"), []byte(`{"id":"`+id+`","x":`+string(filler)+`}`)))
		}
		r.store("predictions", records...)
	}
	r.cloud.SetUplink(false)
	r.start()
	r.alert("a-1")
	ids := r.ontoDisk(1, 10)
	h := r.await("drops", func(h event.Health) bool { return h.Counters["stream.predictions.dropped"] > 0 })
	depth, dropped := h.Counters["stream.predictions.depth"], h.Counters["stream.predictions.dropped"]
	if depth+dropped != 360 || h.Counters["stream.predictions.bytes"] > 16<<20 {
		t.Errorf("%+v", h.Counters)
	}
	// Counters do not start over with a configuration.
	r.configure(map[string]any{"timeout": "9s"})
	r.predict(11, 11)
	if h := r.awaitCounter("stream.predictions.depth", depth+1); h.Counters["stream.predictions.dropped"] != dropped {
		t.Errorf("%d dropped, then %d", dropped, h.Counters["stream.predictions.dropped"])
	}
	r.stop()
	left := onDisk(t, r.path("spool", "predictions"))
	if uint64(len(left)) != depth+1 || !slices.Equal(left[len(left)-11:len(left)-1], ids) {
		t.Errorf("%d are left, want %d; the newest are %v", len(left), depth+1, left[max(0, len(left)-11):])
	}
	if left := onDisk(t, r.path("spool", "alerts-iot")); len(left) != 1 {
		t.Errorf("alerts %v", left)
	}
}
