package alarm_test

import (
	"testing"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

func thing(name string) []alarm.Key { return []alarm.Key{{Thing: name}} }

// A machine that is renamed keeps its alarms and what was done about them; the rules are those of its new name. The cloud hears that the
// alarm is over under the old name. What comes as the old one is another machine.
func TestRename(t *testing.T) {
	p := newSite(t, alarm.Rule{Thing: "b-*", OffDelay: minute})
	p.observe("a-1", "f", true)
	p.observe("a-1", "g", true)
	p.order(alarm.Command{Do: alarm.Acknowledge, Alarms: []alarm.Key{{Thing: "a-1", Fault: "g"}}, By: "ann", Outcome: alarm.Confirmed})
	p.order(alarm.Command{Do: alarm.Shelve, Alarms: key("a-1"), For: hour, By: "ann"})
	p.order(alarm.Command{Do: alarm.TakeOutOfService, Alarms: thing("a-1"), Comment: "oil"})
	before := p.find("a-1", "f")
	changes := p.order(alarm.Command{Do: alarm.Rename, Alarms: thing("a-1"), To: "b-1", By: "bob", Comment: "moved"})
	p.expect(changes, "renamed renamed! renamed! renamed! renamed!")
	if c := changes[0]; c.From != "a-1" || c.Alarm.Thing != "b-1" || c.By != "bob" || c.Why != "moved" {
		t.Errorf("%+v", c)
	}
	if old, now := changes[1], changes[2]; old.Alarm.Thing != "a-1" || old.Into != "b-1" || old.Alarm.State != event.AlarmNormal || old.To.SNS ||
		now.Alarm.Thing != "b-1" || now.From != "a-1" || now.Alarm.State != event.AlarmUnacknowledged || now.To.SNS || now.To.Voice {
		t.Errorf("%+v, %+v", old, now)
	}
	for range 2 {
		if a, known := p.s.Find(key("a-1")[0]); known {
			t.Errorf("%+v", a)
		}
		a, g := p.find("b-1", "f"), p.find("b-1", "g")
		if a.State != before.State || a.Since != before.Since || a.Count != 1 || a.Shelved == nil || a.Shelved.By != "ann" || !a.OutOfService {
			t.Errorf("%+v", a)
		}
		if g.Acknowledged == nil || g.Acknowledged.Outcome != alarm.Confirmed {
			t.Errorf("%+v", g)
		}
		if places := p.s.Places(); len(places) != 1 || places[0].Thing != "b-1" || places[0].Comment != "oil" {
			t.Errorf("%+v", places)
		}
		p.restart(p.now)
	}
	p.observe("b-1", "f", false)
	p.state1("b-1", event.AlarmUnacknowledged) // by the new name's rule
	p.observe("a-1", "f", true)
	if a := p.find("a-1", "f"); a.Count != 1 || a.Shelved != nil || a.OutOfService {
		t.Errorf("%+v", a)
	}
}

// The changes of a renaming, applied one after the other, give the same state as a snapshot after it.
func TestARenamingIsInTheRecords(t *testing.T) {
	p := newSiteOf(t, modelConfig())
	p.observe("a-c", "cause", true)
	p.observe("a-1", "f", true) // is suppressed by a-c
	journal := p.s.Snapshot()
	p.order(alarm.Command{Do: alarm.Rename, Alarms: thing("a-c"), To: "a-x"})
	journal = append(journal, p.s.Changed()...)
	want := p.state()
	s, _, err := alarm.Restore(p.config, encoded(t, journal), p.now)
	if err != nil {
		t.Fatal(err)
	}
	p.s = s
	if got := p.state(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if a := p.find("a-1", "f"); !a.Suppressed || a.SuppressedBy.Thing != "a-x" {
		t.Errorf("%+v", a)
	}
	p.observe("a-x", "cause", false)
	p.wait(2 * modelHold * second)
	if a := p.find("a-1", "f"); a.Suppressed {
		t.Errorf("%+v", a)
	}
}

// A name that was heard of lately, and whose alarms are over, is taken: the machine was renamed at its gateway first.
func TestRenameToWhatIsHeardAlready(t *testing.T) {
	p := newSite(t)
	p.observe("a-1", "f", true)
	p.observe("a-9", "f", true)
	p.refuse(alarm.Command{Do: alarm.Rename, Alarms: thing("a-1"), To: "a-9"}, "it is another machine")
	p.observe("a-9", "f", false)
	p.refuse(alarm.Command{Do: alarm.Rename, Alarms: thing("a-1"), To: "a-9"}, "acknowledge that first")
	p.order(alarm.Command{Do: alarm.Acknowledge, Alarms: key("a-9")})
	p.order(alarm.Command{Do: alarm.Rename, Alarms: thing("a-1"), To: "a-9"})
	p.state1("a-9", event.AlarmUnacknowledged)
	p.restart(p.now)
	p.state1("a-9", event.AlarmUnacknowledged)
}
