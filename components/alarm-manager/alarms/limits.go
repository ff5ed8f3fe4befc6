package alarms

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

const (
	// unseenTime is how long a limit may have no value until that is told.
	unseenTime = 10 * time.Minute
	// placeLimits is where a condition says so.
	placeLimits = "limits"
	// unseenNamed is how many such limits it names.
	unseenNamed = 3
)

// ownFaults are the faults that no limit may have.
var ownFaults = []event.Fault{
	event.FaultMachine, event.FaultSilence, event.FaultLine, event.FaultNoData, event.FaultQuality, event.FaultEngineDown, event.FaultUplinkDown, event.FaultTest,
	event.FaultSummary, event.FaultDrift,
}

// limits judges the values that predictions carry by the limits of the configuration.
type limits struct {
	list   []alarm.Limit
	unseen []unseen // of each limit
}

// unseen is how long a limit has had no value.
type unseen struct {
	since time.Time
	row   bool // a row has come since, without one
}

func newLimits(list []alarm.Limit, now time.Time) limits {
	l := limits{list: list, unseen: make([]unseen, len(list))}
	for i := range l.unseen {
		l.unseen[i].since = now
	}
	return l
}

// of are the indices of a machine's limits, of each fault the first.
func (l limits) of(line, thing string) (indices []int) {
	taken := make(map[event.Fault]bool)
	for i := range l.list {
		if fault := l.list[i].FaultName(); l.list[i].Matches(line, thing) && !taken[fault] {
			taken[fault] = true
			indices = append(indices, i)
		}
	}
	return indices
}

// faults are those of a machine's limits.
func (l limits) faults(line, thing string) (faults []event.Fault) {
	for _, i := range l.of(line, thing) {
		faults = append(faults, l.list[i].FaultName())
	}
	return faults
}

// missing says which limits have had no value for a long time, though rows came.
func (l limits) missing(now time.Time) error {
	var problems []error
	for i, u := range l.unseen {
		if u.row && now.Sub(u.since) >= unseenTime {
			problems = append(problems, fmt.Errorf("limits[%d]: no prediction has a value of %s for its machines: is the sensor in watch of %s?",
				i, l.list[i].Sensor, event.InferenceEngine))
		}
	}
	if n := len(problems) - unseenNamed; n > 0 {
		problems = append(problems[:unseenNamed], fmt.Errorf("and %d more", n))
	}
	return errors.Join(problems...)
}

// limit judges a prediction's values by the machine's limits. A value that is missing says nothing: an alarm stands.
func (r *run) limit(p *event.Prediction, now time.Time) {
	for i := range r.limits.unseen {
		r.limits.unseen[i].row = true
	}
	for _, i := range r.limits.of(p.Line, p.Thing) {
		l := r.limits.list[i]
		value, there := p.Watched[l.Sensor]
		if !there {
			continue
		}
		r.limits.unseen[i] = unseen{since: now}
		o := alarm.Observation{Thing: p.Thing, Line: p.Line, Fault: l.FaultName(), Simulated: p.Simulated, Severity: l.Priority}
		if o.Active, o.Undecided = l.Judge(value); o.Active {
			o.Text = fmt.Sprintf("%s of %s is %.7g (limit %.7g).", l.Sensor, where(p.Thing, p.Line), value, l.Value())
			o.Detail = fmt.Sprintf("%s = %.7g (%.7g)", l.Sensor, value, l.Value())
			o.Data = r.rowData(p, o.Fault, now)
		}
		r.observe(o, now)
	}
}

// endForeignLimits ends the alarms of a machine by limits that are not its own, as on the line where it was before: no value would.
func (r *run) endForeignLimits(p *event.Prediction, now time.Time) {
	own := r.limits.faults(p.Line, p.Thing)
	for i := range r.limits.list {
		if fault := r.limits.list[i].FaultName(); !slices.Contains(own, fault) && r.list.isActive(p.Thing, fault) {
			r.rt.Log.Info("an alarm ends: no such limit is for the machine on its line", "thing", p.Thing, "line", p.Line, "fault", fault)
			r.end(p.Thing, p.Line, fault, now)
		}
	}
}

// end ends an alarm of a limit by as many votes as a rule may want.
func (r *run) end(thing, line string, fault event.Fault, now time.Time) {
	for range maxWindow {
		r.clear(thing, line, fault, now)
	}
}

// endOldLimits ends the alarms of limits that are no longer in the configuration: nothing would.
func (r *run) endOldLimits(now time.Time) {
	for _, a := range r.list.system.List() {
		if !a.Active || slices.Contains(ownFaults, a.Fault) || r.hasLimit(a) {
			continue
		}
		r.rt.Log.Info("an alarm ends: the configuration has no such limit any more", "thing", a.Thing, "fault", a.Fault)
		r.end(a.Thing, a.Line, a.Fault, now)
	}
}

func (r *run) hasLimit(a alarm.Alarm) bool {
	return slices.Contains(r.limits.faults(a.Line, a.Thing), a.Fault)
}
