package engine

import (
	"fmt"
	"math"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ledger"
)

// assembler makes whole rows of readings that come in parts: for each thing it keeps the newest value of every sensor. It
// has no more things than a ledger may have: one more takes the place of the one that was silent longest.
type assembler struct {
	maxAge time.Duration
	things map[string]*partialRow
	extra  map[string]int // positions, behind those of the fault model, of sensors that only the life model has
}

type partialRow struct {
	values []float32
	at     []time.Time // arrival of each value
	row    []float32   // scratch
	last   time.Time   // arrival of the newest
	begun  time.Time   // arrival of the first, since there was none that is not too old
	whole  bool        // every sensor of the fault model was heard since
}

func newAssembler(maxAge time.Duration) *assembler {
	return &assembler{maxAge: maxAge, things: make(map[string]*partialRow)}
}

// extend makes room for sensors that only the life model has, in place of those that it had before.
func (a *assembler) extend(m *activeModel, extra map[string]int) {
	a.extra = extra
	for _, p := range a.things {
		p.values = append(p.values[:m.features], make([]float32, len(extra))...)
		p.at = append(p.at[:m.features], make([]time.Time, len(extra))...)
		p.row = make([]float32, len(p.values))
	}
}

// position returns where in a row a reading of the message belongs; false for one of no sensor.
func (a *assembler) position(m *activeModel, t *event.Telemetry, name string) (int, bool) {
	i, ok := m.position(t, name)
	if !ok {
		i, ok = a.extra[name]
	}
	return i, ok
}

// merge adds the readings, which arrived now, and returns the thing's row, in which values older than maxAge are missing.
// The row is valid until the next call. It returns how many readings no sensor of the model has, whatever they are; when that
// is all of them, or one of a sensor is no number, the message is invalid.
func (a *assembler) merge(m *activeModel, t *event.Telemetry, now time.Time) (row []float32, unknown int, invalid *event.InvalidError) {
	p := a.things[t.Thing]
	if p == nil {
		n := m.features + len(a.extra)
		p = &partialRow{values: make([]float32, n), at: make([]time.Time, n), row: make([]float32, n)}
	}
	unknown = t.Unused
	for name, invalid := range t.Unreadable {
		if _, ok := a.position(m, t, name); ok {
			return nil, unknown, invalid
		}
		unknown++
	}
	known := false
	for name, x := range t.Readings {
		i, ok := a.position(m, t, name)
		if !ok {
			unknown++
			continue
		}
		p.values[i], p.at[i], known = x, now, true
	}
	if !known {
		return nil, unknown, &event.InvalidError{Reason: event.ReasonSensor, Detail: fmt.Sprintf("none of the %d readings is of a sensor that model %s has", unknown, m.ref.Version)}
	}
	if now.Sub(p.last) > a.maxAge {
		p.begun, p.whole = now, false
	}
	p.last = now
	a.keep(t.Thing, p)
	whole := true
	for i, at := range p.at {
		p.row[i] = p.values[i]
		if at.IsZero() || now.Sub(at) > a.maxAge {
			p.row[i] = float32(math.NaN())
		}
		whole = whole && (i >= m.features || !at.Before(p.begun)) // the life model waits for nothing
	}
	p.whole = p.whole || whole
	return p.row, unknown, nil
}

// assembling reports whether parts of the thing's row have not come yet: not every sensor was heard, and the first part not
// long ago.
func (a *assembler) assembling(thing string, now time.Time) bool {
	p := a.things[thing]
	return p != nil && !p.whole && now.Sub(p.begun) < a.maxAge
}

// keep remembers a thing's values.
func (a *assembler) keep(thing string, p *partialRow) {
	if a.things[thing] == nil && len(a.things) >= ledger.MaxThings {
		silent := ""
		for name, other := range a.things {
			if silent == "" || other.last.Before(a.things[silent].last) {
				silent = name
			}
		}
		delete(a.things, silent)
	}
	a.things[thing] = p
}
