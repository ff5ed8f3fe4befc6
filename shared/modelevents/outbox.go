// Package modelevents keeps what happens to models on disk until the forwarder has it (promise M12). An event is published at
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

// document is the content of the file.
type document struct {
	Format int                `json:"format"`
	Events []event.ModelEvent `json:"events"` // oldest first; those with the mark were published
}

// Outbox is the events that are not acknowledged. For several goroutines.
type Outbox struct {
	file    durable.State[document]
	now     func() time.Time
	wake    chan struct{}   // there is something to publish
	problem *durable.Damage // of the file that the process found

	mu     sync.Mutex
	events []event.ModelEvent // oldest first; those with the mark were published
	closed bool               // the file is not to be written
	stale  bool               // it was not written when it was to be
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
	o.events = d.Events[max(0, len(d.Events)-MaxEvents):]
	for i := range o.events {
		o.events[i].Replayed = true // the last process may have published it
	}
	return o
}

// Problem says what was wrong with the file when it was opened, for a day.
func (o *Outbox) Problem() error { return o.problem.Told(o.now()) }

// Add puts an event at the end. dropped says how many made room for it. After an error, which is the disk's, it is
// published all the same.
func (o *Outbox) Add(e event.ModelEvent) (dropped int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
	if dropped = max(0, len(o.events)-MaxEvents); dropped > 0 {
		o.events = slices.Delete(o.events, 0, dropped)
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
	before := len(o.events)
	o.events = slices.DeleteFunc(o.events, func(e event.ModelEvent) bool { return slices.Contains(ids, e.ID) })
	if removed = before - len(o.events); removed == 0 {
		return 0, nil
	}
	return removed, o.write()
}

// Waiting returns the events that are not acknowledged, oldest first.
func (o *Outbox) Waiting() []event.ModelEvent {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.events)
}

// published marks an event.
func (o *Outbox) published(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.events {
		if o.events[i].ID == id {
			o.events[i].Replayed = true
		}
	}
}

// write writes the file. mu is held.
func (o *Outbox) write() error {
	if o.closed {
		return nil
	}
	err := o.file.Save(document{Format: format, Events: o.events})
	o.stale = err != nil
	return err
}

// rewrite writes the file if that failed before, and reports whether it is right now.
func (o *Outbox) rewrite() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.stale || o.write() == nil
}
