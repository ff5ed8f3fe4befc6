package forwarder

import (
	"bytes"
	"sync"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/ledger"
)

// filter chooses which predictions leave the site: changes of a thing's label, and one sample in a while. Of labels that
// alternate, only so many changes leave in the time of a sample; the last one is held back until there is room for it.
type filter struct {
	every   time.Duration // 0 = all
	changes int           // of a thing's label that leave in that time, and at once; 0 = all

	mu     sync.Mutex
	things map[string]*sample
	held   map[string]*sample // of those, the ones with a change that is held back
}

// sample is what left of a thing last.
type sample struct {
	label  string
	at     time.Time
	room   float64   // for so many changes
	filled time.Time // when room was brought up to date
	lost   bool      // label did not get to the disk: every label is a change
	held   *change   // not of label; nil for none
}

func (s *sample) leaves(label string, now time.Time) { s.label, s.lost, s.at = label, false, now }

// change is a prediction that is held back.
type change struct {
	message    ipc.TopicMessage
	prediction event.Prediction
}

// verdict is what becomes of a prediction.
type verdict int

const (
	stays verdict = iota
	sampled
	changed // it leaves, too
	held    // it leaves later, unless there is a newer change
)

// maxThings bounds memory; of further things everything leaves the site, and no gap is counted.
const maxThings = ledger.MaxThings

func newFilter(every time.Duration, changes int) *filter {
	return &filter{every: every, changes: changes, things: make(map[string]*sample), held: make(map[string]*sample)}
}

// judge tells what becomes of a prediction. With dropped, a change that was held back does not leave any more.
func (f *filter) judge(m ipc.TopicMessage, p *event.Prediction, now time.Time) (v verdict, dropped bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.things[p.Thing]
	switch {
	case s == nil && len(f.things) >= maxThings:
		return sampled, false
	case s == nil:
		f.things[p.Thing] = &sample{label: p.Label, at: now, room: float64(f.changes), filled: now}
		return sampled, false
	case s.label == p.Label && !s.lost:
		dropped = f.drop(p.Thing, s)
		if now.Sub(s.at) < f.every {
			return stays, dropped
		}
		s.at = now
		return sampled, dropped
	case f.every == 0 || f.changes == 0 || f.takeRoom(s, now):
		dropped = f.drop(p.Thing, s)
		s.leaves(p.Label, now)
		return changed, dropped
	case s.held != nil && s.held.prediction.Label == p.Label:
		return stays, false
	}
	dropped = f.drop(p.Thing, s)
	m.Payload = bytes.Clone(m.Payload) // it may be a part of something larger
	s.held = &change{m, *p}
	f.held[p.Thing] = s
	return held, dropped
}

// drop drops the change of a thing that is held back, if there is one. mu is held.
func (f *filter) drop(thing string, s *sample) bool {
	if s.held == nil {
		return false
	}
	s.held = nil
	delete(f.held, thing)
	return true
}

// takeRoom takes the room for a change, if there is any. It comes back evenly. mu is held.
func (f *filter) takeRoom(s *sample, now time.Time) bool {
	passed := max(now.Sub(s.filled), 0)
	s.room = min(s.room+float64(f.changes)*float64(passed)/float64(f.every), float64(f.changes))
	s.filled = now
	if s.room < 1 {
		return false
	}
	s.room--
	return true
}

// due returns the changes for which there is room now, or all that are held back.
func (f *filter) due(now time.Time, all bool) []change {
	f.mu.Lock()
	defer f.mu.Unlock()
	var due []change
	for thing, s := range f.held {
		if !all && !f.takeRoom(s, now) {
			continue
		}
		due = append(due, *s.held)
		s.leaves(s.held.prediction.Label, now)
		f.drop(thing, s)
	}
	return due
}

// tick is how often to look for changes that are due; 0: none is ever held back.
func (f *filter) tick() time.Duration {
	if f.every == 0 || f.changes == 0 {
		return 0
	}
	return min(max(f.every/100, 10*time.Millisecond), time.Second)
}

// forget makes the filter take the thing's next prediction, or the change that is held back: a prediction that it took did not
// get to the disk, and may have been a change of label.
func (f *filter) forget(thing string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.things[thing]
	if s == nil || s.held == nil {
		delete(f.things, thing)
		return
	}
	s.lost, s.room = true, max(s.room, 1)
}
