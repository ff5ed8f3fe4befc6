package alarm_test

import (
	"testing"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
	"edgepdm/test/must"
)

var unset = time.Date(1970, 1, 1, 0, 1, 0, 0, time.UTC)

// A clock that is set, in whatever direction, fires nothing, and the time after it counts as before.
func TestClockIsSet(t *testing.T) {
	rule := alarm.Rule{OnDelay: minute, ReAlarm: 10 * hour, Escalate: []time.Duration{2 * hour}}
	for name, jump := range map[string]time.Duration{
		"back an hour": -hour, "back three years": -3 * 365 * 24 * hour, "forward three years": 3 * 365 * 24 * hour,
		"forward 200 years": 200 * 365 * 24 * hour, "back 200 years": -200 * 365 * 24 * hour, "to 1970": unset.Sub(t0), "not at all": 0,
	} {
		t.Run(name, func(t *testing.T) {
			p := newSite(t, rule)
			p.observe("a-1", "f", true)
			p.wait(minute)
			p.observe("b-1", "f", true) // its delay goes on
			p.order(alarm.Command{Do: alarm.Shelve, Alarms: key("a-1"), For: hour, By: "ann"})
			p.wait(59 * second)
			p.all = nil
			p.now = p.now.Add(jump)
			p.expect(p.wait(0), "")
			if s := p.find("a-1", "f").Shelved; s == nil || s.Until.Sub(p.now) != hour-59*second {
				t.Fatalf("shelved %+v", s)
			}
			p.expect(p.wait(second), "raised!")
			p.expect(p.wait(59*minute-second), "")
			p.expect(p.wait(second), "unshelved!")
			p.expect(p.wait(62*minute), "escalated!") // b-1's; a-1's is later, as it was shelved
		})
	}
}

// A process whose clock is set measures by Go's monotonic clock. Time that the wall clock leaves out when it is set forward by a
// plausible time counts: the shelving has an end by the clock.
func TestMonotonicClock(t *testing.T) {
	start := time.Now()
	c := alarm.Default()
	s, err := alarm.New(c, start)
	must.OK(t, err)
	p := &site{t: t, config: c, s: s, now: start}
	p.observe("a-1", "f", true)
	p.order(alarm.Command{Do: alarm.Shelve, Alarms: key("a-1"), For: hour})
	p.expect(p.wait(59*minute), "") // time.Time.Add moves both clocks
	p.expect(p.wait(minute), "unshelved!")
}

// The end of a shelving over a restart.
func TestShelvingOverARestart(t *testing.T) {
	for name, c := range map[string]struct {
		down, length time.Duration // of the shelving
		boot         time.Time     // the clock at the start; zero: it is right
		ended        bool
	}{
		"short":                              {down: 30 * minute, length: hour},
		"longer than the shelving":           {down: 2 * hour, length: hour, ended: true},
		"with the clock not set":             {down: 30 * minute, length: hour, boot: unset},
		"long, with the clock not set":       {down: 2 * hour, length: hour, boot: unset, ended: true},
		"with the clock of before":           {down: 2 * hour, length: hour, boot: t0, ended: true},
		"a clock that went too slowly":       {down: 2 * hour, length: 90 * minute, boot: t0.Add(-10 * minute), ended: true},
		"a clock that is years ahead":        {down: 10 * 365 * 24 * hour, length: hour},
		"a clock that is years behind first": {down: 2 * hour, length: hour, boot: t0.AddDate(-3, 0, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			p := newSite(t)
			p.observe("a-1", "f", true)
			p.order(alarm.Command{Do: alarm.Shelve, Alarms: key("a-1"), For: c.length})
			before := p.now
			if c.boot.IsZero() {
				p.restart(before.Add(c.down))
			} else {
				p.restart(c.boot)
				p.wait(second)
				if p.find("a-1", "f").Shelved == nil {
					t.Fatal("it is over before the clock is set")
				}
				p.now = before.Add(c.down)
				p.wait(0)
			}
			if ended := p.find("a-1", "f").Shelved == nil; ended != c.ended {
				t.Fatalf("ended: %v", ended)
			}
			p.wait(c.length)
			if p.find("a-1", "f").Shelved != nil {
				t.Error("it lasts for longer than was ordered")
			}
		})
	}
}

// Time in which nobody watched is none of a delay.
func TestDelayOverARestart(t *testing.T) {
	p := newSite(t, alarm.Rule{OnDelay: 10 * minute})
	p.observe("a-1", "f", true)
	p.wait(5 * minute)
	p.expect(p.restart(p.now.Add(hour)), "")
	p.expect(p.wait(5*minute-second), "")
	p.expect(p.wait(second), "raised!")
}

// With a clock that is not set, all but times of day works.
func TestUnsetClock(t *testing.T) {
	c := alarm.Default()
	s, err := alarm.New(c, unset)
	must.OK(t, err)
	p := &site{t: t, config: c, s: s, now: unset}
	p.expect(p.observe("a-1", "f", true), "raised!")
	p.refuse(alarm.Command{Do: alarm.Shelve, Alarms: key("a-1"), Until: t0}, "until: the clock is not set")
	p.order(alarm.Command{Do: alarm.Shelve, Alarms: key("a-1"), For: hour})
	p.wait(30 * minute)
	p.now = t0 // it is set
	p.wait(0)
	p.expect(p.wait(30*minute-second), "")
	p.expect(p.wait(second), "unshelved!")
	if got := p.find("a-1", "f"); got.State != event.AlarmUnacknowledged || got.Lasted != hour {
		t.Errorf("%+v", got)
	}
	p.restart(unset)
	p.expect(p.wait(hour), "")
}

// A System that is called for longer than its time can be counted goes on.
func TestEndOfTime(t *testing.T) {
	p := newSite(t, alarm.Rule{ReAlarm: 300 * hour})
	p.observe("a-1", "f", true)
	for range 2000 {
		p.now = p.now.Add(30 * 24 * hour)
		p.s.Tick(p.now)
	}
	p.observe("a-1", "f", false)
	p.order(alarm.Command{Do: alarm.Acknowledge, Alarms: key("a-1")})
	p.restart(p.now)
}
