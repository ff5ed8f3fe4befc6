package engine_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelevents"
	"edgepdm/test/need"
)

// An active model whose key is trusted no more is told, and bounds no version that a trusted key signs.
func TestALostKeyIsTold(t *testing.T) {
	need.Long(t)
	r := newRig(t)
	lost := newPublisher(r)
	r.start(shippedModel)
	r.await("a model", ok)
	lost.deliver("999999999.0.0", nil, nil)
	r.modelEvent(event.ModelActivated)
	p := newPublisher(r) // the key is replaced
	h := r.await("word of the key", func(h event.Health) bool {
		return h.State == event.StateDegraded && strings.Contains(h.Detail, "not in publicKeys any more")
	})
	if len(h.Conditions) != 1 || h.Conditions[0].Code != event.CodeModelStore || h.Model.Version != "999999999.0.0" {
		t.Errorf("%+v", h)
	}
	p.deliver("1.1.0", nil, nil)
	r.modelEvent(event.ModelActivated)
	r.await("a model that is trusted", func(h event.Health) bool { return ok(h) && h.Model.Version == "1.1.0" })
}

// M12: an event waits on disk until the forwarder has it.
func TestEventsWaitForTheForwarder(t *testing.T) {
	r := newRig(t)
	p := newPublisher(r)
	r.start(shippedModel)
	first := r.await("a model", ok).Run
	p.deliver("1.1.0", nil, nil)
	e := r.modelEvent(event.ModelActivated)
	r.stop()
	path := r.env.WorkDir + "/model-events.json"
	waiting := modelevents.Open(path, time.Now).Waiting()
	if len(waiting) != 1 || waiting[0].ID != e.ID || !waiting[0].Replayed {
		t.Fatalf("%+v waits", waiting)
	}
	r.start(shippedModel)
	r.await("the next process", func(h event.Health) bool { return ok(h) && h.Run != first })
	payload, err := json.Marshal(event.Ack{V: event.Version, IDs: []string{e.ID}})
	if err != nil {
		t.Fatal(err)
	}
	r.publish(event.TopicAckModel, payload)
	p.deliver("1.2.0", nil, nil) // what follows is behind the acknowledgement
	next := r.modelEvent(event.ModelActivated)
	r.stop()
	if waiting = modelevents.Open(path, time.Now).Waiting(); len(waiting) != 1 || waiting[0].ID != next.ID {
		t.Errorf("%+v waits", waiting)
	}
}
