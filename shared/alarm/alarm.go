package alarm

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"edgepdm/shared/event"
)

// Key names an alarm. There is one for a thing and fault (promise A2).
type Key struct {
	Thing string      `json:"thing"`
	Fault event.Fault `json:"fault"`
}

func (k Key) name() string { return k.Thing + "/" + string(k.Fault) }

func (k Key) compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Thing, other.Thing), cmp.Compare(k.Fault, other.Fault))
}

func (k Key) check() error {
	if err := event.CheckName(k.Thing); err != nil {
		return fmt.Errorf("thing: %w", err)
	}
	if err := checkFault(string(k.Fault)); err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	return nil
}

// Observation is what is known of a condition. It is a level, not an edge: it may be repeated as often as is convenient, and is
// made at least once after each start for all that is known.
type Observation struct {
	Thing     string
	Line      string
	Fault     event.Fault
	Active    bool           // the condition holds
	Undecided bool           // it neither holds nor does not, as a value within a dead band: a vote for neither
	Fresh     bool           // votes of before do not count any more
	Severity  event.Severity // unless a rule has a priority; default medium
	Since     time.Time      // when it began; default: when it was observed first
	Text      string         // what is said of it, where no rule has a text
	Detail    string         // such as the value and its limit
	Simulated bool
	Data      json.RawMessage // the owner's, given back with the alarm: kept, not read and not to be changed
}

// Bounds of an observation, in bytes.
const (
	maxLine   = 512
	maxText   = 1000
	maxDetail = 500
	maxData   = 2000
)

func (o *Observation) check() error {
	if err := o.key().check(); err != nil {
		return err
	}
	for _, b := range []struct {
		field     string
		size, max int
	}{{"line", len(o.Line), maxLine}, {"text", len(o.Text), maxText}, {"detail", len(o.Detail), maxDetail}, {"data", len(o.Data), maxData}} {
		if b.size > b.max {
			return fmt.Errorf("%s: has %d bytes, at most %d", b.field, b.size, b.max)
		}
	}
	if o.Severity != "" && rank(o.Severity) == 0 {
		return fmt.Errorf("severity: %q is none of high, medium and low", o.Severity)
	}
	if len(o.Data) > 0 && !json.Valid(o.Data) {
		return errors.New("data: is no JSON")
	}
	return nil
}

func (o *Observation) key() Key { return Key{o.Thing, o.Fault} }

// Band is a dead band (hysteresis): a value is a fault from Raise on, and none from Clear on; in between nothing changes. With
// Raise below Clear it is the low values that are a fault.
type Band struct{ Raise, Clear float64 }

// Judge puts a value into an observation's terms.
func (b Band) Judge(value float64) (active, undecided bool) {
	if b.Raise < b.Clear {
		return value <= b.Raise, value > b.Raise && value < b.Clear
	}
	return value >= b.Raise, value < b.Raise && value > b.Clear
}

// Outcome is what was found by who acknowledged an alarm.
type Outcome string

// The outcomes. They are labels: a later training learns from them.
const (
	Confirmed    Outcome = "confirmed"
	NoFaultFound Outcome = "no-fault-found"
	Planned      Outcome = "planned"
)

// Alarm is an alarm as the list shows it. The names are those of OPC UA Part 9, where it has one.
type Alarm struct {
	Key
	Line         string           `json:"line,omitempty"`
	Priority     event.Severity   `json:"priority,omitempty"`
	State        event.AlarmState `json:"state"`
	Active       bool             `json:"active,omitempty"` // ActiveState: its condition holds, or did a moment ago if it is chattering
	Chattering   bool             `json:"chattering,omitempty"`
	Latched      bool             `json:"latched,omitempty"`    // LatchedState: its condition is over; it waits for the reset
	Suppressed   bool             `json:"suppressed,omitempty"` // SuppressedState: another alarm is the cause
	SuppressedBy *Key             `json:"suppressed_by,omitempty"`
	OutOfService bool             `json:"out_of_service,omitempty"` // OutOfServiceState
	Shelved      *Shelving        `json:"shelved,omitempty"`        // ShelvingState TimedShelved
	Since        time.Time        `json:"since,omitzero"`           // when the condition began
	Raised       time.Time        `json:"raised,omitzero"`          // when the alarm was raised last
	Lasted       time.Duration    `json:"-"`                        // from Raised until now, or until it returned; by running time
	Count        uint64           `json:"count,omitempty"`          // how often it was raised
	Step         int              `json:"step,omitempty"`           // of its escalation
	Acknowledged *Acknowledgement `json:"acknowledged,omitempty"`   // the last one, of what is raised or just over
	Text         string           `json:"text,omitempty"`
	Detail       string           `json:"detail,omitempty"`
	Simulated    bool             `json:"simulated,omitempty"`
	Data         json.RawMessage  `json:"data,omitempty"`
}

// Shelving is an operator's act: the alarm is not announced until its end.
type Shelving struct {
	Until   time.Time     `json:"until"` // by the clock as it is now
	Left    time.Duration `json:"-"`
	By      string        `json:"by,omitempty"`
	Comment string        `json:"comment,omitempty"`
}

// Acknowledgement says who has seen an alarm.
type Acknowledgement struct {
	At      time.Time `json:"at"`
	By      string    `json:"by,omitempty"` // as claimed
	Outcome Outcome   `json:"outcome,omitempty"`
	Comment string    `json:"comment,omitempty"`
}

// Kind says what a change is.
type Kind string

// The changes.
const (
	Raised            Kind = "raised"
	ReAlarmed         Kind = "re-alarmed" // it stands, and is announced again
	Returned          Kind = "returned"   // its condition is over
	Settled           Kind = "settled"    // it no longer chatters
	Chattering        Kind = "chattering"
	Acknowledged      Kind = "acknowledged"
	Escalated         Kind = "escalated"
	Repeated          Kind = "repeated" // it is spoken of again: a text only, no change
	Shelved           Kind = "shelved"
	Unshelved         Kind = "unshelved"
	Suppressed        Kind = "suppressed"
	Unsuppressed      Kind = "unsuppressed"
	OutOfService      Kind = "out-of-service"
	ReturnedToService Kind = "returned-to-service"
	Reset             Kind = "reset"
	Retired           Kind = "retired"
	Renamed           Kind = "renamed"
	Tested            Kind = "tested"
	Summary           Kind = "summary"   // of alarms that were held back in a flood
	Forgotten         Kind = "forgotten" // an old alarm made room for others
)

// Audience is who is told. The zero value is nobody: the change is for the list and the audit only.
type Audience struct {
	Cloud bool `json:"cloud,omitempty"`
	SNS   bool `json:"sns,omitempty"`
	Voice bool `json:"voice,omitempty"`
}

// Announced reports whether anybody is told.
func (a Audience) Announced() bool { return a != Audience{} }

func (a Audience) and(b Audience) Audience {
	return Audience{a.Cloud && b.Cloud, a.SNS && b.SNS, a.Voice && b.Voice}
}

func (a Audience) or(b Audience) Audience {
	return Audience{a.Cloud || b.Cloud, a.SNS || b.SNS, a.Voice || b.Voice}
}

// audience reads the names of a rule's tell.
func audience(names []string) (a Audience, err error) {
	if names != nil && len(names) == 0 {
		return a, errors.New("tell: is empty; none says that nobody is told")
	}
	for i, name := range names {
		switch {
		case name == "cloud":
			a.Cloud = true
		case name == "sns":
			a.SNS = true
		case name == "voice":
			a.Voice = true
		case name != "none":
			return a, fmt.Errorf("tell[%d]: %q is none of cloud, sns, voice and none", i, name)
		case len(names) > 1:
			return a, fmt.Errorf("tell[%d]: none stands alone", i)
		}
	}
	return a, nil
}

// Change is what happened to an alarm: an event of the list and of the audit, and for those in To an announcement.
type Change struct {
	Kind    Kind      `json:"kind"`
	Alarm   Alarm     `json:"alarm"` // as it is after the change; of a place or a summary, what is known
	At      time.Time `json:"at"`
	By      string    `json:"by,omitempty"`  // who, as claimed; "" = the system
	Why     string    `json:"why,omitempty"` // the comment, or the reason
	Outcome Outcome   `json:"outcome,omitempty"`
	To      Audience  `json:"to,omitzero"`
	Again   bool      `json:"again,omitempty"` // it was listed before, and is announced now
	Step    int       `json:"step,omitempty"`  // of an escalation: 1 or 2
	Count   int       `json:"count,omitempty"` // of a summary: alarms that were held back
	Keys    []Key     `json:"keys,omitempty"`  // of a summary: some of them
	From    string    `json:"from,omitempty"`  // what the thing was called until it was renamed
	Into    string    `json:"into,omitempty"`  // what it is called now, of an alarm under its old name
}
