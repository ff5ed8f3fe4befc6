package alarm

import (
	"container/heap"
	"errors"
	"fmt"
	"slices"

	"edgepdm/shared/event"
)

// checkRename names what is wrong with a renaming, whatever things there are.
func (c Command) checkRename() error {
	switch {
	case c.Line != "" || len(c.Alarms) != 1 || c.Alarms[0].Fault != "":
		return errors.New("thing: one machine is renamed: name it, and no fault")
	case c.To == c.Alarms[0].Thing:
		return fmt.Errorf("to: it is %s already", c.To)
	}
	if err := event.CheckName(c.To); err != nil {
		return fmt.Errorf("to: %w", err)
	}
	return nil
}

// rename gives a thing another name: its alarms, with all that was done about them, go on under it. A thing that comes under the old
// name afterwards is another one.
func (s *System) rename(c Command) error {
	from, to := c.Alarms[0].Thing, c.To
	if p, is := s.places[place{thing: to}]; is {
		state := "out of service"
		if p.Retired {
			state = "retired"
		}
		return fmt.Errorf("to: there is a %s, which is %s: return it to service first", to, state)
	}
	var moved []*item
	for _, a := range s.items {
		switch {
		case a.Key.Thing == from:
			moved = append(moved, a)
		case a.Key.Thing == to && (!a.past() || a.ShelvedEnd > 0):
			return fmt.Errorf("to: there is a %s, with the alarm %s: it is another machine, or acknowledge that first", to, a.Key.Fault)
		}
	}
	slices.SortFunc(moved, func(a, b *item) int { return a.Key.compare(b.Key) })
	change := Change{Kind: Renamed, By: c.By, Why: c.Comment, From: from}
	change.Alarm.Thing, change.Alarm.State = to, event.AlarmNormal
	s.emit(change, nil)
	s.renamePlace(from, to)
	for _, a := range moved {
		s.renameAlarm(a, to, c)
	}
	for _, a := range s.items {
		if a.Cause != nil && a.Cause.Thing == from {
			a.Cause = &Key{to, a.Cause.Fault}
			s.changed.alarm(a)
		}
	}
	for _, f := range s.floods {
		for i := range f.Keys {
			if f.Keys[i].Thing == from {
				f.Keys[i].Thing = to
				s.changed.flood(f)
			}
		}
	}
	for _, a := range moved {
		s.settle(a)
	}
	return nil
}

// renamePlace keeps out of service what is, and retired.
func (s *System) renamePlace(from, to string) {
	old, is := s.places[place{thing: from}]
	if !is {
		return
	}
	delete(s.places, old.place())
	s.changed.place(old.place())
	old.Thing = to
	s.places[old.place()] = old
	s.changed.place(old.place())
}

// renameAlarm moves an alarm to another thing. In the cloud, which was told of it, it is over under the old name.
func (s *System) renameAlarm(a *item, to string, c Command) {
	from := a.Key.Thing
	if other := s.items[Key{to, a.Key.Fault}]; other != nil {
		s.forget(other)
	}
	tell := Audience{}
	if a.Told {
		tell = a.policy.tell.and(Audience{Cloud: true})
	}
	over := Change{Kind: Renamed, At: s.clock.now(), Alarm: s.view(a), By: c.By, Why: c.Comment, To: tell, Into: to}
	over.Alarm.State, over.Alarm.Active = event.AlarmNormal, false
	s.forget(a)
	*a = item{saved: a.saved, due: never}
	a.Key.Thing = to
	a.policy = s.policies.of(a.Line, a.Key)
	s.items[a.Key] = a
	heap.Push(&s.timers, a)
	if a.Active {
		s.cause(a, true)
	}
	s.changed.alarm(a)
	if tell.Announced() {
		s.changes = append(s.changes, over)
		s.emit(Change{Kind: Renamed, By: c.By, Why: c.Comment, To: tell, From: from}, a)
	}
}
