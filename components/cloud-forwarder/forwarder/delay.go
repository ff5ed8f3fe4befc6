package forwarder

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"

	"edgepdm/shared/event"
)

// delayedAfter is the age from which an alert that is delivered says how old it is. A retry or two is no delay that matters to
// a person.
const delayedAfter = 3 * time.Minute

// alertStatus is what has happened to an alert's alarm by the time of delivery.
type alertStatus struct {
	now      time.Time     // of the delivery
	raised   time.Duration // since the alert was made; with aged
	aged     bool
	over     bool          // a raised alarm whose end was heard
	ended    time.Duration // since the end; with endKnown
	endKnown bool
	back     bool // it tells of a lost connection, and is delivered because the connection is back
}

// waited is the age from which an alert that arrives has waited for a connection.
const waited = 10 * time.Second

// reconnects reports whether an alert of a lost connection is delivered because the connection is back. That does not end the
// alarm: the alarm manager does.
func (p alertStatus) reconnects(a event.Alert, replayed bool) bool {
	return a.Fault == event.FaultUplinkDown && a.State != event.AlarmNormal && !p.over && (replayed || p.aged && p.raised > waited)
}

// delayed reports whether the alert is so old that this has to be said.
func (p alertStatus) delayed() bool { return p.aged && p.raised > delayedAfter }

// mark begins a subject.
func (p alertStatus) mark(w *phrases) string {
	var mark string
	if p.delayed() {
		mark = "[" + w.late + " " + w.duration(p.raised) + "] "
	}
	if p.over {
		mark += "[" + w.over + "] "
	}
	if p.back {
		mark += "[" + w.connected + "] "
	}
	return mark
}

// note is the sentence that tells when the alarm was raised, delivered and over; "" for a punctual alert. Its times are right if
// the clock is right now.
func (p alertStatus) note(state event.AlarmState, w *phrases, zone *time.Location) string {
	if !p.delayed() && !p.over {
		return ""
	}
	now := p.now.In(zone)
	at := func(age time.Duration) string {
		t := now.Add(-age)
		switch {
		case offset(t) != offset(now): // between summer and winter
			return local(t, zone, "2006-01-02 15:04")
		case t.YearDay() == now.YearDay() && t.Year() == now.Year():
			return t.Format("15:04")
		}
		return t.Format("2006-01-02 15:04")
	}
	var parts []string
	if p.aged && !p.now.Before(Sensible()) {
		what := w.raised
		if state == event.AlarmNormal {
			what = w.overSince
		}
		parts = append(parts, what+at(p.raised)+w.delivered+at(0))
	}
	switch {
	case p.over && p.endKnown && len(parts) > 0:
		parts = append(parts, w.nowOver+at(p.ended))
	case p.over:
		return w.itIsOver
	}
	if len(parts) == 0 { // the clock is not set
		return ""
	}
	return strings.Join(parts, "; ") + " (" + offset(now) + ")."
}

// delivery is what programs get beside the alert.
func (p alertStatus) delivery() event.AlertDelivery {
	d := event.AlertDelivery{Over: p.over, Reconnected: p.back}
	if p.delayed() {
		d.Late = math.Trunc(p.raised.Seconds())
	}
	if p.over && p.endKnown && !p.now.Before(Sensible()) {
		d.OverSince = p.now.Add(-p.ended).UTC().Format(time.RFC3339)
	}
	return d
}

// withDelivery puts the members of a delivery in front of those of an alert, but behind the mark of a repeat.
func withDelivery(payload []byte, d event.AlertDelivery) ([]byte, error) {
	rest, ok := bytes.CutPrefix(payload, []byte("{"))
	if d == (event.AlertDelivery{}) || !ok {
		return payload, nil
	}
	object, err := encode(d)
	if err != nil {
		return nil, fmt.Errorf("encode delivery: %w", err)
	}
	members := string(bytes.Trim(object, "{}"))
	rest, marked := bytes.CutPrefix(rest, []byte(`"replayed":true,`))
	b := []byte("{" + members + ",")
	if marked {
		b = []byte(`{"replayed":true,` + members + ",")
	}
	return append(b, rest...), nil
}

// overText replaces the text of a raised alarm that is over, which calls for action.
func overText(a event.Alert, w *phrases) string {
	text := fmt.Sprintf(w.isOver, a.Fault, place(a, w))
	if a.Simulated {
		text = w.simulation + text
	}
	return text
}

// duration is one for a subject.
func (w *phrases) duration(d time.Duration) string {
	switch {
	case d < 2*time.Hour:
		return fmt.Sprintf("%d %s", int(d.Minutes()), w.minutes)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d %s", int(d.Hours()), w.hours)
	}
	return fmt.Sprintf("%d %s", int(d.Hours()/24), w.days)
}
