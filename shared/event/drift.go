package event

import (
	"fmt"
	"strings"
	"time"
)

const (
	// FilterDrift covers the events of drift.
	FilterDrift = "pdm/v1/drift/+"
	prefixDrift = "pdm/v1/drift/"
)

// DriftTopic is where drift of a line is published. Characters of the line that a topic cannot have are "-", and so is a missing line.
func DriftTopic(line string) string {
	name := strings.Map(func(c rune) rune {
		if CheckName(string(c)) != nil {
			return '-'
		}
		return c
	}, line)
	if name == "" {
		name = "-"
	}
	return prefixDrift + name
}

// IsDrift says whether a topic is that of a line's drift.
func IsDrift(topic string) bool { return strings.HasPrefix(topic, prefixDrift) }

// DriftState says whether there is drift.
type DriftState string

// The states.
const (
	DriftFound DriftState = "DRIFT"
	DriftOver  DriftState = "NORMAL"
)

// Drift reports that what a model sees on a line, or says of it, is not what it was, or that it is again.
type Drift struct {
	Replayed bool          `json:"replayed,omitempty"` // it may have arrived before; the first member, as in all messages that are repeated
	V        int           `json:"v"`
	ID       string        `json:"id"`             // unique for ever; a repeated event has the same
	Line     string        `json:"line,omitempty"` // missing: of things without a line
	Model    ModelRef      `json:"model"`
	State    DriftState    `json:"state"`
	Since    time.Time     `json:"since"` // the first row of the window in which it was found
	TS       time.Time     `json:"ts"`
	Rows     int           `json:"rows"`              // in the window that was judged
	Found    []DriftFigure `json:"found,omitempty"`   // what differs, the most first; at most MaxDrift
	More     int           `json:"more,omitempty"`    // that differ and are not in Found
	Unknown  []string      `json:"unknown,omitempty"` // sensors that the model does not have, at most MaxDrift
}

// DriftKind says what differs.
type DriftKind string

// The kinds.
const (
	DriftSensor    DriftKind = "sensor"     // how a sensor's values are spread
	DriftMissing   DriftKind = "missing"    // how often a sensor has no value
	DriftScore     DriftKind = "score"      // how the probabilities are spread
	DriftFaultRate DriftKind = "fault-rate" // how often a row is faulty
)

// MaxDrift is how many figures a Drift has.
const MaxDrift = 8

// DriftFigure is one thing that differs.
type DriftFigure struct {
	Kind   DriftKind         `json:"kind"`
	Sensor string            `json:"sensor,omitempty"` // with DriftSensor and DriftMissing
	Name   string            `json:"name,omitempty"`   // for people; empty: Sensor
	Names  map[string]string `json:"names,omitempty"`  // by language, such as de
	Unit   string            `json:"unit,omitempty"`   // of Usual and Now
	PSI    float64           `json:"psi,omitempty"`    // population stability index; with DriftFaultRate the Page-Hinkley statistic
	Limit  float64           `json:"limit"`            // of PSI
	Usual  *float64          `json:"usual,omitempty"`  // median of the reference, or share of rows that are missing or faulty
	Now    *float64          `json:"now,omitempty"`    // the same of the window
}

// DecodeDrift reads a message of a drift topic. The error is an *InvalidError.
func DecodeDrift(payload []byte) (Drift, error) {
	var d Drift
	if err := decode(payload, &d); err != nil {
		return d, err
	}
	if err := checkVersion(d.V); err != nil {
		return d, err
	}
	if err := checkID(d.ID); err != nil {
		return d, err
	}
	if d.Line != "" {
		if err := CheckLine(d.Line); err != nil {
			return d, &InvalidError{ReasonName, err.Error()}
		}
	}
	if d.State != DriftFound && d.State != DriftOver {
		return d, &InvalidError{ReasonMalformed, fmt.Sprintf("state is %.40q, must be %s or %s", d.State, DriftFound, DriftOver)}
	}
	if len(d.Found) > MaxDrift || len(d.Unknown) > MaxDrift {
		return d, &InvalidError{ReasonOversized, fmt.Sprintf("%d figures and %d unknown sensors, may be %d each", len(d.Found), len(d.Unknown), MaxDrift)}
	}
	for i, f := range d.Found {
		if f.Sensor != "" {
			if err := CheckSensor(f.Sensor); err != nil {
				return d, &InvalidError{ReasonName, fmt.Sprintf("found[%d]: %v", i, err)}
			}
		}
	}
	for i, name := range d.Unknown {
		if err := CheckSensor(name); err != nil {
			return d, &InvalidError{ReasonName, fmt.Sprintf("unknown[%d]: %v", i, err)}
		}
	}
	if err := checkClock(d.TS); err != nil {
		return d, err
	}
	return d, checkClock(d.Since)
}
