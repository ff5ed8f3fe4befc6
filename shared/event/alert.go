package event

import (
	"fmt"
	"time"
)

// Topics of alerts and of what concerns them.
const (
	FilterAlert = "pdm/v1/alert/+"
	// TopicAckAlert and TopicAckPrediction are where the forwarder acknowledges what it has on disk.
	TopicAckAlert      = "pdm/v1/ack/alert"
	TopicAckPrediction = "pdm/v1/ack/prediction"

	prefixAlert = "pdm/v1/alert/"
)

// AlertTopic is where a thing's alerts are published.
func AlertTopic(thing string) string { return prefixAlert + thing }

// Fault says what an alarm is about.
type Fault string

// The faults.
const (
	FaultMachine    Fault = "machine-fault" // the model sees a fault of the machine
	FaultSilence    Fault = "silence"       // nothing is heard of the thing
	FaultLine       Fault = "line-silence"  // nothing is heard of any thing of a line
	FaultNoData     Fault = "no-data"       // its rows have too few values to say how it is
	FaultQuality    Fault = "data-quality"  // the values of some of its sensors are not to be trusted
	FaultDrift      Fault = "drift"         // what the model sees of a line is not what it was
	FaultEngineDown Fault = "engine-down"   // the engine does not work: no machine is watched
	FaultUplinkDown Fault = "uplink-down"   // the cloud cannot be reached
	FaultTest       Fault = "test"          // an operator's test
	FaultSummary    Fault = "summary"       // several alarms that are not told one by one
)

// AlarmState is the state of an alarm in the words of ISA-18.2.
type AlarmState string

// The alarm states.
const (
	AlarmUnacknowledged         AlarmState = "UNACKNOWLEDGED"          // raised
	AlarmAcknowledged           AlarmState = "ACKNOWLEDGED"            // raised, and somebody has seen it
	AlarmReturnedUnacknowledged AlarmState = "RETURNED_UNACKNOWLEDGED" // over, and nobody has seen it
	AlarmNormal                 AlarmState = "NORMAL"                  // over
)

// Severity is an alarm's priority in the words of ISA-18.2.
type Severity string

// The severities.
const (
	SeverityHigh   Severity = "high"
	SeverityMedium Severity = "medium"
	SeverityLow    Severity = "low"
)

// Rank orders severities: 0 comes first.
func (s Severity) Rank() int {
	switch s {
	case SeverityHigh:
		return 0
	case SeverityMedium:
		return 1
	default:
		return 2
	}
}

// Alert reports that an alarm was raised or is over.
type Alert struct {
	Replayed     bool          `json:"replayed,omitempty"` // it may have arrived before; the first member, as in all messages that are repeated
	V            int           `json:"v"`
	ID           string        `json:"id"` // unique for ever; a repeated alert has the same
	Thing        string        `json:"thing"`
	Line         string        `json:"line,omitempty"`
	Fault        Fault         `json:"fault"`
	State        AlarmState    `json:"state"`
	Severity     Severity      `json:"severity"`
	Since        time.Time     `json:"since"`           // when what the alarm is about began; that of its end has the same
	TS           time.Time     `json:"ts"`              // when this alert was made: of the end, when it was over
	RowTS        time.Time     `json:"row_ts,omitzero"` // of the row that raised it
	Probability  float64       `json:"probability,omitempty"`
	Model        *ModelRef     `json:"model,omitempty"`
	Text         string        `json:"text"`                   // what is spoken
	Reasons      []string      `json:"reasons,omitempty"`      // what points to it, in words
	Contributors []Contributor `json:"contributors,omitempty"` // the same for programs
	Life         *Life         `json:"life,omitempty"`         // until maintenance is needed
	Simulated    bool          `json:"simulated,omitempty"`

	// What the state does not say. An older receiver does not know them.
	Change     string            `json:"change,omitempty"`     // what happened, if it is neither raised nor over: re-alarmed, escalated, …
	Chattering bool              `json:"chattering,omitempty"` // it comes and goes, and is told once
	Step       int               `json:"step,omitempty"`       // of its escalation: 1 or 2
	Count      int               `json:"count,omitempty"`      // of a summary: so many alarms
	Stands     bool              `json:"stands,omitempty"`     // of the end of an alarm: another one of the thing stands
	SNS        *bool             `json:"sns,omitempty"`        // false: not for people
	Texts      map[string]string `json:"texts,omitempty"`      // in other languages
	Language   string            `json:"language,omitempty"`   // of Text and Reasons, such as de-AT; empty: English
	TimeZone   string            `json:"time_zone,omitempty"`  // of the site, such as Europe/Berlin; empty: UTC
}

// MaxTimeZone is the longest name of a time zone, in bytes.
const MaxTimeZone = 64

// ForPeople reports whether the alert is sent to SNS, too.
func (a *Alert) ForPeople() bool { return a.SNS == nil || *a.SNS }

// DecodeAlert reads a message of an alert topic. The error is an *InvalidError.
func DecodeAlert(payload []byte) (Alert, error) {
	var a Alert
	if err := decode(payload, &a); err != nil {
		return a, err
	}
	if err := checkVersion(a.V); err != nil {
		return a, err
	}
	if err := checkThing(a.Thing, a.Line); err != nil {
		return a, err
	}
	if err := checkID(a.ID); err != nil {
		return a, err
	}
	if err := checkContributors(a.Contributors); err != nil {
		return a, err
	}
	if err := a.Life.check(); err != nil {
		return a, err
	}
	if len(a.Language) > maxLanguage || len(a.TimeZone) > MaxTimeZone {
		return a, &InvalidError{ReasonOversized, fmt.Sprintf("language has %d bytes, may be %d; time_zone %d, may be %d", len(a.Language), maxLanguage, len(a.TimeZone), MaxTimeZone)}
	}
	return a, checkClock(a.TS, a.Since, a.RowTS)
}

// Ack acknowledges that what has the ids is on disk.
type Ack struct {
	V   int      `json:"v"`
	IDs []string `json:"ids"`
}

// DecodeAck reads a message of an acknowledgement topic. The error is an *InvalidError.
func DecodeAck(payload []byte) (Ack, error) {
	var a Ack
	if err := decode(payload, &a); err != nil {
		return a, err
	}
	return a, checkVersion(a.V)
}
