package alarm

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"edgepdm/shared/event"
)

// System manages the alarms of a site. It is not safe for concurrent use: it has one owner.
type System struct {
	config     Config
	zone       *time.Location
	policies   *policies
	inhibition []*inhibition

	clock   clock
	items   map[Key]*item
	faults  map[event.Fault]bool // of all alarms so far: few
	timers  timers
	places  map[place]Place
	floods  map[string]*flood
	summary time.Duration // when the next sum of a flood is due; never
	kpi     *kpi

	changes []Change // of the call that is under way
	recheck bool     // a cause came or went
	changed changed  // what is to be recorded
}

// ErrFull is returned for an alarm beyond MaxAlarms, when no older one may be forgotten.
var ErrFull = errors.New("too many alarms are known")

// New returns a System with no alarm. The configuration must be valid.
func New(config Config, now time.Time) (*System, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	zone, err := config.location()
	if err != nil {
		return nil, err
	}
	s := &System{
		config: config, zone: zone, policies: newPolicies(config), inhibition: newInhibitions(config),
		items: make(map[Key]*item), faults: make(map[event.Fault]bool), places: make(map[place]Place), floods: make(map[string]*flood), kpi: newKPI(), summary: never,
	}
	s.clock.run = origin
	s.advance(now)
	return s, nil
}

// item is an alarm that is known.
type item struct {
	saved
	policy   *policy
	due      time.Duration // when something happens by itself; never
	index    int           // in timers
	recorded bool          // the records have it
	run      time.Duration // of the record it was restored from
}

const never time.Duration = 1<<63 - 1

// Observe takes an observation, and returns what happened. The error says why it was not taken.
func (s *System) Observe(o Observation, now time.Time) ([]Change, error) {
	s.advance(now)
	s.expire()
	a, err := s.observed(&o)
	if a != nil {
		s.settle(a)
	}
	return s.finish(), err
}

// observed returns the alarm that an observation is about; nil: it is about none.
func (s *System) observed(o *Observation) (*item, error) {
	key := o.key()
	a := s.items[key]
	if o.Active || a == nil {
		if err := o.check(); err != nil {
			return nil, fmt.Errorf("observation: %w", err)
		}
	}
	if s.places[place{thing: o.Thing}].Retired {
		return nil, nil
	}
	if a == nil {
		if !o.Active || o.Undecided {
			return nil, nil
		}
		if a, err := s.add(key, o.Line); err != nil {
			return nil, err
		} else {
			a.observe(s, o)
			return a, nil
		}
	}
	if len(o.Line) <= maxLine && a.Line != o.Line {
		s.move(a, o.Line)
	}
	a.observe(s, o)
	return a, nil
}

// add makes an alarm known.
func (s *System) add(key Key, line string) (*item, error) {
	if len(s.items) >= s.config.MaxAlarms && !s.makeRoom() {
		return nil, fmt.Errorf("%s: %w", key.name(), ErrFull)
	}
	a := &item{saved: saved{Key: key, Line: line, State: event.AlarmNormal}, due: never}
	a.policy = s.policies.of(line, key)
	s.items[key] = a
	s.faults[key.Fault] = true
	heap.Push(&s.timers, a)
	return a, nil
}

// move notes that a thing is on another line now.
func (s *System) move(a *item, line string) {
	if a.Active {
		s.cause(a, false)
	}
	a.Line = line
	a.policy = s.policies.of(line, a.Key)
	if a.Active {
		s.cause(a, true)
	}
	s.changed.alarm(a)
}

// makeRoom forgets alarms that are normal, the oldest first, or else the oldest one that returned and that nobody has
// acknowledged.
func (s *System) makeRoom() bool {
	idle := slices.SortedFunc(maps.Values(s.items), func(a, b *item) int {
		return cmp.Or(cmp.Compare(a.RaisedRun, b.RaisedRun), a.Key.compare(b.Key))
	})
	idle = slices.DeleteFunc(idle, func(a *item) bool { return !a.past() && a.State != event.AlarmReturnedUnacknowledged })
	if len(idle) == 0 {
		return false
	}
	waits := func(a *item) bool { return !a.past() }
	if normal := slices.DeleteFunc(slices.Clone(idle), waits); len(normal) > 0 {
		for _, a := range normal[:min(len(normal), 1+s.config.MaxAlarms/50)] {
			s.forget(a)
		}
		return true
	}
	s.emit(Change{Kind: Forgotten, Why: "there is no room for more alarms"}, idle[0])
	s.forget(idle[0])
	return true
}

// forget removes an alarm.
func (s *System) forget(a *item) {
	if a.Active {
		s.cause(a, false)
	}
	delete(s.items, a.Key)
	heap.Remove(&s.timers, a.index)
	s.changed.gone(a)
}

// Tick does what is due, and returns what happened.
func (s *System) Tick(now time.Time) []Change {
	s.advance(now)
	s.expire()
	return s.finish()
}

// expire does what is due.
func (s *System) expire() {
	for len(s.timers) > 0 && s.timers[0].due <= s.clock.run {
		s.settle(s.timers[0])
	}
	s.summaries()
}

// finish does what follows, and returns the changes.
func (s *System) finish() []Change {
	for s.recheck {
		s.recheck = false
		var affected []*item
		for _, a := range s.items {
			if a.Active && s.inhibited(a) != (a.Suppressed && a.ReleaseRun == 0) {
				affected = append(affected, a)
			}
		}
		slices.SortFunc(affected, func(a, b *item) int { return a.Key.compare(b.Key) })
		for _, a := range affected {
			s.settle(a)
		}
	}
	done := s.changes
	s.changes = nil
	return done
}

// Next returns when Tick is due; zero: it is not. Calls before and after it do no harm.
func (s *System) Next(now time.Time) time.Time {
	due := s.summary
	if len(s.timers) > 0 {
		due = min(due, s.timers[0].due)
	}
	if due == never {
		return time.Time{}
	}
	return now.Add(max(0, due-s.clock.run))
}

// advance brings the time up to now.
func (s *System) advance(now time.Time) {
	skipped, jumped := s.clock.advance(now)
	if skipped > 0 { // nobody observed anything meanwhile: it does not count for delays
		for _, a := range s.items {
			a.skip(skipped)
		}
	}
	if skipped > 0 || jumped {
		for _, a := range s.items {
			s.schedule(a)
		}
	}
	s.kpi.advance(s.clock.run)
}

// emit notes a change.
func (s *System) emit(c Change, a *item) {
	c.At = s.clock.now()
	if a != nil {
		c.Alarm = s.view(a)
		s.changed.alarm(a)
	}
	s.changes = append(s.changes, c)
}

// Unused returns the indices of rules that have matched no alarm so far.
func (s *System) Unused() []int {
	var unused []int
	for i, applied := range s.policies.applied {
		if !applied {
			unused = append(unused, i)
		}
	}
	return unused
}

// Find returns an alarm of the list.
func (s *System) Find(key Key) (Alarm, bool) {
	a := s.items[key]
	if a == nil {
		return Alarm{}, false
	}
	return s.view(a), true
}

// StandsBeside reports whether another alarm of the same thing stands.
func (s *System) StandsBeside(key Key) bool {
	for fault := range s.faults {
		if a := s.items[Key{key.Thing, fault}]; fault != key.Fault && a != nil && a.Active {
			return true
		}
	}
	return false
}

// Knows reports whether a thing has alarms, or had some lately, or is out of service or retired.
func (s *System) Knows(thing string) bool {
	_, is := s.places[place{thing: thing}]
	for key := range s.items {
		is = is || key.Thing == thing
	}
	return is
}

// List returns the alarms that are not normal, and those that are shelved: the highest priority first, of those the unacknowledged
// ones, of those the newest.
func (s *System) List() []Alarm {
	var listed []*item
	for _, a := range s.items {
		if a.State != event.AlarmNormal || a.ShelvedEnd > 0 {
			listed = append(listed, a)
		}
	}
	seen := func(a *item) int {
		return slices.Index([]event.AlarmState{event.AlarmUnacknowledged, event.AlarmReturnedUnacknowledged, event.AlarmAcknowledged, event.AlarmNormal}, a.State)
	}
	slices.SortFunc(listed, func(a, b *item) int {
		return cmp.Or(cmp.Compare(rank(b.Priority), rank(a.Priority)), cmp.Compare(seen(a), seen(b)),
			cmp.Compare(b.RaisedRun, a.RaisedRun), a.Key.compare(b.Key))
	})
	alarms := make([]Alarm, 0, len(listed))
	for _, a := range listed {
		alarms = append(alarms, s.view(a))
	}
	return alarms
}

// view returns an alarm for others.
func (s *System) view(a *item) Alarm {
	v := Alarm{
		Key: a.Key, Line: a.Line, Priority: a.Priority, State: a.State, Active: a.Active, Chattering: a.Chatters, Latched: a.Latched,
		Suppressed: a.Suppressed, SuppressedBy: a.Cause, OutOfService: s.outOfService(a), Since: a.Since, Raised: a.Raised,
		Count: a.Count, Step: a.Step, Acknowledged: a.Ack, Text: a.Text, Detail: a.Detail, Simulated: a.Simulated, Data: a.Data,
	}
	switch {
	case a.Count == 0:
	case a.Active:
		v.Lasted = s.clock.run - a.RaisedRun
	default:
		v.Lasted = a.ReturnedRun - a.RaisedRun
	}
	if a.ShelvedEnd > 0 {
		left := a.ShelvedEnd - s.clock.run
		v.Shelved = &Shelving{Until: s.clock.now().Add(left), Left: left, By: a.ShelvedBy, Comment: a.ShelvedWhy}
	}
	return v
}

// timers is a heap of alarms, the one that is due first at its top.
type timers []*item

func (t timers) Len() int { return len(t) }
func (t timers) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(t[i].due, t[j].due), t[i].Key.compare(t[j].Key)) < 0
}
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}
func (t *timers) Push(x any) {
	a := x.(*item)
	a.index = len(*t)
	*t = append(*t, a)
}
func (t *timers) Pop() any {
	last := len(*t) - 1
	a := (*t)[last]
	(*t)[last], *t = nil, (*t)[:last]
	return a
}
