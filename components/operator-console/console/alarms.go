package console

import (
	"fmt"
	"time"

	"edgepdm/components/operator-console/picture"
	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

// Listed is an alarm as the alarm manager's list has it.
type Listed struct {
	alarm.Alarm
	LastsS  int64       `json:"lasts_s,omitempty"`
	Reasons []string    `json:"reasons,omitempty"`
	Life    *event.Life `json:"life,omitempty"`
}

// listing is a message of the list.
type listing struct {
	Part   int           `json:"part"`
	Parts  int           `json:"parts"`
	Alarms []Listed      `json:"alarms"`
	Places []alarm.Place `json:"places"`
}

// change is a message of what happened to an alarm: docs/alarms.md has its members.
type change struct {
	N       uint64           `json:"n"`
	TS      time.Time        `json:"ts"`
	Change  alarm.Kind       `json:"change"`
	Thing   string           `json:"thing"`
	Line    string           `json:"line"`
	Fault   event.Fault      `json:"fault"`
	State   event.AlarmState `json:"state"`
	Active  bool             `json:"active"`
	Sev     event.Severity   `json:"severity"`
	By      string           `json:"by"`
	Why     string           `json:"why"`
	Outcome alarm.Outcome    `json:"outcome"`
	Until   time.Time        `json:"until"`
	Reasons []string         `json:"reasons"`
	Life    *event.Life      `json:"life"`
	Text    string           `json:"text"`
}

const maxHistory = 500

// alarmEvent takes a change: the alarm is shown at once as far as the change tells, and then as the list has it.
func (l *listener) alarmEvent(m ipc.TopicMessage) error {
	var c change
	if err := event.Unmarshal(m.Payload, &c); err != nil {
		return fmt.Errorf("change of an alarm: %w", err)
	}
	l.store.Set(picture.History, historyKey(c.N), m.Payload)
	if keys := l.store.Keys(picture.History); len(keys) > maxHistory {
		l.store.Delete(picture.History, keys[0])
	}
	l.number = max(l.number, c.N)
	if c.Fault != "" && c.Thing != "" {
		l.apply(&c)
	}
	select {
	case l.whole <- struct{}{}:
	default: // is wanted already
	}
	return nil
}

// apply changes an alarm as far as the change tells.
func (l *listener) apply(c *change) {
	key := alarm.Key{Thing: c.Thing, Fault: c.Fault}
	if c.Change == alarm.Forgotten || c.Change == alarm.Retired {
		l.drop(key)
		return
	}
	a := l.alarms[key]
	a.Key, a.Line, a.State, a.Active, a.Priority = key, c.Line, c.State, c.Active, c.Sev
	switch c.Change {
	case alarm.Raised, alarm.ReAlarmed:
		a.Raised, a.Acknowledged = c.TS, nil
		if a.Since.IsZero() || c.Change == alarm.Raised {
			a.Since = c.TS
		}
	case alarm.Acknowledged:
		a.Acknowledged = &alarm.Acknowledgement{At: c.TS, By: c.By, Outcome: c.Outcome, Comment: c.Why}
	case alarm.Shelved:
		a.Shelved = &alarm.Shelving{Until: c.Until, By: c.By, Comment: c.Why}
	case alarm.Unshelved:
		a.Shelved = nil
	case alarm.Suppressed, alarm.Unsuppressed:
		a.Suppressed = c.Change == alarm.Suppressed
	case alarm.Chattering, alarm.Settled:
		a.Chattering = c.Change == alarm.Chattering
	default: // what else it changes, the list brings
	}
	if c.Reasons != nil {
		a.Reasons = c.Reasons
	}
	if c.Life != nil {
		a.Life = c.Life
	}
	if c.Text != "" && (c.Change == alarm.Raised || a.Text == "") {
		a.Text = c.Text
	}
	l.put(key, a)
}

func (l *listener) put(key alarm.Key, a Listed) {
	l.alarms[key] = a
	l.set(picture.Alarms, recordKey(key), a)
}

func (l *listener) drop(key alarm.Key) {
	delete(l.alarms, key)
	l.store.Delete(picture.Alarms, recordKey(key))
}

func recordKey(key alarm.Key) string { return key.Thing + " " + string(key.Fault) }

// alarmList takes a part of the list. With the last one the list is what is shown.
func (l *listener) alarmList(m ipc.TopicMessage) error {
	var part listing
	if err := event.Unmarshal(m.Payload, &part); err != nil {
		return fmt.Errorf("list of alarms: %w", err)
	}
	if part.Part == 1 {
		l.parts, l.places, l.next = nil, nil, 1
	}
	if part.Part != l.next { // one was lost: the next list comes
		return nil
	}
	l.next++
	l.parts, l.places = append(l.parts, part.Alarms...), append(l.places, part.Places...)
	if part.Part < part.Parts {
		return nil
	}
	there := make(map[alarm.Key]bool, len(l.parts))
	for _, a := range l.parts {
		there[a.Key] = true
		l.put(a.Key, a)
	}
	for key := range l.alarms {
		if !there[key] {
			l.drop(key)
		}
	}
	l.showPlaces()
	l.number = max(l.number, 1)
	l.next = 0
	return nil
}

// showPlaces shows what is out of service, or retired.
func (l *listener) showPlaces() {
	there := make(map[string]bool, len(l.places))
	for _, p := range l.places {
		key := p.Line + " " + p.Thing
		there[key] = true
		l.set(picture.Places, key, p)
	}
	for _, key := range l.store.Keys(picture.Places) {
		if !there[key] {
			l.store.Delete(picture.Places, key)
		}
	}
}
