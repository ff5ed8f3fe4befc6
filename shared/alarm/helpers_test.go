package alarm_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
	"edgepdm/test/must"
)

var t0 = time.Date(2026, 11, 28, 8, 0, 0, 0, time.UTC)

// site is a System with a clock of its own.
type site struct {
	t      testing.TB
	config alarm.Config
	s      *alarm.System
	now    time.Time
	all    []alarm.Change
}

func newSite(t testing.TB, rules ...alarm.Rule) *site {
	c := alarm.Default()
	c.Rules = rules
	return newSiteOf(t, c)
}

func newSiteOf(t testing.TB, c alarm.Config) *site {
	t.Helper()
	s, err := alarm.New(c, t0)
	must.OK(t, err)
	return &site{t: t, config: c, s: s, now: t0}
}

// observe says whether a condition holds.
func (p *site) observe(thing string, fault event.Fault, active bool) []alarm.Change {
	p.t.Helper()
	return p.take(alarm.Observation{Thing: thing, Line: lineOf(thing), Fault: fault, Active: active})
}

// lineOf puts a-1 on line a.
func lineOf(thing string) string {
	line, _, found := strings.Cut(thing, "-")
	if !found {
		return ""
	}
	return line
}

func (p *site) take(o alarm.Observation) []alarm.Change {
	p.t.Helper()
	changes, err := p.s.Observe(o, p.now)
	must.OK(p.t, err)
	return p.note(changes)
}

func (p *site) note(changes []alarm.Change) []alarm.Change {
	p.all = append(p.all, changes...)
	return changes
}

// wait lets time go by, with a tick whenever one is due.
func (p *site) wait(d time.Duration) []alarm.Change {
	var all []alarm.Change
	end := p.now.Add(d)
	for {
		next := p.s.Next(p.now)
		if next.IsZero() || next.After(end) {
			p.now = end
			return append(all, p.note(p.s.Tick(end))...)
		}
		p.now = next
		all = append(all, p.note(p.s.Tick(next))...)
	}
}

func (p *site) order(c alarm.Command) []alarm.Change {
	p.t.Helper()
	changes, err := p.s.Command(c, p.now)
	must.OK(p.t, err)
	return p.note(changes)
}

// refuse gives a command that is not obeyed, and changes nothing.
func (p *site) refuse(c alarm.Command, want string) {
	p.t.Helper()
	before := p.state()
	changes, err := p.s.Command(c, p.now)
	if err == nil || !strings.Contains(err.Error(), want) || len(changes) > 0 {
		p.t.Errorf("%+v: %v, %v; want an error with %q", c, kinds(changes), err, want)
	}
	if after := p.state(); after != before {
		p.t.Errorf("%+v was refused and changed\n%s into\n%s", c, before, after)
	}
}

// state is the whole state as text.
func (p *site) state() string {
	data := must.JSON(p.t, p.s.Snapshot())
	return string(data)
}

// restart goes on from what JSON keeps, at a time.
func (p *site) restart(now time.Time) []alarm.Change {
	p.t.Helper()
	p.now = now
	s, changes, err := alarm.Restore(p.config, encoded(p.t, p.s.Snapshot()), now)
	must.OK(p.t, err)
	p.s = s
	return p.note(changes)
}

func encoded(t testing.TB, records []alarm.Record) []alarm.Record {
	t.Helper()
	read := make([]alarm.Record, 0, len(records))
	for _, r := range records {
		data := must.JSON(t, r)
		again, err := alarm.DecodeRecord(data)
		if err != nil {
			t.Fatalf("%v: %s", err, data)
		}
		read = append(read, again)
	}
	return read
}

func (p *site) find(thing string, fault event.Fault) alarm.Alarm {
	a, _ := p.s.Find(alarm.Key{Thing: thing, Fault: fault})
	return a
}

// kinds are the changes in short: with a ! those that are announced.
func kinds(changes []alarm.Change) string {
	var words []string
	for _, c := range changes {
		word := string(c.Kind)
		if c.To.Announced() {
			word += "!"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func announced(changes []alarm.Change) []alarm.Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c alarm.Change) bool { return !c.To.Announced() })
}

func (p *site) expect(changes []alarm.Change, want string) {
	p.t.Helper()
	if got := kinds(changes); got != want {
		p.t.Errorf("changes %q, want %q", got, want)
	}
}

func (p *site) state1(thing string, want event.AlarmState) {
	p.t.Helper()
	if got := p.find(thing, "f").State; got != want {
		p.t.Errorf("%s is %q, want %q", thing, got, want)
	}
}

func key(thing string) []alarm.Key { return []alarm.Key{{Thing: thing, Fault: "f"}} }
