package alarms

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/random"
)

// alarmList is what survives a restart: the alarms, the alerts and notices that the forwarder has not acknowledged, and the
// changes that are not in the audit log yet. It is one journal, so that an alarm and its alert are on disk together.
type alarmList struct {
	dir     string
	journal *journal        // nil when the file could not be read: it is left alone, and the alarm list is in memory only
	dirty   bool            // memory is ahead of the file
	damage  *durable.Damage // of the files; nil if none is told
	torn    bool            // the file ended within an entry
	lost    uint64          // entries, alerts and acknowledgements that the files had, and that cannot be read or delivered

	from   string // checksum of the alarms.json that was taken over
	legacy string // path of the one that is to be removed; "": there is none

	// The source of alert ids. Every run has an epoch of its own: alerts go out although the disk is full, and the number
	// that is on disk may have been used.
	epoch string
	seq   uint64

	system  *alarm.System
	overdue []alarm.Change // became due while there was no manager
	outbox  []event.Alert  // oldest first
	notices []notice       // oldest first
	changes []Told         // that are not in the audit log, oldest first
	number  uint64         // of the last change
	renames []Told         // changes that renamed a thing, while the files are read
	day     string         // whose figures were told last
	next    entry          // what the journal does not have yet

	records []alarm.Record            // while the files are read
	active  map[alarm.Key]activeAlarm // of files of versions before 0.3, likewise
}

// activeAlarm is a raised alarm in files of versions before 0.3.
type activeAlarm struct {
	Thing     string         `json:"thing"`
	Line      string         `json:"line,omitempty"`
	Fault     event.Fault    `json:"fault"`
	Severity  event.Severity `json:"severity"`
	Since     time.Time      `json:"since"`
	Simulated bool           `json:"simulated,omitempty"`
}

func (a activeAlarm) key() alarm.Key { return alarm.Key{Thing: a.Thing, Fault: a.Fault} }

// notice is a message that is published until the forwarder has it on disk.
type notice struct {
	ID      string          `json:"id"`
	Topic   string          `json:"topic"`
	Payload json.RawMessage `json:"payload"`
}

// Bounds of what waits for the forwarder; beyond them the oldest is dropped, and counted.
const (
	maxOutbox  = 10_000
	maxNotices = 1000
)

// openList reads the alarm list in a folder, or begins one. The problem, if there is one, says why the alarm list is in memory only.
func openList(dir string, config alarm.Config, now time.Time) (b *alarmList, problem error) {
	return openListOn(osDisk{}, dir, config, now)
}

func openListOn(d disk, dir string, config alarm.Config, now time.Time) (b *alarmList, problem error) {
	b, err := readList(d, dir, config, now)
	if err == nil {
		return b, nil
	}
	b = newList(dir)
	b.overdue, _ = b.restore(config, now) // of nothing
	return b, fmt.Errorf("read alarms: %w", err)
}

func newList(dir string) *alarmList {
	return &alarmList{dir: dir, epoch: random.ID(), active: make(map[alarm.Key]activeAlarm)}
}

func readList(d disk, dir string, config alarm.Config, now time.Time) (*alarmList, error) {
	b := newList(dir)
	b.journal = &journal{path: filepath.Join(dir, listName), disk: d}
	if err := b.read(now); err != nil {
		return nil, err
	}
	if err := b.readLegacy(filepath.Join(dir, legacyName), now); err != nil {
		b.journal.abandon()
		return nil, err
	}
	overdue, err := b.restore(config, now)
	if err != nil {
		b.journal.aside = durable.AsideName(b.journal.path)
		b.damaged(fmt.Sprintf("some alarms of %s are not known, and it is kept as %s: %v", listName, filepath.Base(b.journal.aside), err), now)
	}
	b.overdue = overdue
	if err := b.numberChanges(); err != nil {
		b.damaged(err.Error(), now)
	}
	if b.dirty { // what the file has is not all: it is made again
		b.journal.abandon()
	}
	return b, nil
}

// read takes what the journal has. Of a damaged one it takes what is whole; the next save sets it aside, and makes another.
func (b *alarmList) read(now time.Time) error {
	j := b.journal
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
	for i := range c.entries {
		if err := b.apply(&c.entries[i]); err != nil {
			return fmt.Errorf("read %s: %w", listName, err)
		}
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
	case c.head.Format < journalFormat:
		b.dirty = true
	default:
		j.resume(c, int64(len(data)))
	}
	return nil
}

// damaged notes what is to be told.
func (b *alarmList) damaged(text string, now time.Time) {
	b.damage, b.dirty = durable.NewDamage(now, text), true
}

// apply does again what an entry of the journal tells. The only error is that a newer version wrote it.
func (b *alarmList) apply(e *entry) error {
	for _, data := range e.Records {
		record, err := alarm.DecodeRecord(data)
		switch {
		case errors.Is(err, alarm.ErrNewer):
			return fmt.Errorf("%w: %w", durable.ErrNewerFormat, err)
		case err != nil:
			b.lost++
		default:
			b.records = append(b.records, record)
		}
	}
	switch {
	case e.Alarm != nil:
		b.active[e.Alarm.key()] = *e.Alarm
	case e.Waiting != nil:
		b.waitAgain(*e.Waiting)
	case e.Alert != nil:
		b.turn(*e.Alert)
		b.waitAgain(*e.Alert)
	}
	for _, a := range e.Alerts {
		b.waitAgain(a)
	}
	for _, n := range e.Notices {
		b.notify(n)
	}
	for _, id := range e.Gone {
		b.remove(id)
	}
	b.changes = append(b.changes, e.Changes...)
	if e.Day != "" {
		b.day = e.Day
	}
	return nil
}

// turn raises or ends the alarm that an alert of a version before 0.3 is about. A test leaves none behind.
func (b *alarmList) turn(a event.Alert) {
	key := alarm.Key{Thing: a.Thing, Fault: a.Fault}
	_, raised := b.active[key]
	switch {
	case a.State == event.AlarmNormal:
		delete(b.active, key)
	case a.State == event.AlarmUnacknowledged && a.Fault != event.FaultTest && !raised:
		b.active[key] = activeAlarm{a.Thing, a.Line, a.Fault, a.Severity, a.Since, a.Simulated}
	}
}

// restore begins to manage the alarms that were read, and returns what has become due.
func (b *alarmList) restore(config alarm.Config, now time.Time) (overdue []alarm.Change, err error) {
	b.system, overdue, err = alarm.Restore(config, b.records, now)
	b.records = nil
	if b.system == nil {
		return nil, err
	}
	for _, a := range b.active {
		err = errors.Join(err, b.system.Adopt(alarm.Observation{
			Thing: a.Thing, Line: a.Line, Fault: a.Fault, Active: true, Severity: a.Severity, Since: a.Since, Simulated: a.Simulated,
		}, now))
	}
	b.active = nil
	return overdue, err
}

// numberChanges leaves out the changes that are in the audit log, and goes on with its numbers.
func (b *alarmList) numberChanges() error {
	last, renames, err := lastAudited(b.dir)
	b.changes = slices.DeleteFunc(b.changes, func(t Told) bool { return t.N <= last })
	b.number, b.renames = last, renames
	for _, t := range b.changes {
		if b.number = max(b.number, t.N); t.renamed() {
			b.renames = append(b.renames, t)
		}
	}
	return err
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

// undeliverable reports whether a forwarder would refuse an alert.
func undeliverable(a event.Alert) bool {
	payload, err := event.Encode(a)
	if err == nil {
		_, err = event.DecodeAlert(payload)
	}
	return err != nil
}

// notify keeps a notice, and reports how many are dropped because too many wait.
func (b *alarmList) notify(n notice) (dropped int) {
	b.notices = append(b.notices, n)
	if dropped = max(0, len(b.notices)-maxNotices); dropped > 0 {
		b.notices = slices.Delete(b.notices, 0, dropped)
	}
	return dropped
}

func (b *alarmList) remove(id string) bool {
	if i := slices.IndexFunc(b.outbox, func(a event.Alert) bool { return a.ID == id }); i == 0 {
		b.outbox = b.outbox[1:] // most often: thousands of others need not move
		return true
	} else if i > 0 {
		b.outbox = slices.Delete(b.outbox, i, i+1)
		return true
	}
	before := len(b.notices)
	b.notices = slices.DeleteFunc(b.notices, func(n notice) bool { return n.ID == id })
	return len(b.notices) < before
}

// collect takes what has changed of the alarms into the next entry, and reports whether there is something to save.
func (b *alarmList) collect() (news bool, err error) {
	for _, r := range b.system.Changed() {
		data, encodeErr := json.Marshal(r)
		if encodeErr != nil {
			err = errors.Join(err, fmt.Errorf("encode an alarm: %w", encodeErr))
			continue
		}
		b.next.Records = append(b.next.Records, data)
	}
	b.dirty = b.dirty || !b.next.empty()
	return b.dirty, err
}

// save puts the alarm list on disk. When that fails memory stays ahead, and the next save tries again.
func (b *alarmList) save() error {
	news, err := b.collect()
	if err != nil || !news {
		return err
	}
	next := b.next
	b.next = entry{}
	if b.journal == nil {
		b.dirty = false
		return nil
	}
	if err := b.journal.save(next, head{From: b.from, Damage: b.damage}, b.snapshot); err != nil {
		return err
	}
	if b.legacy != "" {
		_ = os.Remove(b.legacy) // if it stays, the head says that it was taken over
		b.legacy = ""
	}
	b.dirty = false
	return nil
}

// audit puts the changes that are on disk with the alarms into the audit log.
func (b *alarmList) audit() error {
	if len(b.changes) == 0 || b.dirty && b.journal != nil {
		return nil
	}
	if err := appendAudit(b.dir, b.changes); err != nil {
		if n := len(b.changes) - maxPending; n > 0 {
			b.changes = slices.Delete(b.changes, 0, n)
		}
		return err
	}
	b.changes = nil
	return nil
}

// snapshot is the alarm list in entries.
func (b *alarmList) snapshot() ([]entry, error) {
	var entries []entry
	for _, r := range b.system.Snapshot() {
		data, err := json.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("encode an alarm: %w", err)
		}
		entries = append(entries, entry{Records: []json.RawMessage{data}})
	}
	for _, a := range b.outbox {
		entries = append(entries, entry{Alerts: []event.Alert{a}})
	}
	for _, n := range b.notices {
		entries = append(entries, entry{Notices: []notice{n}})
	}
	for _, t := range b.changes {
		entries = append(entries, entry{Changes: []Told{t}})
	}
	if b.day != "" {
		entries = append(entries, entry{Day: b.day})
	}
	return entries, nil
}

// close ends the use of the file.
func (b *alarmList) close() {
	if b.journal != nil {
		b.journal.abandon()
	}
}

// isActive reports whether the condition of an alarm holds.
func (b *alarmList) isActive(thing string, fault event.Fault) bool {
	a, known := b.system.Find(alarm.Key{Thing: thing, Fault: fault})
	return known && a.Active
}

// enter records an alert: gives it an id and puts it into the outbox. It returns the ids of the alerts that were dropped because
// too many wait.
func (b *alarmList) enter(a event.Alert) (entered event.Alert, dropped []string) {
	b.seq++
	a.V, a.ID = event.Version, fmt.Sprintf("%s-%s-%d", a.Thing, b.epoch, b.seq)
	b.next.Alerts = append(b.next.Alerts, a)
	return a, b.wait(a)
}

// announce records a notice, and returns how many are dropped because too many wait.
func (b *alarmList) announce(topic, id string, payload []byte) (dropped int) {
	n := notice{id, topic, payload}
	b.next.Notices = append(b.next.Notices, n)
	return b.notify(n)
}

// change records a change for the audit log, and returns it with its number.
func (b *alarmList) change(t Told) Told {
	b.number++
	t.N = b.number
	b.changes = append(b.changes, t)
	b.next.Changes = append(b.next.Changes, t)
	return t
}

// acknowledge removes an alert or a notice that waits, and tells whether it was there.
func (b *alarmList) acknowledge(id string) bool {
	if !b.remove(id) {
		return false
	}
	b.next.Gone = append(b.next.Gone, id)
	return true
}

// turnDay records that the figures of a day are told.
func (b *alarmList) turnDay(day string) { b.day, b.next.Day = day, day }

// adopt goes on with what another list, which was in memory only, has come to.
func (b *alarmList) adopt(other *alarmList, now time.Time) error {
	b.epoch, b.seq, b.dirty = other.epoch, other.seq, true
	var errs []error
	for _, a := range other.system.List() {
		if a.Active {
			errs = append(errs, b.system.Adopt(alarm.Observation{
				Thing: a.Thing, Line: a.Line, Fault: a.Fault, Active: true, Severity: a.Priority, Since: a.Since, Text: a.Text,
				Detail: a.Detail, Simulated: a.Simulated, Data: a.Data,
			}, now))
		}
	}
	for _, a := range other.outbox {
		b.wait(a)
	}
	for _, n := range other.notices {
		b.notify(n)
	}
	b.changes = append(b.changes, other.changes...)
	b.number = max(b.number, other.number)
	b.journal.abandon() // so that it is made with all of this
	return errors.Join(errs...)
}
