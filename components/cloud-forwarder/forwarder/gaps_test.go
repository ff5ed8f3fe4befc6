package forwarder_test

import (
	"math"
	"testing"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/shared/event"
)

// F12: predictions that came while the forwarder was dead are counted by the next process, exactly; those that stayed on the
// site, by the sample setting, are none of them.
func TestGapsAreCountedAcrossKills(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"sample": "1h"})
	faulty := func(p *event.Prediction) { p.Label = event.LabelFaulty }
	kill := r.spawn()
	r.predict(1, 49)
	r.acks.await(t, "acknowledgement of a change of label", has(r.predict(50, 50, faulty)...))
	r.predict(51, 52, faulty) // these stay; what is behind them is acknowledged after them
	other := prediction("press-2", 1)
	r.publish(event.PredictionTopic(other.Thing), other)
	r.acks.await(t, "acknowledgement of another thing", has(other.ID))
	kill()
	r.predict(53, 62)

	kill = r.spawn()
	r.predict(63, 63)
	r.awaitCounter(forwarder.CounterMissed, 10)
	r.acks.await(t, "acknowledgement", has(r.predict(64, 64, faulty)...))
	kill()

	kill = r.spawn() // nothing came meanwhile, and old numbers do not move the mark back
	r.predict(40, 41)
	r.predict(65, 65)
	r.predict(67, 67)
	h := r.await("all", func(h event.Health) bool { return h.Counters[forwarder.CounterMissed] > 0 })
	if n := h.Counters[forwarder.CounterMissed]; n != 1 {
		t.Errorf("%d were missed, want 1", n)
	}
	kill()
}

// A ledger of another version is left alone; gaps are then counted from the start of the forwarder.
func TestGapsWithoutALedger(t *testing.T) {
	r := newRig(t)
	const newer = "EPDMSEQ9 of the future"
	writeFile(t, r.path("sequence-numbers"), newer)
	r.start()
	r.predict(1, 1)
	r.predict(4, 4)
	r.awaitCounter(forwarder.CounterMissed, 2)
	if got := readFile(t, r.path("sequence-numbers")); got != newer {
		t.Errorf("the ledger became %q", got)
	}
}

// A wild number is counted once, and hides no gap; a gap is told at once, as the process may be killed before the next health
// message is due.
func TestAWildNumberHidesNoGap(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"healthInterval": "1h"})
	r.start()
	for _, seq := range []uint64{1, math.MaxUint64, 2, 5} {
		r.publish(event.PredictionTopic("press-1"), prediction("press-1", seq))
	}
	h := r.await("the gap", func(h event.Health) bool { return h.Counters[forwarder.CounterMissed] > 0 })
	if h.Counters[forwarder.CounterJumps] != 1 || h.Counters[forwarder.CounterMissed] != 2 {
		t.Errorf("%v", h.Counters)
	}
}

// A label change that is held back, and lost with the process, is counted as missed by the next one. One that was dropped for
// the label that was sent last is not, and neither is one that left.
func TestLostHeldChangeIsCounted(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"sample": "1h", "maxLabelChanges": 1})
	label := func(label string) func(*event.Prediction) { return func(p *event.Prediction) { p.Label = label } }
	settle := func(thing string) { // all before it is settled
		r.publish(event.PredictionTopic(thing), prediction(thing, 1))
		r.acks.await(t, "acknowledgement", has(prediction(thing, 1).ID))
	}
	kill := r.spawn()
	r.predict(1, 1)
	r.predict(2, 2, label("b"))
	r.predict(3, 4, label("c")) // held back, and one that stays
	settle("press-2")
	kill()

	kill = r.spawn()
	r.predict(5, 5)
	r.awaitCounter(forwarder.CounterMissed, 1)
	r.predict(6, 6, label("b"))
	r.predict(7, 7, label("c")) // held back
	r.predict(8, 8, label("d")) // in its place
	r.predict(9, 9, label("b"))
	settle("press-3")
	kill()

	kill = r.spawn()
	r.predict(10, 10)
	r.predict(12, 12)
	if h := r.await("a gap", func(h event.Health) bool { return h.Counters[forwarder.CounterMissed] > 0 }); h.Counters[forwarder.CounterMissed] != 1 {
		t.Errorf("%d were missed, want 1", h.Counters[forwarder.CounterMissed])
	}
	kill()

	r.start()
	r.predict(13, 13)
	r.predict(14, 14, label("b"))
	r.predict(15, 15, label("c")) // held back
	settle("press-4")
	r.stop() // it leaves
	r.start()
	r.predict(16, 16)
	r.predict(18, 18)
	if h := r.await("a gap", func(h event.Health) bool { return h.Counters[forwarder.CounterMissed] > 0 }); h.Counters[forwarder.CounterMissed] != 1 {
		t.Errorf("%d were missed, want 1", h.Counters[forwarder.CounterMissed])
	}
}
