package engine

import (
	"fmt"
	"strings"
	"time"

	"edgepdm/shared/event"
)

// So many of the sensors that a row lacks are named.
const (
	missingNamed  = 5
	missingLength = 64 // characters of a name
)

// lack is what keeps a row from a verdict; the zero value is nothing.
type lack struct {
	absent     int
	missing    string // some of them
	assembling bool
}

// lacks says whether too few sensors of a row have a value, or parts of it have not come yet: a fault that is seen in that is
// none of the machine. The workshop's property stands for the whole row.
func (s *scorer) lacks(t *event.Telemetry, values []float32, now time.Time) lack {
	if workshops(t) {
		return lack{}
	}
	absent := 0
	for _, x := range values {
		if x != x {
			absent++
		}
	}
	l := lack{absent: absent, assembling: t.Readings != nil && s.assembler.assembling(t.Thing, now)}
	if absent == 0 || !l.assembling && float64(len(values)-absent) >= s.config.LeastPresent*float64(len(values)) {
		return lack{}
	}
	var missing []string
	for i, name := range s.model.names {
		if values[i] != values[i] && len(missing) < missingNamed {
			missing = append(missing, fmt.Sprintf("%.*s", missingLength, name))
		}
	}
	l.missing = strings.Join(missing, ", ")
	return l
}

// workshops reports whether a row is the workshop's property.
func workshops(t *event.Telemetry) bool {
	_, has := t.Readings[event.PropertyReading]
	return has && t.Epoch == event.ShadowEpoch
}
