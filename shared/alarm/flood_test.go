package alarm_test

import (
	"fmt"
	"testing"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

func count(changes []alarm.Change, kind alarm.Kind) (n int) {
	for _, c := range changes {
		if c.Kind == kind {
			n++
		}
	}
	return n
}

// A fault that flickers for an hour is one raise and one note that it chatters, at whatever rate.
func TestFlicker(t *testing.T) {
	for _, half := range []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, time.Second} {
		t.Run(half.String(), func(t *testing.T) {
			p := newSite(t)
			written := 0
			for end := t0.Add(time.Hour); p.now.Before(end); {
				p.observe("a-1", "f", true)
				p.wait(half)
				p.observe("a-1", "f", false)
				p.wait(half)
				written += len(p.s.Changed())
			}
			p.expect(announced(p.all), "raised! chattering!")
			if a := p.find("a-1", "f"); !a.Chattering || a.State != event.AlarmUnacknowledged || len(p.s.List()) != 1 {
				t.Errorf("%+v", a)
			}
			if written > 40 { // the alarm, its floods, and the figures once in ten minutes
				t.Errorf("%d records are written", written)
			}
			if actors := p.s.KPIs(p.now).Worst; len(actors) != 1 || actors[0].Count != int(time.Hour/(2*half)) {
				t.Errorf("%+v", actors)
			}
			p.expect(announced(p.wait(10*time.Minute)), "returned!")
		})
	}
}

// 500 alarms in ten seconds are at most ten announcements and a summary, and all of them are in the list: on one line, on many,
// and of things without a line.
func TestFiveHundredAlarms(t *testing.T) {
	for name, c := range map[string]struct {
		thing func(i int) string
		line  string
	}{
		"one line":  {func(i int) string { return fmt.Sprintf("a-%d", i) }, "a"},
		"many":      {func(i int) string { return fmt.Sprintf("l%d-%d", i, i) }, ""},
		"few":       {func(i int) string { return fmt.Sprintf("l%d-%d", i%4, i) }, ""},
		"no line":   {func(i int) string { return fmt.Sprintf("p%d", i) }, ""},
		"a restart": {func(i int) string { return fmt.Sprintf("a-%d", i) }, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newSite(t)
			for i := range 500 {
				p.observe(c.thing(i), "f", true)
				p.wait(20 * time.Millisecond)
				if name == "a restart" && i%50 == 7 {
					p.restart(p.now)
				}
			}
			if n := len(announced(p.all)); n != 10 || count(p.all, alarm.Raised) != 500 || len(p.s.List()) != 500 {
				t.Fatalf("%d announced, %d raised, %d in the list", n, count(p.all, alarm.Raised), len(p.s.List()))
			}
			sums := announced(p.wait(9 * time.Minute))
			total := 0
			for _, s := range sums {
				total += s.Count
			}
			if total != 490 || name != "few" && len(sums) != 1 || sums[0].Alarm.Line != c.line || len(sums[0].Keys) == 0 {
				t.Errorf("summaries %+v", sums)
			}
			p.expect(p.wait(time.Hour), "")
		})
	}
}

func TestSummaryOfALine(t *testing.T) {
	p := newSite(t)
	raise := func(n, from int) {
		for i := range n {
			p.observe(fmt.Sprintf("3-%d", from+i), "f", true)
			p.wait(2 * time.Second)
		}
	}
	raise(22, 0)
	sums := announced(p.wait(time.Minute))
	if len(sums) != 1 || sums[0].Count != 12 {
		t.Fatalf("%+v", sums)
	}
	if text := p.s.Text(sums[0], "en", alarm.Insight{}); text != "12 more alarms on 3." {
		t.Error(text)
	}
	raise(3, 100) // within the ten minutes: held, and not summed up again at once
	p.expect(announced(p.wait(5*time.Minute)), "")
	p.expect(announced(p.wait(5*time.Minute)), "summary!")
	p.expect(p.observe("3-200", "f", true), "raised!")
	p.expect(p.observe("4-1", "f", true), "raised!")
}

// An alarm that was only summed up is over without a word, and waits for its acknowledgement all the same.
func TestHeldAlarmReturns(t *testing.T) {
	c := alarm.Default()
	c.MaxPerLine = 1
	p := newSiteOf(t, c)
	p.observe("a-1", "f", true)
	p.expect(p.observe("a-2", "f", true), "raised")
	p.wait(10 * time.Second)
	p.expect(p.observe("a-2", "f", false), "returned")
	p.state1("a-2", event.AlarmReturnedUnacknowledged)
	p.expect(p.observe("a-1", "f", false), "returned!")
	p.expect(p.wait(time.Minute), "summary!")
}

func TestGroup(t *testing.T) {
	p := newSite(t, alarm.Rule{Fault: "leak", Group: "line"})
	p.expect(p.observe("a-1", "leak", true), "raised!")
	p.expect(p.observe("a-2", "leak", true), "raised")
	p.expect(p.observe("a-3", "leak", true), "raised")
	p.expect(p.observe("b-1", "leak", true), "raised!")
	p.expect(p.observe("a-3", "other", true), "raised!")
	sums := p.wait(30 * time.Second)
	if len(sums) != 1 || sums[0].Count != 2 || sums[0].Alarm.Line != "a" {
		t.Errorf("%+v", sums)
	}
	p.wait(5 * time.Minute)
	p.expect(p.observe("a-4", "leak", true), "raised!")
}

// What an engine that is down causes is no news, and neither is what is over a little later than it.
func TestInhibition(t *testing.T) {
	const core = "core"
	p := newSite(t)
	p.expect(p.observe("a-1", event.FaultSilence, true), "raised!")
	p.expect(p.observe(core, event.FaultEngineDown, true), "raised! suppressed")
	p.expect(p.observe("a-2", event.FaultSilence, true), "raised suppressed")
	p.expect(p.observe("a-3", event.FaultSilence, true), "raised suppressed")
	p.expect(p.observe("a-3", event.FaultMachine, true), "raised!")
	if a := p.find("a-2", event.FaultSilence); !a.Suppressed || a.SuppressedBy.Thing != core {
		t.Errorf("%+v", a)
	}
	p.restart(p.now.Add(time.Minute))
	p.wait(time.Minute)
	p.expect(p.observe(core, event.FaultEngineDown, false), "returned!")
	p.wait(5 * time.Second)
	p.expect(p.observe("a-2", event.FaultSilence, false), "returned")
	if got := p.find("a-2", event.FaultSilence).State; got != event.AlarmNormal {
		t.Errorf("a consequence that nobody was told of is %q", got)
	}
	p.expect(p.wait(24*time.Second), "")
	p.expect(p.wait(time.Second), "unsuppressed unsuppressed!") // a-1 was told before; a-3 is silent for a reason of its own
}

func TestInhibitionOfALine(t *testing.T) {
	c := alarm.Default()
	c.Inhibit = []alarm.Inhibition{{Source: "line-down", Faults: []string{"silence"}, Same: "line", Hold: time.Minute}}
	p := newSiteOf(t, c)
	p.expect(p.observe("a-plc", "line-down", true), "raised!")
	p.expect(p.observe("a-1", "silence", true), "raised suppressed")
	p.expect(p.observe("b-1", "silence", true), "raised!")
	p.expect(p.take(alarm.Observation{Thing: "c1", Fault: "line-down", Active: true}), "raised!")
	p.expect(p.take(alarm.Observation{Thing: "c2", Fault: "silence", Active: true}), "raised!") // no line is no common line
	// The machine is moved to a line that works.
	p.take(alarm.Observation{Thing: "a-1", Line: "b", Fault: "silence", Active: true})
	p.expect(p.wait(time.Minute), "unsuppressed!")
}

// The end of a cause and another one that comes meanwhile.
func TestTwoCauses(t *testing.T) {
	p := newSite(t)
	p.observe("core", event.FaultEngineDown, true)
	p.observe("a-1", event.FaultSilence, true)
	p.observe("core", event.FaultUplinkDown, true)
	p.wait(10 * time.Second)
	p.expect(p.observe("core", event.FaultEngineDown, false), "returned!")
	p.wait(time.Hour)
	if !p.find("a-1", event.FaultSilence).Suppressed {
		t.Error("it is told although the uplink is down")
	}
	p.observe("core", event.FaultUplinkDown, false)
	p.expect(p.wait(29*time.Second), "")
	p.expect(p.observe("core", event.FaultUplinkDown, true), "raised!")
	p.expect(p.wait(time.Hour), "")
}

// A priority that rises raises the alarm again; one that falls does not.
func TestPriorityRises(t *testing.T) {
	p := newSite(t)
	observe := func(s event.Severity) []alarm.Change {
		return p.take(alarm.Observation{Thing: "a-1", Line: "a", Fault: "f", Active: true, Severity: s})
	}
	p.expect(observe(event.SeverityLow), "raised!")
	p.order(alarm.Command{Do: alarm.Acknowledge, Line: "a"})
	p.expect(observe(event.SeverityHigh), "re-alarmed!")
	p.state1("a-1", event.AlarmUnacknowledged)
	p.expect(observe(event.SeverityLow), "")
	p.expect(observe(event.SeverityHigh), "")
	if got := p.find("a-1", "f").Priority; got != event.SeverityHigh {
		t.Error(got)
	}
	ruled := newSite(t, alarm.Rule{Thing: "a-*", Priority: event.SeverityLow})
	ruled.take(alarm.Observation{Thing: "a-1", Fault: "f", Active: true, Severity: event.SeverityHigh})
	if got := ruled.find("a-1", "f").Priority; got != event.SeverityLow {
		t.Error(got)
	}
}
