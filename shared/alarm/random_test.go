package alarm_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

// However alarms come, with losses of power in between, no more are announced than may be, and each one is announced or counted in
// one summary.
func TestRandomFloods(t *testing.T) {
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		c := alarm.Default()
		c.MaxPerLine, c.MaxPerSite = 1+rnd.IntN(12), 1+rnd.IntN(12)
		if rnd.IntN(2) == 0 {
			c.Rules = []alarm.Rule{{Thing: "*7", Group: "line"}}
		}
		p := newSiteOf(t, c)
		journal := p.s.Snapshot()
		raised := 0
		for range 1000 {
			if rnd.IntN(3) > 0 {
				thing := fmt.Sprintf("l%d-%d", rnd.IntN(6), raised)
				p.observe(thing, "f", true)
				raised++
			}
			if rnd.IntN(20) == 0 {
				a := p.s.List()
				p.observe(a[rnd.IntN(len(a))].Thing, "f", false)
			}
			switch rnd.IntN(60) {
			case 0:
				p.wait(time.Duration(rnd.IntN(600)) * second)
			case 1, 2, 3, 4, 5, 6:
				p.wait(time.Duration(rnd.IntN(3000)) * time.Millisecond)
			case 7:
				journal = append(journal, p.s.Changed()...)
				s, changes, err := alarm.Restore(c, encoded(t, journal), p.now)
				if err != nil {
					t.Fatal(err)
				}
				p.s, journal = s, s.Snapshot()
				p.note(changes)
			}
			journal = append(journal, p.s.Changed()...)
		}
		p.wait(hour)
		times := make(map[string][]time.Time)
		told, summed := 0, 0
		for _, change := range announced(p.all) {
			switch change.Kind {
			case alarm.Raised:
				told++
				times["site"] = append(times["site"], change.At)
				times[change.Alarm.Line] = append(times[change.Alarm.Line], change.At)
			case alarm.Summary:
				summed += change.Count
			}
		}
		if told+summed != raised || count(p.all, alarm.Raised) != raised {
			t.Errorf("seed %d: %d raised, %d told and %d summed up", seed, raised, told, summed)
		}
		for place, at := range times {
			limit, window := c.MaxPerLine, 10*minute
			if place == "site" {
				limit, window = c.MaxPerSite, minute
			}
			for i := limit; i < len(at); i++ {
				if d := at[i].Sub(at[i-limit]); d < window {
					t.Errorf("seed %d: %s: %d within %v", seed, place, limit+1, d)
				}
			}
		}
	}
}

// An alarm that stands, that nobody acknowledges, and that is not quiet has been told to everybody in the end: whatever was
// shelved, muted, suppressed or in a cooldown meanwhile.
func TestNothingIsForgotten(t *testing.T) {
	stood := 0
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		c := modelConfig()
		for i := range c.Rules {
			c.Rules[i].Mute = []alarm.Interval{{From: "20:00", To: fmt.Sprintf("%02d:%02d", rnd.IntN(20), rnd.IntN(60))}}
		}
		p := newSiteOf(t, c)
		told := make(map[string]alarm.Audience) // since it was raised
		note := func(changes []alarm.Change) {
			for _, c := range changes {
				if c.Alarm.State == event.AlarmNormal {
					told[c.Alarm.Thing] = alarm.Audience{}
				}
				if c.Kind != alarm.Returned {
					a := told[c.Alarm.Thing]
					told[c.Alarm.Thing] = alarm.Audience{Cloud: a.Cloud || c.To.Cloud, SNS: a.SNS || c.To.SNS, Voice: a.Voice || c.To.Voice}
				}
			}
		}
		for range 3000 {
			thing := modelThings[rnd.IntN(len(modelThings))].name
			k := []alarm.Key{{Thing: thing, Fault: modelFault(thing)}}
			do := []alarm.Do{alarm.Acknowledge, alarm.Unshelve, alarm.TakeOutOfService, alarm.ReturnToService, alarm.Shelve}[rnd.IntN(5)]
			switch n := rnd.IntN(20); {
			case n < 8:
				note(p.observe(thing, modelFault(thing), rnd.IntN(3) > 0))
			case n < 16:
				note(p.wait(time.Duration(rnd.IntN(1000)) * second))
			case n < 17:
				note(p.restart(p.now.Add(time.Duration(rnd.IntN(100)) * minute)))
			case do == alarm.TakeOutOfService || do == alarm.ReturnToService:
				changes, _ := p.s.Command(alarm.Command{Do: do, Line: thing[:1]}, p.now) // may be refused
				note(changes)
			default:
				order := alarm.Command{Do: do, Alarms: k}
				if do == alarm.Shelve {
					order.For = time.Duration(1+rnd.IntN(100)) * minute
				}
				changes, _ := p.s.Command(order, p.now) // may be refused
				note(changes)
			}
		}
		for _, line := range []string{"a", "b"} {
			changes, _ := p.s.Command(alarm.Command{Do: alarm.ReturnToService, Line: line}, p.now)
			note(changes)
			note(p.observe(line+"-c", "cause", false))
		}
		note(p.wait(36 * hour)) // a whole day for people, and all ends
		all := alarm.Audience{Cloud: true, SNS: true, Voice: true}
		standing := slices.DeleteFunc(p.s.List(), func(a alarm.Alarm) bool { return a.State != event.AlarmUnacknowledged })
		stood += len(standing)
		for _, a := range standing {
			if told[a.Thing] != all || a.Suppressed || a.Shelved != nil {
				t.Errorf("seed %d: told %+v of %+v", seed, told[a.Thing], a)
			}
		}
	}
	if stood < 20 {
		t.Errorf("only %d alarms stand in the end", stood)
	}
}
