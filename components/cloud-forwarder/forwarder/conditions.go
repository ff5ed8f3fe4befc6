package forwarder

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
)

// maxDetail is the longest text about the state, in bytes: health messages are local messages.
const maxDetail = 600

// conditions are what is wrong at the moment, by place. The component is DEGRADED while something is, and OK once it has
// heard from every place that it expects.
type conditions struct {
	rt *component.Runtime

	mu       sync.Mutex
	expected map[string]bool
	wrong    map[string]string
	parts    map[string]map[int]error // what is wrong with parts of places
}

func newConditions(rt *component.Runtime) *conditions {
	return &conditions{rt: rt, expected: make(map[string]bool), wrong: make(map[string]string), parts: make(map[string]map[int]error)}
}

// expect makes the component wait for word from place before it says OK.
func (c *conditions) expect(place string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expected[place] = true
}

// set says what is wrong at a place; nil: it works. A change is logged.
func (c *conditions) set(place string, problem error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change(place, problem)
}

// setPart is set for one part of a place, such as one of the requests that a stream has under way: the place works when
// all its parts do.
func (c *conditions) setPart(place string, part int, problem error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	parts := c.parts[place]
	switch {
	case problem == nil:
		delete(parts, part)
	case parts == nil:
		parts = map[int]error{part: problem}
		c.parts[place] = parts
	default:
		parts[part] = problem
	}
	if len(parts) > 0 {
		problem = parts[slices.Min(slices.Collect(maps.Keys(parts)))]
	}
	c.change(place, problem)
}

// change does what set does. mu is held.
func (c *conditions) change(place string, problem error) {
	before, was := c.wrong[place]
	awaited := c.expected[place]
	delete(c.expected, place)
	switch {
	case problem == nil && !was && !awaited:
		return
	case problem != nil && problem.Error() == before:
		return
	case problem != nil:
		if c.wrong[place] = problem.Error(); !was {
			c.rt.Log.Error("something does not work; it will be tried again", "place", place, "error", problem)
		}
	case was:
		delete(c.wrong, place)
		c.rt.Log.Info("it works again", "place", place)
	}
	switch {
	case len(c.wrong) > 0:
		c.rt.SetState(event.StateDegraded, c.detail())
	case len(c.expected) == 0:
		c.rt.SetState(event.StateOK, "")
	}
}

// detail is all that is wrong. mu is held.
func (c *conditions) detail() string {
	var parts []string
	for _, place := range slices.Sorted(maps.Keys(c.wrong)) {
		parts = append(parts, place+": "+c.wrong[place])
	}
	text := strings.Join(parts, "; ")
	return strings.ToValidUTF8(text[:min(len(text), maxDetail)], "")
}

// uplink is the state of the way to the cloud: down while a sender finds it so. Such a sender goes on trying, so that what
// it says is never old; one that has nothing to send says nothing.
type uplink struct {
	rt *component.Runtime

	mu   sync.Mutex
	down map[sender]bool
	last bool // what was said last, by any of them
}

// sender is a stream, or one part of those that send in parallel.
type sender struct {
	stream string
	part   int
}

func newUplink(rt *component.Runtime) *uplink { return &uplink{rt: rt, down: make(map[sender]bool)} }

func (u *uplink) set(by sender, up bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last = up
	if up {
		delete(u.down, by)
	} else {
		u.down[by] = true
	}
	u.say()
}

// forget takes back what a sender said that does not try any more. That alone is no sign that the uplink works: without
// word of another one it counts as down until the next message.
func (u *uplink) forget(by sender) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.down, by)
	if u.last {
		u.say()
	}
}

// say tells the state. mu is held.
func (u *uplink) say() {
	state := event.UplinkUp
	if len(u.down) > 0 {
		state = event.UplinkDown
	}
	u.rt.SetUplink(state)
}
