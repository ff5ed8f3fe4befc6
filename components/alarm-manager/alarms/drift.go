package alarms

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

// maxDriftLines is of how many lines the time of the last event is known; an engine has fewer.
const maxDriftLines = 1000

// drift raises the alarm of a line whose data are not what the model knows, or ends it. It is on the line's name, and of things without
// a line on the core's.
func (r *run) drift(payload []byte, now time.Time) error {
	d, err := event.DecodeDrift(payload)
	if err != nil {
		return err
	}
	thing := r.core
	if d.Line != "" {
		thing = lineThing(d.Line)
	}
	if d.Replayed && d.TS.Before(r.driftAt[thing]) {
		return nil // a newer event of the line is known
	}
	if r.driftAt[thing] = d.TS; len(r.driftAt) > maxDriftLines {
		clear(r.driftAt)
	}
	o := alarm.Observation{Thing: thing, Line: d.Line, Fault: event.FaultDrift, Active: d.State == event.DriftFound, Severity: event.SeverityLow, Since: d.Since}
	if o.Active {
		o.Text, o.Detail = driftText(&d), driftDetail(&d)
	}
	r.observe(o, now)
	return nil
}

// saidOfDrift is how many figures a text has.
const saidOfDrift = 3

// driftText is what is spoken of drift.
func driftText(d *event.Drift) string {
	place := spoken(d.Line)
	if d.Line == "" {
		place = "machines without a line"
	}
	var parts []string
	for _, f := range d.Found[:min(len(d.Found), saidOfDrift)] {
		parts = append(parts, figureText(f))
	}
	more := d.More + max(0, len(d.Found)-saidOfDrift)
	if len(d.Unknown) > 0 {
		parts = append(parts, "sensors that the model does not have: "+strings.Join(d.Unknown[:min(len(d.Unknown), saidOfDrift)], ", "))
	}
	if more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	const end = ". Find out what changed there."
	text := fmt.Sprintf("The data of %s are not what the model knows: %s", place, strings.Join(parts, "; "))
	return event.Cut(text, event.MaxDetail-len(end)) + end
}

// figureText says one thing that differs.
func figureText(f event.DriftFigure) string {
	name := spoken(cmp.Or(f.Name, f.Sensor))
	switch f.Kind {
	case event.DriftMissing:
		return name + " is missing" + percents(f)
	case event.DriftScore:
		return "the model's scores"
	case event.DriftFaultRate:
		return "the share of faulty rows" + percents(f)
	case event.DriftSensor:
	}
	if f.Usual == nil || f.Now == nil {
		return name
	}
	unit := f.Unit
	if unit != "" {
		unit = " " + unit
	}
	return fmt.Sprintf("%s %.4g%s, usually %.4g", name, *f.Now, unit, *f.Usual)
}

func percents(f event.DriftFigure) string {
	if f.Usual == nil || f.Now == nil {
		return ""
	}
	return fmt.Sprintf(" in %.3g %% of the rows, usually %.3g", 100**f.Now, 100**f.Usual)
}

// maxDriftDetail is the length of the names in texts of other languages, in bytes.
const maxDriftDetail = 300

// driftDetail are the names of what differs.
func driftDetail(d *event.Drift) string {
	var names []string
	for _, f := range d.Found {
		names = append(names, cmp.Or(f.Name, f.Sensor, string(f.Kind)))
	}
	text := event.Cut(strings.Join(append(names, d.Unknown...), ", "), maxDriftDetail)
	if d.More > 0 {
		text += fmt.Sprintf(" (+%d)", d.More)
	}
	return text
}
