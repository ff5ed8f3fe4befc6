package alarms

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/random"
)

// alarmList is what survives a restart: the alarms that are raised, and the alerts that the forwarder has not acknowledged. It
// is one journal, so that an alarm and its alert are on disk together.
type alarmList struct {
	journal *journal        // nil when the file could not be read: it is left alone, and the alarm list is in memory only
	dirty   bool            // memory is ahead of the file
	damage  *durable.Damage // of the files; nil if none is told
	torn    bool            // the file ended within an entry
	lost    uint64          // alerts and acknowledgements that the files had, and that cannot be read or delivered

	from   string // checksum of the alarms.json that was taken over
	legacy string // path of the one that is to be removed; "": there is none

	// The source of alert ids. Every run has an epoch of its own: alerts go out although the disk is full, and the number
	// that is on disk may have been used.
	epoch  string
	seq    uint64
	active map[alarmKey]activeAlarm
	outbox []event.Alert // oldest first
}

// alarmKey names an alarm. There is one for a thing and fault (promise A2).
type alarmKey struct {
	thing string
	fault event.Fault
}

// activeAlarm is an alarm that is raised.
type activeAlarm struct {
	Thing     string         `json:"thing"`
	Line      string         `json:"line,omitempty"`
	Fault     event.Fault    `json:"fault"`
	Severity  event.Severity `json:"severity"`
	Since     time.Time      `json:"since"`
	Simulated bool           `json:"simulated,omitempty"`
}

func (a activeAlarm) key() alarmKey { return alarmKey{a.Thing, a.Fault} }

// maxOutbox bounds the alerts that wait for the forwarder; beyond it the oldest is dropped, and counted.
const maxOutbox = 10_000

// openList reads the alarm list in a folder, or begins one. The problem, if there is one, says why the alarm list is in memory only.
func openList(dir string, now time.Time) (b *alarmList, problem error) {
	return openListOn(osDisk{}, dir, now)
}

func openListOn(d disk, dir string, now time.Time) (b *alarmList, problem error) {
	b = newList()
	j := &journal{path: filepath.Join(dir, listName), disk: d}
	if err := b.read(j, now); err != nil {
		return newList(), fmt.Errorf("read alarms: %w", err)
	}
	err := b.readLegacy(filepath.Join(dir, legacyName), now)
	if err != nil || b.dirty { // what the file has is not all: it is made again
		j.abandon()
	}
	if err != nil {
		return newList(), fmt.Errorf("read alarms: %w", err)
	}
	b.journal = j
	return b, nil
}

func newList() *alarmList {
	return &alarmList{epoch: random.ID(), active: make(map[alarmKey]activeAlarm)}
}

// read takes what the journal has. Of a damaged one it takes what is whole; the next save sets it aside, and makes another.
func (b *alarmList) read(j *journal, now time.Time) error {
	data, err := durable.ReadFile(j.path, maxFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := readJournal(data)
	if err != nil {
		return fmt.Errorf("read %s: %w", listName, err)
	}
	for _, e := range c.entries {
		b.apply(e)
	}
	b.from = c.head.From
	if d := c.head.Damage; d.Told(now) != nil {
		b.damage = d
	}
	switch {
	case c.damaged:
		j.aside = durable.AsideName(j.path)
		b.lost += c.lost
		b.damaged(fmt.Sprintf("%s was damaged: alarms or alerts may be missing, %d entries are; what is whole of it is used, and it is kept as %s",
			listName, c.lost, filepath.Base(j.aside)), now)
	case c.torn:
		b.dirty, b.torn = true, true
	default:
		j.resume(c, int64(len(data)))
	}
	return nil
}

// damaged notes what is to be told.
func (b *alarmList) damaged(text string, now time.Time) {
	b.damage, b.dirty = durable.NewDamage(now, text), true
}

// apply does again what an entry of the journal tells.
func (b *alarmList) apply(e entry) {
	switch {
	case e.Alarm != nil:
		b.active[e.Alarm.key()] = *e.Alarm
	case e.Waiting != nil:
		b.waitAgain(*e.Waiting)
	case e.Alert != nil:
		b.turn(*e.Alert)
		b.waitAgain(*e.Alert)
	}
	for _, id := range e.Gone {
		b.remove(id)
	}
}

// turn raises or ends the alarm that an alert is about. A test leaves none behind.
func (b *alarmList) turn(a event.Alert) {
	key := alarmKey{a.Thing, a.Fault}
	_, raised := b.active[key]
	switch {
	case a.State == event.AlarmNormal:
		delete(b.active, key)
	case a.State == event.AlarmUnacknowledged && a.Fault != event.FaultTest && !raised:
		b.active[key] = activeAlarm{a.Thing, a.Line, a.Fault, a.Severity, a.Since, a.Simulated}
	}
}

// wait puts an alert into the outbox, and returns the ids of those that are dropped because too many wait.
func (b *alarmList) wait(a event.Alert) (dropped []string) {
	b.outbox = append(b.outbox, a)
	if n := len(b.outbox) - maxOutbox; n > 0 {
		for _, old := range b.outbox[:n] {
			dropped = append(dropped, old.ID)
		}
		b.outbox = slices.Delete(b.outbox, 0, n)
	}
	return dropped
}

// waitAgain is wait for an alert that was read. One that a forwarder would refuse is dropped: others would wait for it for
// ever.
func (b *alarmList) waitAgain(a event.Alert) {
	if undeliverable(a) {
		b.lost++
		return
	}
	b.wait(a)
}

func (b *alarmList) remove(id string) bool {
	i := slices.IndexFunc(b.outbox, func(a event.Alert) bool { return a.ID == id })
	switch {
	case i < 0:
		return false
	case i == 0: // most often: thousands of others need not move
		b.outbox = b.outbox[1:]
	default:
		b.outbox = slices.Delete(b.outbox, i, i+1)
	}
	return true
}

// undeliverable reports whether a forwarder would refuse an alert.
func undeliverable(a event.Alert) bool {
	payload, err := event.Encode(a)
	if err == nil {
		_, err = event.DecodeAlert(payload)
	}
	return err != nil
}

// save puts the alarm list on disk. When that fails memory stays ahead, and the next save tries again.
func (b *alarmList) save() error {
	if b.journal != nil && b.dirty {
		if err := b.journal.save(head{From: b.from, Damage: b.damage}, b.snapshot); err != nil {
			return err
		}
		if b.legacy != "" {
			_ = os.Remove(b.legacy) // if it stays, the head says that it was taken over
			b.legacy = ""
		}
	}
	b.dirty = false
	return nil
}

// snapshot is the alarm list in entries.
func (b *alarmList) snapshot() []entry {
	entries := make([]entry, 0, len(b.active)+len(b.outbox))
	for _, a := range b.active {
		entries = append(entries, entry{Alarm: &a})
	}
	for i := range b.outbox {
		entries = append(entries, entry{Waiting: &b.outbox[i]})
	}
	return entries
}

// close ends the use of the file.
func (b *alarmList) close() {
	if b.journal != nil {
		b.journal.abandon()
	}
}

// find returns the raised alarm of a thing and fault.
func (b *alarmList) find(thing string, fault event.Fault) (activeAlarm, bool) {
	a, ok := b.active[alarmKey{thing, fault}]
	return a, ok
}

// enter records an alert: gives it an id and puts it into the outbox, together with what it does to the raised alarms. It
// returns the ids of the alerts that were dropped because too many wait.
func (b *alarmList) enter(a event.Alert) (entered event.Alert, dropped []string) {
	b.seq++
	b.dirty = true
	a.V, a.ID = event.Version, fmt.Sprintf("%s-%s-%d", a.Thing, b.epoch, b.seq)
	b.turn(a)
	dropped = b.wait(a)
	if b.journal != nil {
		b.journal.entered(a)
	}
	return a, dropped
}

// acknowledge removes an alert from the outbox, and tells whether it was there.
func (b *alarmList) acknowledge(id string) bool {
	if !b.remove(id) {
		return false
	}
	b.dirty = true
	if b.journal != nil {
		b.journal.acknowledged(id)
	}
	return true
}

// adopt goes on with what another list, which was in memory only, has come to.
func (b *alarmList) adopt(other *alarmList) {
	b.epoch, b.seq, b.dirty = other.epoch, other.seq, true
	for key, a := range other.active {
		b.active[key] = a
	}
	for _, a := range other.outbox {
		b.wait(a)
	}
	b.journal.abandon() // so that it is made with all of this
}
