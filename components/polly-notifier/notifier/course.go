package notifier

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"edgepdm/shared/event"
)

// course is what an alert's message tells of its alarm beside the text.
type course struct {
	event.AlertDelivery
	Line      string `json:"line"`
	Fault     string `json:"fault"`
	State     string `json:"state"`
	Simulated bool   `json:"simulated"`
	Replayed  bool   `json:"replayed"`
}

// speech returns what is said of an alert, and the call sign before it. What is over is not said as new, and what
// comes late says how old it is.
func (c course) speech(text, thing string) (sign, speech string) {
	if c.State != string(event.AlarmNormal) && !c.Over {
		if ago := c.ago(); ago != "" && text != "" {
			text = fmt.Sprintf("Raised %s ago. %s", ago, said(text))
		}
		if c.Reconnected && text != "" {
			return notice, text + " There is a connection again."
		}
		return callSign, text
	}
	speech = text
	ended := " That was %s ago."
	if c.Over {
		speech, ended = c.over(thing), " It was raised %s ago."
	}
	if ago := c.ago(); ago != "" && speech != "" {
		speech += fmt.Sprintf(ended, ago)
	}
	return allClear, speech
}

// over is the sentence about a raised alarm that is over.
func (c course) over(thing string) string {
	speak := strings.NewReplacer("-", " ", "_", " ", ":", " ").Replace
	place := speak(thing)
	if c.Line != "" {
		place = speak(c.Line) + ", " + place
	}
	text := fmt.Sprintf("The alarm %s of %s is over.", speak(c.Fault), place)
	if c.Fault == "" || thing == "" {
		text = "An alarm is over."
	}
	if c.Simulated {
		text = "Simulation: " + text
	}
	return text
}

// maxLate is the longest delay that is said. A longer one is a mistake.
const maxLate = 10 * 365 * 24 * time.Hour

// ago says how late the alert was sent; "" when it was in time.
func (c course) ago() string {
	if c.Late <= 0 || c.Late > maxLate.Seconds() {
		return ""
	}
	for _, unit := range []struct {
		seconds float64
		name    string
	}{{24 * 60 * 60, "days"}, {60 * 60, "hours"}, {60, "minutes"}} {
		if n := c.Late / unit.seconds; n >= 2 {
			return fmt.Sprintf("%d %s", int(n), unit.name)
		}
	}
	return "a minute"
}

// maxDone is how many ids are remembered.
const maxDone = 1000

// done remembers the ids of alerts that were spoken by this execution environment. Another one does not know them: then
// the announcement carries the mark of a repeat.
type done struct {
	mu   sync.Mutex
	ids  map[string]bool
	ring [maxDone]string
	next int
}

func (d *done) has(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ids[id]
}

func (d *done) add(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id == "" || d.ids[id] {
		return
	}
	if d.ids == nil {
		d.ids = make(map[string]bool)
	}
	delete(d.ids, d.ring[d.next])
	d.ids[id], d.ring[d.next] = true, id
	d.next = (d.next + 1) % maxDone
}
