package alarm

import (
	"cmp"
	"fmt"
	"time"

	"edgepdm/shared/event"
)

// Adopt takes over an alarm that somebody else has raised and announced. It changes nothing if the alarm is active already.
func (s *System) Adopt(o Observation, now time.Time) error {
	s.advance(now)
	if err := o.check(); err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	a := s.items[o.key()]
	if a == nil {
		var err error
		if a, err = s.add(o.key(), o.Line); err != nil {
			return err
		}
	}
	if a.Active {
		return nil
	}
	run := s.clock.run
	a.take(&o)
	a.Priority = cmp.Or(a.policy.priority, o.Severity, event.SeverityMedium)
	a.Condition, a.Level, a.Active, a.Votes = true, true, true, 0
	a.TurnedRun, a.EdgeRun, a.RaisedRun, a.AlarmedRun = run, run, run, run
	a.State, a.Latched, a.Ack, a.Step, a.ReturnDue = event.AlarmUnacknowledged, false, nil, 0, 0
	a.Since, a.Raised = cmp.Or(plain(o.Since), s.clock.now()), s.clock.now()
	a.Count++
	a.Told, a.ToldRun, a.ToldPriority, a.Owed, a.Hidden = true, run, a.Priority, false, false
	s.changed.alarm(a)
	s.cause(a, true)
	s.schedule(a)
	return nil
}

// Audience returns who was told of an alarm and may be told more of it now: nobody of one that is quiet.
func (s *System) Audience(key Key) Audience {
	a := s.items[key]
	if a == nil || !a.Told || s.quiet(a) {
		return Audience{}
	}
	return s.returnAudience(a)
}
