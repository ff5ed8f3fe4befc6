package event

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// Topics of labels, of the list of alarms, and of what happens to it.
const (
	// FilterLabel covers what people found when they looked at alarms.
	FilterLabel = "pdm/v1/label/+"
	// TopicAckLabel is where the forwarder acknowledges the labels and the figures of alarms that it has on disk.
	TopicAckLabel = "pdm/v1/ack/label"
	// TopicAlarmEvent has each change of an alarm, as it happens.
	TopicAlarmEvent = "pdm/v1/alarm/event"
	// TopicAlarmSnapshot has the list of alarms, on request.
	TopicAlarmSnapshot = "pdm/v1/alarm/snapshot"
	// TopicAlarmKPI has the figures of a day's alarms, once a day until they are acknowledged.
	TopicAlarmKPI = "pdm/v1/alarm/kpi"

	prefixLabel = "pdm/v1/label/"
)

// LabelTopic is where a thing's labels are published.
func LabelTopic(thing string) string { return prefixLabel + thing }

// RowRef names a row of a thing.
type RowRef struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// RowSpan names the first and the last row of a span.
type RowSpan struct {
	First RowRef `json:"first"`
	Last  RowRef `json:"last"`
}

// Label is what was found when an alarm was acknowledged: a later training learns from it.
type Label struct {
	Replayed bool      `json:"replayed,omitempty"` // it may have arrived before; the first member, as in all messages that are repeated
	V        int       `json:"v"`
	ID       string    `json:"id"` // unique for ever; a repeated label has the same
	Thing    string    `json:"thing"`
	Line     string    `json:"line,omitempty"`
	Fault    Fault     `json:"fault"`
	Since    time.Time `json:"since"`          // when what the alarm is about began
	Until    time.Time `json:"until,omitzero"` // when it was over; missing: it stood
	Outcome  string    `json:"outcome"`        // confirmed, no-fault-found or planned
	Comment  string    `json:"comment,omitempty"`
	By       string    `json:"by,omitempty"` // who acknowledged it, as claimed
	Rows     *RowSpan  `json:"rows,omitempty"`
	TS       time.Time `json:"ts"` // when it was acknowledged
}

// Bounds of a label's texts, in bytes.
const (
	maxOutcome   = 64
	maxLabelText = 1000
)

// DecodeLabel reads a message of a label topic. The error is an *InvalidError.
func DecodeLabel(payload []byte) (Label, error) {
	var l Label
	if err := decode(payload, &l); err != nil {
		return l, err
	}
	if err := checkVersion(l.V); err != nil {
		return l, err
	}
	if err := checkThing(l.Thing, l.Line); err != nil {
		return l, err
	}
	if err := checkID(l.ID); err != nil {
		return l, err
	}
	for _, text := range []string{l.Comment, l.By} {
		if len(text) > maxLabelText || !utf8.ValidString(text) {
			return l, &InvalidError{ReasonOversized, fmt.Sprintf("a text has more than %d bytes, or is no UTF-8", maxLabelText)}
		}
	}
	if l.Outcome == "" || len(l.Outcome) > maxOutcome {
		return l, &InvalidError{ReasonMalformed, "outcome is missing, or too long"}
	}
	return l, checkClock(l.TS, l.Since, l.Until)
}

// Record is what is read of a message that is only kept and delivered, such as the figures of a day's alarms.
type Record struct {
	V  int       `json:"v"`
	ID string    `json:"id"`
	TS time.Time `json:"ts"`
}

// DecodeRecord reads such a message. The error is an *InvalidError.
func DecodeRecord(payload []byte) (Record, error) {
	var r Record
	if err := decode(payload, &r); err != nil {
		return r, err
	}
	if err := checkVersion(r.V); err != nil {
		return r, err
	}
	if err := checkID(r.ID); err != nil {
		return r, err
	}
	return r, checkClock(r.TS)
}
