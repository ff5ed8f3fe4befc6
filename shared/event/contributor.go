package event

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Direction says where a value lies beside what is usual.
type Direction string

// The directions.
const (
	DirectionAbove   Direction = "above"   // the usual range
	DirectionBelow   Direction = "below"   // it
	DirectionWithin  Direction = "within"  // it: the value matters together with others
	DirectionMissing Direction = "missing" // there is no value
)

// Bounds of contributors.
const (
	MaxContributors = 5  // of a prediction
	maxUnit         = 16 // bytes
)

// Contributor is a sensor, or a group of sensors, that points to a fault by the model. It is no cause: a model knows none.
type Contributor struct {
	Sensor    string            `json:"sensor"`          // the feature's or the group's name
	Name      string            `json:"name,omitempty"`  // for people; empty: Sensor
	Names     map[string]string `json:"names,omitempty"` // by language, such as de
	Value     *float32          `json:"value,omitempty"` // nil: it is missing, or a group has none
	Unit      string            `json:"unit,omitempty"`  // of Value, Low and High, such as °C
	Low       *float32          `json:"low,omitempty"`   // of the usual range: 5 % of the values in training were lower
	High      *float32          `json:"high,omitempty"`  // 5 % were higher
	Direction Direction         `json:"direction,omitempty"`
	Share     float64           `json:"share"` // of all that points to a fault in this row, 0 to 1
}

// FitSensor makes a feature's name one that a message may have.
func FitSensor(name string) string {
	name = Cut(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '_'
		}
		return r
	}, name), maxSensorName)
	if name == "" {
		return "_"
	}
	return name
}

func checkContributors(list []Contributor) error {
	if len(list) > MaxContributors {
		return &InvalidError{ReasonOversized, fmt.Sprintf("%d contributors, may be %d", len(list), MaxContributors)}
	}
	for i, r := range list {
		if err := CheckSensor(r.Sensor); err != nil {
			return &InvalidError{ReasonName, fmt.Sprintf("contributors[%d]: %v", i, err)}
		}
		if len(r.Name) > MaxDetail || len(r.Unit) > maxUnit {
			return &InvalidError{ReasonOversized, fmt.Sprintf("contributors[%d]: name has %d bytes, unit %d", i, len(r.Name), len(r.Unit))}
		}
		if !(r.Share >= 0 && r.Share <= 1) {
			return &InvalidError{ReasonMalformed, fmt.Sprintf("contributors[%d]: share is %v, must be 0 to 1", i, r.Share)}
		}
	}
	return nil
}
