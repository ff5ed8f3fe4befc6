package engine

import (
	"encoding/json"
	"maps"

	"edgepdm/shared/event"
)

// offline are the things that stand in alarm, or are out of service: their rows say nothing of drift. It is learned of the events of
// alarms as they come; after a start nothing is known, and a thing counts until its alarm changes.
type offline struct {
	alarms  map[string]map[event.Fault]bool // by thing
	service map[string]bool                 // things, and lines, that are out of service; a line's name begins with a slash
}

// maxOffline bounds the things and lines that are remembered.
const maxOffline = 10_000

// alarmChange is what is read of an event of an alarm.
type alarmChange struct {
	V      int         `json:"v"`
	Change string      `json:"change"`
	Thing  string      `json:"thing"`
	From   string      `json:"from"`
	Line   string      `json:"line"`
	Fault  event.Fault `json:"fault"`
	Active bool        `json:"active"`
}

func newOffline() *offline {
	return &offline{alarms: make(map[string]map[event.Fault]bool), service: make(map[string]bool)}
}

// is reports whether a thing's rows do not count.
func (o *offline) is(thing, line string) bool {
	return len(o.alarms[thing]) > 0 || o.service[thing] || line != "" && o.service["/"+line]
}

// event takes an event of an alarm. What cannot be read changes nothing.
func (o *offline) event(payload []byte) {
	var c alarmChange
	if json.Unmarshal(payload, &c) != nil || c.V != event.Version {
		return
	}
	if c.Fault == "" {
		o.place(c)
		return
	}
	switch c.Fault {
	case event.FaultDrift, event.FaultSilence, event.FaultLine, event.FaultEngineDown, event.FaultUplinkDown, event.FaultSummary, event.FaultTest:
		return // say nothing of how the machine is
	case event.FaultMachine, event.FaultNoData, event.FaultQuality: // and those that limits have
	}
	switch {
	case c.Change == "forgotten" || !c.Active:
		delete(o.alarms[c.Thing], c.Fault)
		if len(o.alarms[c.Thing]) == 0 {
			delete(o.alarms, c.Thing)
		}
	case len(o.alarms) < maxOffline || o.alarms[c.Thing] != nil:
		if o.alarms[c.Thing] == nil {
			o.alarms[c.Thing] = make(map[event.Fault]bool)
		}
		o.alarms[c.Thing][c.Fault] = true
	}
}

// place takes a change of a thing or line as a whole.
func (o *offline) place(c alarmChange) {
	name := c.Thing
	if name == "" {
		name = "/" + c.Line
	}
	switch c.Change {
	case "out-of-service", "retired":
		if len(o.service) < maxOffline {
			o.service[name] = true
		}
	case "returned-to-service":
		delete(o.service, name)
	case "renamed":
		if alarms := o.alarms[c.From]; alarms != nil {
			o.alarms[c.Thing] = maps.Clone(alarms)
		}
		delete(o.alarms, c.From)
	}
	if c.Change == "retired" {
		delete(o.alarms, c.Thing)
	}
}
