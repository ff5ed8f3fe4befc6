package forwarder_test

import (
	"testing"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/shared/event"
)

// alternate gives every second prediction another label.
func alternate(p *event.Prediction) {
	if p.Seq%2 == 0 {
		p.Label = event.LabelFaulty
	}
}

// Labels that alternate do not make every prediction leave; the last state does, and what stays is counted.
func TestLabelsThatAlternate(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"sample": "1h"})
	r.start()
	ids := r.predict(1, 300, alternate)
	h := r.awaitCounter(forwarder.CounterSkipped, 288)          // but 1 + 10 at once, and the last
	if n := h.Counters[forwarder.CounterSuppressed]; n != 144 { // the others have the label that left last
		t.Errorf("%d suppressed", n)
	}
	r.iot.await(t, "the first ones", has(ids[:11]...))
	if n := len(r.iot.counts()); n != 11 {
		t.Errorf("%d left", n)
	}
	r.stop() // the last one leaves, to the disk at least
	r.start()
	r.iot.await(t, "the last one", has(ids[299]))
	if n := len(r.iot.counts()); n != 12 {
		t.Errorf("%d left", n)
	}
}

// A change that is held back leaves without another prediction of its thing.
func TestLastLabelLeaves(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"sample": "500ms", "maxLabelChanges": 1})
	r.start()
	ids := r.predict(1, 21, alternate)
	r.acks.await(t, "acknowledgement", has(ids[20]))
	r.iot.await(t, "the last one", has(ids[20]))
}
