// Package quality finds sensors whose values are not to be trusted for a long time: frozen ones, those far outside of what the
// model's training saw, and those without a value. It learns what is usual of each machine's sensors while it runs.
package quality

import (
	"fmt"
	"math"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
)

const (
	// span is how many slices of time something lasts until it is found.
	span = 10
	// leastRows are those of a slice.
	leastRows = 3
	// learned is in how many slices a sensor must have moved, or had values, until it is judged.
	learned = 3 * span
	// patience is how many times longer than ever before, beside the span, a value must not change.
	patience = 3
	// wide is how many times the range of training a value is away from that range when it is outside.
	wide = 2
	// lastingly is how long a thing must be silent to make room for another one, and how often such are looked for.
	lastingly, lookEvery = time.Hour, time.Minute

	// maxSensors bounds the sensors of all things together, at 13 bytes each.
	maxSensors = 4 << 20
	most       = math.MaxUint8
	// enough rows of a slice are looked at; what changes later in it changes in the next one.
	enough = math.MaxUint8
)

// Judge judges the values of things. It has one owner.
type Judge struct {
	slice  time.Duration
	names  []string // of the sensors, as they are told
	ranges []limits
	things map[string]*thing
	before map[string]Found // by a process before, of things that have not been heard since
	looked time.Time        // for things that are silent
	news   bool             // something is found, or is over
}

// limits are the values that are not far outside.
type limits struct{ low, high float32 }

// unlimited is for a sensor of which nothing is known.
var unlimited = limits{float32(math.Inf(-1)), float32(math.Inf(1))}

// thing is what is known of a machine.
type thing struct {
	last    []float32
	sensors []sensor
	begun   time.Time // of the slice
	rows    uint8     // in it, up to enough
	heard   time.Time
	found   *event.Quality
}

// sensor counts slices, up to the most that fits: a slice has moved if the value changed within it. There are millions of them.
type sensor struct {
	present uint8 // rows of this slice with a value
	signs   signs

	still, longest uint8 // without a move: now, and the longest before
	moves, judged  uint8 // that moved, of those that were learned from
	came, absent   uint8 // with values, ever; without enough of them, now
	outside        uint8
}

// signs are what this slice has shown of a sensor, and in the lowest bits the verdict.
type signs uint8

const (
	moved  signs = 1 << 7 // the value changed
	inside signs = 1 << 6 // some value was

	verdictBits signs = 3
)

func (s *sensor) shows(sign signs) bool { return s.signs&sign != 0 }

func (s *sensor) verdict() verdict { return verdict(s.signs & verdictBits) }

func (s *sensor) decide(v verdict) { s.signs = s.signs&^verdictBits | signs(v) }

// verdict is what is found of a sensor.
type verdict uint8

const (
	well verdict = iota
	missing
	frozen
	outside
)

// New returns a Judge that finds what lasts for so long.
func New(after time.Duration) *Judge {
	return &Judge{slice: after / span, things: make(map[string]*thing)}
}

// Use says what the sensors of the rows are called, where they have names, and what the training saw of them. With other sensors
// than before it begins from the start.
func (j *Judge) Use(sensors int, names []string, baseline map[string]envelope.Histogram) {
	before := j.names
	j.names, j.ranges = make([]string, sensors), make([]limits, sensors)
	same := len(before) == sensors
	for i := range sensors {
		j.names[i], j.ranges[i] = fmt.Sprintf("number %d", i+1), unlimited
		if i < len(names) && event.CheckSensor(names[i]) == nil {
			j.names[i] = names[i]
		}
		same = same && before[i] == j.names[i]
		if i >= len(names) {
			continue
		}
		if h, known := baseline[names[i]]; known {
			j.ranges[i] = training(h)
		}
	}
	if !same {
		clear(j.things)
	}
}

// training returns what is not far outside of what training saw, down to its extremes: the bulk says nothing of what a machine may
// show at times.
func training(h envelope.Histogram) limits {
	if h.Min == nil || h.Max == nil || *h.Min >= *h.Max {
		return unlimited
	}
	margin := wide * (*h.Max - *h.Min)
	return limits{*h.Min - margin, *h.Max + margin}
}

// Row judges a row, and returns what is found of its thing; nil for nothing. The answer is not to be changed.
func (j *Judge) Row(name string, values []float32, now time.Time) *event.Quality {
	t := j.things[name]
	if t == nil {
		if t = j.add(name, now); t == nil {
			return nil
		}
	}
	t.heard = now
	if t.rows < enough {
		t.take(values, j.ranges)
	}
	if t.rows >= leastRows && now.Sub(t.begun) >= j.slice {
		j.turn(t, now)
	}
	return t.found
}

// add begins with a thing, if there is room for it.
func (j *Judge) add(name string, now time.Time) *thing {
	room := func() bool { return (len(j.things)+1)*len(j.names) <= maxSensors }
	if !room() && now.Sub(j.looked) >= lookEvery {
		j.looked = now
		for name, t := range j.things {
			if now.Sub(t.heard) >= lastingly {
				delete(j.things, name)
				j.news = true
			}
		}
	}
	if !room() {
		return nil
	}
	t := &thing{last: make([]float32, len(j.names)), sensors: make([]sensor, len(j.names)), begun: now}
	for i := range t.last {
		t.last[i] = float32(math.NaN())
	}
	j.things[name] = t
	if found, known := j.before[name]; known {
		j.resume(t, found)
		delete(j.before, name)
	}
	return t
}

// take counts a row.
func (t *thing) take(values []float32, ranges []limits) {
	t.rows++
	last, sensors := t.last[:len(values)], t.sensors[:len(values)]
	for i, x := range values {
		if x != x {
			continue
		}
		s := &sensors[i]
		s.present++
		if x != last[i] {
			if last[i] == last[i] {
				s.signs |= moved
			}
			last[i] = x
		}
		if !s.shows(inside) && x >= ranges[i].low && x <= ranges[i].high {
			s.signs |= inside
		}
	}
}

// turn ends a slice, and judges the thing.
func (j *Judge) turn(t *thing, now time.Time) {
	movers, moving := 0, 0
	for i := range t.sensors {
		if s := &t.sensors[i]; s.mover() {
			movers++
			if s.shows(moved) {
				moving++
			}
		}
	}
	rests := moving < movers-moving // most of what moves usually does not: the machine stands
	for i := range t.sensors {
		s := &t.sensors[i]
		s.turn(t.rows, rests, t.last[i] == 0)
		if v := s.judge(); v != s.verdict() {
			s.decide(v)
			j.news = true
		}
	}
	t.begun, t.rows = now, 0
	j.tell(t)
}

// tell notes what is found of a thing.
func (j *Judge) tell(t *thing) {
	t.found = nil
	for i := range t.sensors {
		v := t.sensors[i].verdict()
		if v == well {
			continue
		}
		if t.found == nil {
			t.found = &event.Quality{}
		}
		list := map[verdict]*[]string{missing: &t.found.Missing, frozen: &t.found.Frozen, outside: &t.found.Outside}[v]
		if len(*list) < event.MaxQuality {
			*list = append(*list, j.names[i])
		} else {
			t.found.More++
		}
	}
}

// mover reports whether a sensor's value usually changes within a slice.
func (s *sensor) mover() bool { return s.judged >= learned && 2*int(s.moves) >= int(s.judged) }

func (s *sensor) judge() verdict {
	switch {
	case s.absent >= span && s.came >= span:
		return missing
	case s.mover() && int(s.still) >= span+patience*int(s.longest):
		return frozen
	case s.outside >= span:
		return outside
	}
	return well
}

// turn ends a slice of so many rows. A machine that rests, and a value of exactly 0, which is that of something that is off, say
// nothing of a sensor that does not move.
func (s *sensor) turn(rows uint8, rests, zero bool) {
	if 2*int(s.present) >= int(rows) {
		s.came, s.absent = more(s.came), 0
	} else {
		s.absent = more(s.absent)
	}
	switch {
	case s.present == 0:
		s.still, s.outside = 0, 0
	case s.shows(moved):
		s.longest, s.still = max(s.longest, min(s.still, s.bound())), 0
		s.learn()
		s.moves++
	case zero:
		s.still = 0
	case !rests:
		if s.still = more(s.still); s.still < span {
			s.learn()
		}
	}
	switch {
	case s.shows(inside):
		s.outside = 0
	case s.present > 0:
		s.outside = more(s.outside)
	}
	s.present, s.signs = 0, s.signs&verdictBits
}

// learn counts a slice that is learned from. What was long ago counts less and less.
func (s *sensor) learn() {
	if s.judged == most {
		s.judged, s.moves = s.judged/2, s.moves/2
	}
	s.judged++
}

// bound is the most that is learned of one time without a move: a sensor that was frozen is found again when it is once more, later.
func (s *sensor) bound() uint8 { return uint8(min(span+patience*int(s.longest), most)) }

func more(n uint8) uint8 {
	if n == most {
		return n
	}
	return n + 1
}

// Things is how many things are judged.
func (j *Judge) Things() int { return len(j.things) }
