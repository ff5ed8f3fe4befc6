package notifier

import (
	"fmt"
	"strings"
	"time"

	"edgepdm/shared/event"
)

// alarmFacts are what an alert's message tells of its alarm beside the text.
type alarmFacts struct {
	event.AlertDelivery
	Line      string `json:"line"`
	Fault     string `json:"fault"`
	State     string `json:"state"`
	Simulated bool   `json:"simulated"`
	Replayed  bool   `json:"replayed"`
}

// speech returns what is said of an alert, and the call sign before it. What is over is not said as new, and what
// comes late says how old it is.
func (f alarmFacts) speech(text, thing string) (sign, speech string) {
	if f.State != string(event.AlarmNormal) && !f.Over {
		if ago := f.ago(); ago != "" && text != "" {
			text = fmt.Sprintf("Raised %s ago. %s", ago, said(text))
		}
		if f.Reconnected && text != "" {
			return notice, text + " There is a connection again."
		}
		return callSign, text
	}
	speech = text
	ended := " That was %s ago."
	if f.Over {
		speech, ended = f.over(thing), " It was raised %s ago."
	}
	if ago := f.ago(); ago != "" && speech != "" {
		speech += fmt.Sprintf(ended, ago)
	}
	return allClear, speech
}

// over is the sentence about a raised alarm that is over.
func (f alarmFacts) over(thing string) string {
	speak := strings.NewReplacer("-", " ", "_", " ", ":", " ").Replace
	place := speak(thing)
	if f.Line != "" {
		place = speak(f.Line) + ", " + place
	}
	text := fmt.Sprintf("The alarm %s of %s is over.", speak(f.Fault), place)
	if f.Fault == "" || thing == "" {
		text = "An alarm is over."
	}
	if f.Simulated {
		text = "Simulation: " + text
	}
	return text
}

// maxLate is the longest delay that is said. A longer one is a mistake.
const maxLate = 10 * 365 * 24 * time.Hour

// ago says how late the alert was sent; "" when it was in time.
func (f alarmFacts) ago() string {
	if f.Late <= 0 || f.Late > maxLate.Seconds() {
		return ""
	}
	for _, unit := range []struct {
		seconds float64
		name    string
	}{{24 * 60 * 60, "days"}, {60 * 60, "hours"}, {60, "minutes"}} {
		if n := f.Late / unit.seconds; n >= 2 {
			return fmt.Sprintf("%d %s", int(n), unit.name)
		}
	}
	return "a minute"
}
