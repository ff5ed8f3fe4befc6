package alarms

import (
	"cmp"
	"time"

	"edgepdm/shared/event"
)

// raise raises an alarm for something that did not happen, unless it is raised.
func (r *run) raise(a event.Alert, now time.Time) {
	if _, raised := r.list.find(a.Thing, a.Fault); !raised {
		a.Severity = cmp.Or(a.Severity, event.SeverityMedium)
		r.enter(a, event.AlarmUnacknowledged, now)
	}
}

// clear ends an alarm, if it is raised.
func (r *run) clear(thing string, fault event.Fault, now time.Time) {
	a, ok := r.list.find(thing, fault)
	if !ok {
		return
	}
	r.enter(event.Alert{
		Thing: a.Thing, Line: a.Line, Fault: a.Fault, Severity: a.Severity, Since: a.Since, Simulated: a.Simulated,
	}, event.AlarmNormal, now)
}

// enter puts an alert into the alarm list, which is written before the alert is sent, and returns it with its id.
func (r *run) enter(a event.Alert, state event.AlarmState, now time.Time) event.Alert {
	a.State, a.TS, a.Since = state, now.UTC(), a.Since.UTC()
	if a.Text == "" {
		a.Text = text(a, now)
	}
	if a.Simulated {
		a.Text = "Simulation: " + a.Text
	}
	a, dropped := r.list.enter(a)
	for _, id := range dropped {
		r.outbox.gone(id)
		delete(r.tests, id)
	}
	r.rt.Counter(CounterDropped).Add(uint64(len(dropped)))
	counter := CounterRaised
	if state == event.AlarmNormal {
		counter = CounterCleared
	}
	r.rt.Counter(counter).Add(1)
	r.outbox.entered()
	r.rt.Log.Info("alarm", "id", a.ID, "thing", a.Thing, "fault", a.Fault, "state", a.State, "text", a.Text)
	r.due = true
	r.say(a)
	return a
}

// save writes the alarm list; when that fails the alarms go on in memory, and the next change or tick tries again.
func (r *run) save() error {
	r.due = false
	r.rt.Counter(event.CounterAlertPending).Store(uint64(len(r.list.outbox)))
	if err := r.list.save(); err != nil {
		r.rt.Conditions().Set(event.CodeDisk, listName, err)
		return err
	}
	r.ready()
	return r.unread
}

// ready reports that alarms are watched, and whether they are on disk.
func (r *run) ready() {
	r.rt.Conditions().Set(event.CodeDisk, listName, nil)
	r.tellDamage(r.now())
	r.rt.SetState(event.StateOK, "")
}

// tellDamage says what is not known of the alarms and things of before.
func (r *run) tellDamage(now time.Time) {
	r.rt.Conditions().Set(event.CodeStateOnDisk, listName, cmp.Or(r.unread, r.list.damage.Told(now)))
	r.rt.Conditions().Set(event.CodeStateOnDisk, watchName, cmp.Or(r.unwatched, r.watch.damage.Told(now)))
}

// open reads the alarm list.
func (r *run) open(now time.Time) {
	r.opened = now
	if r.list, r.unread = openList(r.rt.WorkDir, now); r.unread != nil {
		r.rt.Log.Error("alarms and alerts of before are not known, and those of this process would be lost with it: make the file "+
			"readable, deploy the version that wrote it, or move it away", "error", r.unread)
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
	read, err := openList(r.rt.WorkDir, now)
	if err != nil {
		return
	}
	r.outbox.left(read.outbox)
	read.adopt(r.list)
	r.list, r.unread, r.due = read, nil, true
	r.rt.Counter(CounterDropped).Add(read.lost)
	r.tellTorn(read)
	for name, t := range r.watch.things {
		r.restore(name, t)
	}
	r.outbox.entered()
	r.rt.Log.Info("the alarms of before are known now", "alarms", len(read.active), "alerts", len(read.outbox))
}
