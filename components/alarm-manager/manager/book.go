package manager

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
)

// book is what survives a restart: the alarms that are raised, and the alerts that the forwarder has not acknowledged. It
// is one file, replaced as a whole, so that an alarm and its alert are on disk together.
type book struct {
	path  string // "" when the file could not be read: it is left alone, and the book is in memory only
	dirty bool   // memory is ahead of the file
	aside string // where a spoilt book was put, "" if there was none
	bad   int    // alerts that the file had, and no forwarder would take

	// The source of alert ids. Every run has an epoch of its own: alerts go out although the disk is full, and the number
	// that is on disk may have been used.
	epoch  string
	seq    uint64
	active []activeAlarm
	outbox []event.Alert // oldest first
}

// activeAlarm is an alarm that is raised. There is one for a thing and fault (promise A2).
type activeAlarm struct {
	Thing     string         `json:"thing"`
	Line      string         `json:"line,omitempty"`
	Fault     event.Fault    `json:"fault"`
	Severity  event.Severity `json:"severity"`
	Since     time.Time      `json:"since"`
	Simulated bool           `json:"simulated,omitempty"`
}

const (
	bookFormat = 1
	// maxOutbox bounds the alerts that wait for the forwarder; beyond it the oldest is dropped, and counted.
	maxOutbox = 10_000
)

type bookFile struct {
	Format int           `json:"format"`
	Epoch  string        `json:"epoch"`
	Seq    uint64        `json:"seq"`
	Active []activeAlarm `json:"active"`
	Outbox []event.Alert `json:"outbox"`
}

// openBook reads the book, or begins one. A spoilt one is set aside, never deleted. The problem, if there is one, says why
// the book is in memory only.
func openBook(path string) (b *book, problem error) {
	b = &book{path: path, epoch: component.RandomID()}
	var file bookFile
	err := load(path, bookFormat, &file)
	if err == nil && file.Epoch == "" {
		err = fmt.Errorf("%w: it has no epoch", errSpoilt)
	}
	switch {
	case err == nil:
		b.active, b.outbox = file.Active, slices.DeleteFunc(file.Outbox, undeliverable)
		b.bad = len(file.Outbox) - len(b.outbox)
	case errors.Is(err, os.ErrNotExist):
	case errors.Is(err, errSpoilt):
		b.aside, problem = setAside(path, b.epoch)
	default:
		problem = fmt.Errorf("read alarms: %w", err)
	}
	if problem != nil {
		b.path = ""
	}
	return b, problem
}

// undeliverable reports whether a forwarder would refuse an alert: others would wait for it for ever.
func undeliverable(a event.Alert) bool {
	payload, err := event.Encode(a)
	if err == nil {
		_, err = event.DecodeAlert(payload)
	}
	return err != nil
}

// save writes the book. When that fails memory stays ahead, and the next save tries again.
func (b *book) save() error {
	if b.path == "" {
		b.dirty = false
		return nil
	}
	data, err := json.Marshal(bookFile{bookFormat, b.epoch, b.seq, b.active, b.outbox})
	if err != nil {
		return fmt.Errorf("encode alarms: %w", err)
	}
	if err := component.WriteFileAtomic(b.path, data, 0o600); err != nil {
		return fmt.Errorf("keep alarms: %w", err)
	}
	b.dirty = false
	return nil
}

// find returns the raised alarm of a thing and fault.
func (b *book) find(thing string, fault event.Fault) (activeAlarm, bool) {
	i := b.index(thing, fault)
	if i < 0 {
		return activeAlarm{}, false
	}
	return b.active[i], true
}

func (b *book) index(thing string, fault event.Fault) int {
	return slices.IndexFunc(b.active, func(a activeAlarm) bool { return a.Thing == thing && a.Fault == fault })
}

// enter records an alert: gives it an id and puts it into the outbox, together with what it does to the raised alarms. It
// returns the ids of the alerts that were dropped because too many wait.
func (b *book) enter(a event.Alert) (entered event.Alert, dropped []string) {
	b.seq++
	b.dirty = true
	a.V, a.ID = event.Version, fmt.Sprintf("%s-%s-%d", a.Thing, b.epoch, b.seq)
	i := b.index(a.Thing, a.Fault)
	switch {
	case a.State == event.AlarmNormal && i >= 0:
		b.active = slices.Delete(b.active, i, i+1)
	case a.State == event.AlarmUnacknowledged && a.Fault != event.FaultTest && i < 0:
		b.active = append(b.active, activeAlarm{a.Thing, a.Line, a.Fault, a.Severity, a.Since, a.Simulated})
	}
	b.outbox = append(b.outbox, a)
	if n := len(b.outbox) - maxOutbox; n > 0 {
		for _, old := range b.outbox[:n] {
			dropped = append(dropped, old.ID)
		}
		b.outbox = slices.Delete(b.outbox, 0, n)
	}
	return a, dropped
}

// acknowledge removes an alert from the outbox, and tells whether it was there.
func (b *book) acknowledge(id string) bool {
	before := len(b.outbox)
	b.outbox = slices.DeleteFunc(b.outbox, func(a event.Alert) bool { return a.ID == id })
	known := len(b.outbox) < before
	b.dirty = b.dirty || known
	return known
}
