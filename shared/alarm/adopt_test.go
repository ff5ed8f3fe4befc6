package alarm_test

import (
	"testing"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
	"edgepdm/test/must"
)

// An alarm that somebody else has announced is not announced again, survives a restart, and its end is announced.
func TestAdopt(t *testing.T) {
	c := alarm.Default()
	c.Rules = []alarm.Rule{{Votes: 3, Window: 5, OnDelay: time.Minute}}
	s, err := alarm.New(c, t0)
	must.OK(t, err)
	since := t0.Add(-time.Hour)
	o := alarm.Observation{Thing: "p", Line: "l", Fault: event.FaultMachine, Active: true, Severity: event.SeverityHigh, Since: since}
	for range 2 {
		must.OK(t, s.Adopt(o, t0))
	}
	key := alarm.Key{Thing: "p", Fault: event.FaultMachine}
	if to := s.Audience(key); to != (alarm.Audience{Cloud: true, SNS: true, Voice: true}) {
		t.Errorf("audience %+v", to)
	}
	s, changes, err := alarm.Restore(c, s.Changed(), t0.Add(time.Minute))
	if err != nil || len(changes) > 0 {
		t.Fatalf("%+v, %v", changes, err)
	}
	if a, ok := s.Find(key); !ok || !a.Active || a.State != event.AlarmUnacknowledged || !a.Since.Equal(since) || a.Count != 1 {
		t.Errorf("%+v", a)
	}
	for i := range 3 {
		o.Active, o.Fresh = false, i == 0
		if changes, err = s.Observe(o, t0.Add(2*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if len(changes) != 1 || changes[0].Kind != alarm.Returned || !changes[0].To.SNS || s.Audience(key) != (alarm.Audience{}) {
		t.Errorf("%+v", changes)
	}
	if err := s.Adopt(alarm.Observation{Thing: "a/b", Fault: "x"}, t0); err == nil {
		t.Error("adopted what is no thing's")
	}
}

// Votes of before do not count with a fresh observation.
func TestFreshVotes(t *testing.T) {
	c := alarm.Default()
	c.Rules = []alarm.Rule{{Votes: 3, Window: 5}}
	s, err := alarm.New(c, t0)
	must.OK(t, err)
	for i, fresh := range []bool{false, false, true, false, false} {
		changes, err := s.Observe(alarm.Observation{Thing: "p", Fault: "f", Active: true, Fresh: fresh}, t0.Add(time.Duration(i)*time.Second))
		if err != nil || (len(changes) > 0) != (i == 4) {
			t.Errorf("observation %d: %+v, %v", i, changes, err)
		}
	}
}
