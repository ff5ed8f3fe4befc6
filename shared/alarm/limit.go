package alarm

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"edgepdm/shared/event"
)

// Limit is a bound of a sensor's values. The first one that matches a machine is that of its fault there.
type Limit struct {
	Sensor   string         `json:"sensor"`
	Above    *float64       `json:"above"`    // values above it are a fault
	Below    *float64       `json:"below"`    // or those below it
	Clear    *float64       `json:"clear"`    // value from which there is none; between the two nothing changes; default: the limit
	For      time.Duration  `json:"for"`      // how long it is passed until the alarm is raised
	Line     string         `json:"line"`     // pattern with * and ?; "" matches all
	Thing    string         `json:"thing"`    // likewise
	Priority event.Severity `json:"priority"` // default medium
	Fault    string         `json:"fault"`    // default limit- and the sensor
}

// MaxLimits is how many there may be.
const MaxLimits = 50

// ValidateLimits names the field that is wrong. Faults that are reserved are those of others.
func ValidateLimits(limits []Limit, reserved ...event.Fault) error {
	if n := len(limits); n > MaxLimits {
		return fmt.Errorf("limits: has %d, at most %d", n, MaxLimits)
	}
	for i, l := range limits {
		if err := l.validate(reserved); err != nil {
			return fmt.Errorf("limits[%d].%w", i, err)
		}
		for j, other := range limits[:i] {
			if err := l.besides(other, j); err != nil {
				return fmt.Errorf("limits[%d].%w", i, err)
			}
		}
	}
	return nil
}

func (l Limit) validate(reserved []event.Fault) error {
	if err := event.CheckSensor(l.Sensor); err != nil {
		return fmt.Errorf("sensor: %w", err)
	}
	switch {
	case l.Above == nil && l.Below == nil:
		return errors.New("above: is missing, and so is below")
	case l.Above != nil && l.Below != nil:
		return errors.New("above: is set, and so is below: make two limits, each with a fault of its own")
	}
	for _, v := range []struct {
		field string
		value *float64
	}{{"above", l.Above}, {"below", l.Below}, {"clear", l.Clear}} {
		if v.value != nil && !(math.Abs(*v.value) <= math.MaxFloat32) {
			return fmt.Errorf("%s: %v is no value that a sensor can have", v.field, *v.value)
		}
	}
	switch {
	case l.Clear != nil && l.Above != nil && *l.Clear > *l.Above:
		return fmt.Errorf("clear: %v is higher than above (%v)", *l.Clear, *l.Above)
	case l.Clear != nil && l.Below != nil && *l.Clear < *l.Below:
		return fmt.Errorf("clear: %v is lower than below (%v)", *l.Clear, *l.Below)
	case l.For < 0 || l.For > maxSetting:
		return fmt.Errorf("for: %v is not between 0 and %v", l.For, maxSetting)
	case l.Priority != "" && rank(l.Priority) == 0:
		return fmt.Errorf("priority: %q is none of high, medium and low", l.Priority)
	}
	for _, p := range []struct{ field, pattern string }{{"line", l.Line}, {"thing", l.Thing}} {
		if err := checkPattern(p.pattern); err != nil {
			return fmt.Errorf("%s: %w", p.field, err)
		}
	}
	if err := checkFault(string(l.FaultName())); err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	for _, f := range reserved {
		if l.FaultName() == f {
			return fmt.Errorf("fault: %s is that of other alarms", f)
		}
	}
	return nil
}

// besides says why a limit cannot stand behind another one, the j-th: two limits of one fault are the same for different machines.
func (l Limit) besides(before Limit, j int) error {
	all := func(pattern string) bool { return pattern == "" || pattern == "*" }
	covers := func(a, b string) bool { return all(a) || a == b }
	switch {
	case l.FaultName() != before.FaultName():
		return nil
	case l.Sensor != before.Sensor || (l.Above == nil) != (before.Above == nil):
		return fmt.Errorf("fault: %s is that of limits[%d], which is another one: give it a name of its own", l.FaultName(), j)
	case covers(before.Line, l.Line) && covers(before.Thing, l.Thing):
		return fmt.Errorf("fault: %s is that of limits[%d], which has all of its machines: give it a name of its own", l.FaultName(), j)
	}
	return nil
}

// FaultName is the fault of the limit's alarms.
func (l Limit) FaultName() event.Fault {
	if l.Fault != "" {
		return event.Fault(l.Fault)
	}
	name := "limit-" + strings.Map(func(r rune) rune {
		if event.CheckName(string(r)) != nil {
			return '-'
		}
		return r
	}, l.Sensor)
	return event.Fault(name[:min(len(name), maxFault)])
}

// Matches reports whether the limit is for a machine.
func (l Limit) Matches(line, thing string) bool {
	return matches(l.Line, line) && matches(l.Thing, thing)
}

// Value is the limit.
func (l Limit) Value() float64 {
	if l.Above != nil {
		return *l.Above
	}
	return *l.Below
}

// Judge puts a sensor's value into an observation's terms. The limit itself is not passed yet, as a float32, which values are.
func (l Limit) Judge(value float32) (active, undecided bool) {
	single := func(x float64) float64 { return float64(float32(x)) }
	band := Band{Clear: single(l.Value())}
	if l.Clear != nil {
		band.Clear = single(*l.Clear)
	}
	direction := math.Inf(-1)
	if l.Above != nil {
		direction = math.Inf(1)
	}
	band.Raise = math.Nextafter(single(l.Value()), direction)
	return band.Judge(float64(value))
}

// Rule is what a limit adds to the rules, behind those of the site. One without For has a delay all the same, of nothing: the rule of
// a limit behind it is not for it.
func (l Limit) Rule() Rule {
	return Rule{Line: l.Line, Thing: l.Thing, Fault: string(l.FaultName()), OnDelay: max(l.For, 1), Text: map[string]string{
		"de": "Grenzwert an {place}: {detail}.",
		"es": "Límite en {place}: {detail}.",
		"fr": "Limite sur {place} : {detail}.",
	}}
}
