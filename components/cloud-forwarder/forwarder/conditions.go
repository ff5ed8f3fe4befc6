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
}

func newConditions(rt *component.Runtime) *conditions {
	return &conditions{rt: rt, expected: make(map[string]bool), wrong: make(map[string]string)}
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

// uplink is the state of the way to the cloud: down while a stream finds it so. Such a stream goes on trying, so that what
// it says is never old; one that has nothing to send says nothing.
type uplink struct {
	rt *component.Runtime

	mu   sync.Mutex
	down map[string]bool // by stream
}

func newUplink(rt *component.Runtime) *uplink { return &uplink{rt: rt, down: make(map[string]bool)} }

func (u *uplink) set(stream string, up bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if up {
		delete(u.down, stream)
	} else {
		u.down[stream] = true
	}
	state := event.UplinkUp
	if len(u.down) > 0 {
		state = event.UplinkDown
	}
	u.rt.SetUplink(state)
}
