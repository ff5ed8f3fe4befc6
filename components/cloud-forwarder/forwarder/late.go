package forwarder

import (
	"bytes"
	"fmt"
	"time"

	"edgepdm/shared/event"
)

// lateAfter is how old an alert is when people are told that it is.
const lateAfter = 5 * time.Minute

// news is what an alert says to people at the time of its delivery.
type news struct {
	event.Alert
	replayed bool          // it may have arrived before
	late     time.Duration // since it was made, to the minute; 0: it is fresh, or nobody knows
	over     time.Time     // when the alarm was over; zero: it is not, or nobody knows
}

func newsOf(a event.Alert, m message) news {
	n := news{Alert: a, replayed: m.replayed || a.Replayed}
	if age := m.at.Sub(a.TS); !m.at.IsZero() && a.TS.After(sensible()) && age >= lateAfter {
		n.late = age.Round(time.Minute)
	}
	if n.late > 0 && !m.over.Before(a.Since) {
		n.over = m.over
	}
	return n
}

// lead is what stands before the text.
func (n news) lead() string {
	switch {
	case n.late == 0:
		return ""
	case n.over.IsZero():
		return fmt.Sprintf("%s late: ", event.SpokenDuration(n.late))
	}
	return fmt.Sprintf("Past alarm, %s old and over: ", event.SpokenDuration(n.late))
}

// text is what is sent as a short message.
func (n news) text() string {
	if n.Text == "" {
		return n.subject()
	}
	return n.lead() + n.Text
}

// body is what programs get: the alert as it came, with what is known at its delivery. The first member tells that it may
// have arrived before.
func (n news) body(alert []byte) []byte {
	if n.late > 0 {
		if rest, marked := bytes.CutPrefix(alert, []byte("{"+replayedMember+",")); marked {
			alert = append([]byte("{"), rest...)
		}
		members := fmt.Sprintf(`"late_s":%d`, int(n.late.Seconds()))
		if !n.over.IsZero() {
			members += fmt.Sprintf(`,"over_since":%q`, n.over.UTC().Format(time.RFC3339))
		}
		alert = insert(alert, members)
	}
	if n.replayed {
		alert = markReplayed(alert)
	}
	return alert
}
