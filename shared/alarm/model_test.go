package alarm_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

// The model does each second all that the documentation says, one alarm after the other, with nothing but seconds.

// modelRule is what the rules say of a thing.
type modelRule struct {
	on, off, reAlarm, votes, window int
	latched, auto                   bool
	escalate                        []int
}

// modelThings are the things, in the order of their names, with the rule of each. Those named a-c cause a-*, b-c those of b.
var modelThings = []struct {
	name string
	rule modelRule
}{
	{"a-1", modelRule{votes: 1, window: 1}},
	{"a-2", modelRule{on: 10, off: 5, votes: 1, window: 1}},
	{"a-3", modelRule{latched: true, votes: 1, window: 1, escalate: []int{60, 180}}},
	{"a-c", modelRule{votes: 1, window: 1}},
	{"b-1", modelRule{auto: true, votes: 1, window: 1}},
	{"b-2", modelRule{votes: 2, window: 3, escalate: []int{30}}},
	{"b-3", modelRule{reAlarm: 300, latched: true, off: 20, votes: 1, window: 1}},
	{"b-c", modelRule{on: 3, votes: 1, window: 1}},
}

const modelHold = 30 // seconds from a cause's end

func modelConfig() alarm.Config {
	c := alarm.Default()
	c.MaxPerLine, c.MaxPerSite = 1000, 1000
	c.Inhibit = []alarm.Inhibition{{Source: "cause", Faults: []string{"f"}, Same: "line", Hold: modelHold * second}}
	for _, t := range modelThings {
		r := alarm.Rule{
			Thing: t.name, OnDelay: time.Duration(t.rule.on) * second, OffDelay: time.Duration(t.rule.off) * second,
			ReAlarm: time.Duration(t.rule.reAlarm) * second, Latched: &t.rule.latched, AutoAcknowledge: &t.rule.auto,
			Votes: t.rule.votes, Window: t.rule.window,
		}
		for _, e := range t.rule.escalate {
			r.Escalate = append(r.Escalate, time.Duration(e)*second)
		}
		c.Rules = append(c.Rules, r)
	}
	return c
}

func modelFault(thing string) event.Fault {
	if thing[2:] == "c" {
		return "cause"
	}
	return "f"
}

// modelAlarm is an alarm of the model. Times are seconds; a time of 0 is never.
type modelAlarm struct {
	thing, line            string
	rule                   modelRule
	votes                  []bool
	condition, level       bool
	turned, edge           int
	rises                  []int
	active, latched        bool
	chatters               bool
	state                  event.AlarmState
	shelved                int // until
	suppressed             bool
	release                int
	told, owed, hidden     bool
	toldAt, returnDue      int
	raised, alarmed, steps int
	announced              int // changes that were announced
}

type model struct {
	now    int
	alarms []*modelAlarm
	out    map[string]bool // lines that are out of service
}

func newModel() *model {
	m := &model{now: 10_000, out: make(map[string]bool)}
	for _, t := range modelThings {
		m.alarms = append(m.alarms, &modelAlarm{thing: t.name, line: t.name[:1], rule: t.rule, state: event.AlarmNormal})
	}
	return m
}

func (m *model) quiet(a *modelAlarm) bool { return a.shelved > 0 || a.suppressed || m.out[a.line] }

func (m *model) caused(a *modelAlarm) bool {
	return modelFault(a.thing) == "f" && slices.ContainsFunc(m.alarms, func(c *modelAlarm) bool {
		return c.line == a.line && modelFault(c.thing) == "cause" && c.active
	})
}

// tell announces, unless it may not be; waits: until the cooldown is over.
func (m *model) tell(a *modelAlarm, waits bool) {
	if m.quiet(a) {
		a.hidden = !a.told
		return
	}
	a.hidden = false
	if waits && a.toldAt > 0 && m.now < a.toldAt+60 {
		a.owed = a.owed || !a.told
		return
	}
	a.told, a.toldAt, a.owed = true, m.now, false
	a.announced++
}

func (m *model) raise(a *modelAlarm) {
	if a.state == event.AlarmNormal || a.state == event.AlarmAcknowledged {
		a.told, a.owed = false, false
	}
	a.active, a.latched, a.state, a.returnDue, a.steps = true, false, event.AlarmUnacknowledged, 0, 0
	a.raised, a.alarmed = m.now, m.now
	if m.caused(a) {
		a.suppressed, a.release = true, 0
	}
	m.tell(a, true)
}

func (m *model) end(a *modelAlarm) {
	a.state, a.latched, a.hidden, a.owed, a.steps, a.votes = event.AlarmNormal, false, false, false, 0, nil
}

func (m *model) tellEnd(a *modelAlarm) { a.told, a.owed, a.returnDue = false, false, 0; a.announced++ }

func (m *model) over(a *modelAlarm) {
	a.active, a.suppressed, a.release = false, false, 0
	if a.rule.latched {
		a.latched = true
		return
	}
	if a.told && m.now-a.raised < 5 {
		a.returnDue = m.now + 5
	} else if a.told {
		a.told = false
		a.announced++
	}
	if a.state == event.AlarmAcknowledged || a.rule.auto || a.hidden {
		m.end(a)
	} else {
		a.state = event.AlarmReturnedUnacknowledged
	}
}

// back is the end of a reason to be quiet.
func (m *model) back(a *modelAlarm, unshelved bool) {
	if a.state == event.AlarmUnacknowledged && !m.quiet(a) && (a.hidden || unshelved) {
		a.steps = 0
		m.tell(a, false)
	}
}

// work does what is due for an alarm.
func (m *model) work(a *modelAlarm) {
	if a.shelved > 0 && m.now >= a.shelved {
		a.shelved = 0
		m.back(a, true)
	}
	delay := a.rule.off
	if a.condition {
		delay = a.rule.on
	}
	if a.condition != a.level && m.now >= a.turned+delay {
		a.level, a.edge = a.condition, m.now
		if a.level {
			a.rises = append(a.rises, m.now)
		}
		switch {
		case a.chatters:
		case !a.level:
			m.over(a)
		default:
			m.raise(a)
			if n := len(a.rises); n >= 3 && m.now-a.rises[n-3] <= 60 {
				a.chatters = true
				m.tell(a, false)
			}
		}
	}
	if a.chatters && m.now >= a.edge+300 {
		a.chatters, a.rises = false, nil
		if !a.level {
			m.over(a)
		}
	}
	m.suppress(a)
	if a.returnDue > 0 && m.now >= a.returnDue {
		m.tellEnd(a)
	}
	if a.owed && a.state == event.AlarmUnacknowledged && !m.quiet(a) && m.now >= a.toldAt+60 {
		m.tell(a, false)
	}
	if a.rule.reAlarm > 0 && a.active && !a.chatters && !m.quiet(a) && m.now >= a.alarmed+a.rule.reAlarm {
		a.state, a.alarmed, a.steps = event.AlarmUnacknowledged, m.now, 0
		m.tell(a, false)
	}
	for a.told && a.state == event.AlarmUnacknowledged && !m.quiet(a) && a.steps < len(a.rule.escalate) && m.now >= a.toldAt+a.rule.escalate[a.steps] {
		a.steps++
		a.announced++
	}
}

func (m *model) suppress(a *modelAlarm) {
	switch {
	case !a.active:
	case m.caused(a):
		a.suppressed, a.release = true, 0
	case a.suppressed && a.release == 0:
		a.release = m.now + modelHold
	case a.suppressed && m.now >= a.release:
		a.suppressed, a.release = false, 0
		m.back(a, false)
	}
}

// pass does what is due for all.
func (m *model) pass() {
	for _, a := range m.alarms {
		m.work(a)
	}
	for _, a := range m.alarms {
		if a.active && a.suppressed != m.caused(a) {
			m.work(a)
		}
	}
}

func (m *model) wait(seconds int) {
	for range seconds {
		m.now++
		m.pass()
	}
}

func (m *model) observe(a *modelAlarm, active bool) {
	a.votes = append(a.votes, active != a.condition)
	a.votes = a.votes[max(0, len(a.votes)-a.rule.window):]
	n := 0
	for _, v := range a.votes {
		if v {
			n++
		}
	}
	if n >= a.rule.votes {
		a.condition, a.votes, a.turned = !a.condition, nil, m.now
	}
	m.pass()
}

// order obeys a command, and reports whether it can be.
func (m *model) order(a *modelAlarm, c alarm.Command) bool {
	switch c.Do {
	case alarm.Acknowledge:
		if a.state != event.AlarmUnacknowledged && a.state != event.AlarmReturnedUnacknowledged {
			return false
		}
		if a.state, a.owed = event.AlarmAcknowledged, false; !a.active {
			m.end(a)
			if a.told {
				m.tellEnd(a)
			}
		}
	case alarm.Shelve:
		a.shelved = m.now + int(c.For/second)
	case alarm.Unshelve:
		if a.shelved == 0 {
			return false
		}
		a.shelved = 0
		m.back(a, true)
	case alarm.ResetLatch:
		if !a.latched || a.state != event.AlarmAcknowledged {
			return false
		}
		m.end(a)
		if a.told {
			m.tellEnd(a)
		}
	case alarm.TakeOutOfService, alarm.ReturnToService:
		if m.out[a.line] == (c.Do == alarm.TakeOutOfService) {
			return false
		}
		if m.out[a.line] = c.Do == alarm.TakeOutOfService; !m.out[a.line] {
			for _, b := range m.alarms {
				if b.line == a.line {
					m.back(b, false)
				}
			}
		}
	}
	m.pass()
	return true
}

// TestModel takes random steps, with clocks that are set and restarts in between, and compares with the model. SOAK is the number
// of steps, SEED the seed.
func TestModel(t *testing.T) {
	steps, seed := 200_000, uint64(1)
	if n, err := strconv.Atoi(os.Getenv("SOAK")); err == nil {
		steps = n
	}
	if n, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		seed = n
	}
	if a, b := walk(t, seed, 2000), walk(t, seed, 2000); a != b {
		t.Fatal("the same seed gives another run")
	}
	t.Log(len(walk(t, seed, steps)))
}

// walk takes steps and returns what was announced, for the first of them.
func walk(t *testing.T, seed uint64, steps int) (course string) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	p, m := newSiteOf(t, modelConfig()), newModel()
	counts := make(map[string]int)
	journal := p.s.Snapshot()
	years := 0
	for i := range steps {
		a := m.alarms[rnd.IntN(len(m.alarms))]
		what := ""
		var got []alarm.Change
		switch n := rnd.IntN(1000); {
		case n < 450:
			active := rnd.IntN(2) == 0
			what = fmt.Sprint(a.thing, " ", active)
			got = p.observe(a.thing, modelFault(a.thing), active)
			m.observe(a, active)
		case n < 800:
			length := 1 + rnd.IntN(20)
			if rnd.IntN(20) == 0 {
				length = 1 + rnd.IntN(400)
			}
			what = fmt.Sprint("wait ", length)
			got = p.wait(time.Duration(length) * second)
			m.wait(length)
		case n < 960:
			got, what = orderBoth(t, p, m, a, rnd)
		case n < 995: // the clock is set
			years++
			to := time.Date(2030+years*7%60, 1, 1, 0, 0, 0, 0, time.UTC)
			if rnd.IntN(3) == 0 {
				to = unset
			}
			what = "clock " + to.Format(time.DateOnly)
			p.now = to
			got = p.wait(0)
		default:
			what = "restart"
			got = p.restart(p.now)
			journal = nil
		}
		if journal == nil {
			journal = p.s.Snapshot()
		}
		if journal = append(journal, p.s.Changed()...); rnd.IntN(1500) == 0 {
			compareJournal(t, p, journal)
			journal = nil
		}
		for _, c := range got {
			if c.To.Announced() {
				counts[c.Alarm.Thing]++
			}
		}
		if i < 2000 {
			course += what + ": " + kinds(got) + "\n"
		}
		p.all = nil
		for _, a := range m.alarms {
			compare(t, p, a, counts[a.thing])
		}
		if t.Failed() {
			t.Fatalf("seed %d, step %d: %s: %s", seed, i, what, kinds(got))
		}
	}
	return course
}

// orderBoth gives a random command to both.
func orderBoth(t *testing.T, p *site, m *model, a *modelAlarm, rnd *rand.Rand) ([]alarm.Change, string) {
	orders := []alarm.Do{
		alarm.Acknowledge, alarm.Acknowledge, alarm.Shelve, alarm.Unshelve, alarm.ResetLatch, alarm.TakeOutOfService, alarm.ReturnToService,
	}
	c := alarm.Command{Do: orders[rnd.IntN(len(orders))], By: "ann"}
	if c.Do == alarm.TakeOutOfService || c.Do == alarm.ReturnToService {
		c.Line = a.line
	} else {
		c.Alarms = []alarm.Key{{Thing: a.thing, Fault: modelFault(a.thing)}}
	}
	if c.Do == alarm.Shelve {
		c.For = time.Duration(1+rnd.IntN(300)) * second
		if _, known := p.s.Find(c.Alarms[0]); !known {
			p.refuse(c, alarm.ErrUnknown.Error())
			return nil, "shelve unknown"
		}
	}
	changes, err := p.s.Command(c, p.now)
	if obeyed := m.order(a, c); obeyed != (err == nil) {
		t.Errorf("%+v: %v, the model obeys: %v", c, err, obeyed)
	}
	return changes, fmt.Sprintf("%s %s", c.Do, a.thing)
}

// compare compares an alarm with the model's.
func compare(t *testing.T, p *site, want *modelAlarm, announced int) {
	t.Helper()
	got := p.find(want.thing, modelFault(want.thing))
	if got.State == "" {
		got.State = event.AlarmNormal
	}
	if got.State != want.state || got.Active != want.active || got.Chattering != want.chatters || got.Latched != want.latched ||
		got.Suppressed != want.suppressed || (got.Shelved != nil) != (want.shelved > 0) || announced != want.announced {
		t.Errorf("%s: %+v, announced %d\nwant %+v", want.thing, got, announced, want)
	}
}

// compareJournal restores what was recorded change by change, as after a loss of power: it is the same, but for votes and delays.
func compareJournal(t *testing.T, p *site, journal []alarm.Record) {
	t.Helper()
	other, changes, err := alarm.Restore(p.config, encoded(t, journal), p.now)
	if err != nil || len(changes) > 0 {
		t.Errorf("%v, %s", err, kinds(changes))
	}
	a, b := p.s.List(), other.List()
	if len(a) != len(b) {
		t.Errorf("%d alarms, restored %d", len(a), len(b))
		return
	}
	for i := range a {
		x, y := a[i], b[i]
		if x.Key != y.Key || x.State != y.State || x.Active != y.Active || x.Chattering != y.Chattering || x.Latched != y.Latched ||
			x.Suppressed != y.Suppressed || x.Count != y.Count || (x.Shelved == nil) != (y.Shelved == nil) {
			t.Errorf("%+v is restored as %+v", x, y)
		}
	}
	if len(p.s.Places()) != len(other.Places()) {
		t.Error("places differ")
	}
}
