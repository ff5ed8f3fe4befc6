package component

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"edgepdm/shared/event"
)

// Bounds of what a health message, which is a local message, says about conditions.
const (
	maxConditionDetail = 300 // bytes of one condition
	maxConditions      = 8
)

// logConditionEvery is the least time between two log lines about a condition that changes.
const logConditionEvery = 10 * time.Second

// Conditions are what is wrong with a component at the moment. It is DEGRADED while something is, and what SetState says
// once it has heard from every place that it expects.
type Conditions struct {
	log    *slog.Logger
	now    func() time.Time
	grace  time.Duration // before a refusal of the nucleus is logged: it takes the rights of a component before it ends it
	notify func()

	mu       sync.Mutex
	expected map[place]bool
	wrong    map[place]*condition
}

// place is where something can be wrong.
type place struct {
	code event.Code
	name string
}

// condition is what is wrong at a place.
type condition struct {
	parts    map[int]string // by part of the place; part 0 where it has none
	since    time.Time
	logged   time.Time
	text     string // of the lowest part
	isLogged bool   // text was
	lasting  bool   // of the framework: outlives a change of the configuration
}

func newConditions(log *slog.Logger, now func() time.Time, grace time.Duration, notify func()) *Conditions {
	return &Conditions{log: log, now: now, grace: grace, notify: notify, expected: make(map[place]bool), wrong: make(map[place]*condition)}
}

// Expect keeps the component from being OK until Set is called for the place.
func (c *Conditions) Expect(code event.Code, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expected[place{code, name}] = true
}

// Set says what is wrong at a place; nil: it works. A change is logged. The text should be the same as long as the cause
// is: no request ids, no times.
func (c *Conditions) Set(code event.Code, name string, problem error) {
	c.SetPart(code, name, 0, problem)
}

// SetPart is Set for one part of a place, such as one of the requests that a stream has under way: the place works when
// all its parts do.
func (c *Conditions) SetPart(code event.Code, name string, part int, problem error) {
	c.set(place{code, name}, part, problem, false)
}

// setDeaf is Set for a condition of the framework, which outlives a change of the configuration.
func (c *Conditions) setDeaf(problem error) {
	c.set(place{event.CodePubSubDeaf, event.PlaceLocal}, 0, problem, true)
}

func (c *Conditions) set(at place, part int, problem error, lasting bool) {
	c.mu.Lock()
	changed := c.change(at, part, problem, lasting)
	c.mu.Unlock()
	if changed {
		c.notify()
	}
}

// change does what set does, and tells whether that changes anything. mu is held.
func (c *Conditions) change(at place, part int, problem error, lasting bool) bool {
	awaited := c.expected[at]
	delete(c.expected, at)
	is := c.wrong[at]
	if problem == nil {
		if is == nil {
			return awaited
		}
		delete(is.parts, part)
		if len(is.parts) == 0 {
			delete(c.wrong, at)
			if !is.logged.IsZero() {
				c.log.Info("condition is over", "code", at.code, "place", at.name)
			}
			return true
		}
	} else {
		if is == nil {
			is = &condition{parts: make(map[int]string), since: c.now(), lasting: lasting}
			c.wrong[at] = is
		}
		is.parts[part] = event.Cut(problem.Error(), event.MaxDetail)
	}
	text := is.parts[slices.Min(slices.Collect(maps.Keys(is.parts)))]
	if text == is.text {
		return awaited
	}
	is.text, is.isLogged = text, false
	c.write(at, is, c.now())
	return true
}

// write logs what is wrong at a place, if it is time to. mu is held.
func (c *Conditions) write(at place, is *condition, now time.Time) {
	early := at.code == event.CodeNotAuthorized && now.Sub(is.since) < c.grace
	if is.isLogged || early || !is.logged.IsZero() && now.Sub(is.logged) < logConditionEvery {
		return
	}
	is.isLogged, is.logged = true, now
	c.log.Error("condition holds; work is tried again", "code", at.code, "place", at.name, "error", is.text)
}

// reset forgets what the work said before it was entered again.
func (c *Conditions) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.expected)
	maps.DeleteFunc(c.wrong, func(_ place, is *condition) bool { return !is.lasting })
}

// report gives what is wrong, the oldest first, and tells whether word is awaited from a place.
func (c *Conditions) report() (list []event.Condition, awaited bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at, is := range c.wrong {
		c.write(at, is, c.now())
		list = append(list, event.Condition{Code: at.code, Place: at.name, Detail: event.Cut(is.text, maxConditionDetail), Since: is.since.UTC()})
	}
	slices.SortFunc(list, func(a, b event.Condition) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Place, b.Place))
	})
	return list, len(c.expected) > 0
}

// foremost are the conditions that a health message has: of too many first those from which others conclude that the component does not do
// its work, such as com.edgepdm.AlarmManager.
func foremost(list []event.Condition) []event.Condition {
	if len(list) <= maxConditions {
		return list
	}
	rank := func(c event.Condition) int {
		switch c.Code {
		case event.CodeNotAuthorized, event.CodePubSubDeaf, event.CodeCloudAccess, event.CodeDelivery:
			return 0
		default:
			return 1
		}
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b event.Condition) int { return cmp.Compare(rank(a), rank(b)) })
	return list[:maxConditions]
}

// detail is all that is wrong in one text.
func detail(list []event.Condition) string {
	var parts []string
	for _, c := range list {
		parts = append(parts, c.Place+": "+c.Detail)
	}
	return event.Cut(strings.Join(parts, "; "), event.MaxDetail)
}

// beginWork forgets what the work said before its Run was entered again.
func (rt *Runtime) beginWork() {
	rt.conditions.reset()
	rt.mu.Lock()
	rt.state, rt.detail = event.StateStarting, ""
	rt.mu.Unlock()
}
