package alarm

import (
	"cmp"
	"container/heap"
	"encoding/json"
	"math/bits"
	"time"

	"edgepdm/shared/event"
)

// saved is what is kept of an alarm. Times named Run are running times; 0 is never.
type saved struct {
	Key       Key              `json:"key"`
	Line      string           `json:"line,omitempty"`
	Priority  event.Severity   `json:"priority,omitempty"`
	Simulated bool             `json:"simulated,omitempty"`
	Text      string           `json:"text,omitempty"`
	Detail    string           `json:"detail,omitempty"`
	Data      json.RawMessage  `json:"data,omitempty"`
	State     event.AlarmState `json:"state"`
	Since     time.Time        `json:"since,omitzero"`
	Raised    time.Time        `json:"raised,omitzero"`
	Count     uint64           `json:"count,omitempty"`
	Ack       *Acknowledgement `json:"ack,omitempty"`

	// From observations to the alarm: votes make the condition, delays the level, and chattering stretches it.
	Votes     uint64          `json:"votes,omitempty"`     // of the last observations, for another condition; the newest in bit 0
	Condition bool            `json:"condition,omitempty"` // after the votes
	TurnedRun time.Duration   `json:"turned,omitempty"`    // when it changed
	Level     bool            `json:"level,omitempty"`     // after the delays
	EdgeRun   time.Duration   `json:"edge,omitempty"`      // when it changed
	Edges     []time.Duration `json:"edges,omitempty"`     // of the last times that it came
	Active    bool            `json:"active,omitempty"`    // the alarm
	Latched   bool            `json:"latched,omitempty"`
	Chatters  bool            `json:"chatters,omitempty"`

	RaisedRun   time.Duration `json:"raised_run,omitempty"`
	ReturnedRun time.Duration `json:"returned_run,omitempty"`
	AlarmedRun  time.Duration `json:"alarmed,omitempty"` // when it was raised, or raised again
	Step        int           `json:"step,omitempty"`    // of the escalation

	// What people were told.
	Told         bool           `json:"told,omitempty"` // that it is raised, and not yet that it is over
	ToldRun      time.Duration  `json:"told_run,omitempty"`
	ToldPriority event.Severity `json:"told_priority,omitempty"`
	Owed         bool           `json:"owed,omitempty"`   // it is to be told when its time comes
	Hidden       bool           `json:"hidden,omitempty"` // it was raised while it was quiet
	ReturnDue    time.Duration  `json:"return_due,omitempty"`

	ShelvedEnd time.Duration `json:"shelved_end,omitempty"`
	ShelvedBy  string        `json:"shelved_by,omitempty"`
	ShelvedWhy string        `json:"shelved_why,omitempty"`
	Suppressed bool          `json:"suppressed,omitempty"`
	Cause      *Key          `json:"cause,omitempty"`
	ReleaseRun time.Duration `json:"release,omitempty"` // when it is no longer suppressed

	Hours []uint16 `json:"hours,omitempty"` // how often it came in the last hours, the newest first
	Hour  int64    `json:"hour,omitempty"`  // which the newest is
}

// observe takes what was observed of an alarm.
func (a *item) observe(s *System, o *Observation) {
	active := o.Active && !o.Undecided
	if active {
		a.take(o)
	}
	vote := active
	if a.Condition {
		vote = !o.Active && !o.Undecided
	}
	if o.Fresh {
		a.Votes = 0
	}
	a.Votes <<= 1
	if vote {
		a.Votes |= 1
	}
	a.Votes &= 1<<a.policy.window - 1 // of all bits for window 64, as a shift by 64 gives 0
	if bits.OnesCount64(a.Votes) >= a.policy.votes {
		a.Condition, a.Votes = !a.Condition, 0 // the votes are spent: the opposite needs votes of its own
		a.TurnedRun = s.clock.run
		if a.Condition && !a.Active {
			a.Since = cmp.Or(plain(o.Since), s.clock.now())
		}
	}
	if active {
		a.rate(s, o)
	}
}

// rate gives an alarm its priority. A higher one than that of a standing alarm raises it again.
func (a *item) rate(s *System, o *Observation) {
	priority := cmp.Or(a.policy.priority, o.Severity, event.SeverityMedium)
	switch {
	case !a.Active:
		a.Priority = priority
	case rank(priority) <= rank(a.Priority):
	case s.quiet(a) || a.Chatters:
		a.Priority = priority
		s.changed.alarm(a)
	default:
		a.Priority = priority
		s.raiseAgain(a, "its priority is "+string(priority), false)
	}
}

// take keeps what an observation says of a condition that holds.
func (a *item) take(o *Observation) {
	a.Text, a.Detail, a.Data, a.Simulated = o.Text, o.Detail, o.Data, o.Simulated
}

// skip leaves out time in which nobody observed anything from what is counted between observations.
func (a *item) skip(d time.Duration) {
	if a.Condition != a.Level {
		a.TurnedRun += d
	}
	if a.Chatters {
		a.EdgeRun += d
	}
	if a.ReturnDue > 0 {
		a.ReturnDue += d
	}
}

// settle does what is due for an alarm, and notes when something is again.
func (s *System) settle(a *item) {
	run := s.clock.run
	if a.ShelvedEnd > 0 && run >= a.ShelvedEnd {
		s.unshelve(a, "", "its time is over")
	}
	if a.Condition != a.Level && run-a.TurnedRun >= a.delay() {
		s.edge(a)
	}
	if a.Chatters && run-a.EdgeRun >= chatterQuiet {
		a.Chatters, a.Edges = false, nil
		s.emit(Change{Kind: Settled}, a)
		if !a.Level {
			s.over(a)
		}
	}
	s.checkSuppressed(a)
	if a.ReturnDue > 0 && run >= a.ReturnDue {
		s.tellReturn(a)
	}
	s.remind(a)
	if a.idle() && run >= a.forgetRun() {
		s.forget(a)
		return
	}
	s.schedule(a)
}

// delay is how long a condition has to hold before it counts.
func (a *item) delay() time.Duration {
	if a.Condition {
		return a.policy.onDelay
	}
	return a.policy.offDelay
}

// edge takes a condition that has held for its delay.
func (s *System) edge(a *item) {
	a.Level, a.EdgeRun = a.Condition, s.clock.run
	if a.Level {
		a.count(s.clock.run)
		if a.Edges = append(a.Edges, s.clock.run); len(a.Edges) > chatterRaises {
			a.Edges = a.Edges[1:]
		}
	}
	switch {
	case a.Chatters: // the alarm stays
	case !a.Level:
		s.over(a)
	default:
		s.raise(a)
		if len(a.Edges) == chatterRaises && s.clock.run-a.Edges[0] <= chatterWindow {
			a.Chatters = true
			s.emitTold(Change{Kind: Chattering}, a, true)
		}
	}
}

// raise raises the alarm.
func (s *System) raise(a *item) {
	if a.State == event.AlarmNormal || a.State == event.AlarmAcknowledged { // people are through with what was before
		a.Told, a.Owed, a.ReturnDue = false, false, 0
	}
	if !a.Active {
		a.Active = true
		s.cause(a, true)
	}
	a.State, a.Latched, a.Ack, a.ReturnDue, a.Step = event.AlarmUnacknowledged, false, nil, 0, 0
	a.Raised, a.RaisedRun, a.AlarmedRun = s.clock.now(), s.clock.run, s.clock.run
	a.Count++
	cause, inhibited := s.causeOf(a)
	fresh := inhibited && !a.Suppressed
	if inhibited {
		a.Suppressed, a.Cause, a.ReleaseRun = true, &cause, 0
	}
	if !s.quiet(a) {
		s.kpi.raised(s.clock.run)
	}
	s.emitTold(Change{Kind: Raised}, a, false)
	if fresh {
		s.emit(Change{Kind: Suppressed, Why: cause.name() + " is the cause"}, a)
	}
}

// raiseAgain announces a standing alarm as if it had just been raised (Part 9, ReAlarmTime).
func (s *System) raiseAgain(a *item, why string, urgent bool) {
	a.State, a.AlarmedRun, a.Step = event.AlarmUnacknowledged, s.clock.run, 0
	s.emitTold(Change{Kind: ReAlarmed, Why: why}, a, urgent)
}

// over lets the alarm return.
func (s *System) over(a *item) {
	run := s.clock.run
	a.Active, a.ReturnedRun = false, run
	s.cause(a, false)
	c := Change{Kind: Returned}
	switch {
	case a.policy.latched:
		a.Latched, c.Why = true, "it is latched until it is reset"
	case a.Told && run-a.RaisedRun < briefTime:
		a.ReturnDue = run + briefTime
	case a.Told:
		a.Told, c.To = false, s.returnAudience(a)
	}
	switch {
	case a.policy.latched:
	case a.State == event.AlarmAcknowledged || a.policy.auto || a.Hidden:
		s.normal(a)
	default:
		a.State = event.AlarmReturnedUnacknowledged
	}
	a.Suppressed, a.Cause, a.ReleaseRun = false, nil, 0
	s.emit(c, a)
}

// normal ends an alarm.
func (s *System) normal(a *item) {
	a.State, a.Latched, a.Hidden, a.Owed, a.Step, a.Votes = event.AlarmNormal, false, false, false, 0, 0
}

// tellReturn announces that an alarm is over.
func (s *System) tellReturn(a *item) {
	a.Told, a.Owed, a.ReturnDue = false, false, 0
	s.emit(Change{Kind: Returned, To: s.returnAudience(a), Again: true}, a)
}

// cause notes that an alarm is active, or no longer, where it makes others needless.
func (s *System) cause(a *item, active bool) {
	for _, in := range s.inhibition {
		if in.isCause(a) && in.note(a, active) {
			s.recheck = true
		}
	}
}

// causeOf returns the alarm that makes another one needless; false: there is none.
func (s *System) causeOf(a *item) (Key, bool) {
	for _, in := range s.inhibition {
		if k, found := in.cause(a); found {
			return k, true
		}
	}
	return Key{}, false
}

func (s *System) inhibited(a *item) bool {
	_, found := s.causeOf(a)
	return found
}

// checkSuppressed suppresses an alarm while there is a cause, and releases it when that has been over for a while: what it
// caused is over a little later.
func (s *System) checkSuppressed(a *item) {
	if !a.Active {
		return
	}
	cause, inhibited := s.causeOf(a)
	switch {
	case inhibited && !a.Suppressed:
		a.Suppressed, a.Cause, a.ReleaseRun = true, &cause, 0
		s.emit(Change{Kind: Suppressed, Why: cause.name() + " is the cause"}, a)
	case inhibited && a.ReleaseRun > 0:
		a.ReleaseRun = 0
		s.changed.alarm(a)
	case inhibited, !a.Suppressed:
	case a.ReleaseRun == 0:
		a.ReleaseRun = s.clock.run + s.releaseTime(a)
		s.changed.alarm(a)
	case s.clock.run >= a.ReleaseRun:
		why := ""
		if a.Cause != nil {
			why = a.Cause.name() + " is over"
		}
		a.Suppressed, a.Cause, a.ReleaseRun = false, nil, 0
		s.comeBack(a, Change{Kind: Unsuppressed, Why: why})
	}
}

// releaseTime is how long an alarm stays suppressed when its cause is over.
func (s *System) releaseTime(a *item) time.Duration {
	for _, in := range s.inhibition {
		if a.Cause != nil && in.Source == string(a.Cause.Fault) {
			return in.Hold
		}
	}
	return 0
}

// comeBack lists that an alarm is no longer quiet for one reason. It is announced, if it stands and nobody has been told.
func (s *System) comeBack(a *item, c Change) {
	if a.State == event.AlarmUnacknowledged && !s.quiet(a) && (a.Hidden || c.Kind == Unshelved) {
		a.Step = 0
		s.emitTold(c, a, true)
		return
	}
	s.emit(c, a)
}

// unshelve ends a shelving.
func (s *System) unshelve(a *item, by, why string) {
	a.ShelvedEnd, a.ShelvedBy, a.ShelvedWhy = 0, "", ""
	s.comeBack(a, Change{Kind: Unshelved, By: by, Why: why})
}

// past reports whether nothing is known of an alarm but its past, and votes that have changed nothing.
func (a *item) past() bool {
	return a.State == event.AlarmNormal && !a.Condition && !a.Level && a.ShelvedEnd == 0 && a.ReturnDue == 0
}

// idle reports whether it may be forgotten when its time comes.
func (a *item) idle() bool { return a.past() && a.Votes == 0 }

// forgetRun is when an idle alarm is forgotten: what it was is counted for a day, and no cooldown goes on.
func (a *item) forgetRun() time.Duration {
	if a.Count == 0 {
		return 0
	}
	return max(a.RaisedRun+dayTime, a.ToldRun+a.policy.cooldown)
}

// schedule notes when something is due for an alarm.
func (s *System) schedule(a *item) {
	due := never
	at := func(t time.Duration) { due = min(due, t) }
	if a.Condition != a.Level {
		at(a.TurnedRun + a.delay())
	}
	if a.Chatters {
		at(a.EdgeRun + chatterQuiet)
	}
	for _, t := range []time.Duration{a.ShelvedEnd, a.ReleaseRun, a.ReturnDue} {
		if t > 0 {
			at(t)
		}
	}
	if t := s.remindRun(a); t > 0 {
		at(t)
	}
	if a.idle() {
		at(a.forgetRun())
	}
	if a.due != due {
		a.due = due
		heap.Fix(&s.timers, a.index)
	}
}
