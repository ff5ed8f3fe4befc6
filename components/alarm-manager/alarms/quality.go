package alarms

import (
	"fmt"
	"strings"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

// quality judges what the engine says of the values of a machine's sensors.
func (r *run) quality(p *event.Prediction, now time.Time) {
	o := alarm.Observation{Thing: p.Thing, Line: p.Line, Fault: event.FaultQuality, Simulated: p.Simulated, Severity: event.SeverityLow}
	if q := p.Quality; q != nil {
		o.Active, o.Text, o.Detail = true, qualityText(p), qualityDetail(q)
		o.Data = r.rowData(p, event.FaultQuality, now)
	}
	r.observe(o, now)
}

// qualityText is what is spoken of sensors whose values are not to be trusted.
func qualityText(p *event.Prediction) string {
	q := p.Quality
	var parts []string
	for _, list := range []struct {
		sensors   []string
		one, many string
	}{
		{q.Frozen, "does not change", "do not change"},
		{q.Outside, "is far outside what the model knows", "are far outside what the model knows"},
		{q.Missing, "is missing", "are missing"},
	} {
		switch len(list.sensors) {
		case 0:
		case 1:
			parts = append(parts, list.sensors[0]+" "+list.one)
		default:
			parts = append(parts, strings.Join(list.sensors, ", ")+" "+list.many)
		}
	}
	if q.More > 0 {
		parts = append(parts, fmt.Sprintf("%d more", q.More))
	}
	const end = ". Check the sensors."
	text := fmt.Sprintf("Doubtful values of %s: %s", where(p.Thing, p.Line), strings.Join(parts, "; "))
	return event.Cut(text, event.MaxDetail-len(end)) + end
}

// maxQualityDetail is the length of the sensors' names in texts of other languages, in bytes.
const maxQualityDetail = 300

// qualityDetail are the sensors' names.
func qualityDetail(q *event.Quality) string {
	var names []string
	for _, list := range [][]string{q.Frozen, q.Outside, q.Missing} {
		names = append(names, list...)
	}
	text := event.Cut(strings.Join(names, ", "), maxQualityDetail)
	if q.More > 0 {
		text += fmt.Sprintf(" (+%d)", q.More)
	}
	return text
}
