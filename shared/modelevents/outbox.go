// Package modelevents keeps what happens to models, and drift, on disk until the forwarder has it (promise M12). An event is published at
// once, and again until it is acknowledged on event.TopicAckModel; then it bears the mark replayed, as it may have arrived.
package modelevents

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
)

const (
	format = 1

	// MaxEvents is how many events wait. Beyond it the oldest one makes room.
	MaxEvents = 64
)

// document is the content of the file. Lists are oldest first; what has the mark was published.
type document struct {
	Format int                `json:"format"`
	Events []event.ModelEvent `json:"events"`
	Drift  []event.Drift      `json:"drift,omitempty"` // an older release ignores it
}

// entry is an event that waits: one of the two.
type entry struct {
	model *event.ModelEvent
	drift *event.Drift
}

func (e entry) id() string {
	if e.model != nil {
		return e.model.ID
	}
	return e.drift.ID
}

// replayed is the mark.
func (e entry) replayed() *bool {
	if e.model != nil {
		return &e.model.Replayed
	}
	return &e.drift.Replayed
}

func (e entry) topic() string {
	if e.model != nil {
		return event.ModelTopic(e.model.Event)
	}
	return event.DriftTopic(e.drift.Line)
}

func (e entry) encode() ([]byte, error) {
	if e.model != nil {
		return event.Encode(e.model)
	}
	return event.Encode(e.drift)
}

// clone returns an entry of its own.
func (e entry) clone() entry {
	if e.model != nil {
		m := *e.model
		return entry{model: &m}
	}
	d := *e.drift
	return entry{drift: &d}
}

// Outbox is the events that are not acknowledged. For several goroutines.
type Outbox struct {
	file    durable.State[document]
	now     func() time.Time
	wake    chan struct{}   // there is something to publish
	problem *durable.Damage // of the file that the process found

	mu      sync.Mutex
	entries []entry // oldest first; those with the mark were published
	closed  bool    // the file is not to be written
	stale   bool    // it was not written when it was to be
}

// Open reads the outbox in the file at path. It can always be used: Problem says what is wrong with the file. A damaged one,
// and one that cannot be read, is set aside, and what waited in it is lost; one of a newer version is left alone, and events are kept in memory.
func Open(path string, now func() time.Time) *Outbox {
	o := &Outbox{file: durable.State[document]{Path: path, Format: format}, now: now, wake: make(chan struct{}, 1)}
	d, err := o.file.Load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return o
	case errors.Is(err, durable.ErrNewerFormat):
		o.closed, o.problem = true, durable.NewDamage(now(), err.Error())
	case err != nil:
		_, asideErr := durable.SetAside(path)
		o.problem = durable.NewDamage(now(), fmt.Sprint("events of models that waited are lost, the file is set aside: ", errors.Join(err, asideErr)))
	}
	for i := range d.Events {
		o.entries = append(o.entries, entry{model: &d.Events[i]})
	}
	for i := range d.Drift {
		o.entries = append(o.entries, entry{drift: &d.Drift[i]})
	}
	o.entries = o.entries[max(0, len(o.entries)-MaxEvents):]
	for _, e := range o.entries {
		*e.replayed() = true // the last process may have published it
	}
	return o
}

// Problem says what was wrong with the file when it was opened, for a day.
func (o *Outbox) Problem() error { return o.problem.Told(o.now()) }

// Add puts an event of a model at the end. dropped says how many made room for it. After an error, which is the disk's, it is
// published all the same.
func (o *Outbox) Add(e event.ModelEvent) (dropped int, err error) { return o.add(entry{model: &e}) }

// AddDrift does the same for drift. What waits already is not added again.
func (o *Outbox) AddDrift(d event.Drift) (dropped int, err error) { return o.add(entry{drift: &d}) }

func (o *Outbox) add(e entry) (dropped int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if slices.ContainsFunc(o.entries, func(waits entry) bool { return waits.id() == e.id() }) {
		return 0, nil
	}
	o.entries = append(o.entries, e)
	if dropped = max(0, len(o.entries)-MaxEvents); dropped > 0 {
		o.entries = slices.Delete(o.entries, 0, dropped)
	}
	select {
	case o.wake <- struct{}{}:
	default: // is wanted already
	}
	return dropped, o.write()
}

// Ack removes the events with the ids, and says how many that were.
func (o *Outbox) Ack(ids []string) (removed int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := len(o.entries)
	o.entries = slices.DeleteFunc(o.entries, func(e entry) bool { return slices.Contains(ids, e.id()) })
	if removed = before - len(o.entries); removed == 0 {
		return 0, nil
	}
	return removed, o.write()
}

// Waiting returns the events of models that are not acknowledged, oldest first.
func (o *Outbox) Waiting() (events []event.ModelEvent) {
	for _, e := range o.waiting() {
		if e.model != nil {
			events = append(events, *e.model)
		}
	}
	return events
}

// waiting returns copies of all that is not acknowledged, oldest first.
func (o *Outbox) waiting() []entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	entries := make([]entry, len(o.entries))
	for i, e := range o.entries {
		entries[i] = e.clone()
	}
	return entries
}

// published marks an event.
func (o *Outbox) published(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.entries {
		if e.id() == id {
			*e.replayed() = true
		}
	}
}

// write writes the file. mu is held.
func (o *Outbox) write() error {
	if o.closed {
		return nil
	}
	d := document{Format: format}
	for _, e := range o.entries {
		if e.model != nil {
			d.Events = append(d.Events, *e.model)
		} else {
			d.Drift = append(d.Drift, *e.drift)
		}
	}
	err := o.file.Save(d)
	o.stale = err != nil
	return err
}

// rewrite writes the file if that failed before, and reports whether it is right now.
func (o *Outbox) rewrite() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.stale || o.write() == nil
}
