package alarms

import (
	"cmp"
	"time"

	"edgepdm/shared/event"
)

// settle puts what has happened on disk, before its alerts are sent.
func (r *run) settle() {
	if news, err := r.list.collect(); news || err != nil {
		r.due = r.due || len(r.list.next.Records) > 0
	}
	if r.due {
		_ = r.save() // was logged
	}
	r.send(r.now())
}

// save writes the alarm list; when that fails the alarms go on in memory, and the next change or tick tries again.
func (r *run) save() error {
	r.due = false
	r.rt.Counter(event.CounterAlertPending).Store(uint64(len(r.list.outbox)))
	r.rt.Counter(CounterNotices).Store(uint64(len(r.list.notices)))
	if err := r.list.save(); err != nil {
		r.rt.Conditions().Set(event.CodeDisk, listName, err)
		return err
	}
	r.ready()
	return r.unread
}

// audit brings the audit log up to date.
func (r *run) audit() {
	r.rt.Conditions().Set(event.CodeDisk, auditName, r.list.audit())
}

// ready reports that alarms are watched, and whether they are on disk.
func (r *run) ready() {
	r.rt.Conditions().Set(event.CodeDisk, listName, nil)
	r.tellDamage(r.now())
	r.rt.SetState(event.StateOK, "")
}

// tellDamage says what is not known of earlier alarms and things.
func (r *run) tellDamage(now time.Time) {
	r.rt.Conditions().Set(event.CodeStateOnDisk, listName, cmp.Or(r.unread, r.list.damage.Told(now)))
	r.rt.Conditions().Set(event.CodeStateOnDisk, watchName, cmp.Or(r.unwatched, r.watch.damage.Told(now)))
}

// open reads the alarm list.
func (r *run) open(now time.Time) {
	r.opened = now
	if r.list, r.unread = openList(r.rt.WorkDir, r.config.managed(), now); r.unread != nil {
		r.rt.Log.Error("previous alarms could not be read, and new ones are in memory only: make the file readable, deploy the version "+
			"that wrote it, or move it away", "error", r.unread)
	}
	r.rt.Counter(CounterDropped).Add(r.list.lost)
	r.tellTorn(r.list)
}

// tellTorn says that an alarm list ended within an entry. Its process, or the power, ended as it wrote: no alert of that entry was
// sent. If instead the end of the file is missing, nothing else tells.
func (r *run) tellTorn(b *alarmList) {
	if b.torn {
		r.rt.Log.Warn("the file of alarms ended within an entry, which is cut off", "file", listName)
	}
}

// openEvery is how often it is tried to read an alarm list that could not be read.
const openEvery = 10 * time.Second

// openAgain reads the alarm list when that is possible by now, and goes on with what has happened meanwhile.
func (r *run) openAgain(now time.Time) {
	if r.unread == nil || now.Sub(r.opened) < openEvery {
		return
	}
	r.opened = now
	read, err := openList(r.rt.WorkDir, r.config.managed(), now)
	if err != nil {
		return
	}
	r.outbox.left(read.outbox)
	if err := read.adopt(r.list, now); err != nil {
		r.rt.Log.Error("some alarms are not in the list", "error", err)
	}
	r.list, r.unread, r.due = read, nil, true
	r.rt.Counter(CounterDropped).Add(read.lost)
	r.tellTorn(read)
	r.process(read.overdue, now)
	r.renameWatched()
	r.findRetired()
	r.outbox.entered()
	r.rt.Log.Info("previous alarms are read", "alarms", len(read.system.List()), "alerts", len(read.outbox))
}
