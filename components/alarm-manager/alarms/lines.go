package alarms

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

// A line of which nothing at all is heard is one alarm: its network is the cause, not each of its machines.

// minLine is how many machines make a line.
const minLine = 2

// lineState is how many machines of a line there are and are silent.
type lineState struct {
	things, silent int
	since          time.Time // the last word of the line
}

// lines raises and ends the alarms of lines.
func (r *run) lines(now time.Time) {
	lines := make(map[string]lineState)
	for _, t := range r.watch.things {
		if t.line == "" {
			continue
		}
		l := lines[t.line]
		l.things++
		if r.silent(t, now) {
			l.silent++
		}
		if t.absence.since.After(l.since) {
			l.since = t.absence.since
		}
		lines[t.line] = l
	}
	for line, l := range lines {
		o := alarm.Observation{
			Thing: lineThing(line), Line: line, Fault: event.FaultLine, Active: l.things >= minLine && l.silent == l.things,
			Severity: event.SeverityHigh, Since: l.since,
		}
		if o.Active || r.list.isActive(o.Thing, o.Fault) {
			r.observe(o, now)
		}
	}
}

// endLines ends the alarms of lines that are not watched any more.
func (r *run) endLines(now time.Time) {
	for _, a := range r.list.system.List() {
		if a.Fault != event.FaultLine || !a.Active {
			continue
		}
		watched := false
		for _, t := range r.watch.things {
			watched = watched || t.line == a.Line
		}
		if !watched || r.config.Silence <= 0 {
			r.clear(a.Thing, a.Line, a.Fault, now)
		}
	}
}

// lineThing is the name under which a line has an alarm of its own. What a thing cannot have in its name is told apart by a sum.
func lineThing(line string) string {
	const most = 100 // of the 128 characters of a thing
	name := strings.Map(func(c rune) rune {
		if event.CheckName(string(c)) != nil {
			return '-'
		}
		return c
	}, event.Cut(line, most))
	if name != line {
		sum := fnv.New32a()
		_, _ = sum.Write([]byte(line)) // never fails
		name = fmt.Sprintf("%s-%08x", name, sum.Sum32())
	}
	return linePrefix + name
}
