package alarm

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"edgepdm/shared/event"
)

// quiet reports whether an alarm is not announced.
func (s *System) quiet(a *item) bool { return a.ShelvedEnd > 0 || a.Suppressed || s.outOfService(a) }

// emitTold notes a change that is announced, if it may be now. An urgent one does not wait for the end of the cooldown.
func (s *System) emitTold(c Change, a *item, urgent bool) {
	c.To = s.tell(a, urgent)
	s.emit(c, a)
}

// tell returns who is told of an alarm that is raised, and notes what is owed to the others.
func (s *System) tell(a *item, urgent bool) Audience {
	run := s.clock.run
	if s.quiet(a) {
		a.Hidden = !a.Told
		return Audience{}
	}
	a.Hidden = false
	cool := a.ToldRun > 0 && run < a.ToldRun+a.policy.cooldown && rank(a.Priority) <= rank(a.ToldPriority)
	if cool && !urgent {
		a.Owed = a.Owed || !a.Told
		return Audience{}
	}
	to := a.policy.tell
	a.Owed = !a.policy.mutedUntil(s.clock.now(), s.zone).IsZero() && (to.SNS || to.Voice)
	if a.Owed {
		to = to.and(Audience{Cloud: true})
	}
	if !to.Announced() {
		return to
	}
	if !s.pass(a, to) {
		return Audience{}
	}
	a.Told, a.ToldRun, a.ToldPriority = true, run, a.Priority
	s.kpi.announced(run)
	return to
}

// returnAudience is who is told that an alarm is over: only the cloud, if it is quiet or muted.
func (s *System) returnAudience(a *item) Audience {
	if s.quiet(a) || !a.policy.mutedUntil(s.clock.now(), s.zone).IsZero() {
		return a.policy.tell.and(Audience{Cloud: true})
	}
	return a.policy.tell
}

// remind announces again what stands: what was not told for the cooldown or a mute interval, by the re-alarm time, and what
// nobody acknowledges.
func (s *System) remind(a *item) {
	for t := s.remindRun(a); t > 0 && t <= s.clock.run; t = s.remindRun(a) {
		switch {
		case s.owedRun(a) > 0 && s.owedRun(a) <= s.clock.run:
			s.emitTold(Change{Kind: ReAlarmed, Why: "it still stands"}, a, true)
		case s.reAlarmRun(a) > 0 && s.reAlarmRun(a) <= s.clock.run:
			s.raiseAgain(a, "it has stood for "+a.policy.reAlarm.String(), true)
		default:
			a.Step++
			s.emit(Change{Kind: Escalated, Step: a.Step, To: a.policy.tell, Why: "nobody acknowledged it in " + a.policy.escalate[a.Step-1].String()}, a)
		}
	}
}

// remindRun is when remind has something to do; 0: it has nothing.
func (s *System) remindRun(a *item) time.Duration {
	first := time.Duration(0)
	for _, t := range []time.Duration{s.owedRun(a), s.reAlarmRun(a), s.escalateRun(a)} {
		if t > 0 && (first == 0 || t < first) {
			first = t
		}
	}
	return first
}

func (s *System) owedRun(a *item) time.Duration {
	if !a.Owed || a.State != event.AlarmUnacknowledged || s.quiet(a) {
		return 0
	}
	if until := s.unmutedRun(a); until > s.clock.run { // the cloud has been told
		return until
	}
	if a.Told {
		return s.clock.run
	}
	return max(a.ToldRun+a.policy.cooldown, 1)
}

func (s *System) reAlarmRun(a *item) time.Duration {
	if a.policy.reAlarm == 0 || !a.Active || a.Chatters || s.quiet(a) {
		return 0
	}
	return a.AlarmedRun + a.policy.reAlarm
}

func (s *System) escalateRun(a *item) time.Duration {
	if !a.Told || a.State != event.AlarmUnacknowledged || a.Step >= len(a.policy.escalate) || s.quiet(a) {
		return 0
	}
	return max(a.ToldRun+a.policy.escalate[a.Step], s.unmutedRun(a))
}

// unmutedRun is when sns and voice may be told.
func (s *System) unmutedRun(a *item) time.Duration {
	end := a.policy.mutedUntil(s.clock.now(), s.zone)
	if end.IsZero() {
		return 0
	}
	return s.clock.run + end.Sub(s.clock.now())
}

// flood counts the alarms of a place that were announced, and holds back those that are too many.
type flood struct {
	Name     string          `json:"name"`
	Times    []time.Duration `json:"times,omitempty"` // when alarms were announced
	Held     int             `json:"held,omitempty"`  // alarms that were not
	Due      time.Duration   `json:"due,omitempty"`   // when they are summed up
	Summed   time.Duration   `json:"summed,omitempty"`
	Keys     []Key           `json:"keys,omitempty"` // some of them
	Line     string          `json:"line,omitempty"`
	Mixed    bool            `json:"mixed,omitempty"` // they are of several lines
	Priority event.Severity  `json:"priority,omitempty"`
	To       Audience        `json:"to,omitzero"`
}

const (
	floodSite  = "site"
	floodLine  = "line "
	maxHeld    = 5    // alarms that a summary names
	maxFloods  = 1000 // places; those at rest are forgotten
	groupLimit = 1
)

// bounds returns how many alarms a flood lets pass in what time.
func (c Config) bounds(name string) (limit int, window time.Duration) {
	switch {
	case name == floodSite:
		return c.MaxPerSite, siteWindow
	case len(name) >= len(floodLine) && name[:len(floodLine)] == floodLine:
		return c.MaxPerLine, lineWindow
	}
	return groupLimit, groupWindow
}

// pass reports whether an alarm may be announced. One that may not is held back for the summary of its group, of its line or
// of the site.
func (s *System) pass(a *item, to Audience) bool {
	names := []string{floodLine + a.Line, floodSite}
	if a.policy.group != "" {
		names = append([]string{a.policy.group + " " + placeOf(a.policy.same, a.Line, a.Key.Thing)}, names...)
	}
	if len(s.floods) >= maxFloods {
		maps.DeleteFunc(s.floods, func(_ string, f *flood) bool { return s.rests(f) })
	}
	for _, name := range names {
		f := s.floods[name]
		if f == nil {
			f = &flood{Name: name}
			s.floods[name] = f
		}
		s.age(f)
		if limit, _ := s.config.bounds(name); len(f.Times) >= limit {
			s.hold(f, a, to)
			return false
		}
	}
	for _, name := range names {
		f := s.floods[name]
		f.Times = append(f.Times, s.clock.run)
		s.changed.flood(f)
	}
	return true
}

// age leaves out what is older than the flood's window.
func (s *System) age(f *flood) {
	_, window := s.config.bounds(f.Name)
	f.Times = slices.DeleteFunc(f.Times, func(t time.Duration) bool { return s.clock.run-t >= window })
}

// rests reports whether a flood holds nothing, and would hold nothing back.
func (s *System) rests(f *flood) bool {
	s.age(f)
	_, window := s.config.bounds(f.Name)
	return f.Held == 0 && len(f.Times) == 0 && s.clock.run-f.Summed >= window
}

// hold holds an alarm back.
func (s *System) hold(f *flood, a *item, to Audience) {
	if f.Held == 0 {
		_, window := s.config.bounds(f.Name)
		f.Due, f.Line, f.Mixed, f.Priority, f.To = s.clock.run+summaryDelay, a.Line, false, "", Audience{}
		if f.Summed > 0 {
			f.Due = max(f.Due, f.Summed+window)
		}
	}
	f.Held++
	s.summary = min(s.summary, f.Due)
	f.Mixed = f.Mixed || f.Line != a.Line
	f.To = f.To.or(to)
	if rank(a.Priority) > rank(f.Priority) {
		f.Priority = a.Priority
	}
	if len(f.Keys) < maxHeld && !slices.Contains(f.Keys, a.Key) {
		f.Keys = append(f.Keys, a.Key)
	}
	s.changed.flood(f)
}

// summaries announces the sums that are due.
func (s *System) summaries() {
	if s.clock.run < s.summary {
		return
	}
	var due []*flood
	s.summary = never
	for _, f := range s.floods {
		switch {
		case f.Held == 0:
		case s.clock.run >= f.Due:
			due = append(due, f)
		default:
			s.summary = min(s.summary, f.Due)
		}
	}
	slices.SortFunc(due, func(a, b *flood) int { return cmp.Compare(a.Name, b.Name) })
	for _, f := range due {
		c := Change{Kind: Summary, Count: f.Held, Keys: f.Keys, To: f.To}
		c.Alarm.Priority, c.Alarm.State = f.Priority, event.AlarmUnacknowledged
		if !f.Mixed {
			c.Alarm.Line = f.Line
		}
		if len(f.Keys) > 0 {
			c.Alarm.Key = f.Keys[0]
		}
		f.Held, f.Keys, f.Due, f.Summed = 0, nil, 0, s.clock.run
		s.changed.flood(f)
		s.emit(c, nil)
	}
}
