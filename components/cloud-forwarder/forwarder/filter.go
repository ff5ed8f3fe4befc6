package forwarder

import (
	"sync"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ledger"
)

// filter chooses which predictions leave the site: every change of a thing's label, and one sample in a while.
type filter struct {
	every time.Duration // 0 = all

	mu     sync.Mutex
	things map[string]sample
}

type sample struct {
	label string
	at    time.Time
}

// maxThings bounds memory; of further things everything leaves the site, and no gap is counted.
const maxThings = ledger.MaxThings

func newFilter(every time.Duration) *filter {
	return &filter{every: every, things: make(map[string]sample)}
}

func (f *filter) takes(p *event.Prediction, now time.Time) bool {
	if f.every == 0 {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	last, known := f.things[p.Thing]
	if known && last.label == p.Label && now.Sub(last.at) < f.every {
		return false
	}
	if known || len(f.things) < maxThings {
		f.things[p.Thing] = sample{p.Label, now}
	}
	return true
}

// forget makes the filter take the thing's next prediction: one that it took did not get to the disk, and may have been a
// change of label.
func (f *filter) forget(thing string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.things, thing)
}
