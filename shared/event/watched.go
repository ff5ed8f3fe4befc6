package event

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Watched are values of a row by sensor name. A sensor without a value is not there.
type Watched map[string]float32

// Bounds of what is watched.
const (
	MaxWatched    = 32 // sensors
	maxSensorName = 64 // bytes
)

// UnmarshalJSON reads an object of numbers; null is a missing value.
func (w *Watched) UnmarshalJSON(b []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return &InvalidError{ReasonMalformed, "watched is not an object"}
	}
	*w = nil
	for name, n := range members {
		x, err := parseValue(n)
		switch {
		case err != nil:
			return &InvalidError{err.Reason, fmt.Sprintf("watched %.64q %s", name, err.Detail)}
		case x != x:
			continue
		case *w == nil:
			*w = make(Watched, len(members))
		}
		(*w)[name] = x
	}
	return nil
}

func (w Watched) check() error {
	if len(w) > MaxWatched {
		return &InvalidError{ReasonOversized, fmt.Sprintf("watched has %d sensors, may have %d", len(w), MaxWatched)}
	}
	for name := range w {
		if err := CheckSensor(name); err != nil {
			return &InvalidError{ReasonName, "watched: " + err.Error()}
		}
	}
	return nil
}

// CheckSensor says whether a sensor of this name can be watched.
func CheckSensor(name string) error {
	switch {
	case name == "" || len(name) > maxSensorName:
		return fmt.Errorf("sensor name has %d bytes, must have 1 to %d", len(name), maxSensorName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("sensor name %.64q has characters that cannot be printed", name)
	}
	return nil
}
