package alarm_test

import (
	"errors"
	"strings"
	"testing"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

// A command that cannot be obeyed says why, and changes nothing.
func TestRefusedCommands(t *testing.T) {
	p := newSite(t)
	p.observe("a-1", "f", true)
	p.observe("a-2", "f", true)
	p.order(alarm.Command{Do: alarm.Acknowledge, Alarms: key("a-2"), By: "ann"})
	p.order(alarm.Command{Do: alarm.TakeOutOfService, Line: "b"})
	p.order(alarm.Command{Do: alarm.Retire, Alarms: []alarm.Key{{Thing: "old"}}})
	two := append(key("a-1"), key("nobody")...)
	for want, c := range map[string]alarm.Command{
		"there is no such command":              {Do: "explode", Line: "a"},
		"names none, nor a line":                {Do: alarm.Acknowledge},
		"alarms are named already":              {Do: alarm.Acknowledge, Line: "a", Alarms: key("a-1")},
		"nobody/f: there is no such alarm":      {Do: alarm.Acknowledge, Alarms: two},
		"it is ACKNOWLEDGED":                    {Do: alarm.Acknowledge, Alarms: append(key("a-1"), key("a-2")...)},
		"line z: there is no such alarm":        {Do: alarm.Acknowledge, Line: "z"},
		"z-1: there is no such alarm":           {Do: alarm.Acknowledge, Alarms: []alarm.Key{{Thing: "z-1"}}},
		"alarms[0].thing":                       {Do: alarm.Acknowledge, Alarms: []alarm.Key{{Thing: "a b"}}},
		"alarms[0].fault":                       {Do: alarm.Acknowledge, Alarms: []alarm.Key{{Thing: "a", Fault: "b/c"}}},
		"outcome":                               {Do: alarm.Acknowledge, Alarms: key("a-1"), Outcome: "perhaps"},
		"by: has":                               {Do: alarm.Acknowledge, Alarms: key("a-1"), By: strings.Repeat("x", 201)},
		"comment: has":                          {Do: alarm.Acknowledge, Alarms: key("a-1"), Comment: strings.Repeat("x", 1001)},
		"alarms: there are":                     {Do: alarm.Acknowledge, Alarms: make([]alarm.Key, 1001)},
		"a shelving needs an end":               {Do: alarm.Shelve, Alarms: key("a-1")},
		"is not in the future":                  {Do: alarm.Shelve, Alarms: key("a-1"), Until: t0},
		"for: -1h0m0s is negative":              {Do: alarm.Shelve, Alarms: key("a-1"), For: -hour},
		"for: 13h0m0s is longer than max":       {Do: alarm.Shelve, Alarms: key("a-1"), For: 13 * hour},
		"until: 14h0m0s is longer than max":     {Do: alarm.Shelve, Alarms: key("a-1"), Until: t0.Add(14 * hour)},
		"the length is given already":           {Do: alarm.Shelve, Alarms: key("a-1"), For: hour, Until: t0.Add(hour)},
		"is not shelved":                        {Do: alarm.Unshelve, Alarms: key("a-1")},
		"is not latched, acknowledged and over": {Do: alarm.ResetLatch, Alarms: key("a-1")},
		"line b is out of service already":      {Do: alarm.TakeOutOfService, Line: "b"},
		"line a is in service":                  {Do: alarm.ReturnToService, Line: "a"},
		"it concerns the whole machine":         {Do: alarm.TakeOutOfService, Alarms: key("a-1")},
		"things are retired, one by one":        {Do: alarm.Retire, Line: "a"},
		"old is retired already":                {Do: alarm.Retire, Alarms: []alarm.Key{{Thing: "old"}}},
		"alarms: names none":                    {Do: alarm.Test, Line: "a"},
		"to: is for rename alone":               {Do: alarm.Retire, Alarms: key("a-1"), To: "a-9"},
		"one machine is renamed":                {Do: alarm.Rename, Line: "a", To: "a-9"},
		"and no fault":                          {Do: alarm.Rename, Alarms: key("a-1"), To: "a-9"},
		"to: name":                              {Do: alarm.Rename, Alarms: thing("a-1"), To: "a b"},
		"to: it is a-1 already":                 {Do: alarm.Rename, Alarms: thing("a-1"), To: "a-1"},
		"there is a old, which is retired":      {Do: alarm.Rename, Alarms: thing("a-1"), To: "old"},
		"there is a a-2, with the alarm f":      {Do: alarm.Rename, Alarms: thing("a-1"), To: "a-2"},
	} {
		p.refuse(c, want)
	}
	p.refuse(alarm.Command{Do: alarm.TakeOutOfService, Alarms: []alarm.Key{{Thing: "old"}}}, "old is retired already")
}

// Who, when, why and with what outcome is in the change and in the list.
func TestAcknowledgement(t *testing.T) {
	p := newSite(t)
	p.observe("a-1", "f", true)
	p.observe("a-2", "f", true)
	p.observe("a-2", "g", true)
	p.observe("b-1", "f", true)
	p.wait(minute)
	p.order(alarm.Command{Do: alarm.Acknowledge, Alarms: key("a-2"), By: "bob"})
	got := p.order(alarm.Command{Do: alarm.Acknowledge, Line: "a", By: "ann", Outcome: alarm.NoFaultFound, Comment: "looked at it"})
	p.expect(got, "acknowledged acknowledged") // the one that bob has acknowledged is left as it is
	for _, c := range got {
		ack := c.Alarm.Acknowledged
		if c.By != "ann" || c.Why != "looked at it" || c.Outcome != alarm.NoFaultFound || !c.At.Equal(t0.Add(minute)) || ack == nil ||
			*ack != (alarm.Acknowledgement{At: c.At, By: "ann", Outcome: alarm.NoFaultFound, Comment: "looked at it"}) {
			t.Errorf("%+v", c)
		}
	}
	if by := p.find("a-2", "f").Acknowledged.By; by != "bob" {
		t.Error(by)
	}
	p.state1("b-1", event.AlarmUnacknowledged)
	p.order(alarm.Command{Do: alarm.Acknowledge, Alarms: []alarm.Key{{Thing: "b-1"}}})
	p.state1("b-1", event.AlarmAcknowledged)
	for want, c := range map[string]alarm.Command{ // the alarms are there, and need none of it
		"no alarm of line a is waiting for an acknowledgement": {Do: alarm.Acknowledge, Line: "a"},
		"no alarm of b-1 is waiting for an acknowledgement":    {Do: alarm.Acknowledge, Alarms: []alarm.Key{{Thing: "b-1"}}},
		"b-1/f is not waiting for an acknowledgement: it is":   {Do: alarm.Acknowledge, Alarms: key("b-1")},
		"no alarm of line a is shelved":                        {Do: alarm.Unshelve, Line: "a"},
		"no alarm of line a is latched":                        {Do: alarm.ResetLatch, Line: "a"},
	} {
		_, err := p.s.Command(c, p.now)
		if err == nil || !strings.HasPrefix(err.Error(), want) || errors.Is(err, alarm.ErrUnknown) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A shelving is until a time by the clock, and a second one replaces the first.
func TestShelveUntil(t *testing.T) {
	p := newSite(t)
	p.observe("a-1", "f", true)
	p.order(alarm.Command{Do: alarm.Shelve, Line: "a", Until: t0.Add(hour), By: "ann", Comment: "known"})
	s := p.find("a-1", "f").Shelved
	if s == nil || !s.Until.Equal(t0.Add(hour)) || s.By != "ann" || s.Comment != "known" || s.Left != hour {
		t.Fatalf("%+v", s)
	}
	p.wait(30 * minute)
	p.order(alarm.Command{Do: alarm.Shelve, Line: "a", Until: t0.Add(2 * hour)})
	p.expect(p.wait(89*minute), "")
	p.expect(p.wait(minute), "unshelved!")
}

// A machine that is retired has no alarms any more; returned to service it is watched again.
func TestRetire(t *testing.T) {
	p := newSite(t)
	thing := []alarm.Key{{Thing: "a-1"}}
	p.observe("a-1", "f", true)
	p.observe("a-1", "g", true)
	p.order(alarm.Command{Do: alarm.Acknowledge, Alarms: key("a-1")})
	p.expect(p.order(alarm.Command{Do: alarm.Retire, Alarms: thing, By: "ann"}), "retired retired! retired!")
	p.expect(p.observe("a-1", "f", true), "")
	p.restart(p.now.Add(hour))
	p.expect(p.observe("a-1", "f", true), "")
	if len(p.s.List()) != 0 || len(p.s.Places()) != 1 {
		t.Errorf("%+v, %+v", p.s.List(), p.s.Places())
	}
	p.order(alarm.Command{Do: alarm.ReturnToService, Alarms: thing})
	p.expect(p.observe("a-1", "f", true), "raised!")
}

// A cause that is retired suppresses nothing any more.
func TestRetireACause(t *testing.T) {
	p := newSite(t)
	p.observe("core", event.FaultEngineDown, true)
	p.observe("a-1", event.FaultSilence, true)
	p.order(alarm.Command{Do: alarm.Retire, Alarms: []alarm.Key{{Thing: "core"}}})
	p.expect(p.wait(30*second), "unsuppressed!")
}

// A machine out of service, of a line that is, too.
func TestOutOfServiceTwice(t *testing.T) {
	p := newSite(t)
	thing := []alarm.Key{{Thing: "a-1"}}
	p.order(alarm.Command{Do: alarm.TakeOutOfService, Line: "a", By: "ann", Comment: "new bearings"})
	p.order(alarm.Command{Do: alarm.TakeOutOfService, Alarms: thing})
	p.expect(p.observe("a-1", "f", true), "raised")
	p.expect(p.observe("a-2", "f", true), "raised")
	if !p.find("a-1", "f").OutOfService {
		t.Error("the list does not say so")
	}
	p.expect(p.order(alarm.Command{Do: alarm.ReturnToService, Line: "a"}), "returned-to-service returned-to-service returned-to-service!")
	p.restart(p.now)
	p.expect(p.order(alarm.Command{Do: alarm.ReturnToService, Alarms: thing}), "returned-to-service returned-to-service!")
}

// A test is announced whatever is muted, shelved or too many, and leaves nothing behind.
func TestTestAlarm(t *testing.T) {
	p := newSite(t, alarm.Rule{Fault: "test", Tell: []string{"voice"}, Mute: []alarm.Interval{{From: "00:00", To: "24:00"}}})
	for range 20 {
		got := p.order(alarm.Command{Do: alarm.Test, Alarms: []alarm.Key{{Thing: "a-1"}}, Line: "a", By: "ann", Text: "Please listen."})
		p.expect(got, "tested!")
		if c := got[0]; c.To != (alarm.Audience{Voice: true}) || c.By != "ann" || c.Alarm.Fault != event.FaultTest || c.Alarm.Text != "Please listen." {
			t.Errorf("%+v", c)
		}
	}
	if len(p.s.List()) != 0 {
		t.Error("it is in the list")
	}
}

// High priority first, of those what nobody has seen, of those the newest.
func TestListOrder(t *testing.T) {
	p := newSite(t, alarm.Rule{Thing: "a-*", Priority: event.SeverityLow}, alarm.Rule{Thing: "b-*", Priority: event.SeverityHigh})
	for _, thing := range []string{"b-1", "a-1", "b-2", "c-1", "b-3"} {
		p.observe(thing, "f", true)
		p.wait(second)
	}
	p.order(alarm.Command{Do: alarm.Acknowledge, Alarms: key("b-3")})
	var order []string
	for _, a := range p.s.List() {
		order = append(order, a.Thing)
	}
	if got := strings.Join(order, " "); got != "b-2 b-1 b-3 c-1 a-1" {
		t.Error(got)
	}
}
