// Package rows makes telemetry of single values: it keeps the newest value of each sensor, and gives a row of each machine when
// it is time, or when a value has changed.
package rows

import (
	"math"
	"sync"
	"time"

	"edgepdm/components/ingest/mapping"
	"edgepdm/shared/event"
)

// Reasons for which a value is not used. They are counted.
const (
	ReasonQuality = "quality"    // the source says that it is not good
	ReasonNumber  = "not-finite" // NaN or infinite, or beyond float32
	ReasonOlder   = "older"      // than the one before, by the source's clock
	ReasonNoTag   = "unknown-tag"
	ReasonGap     = "gap"       // rows that a machine did not have because none of its values came
	maxAhead      = time.Minute // a source's clock that is further ahead says nothing about order
)

// Tag is a value of a source that some sensor has.
type Tag struct {
	Index   int // of Sample
	Address string
}

// Sample is a value of a tag.
type Sample struct {
	Tag   int
	Value float64
	Good  bool
	TS    time.Time // by the source's clock; zero: it does not say
}

// slot is a sensor of a machine.
type slot struct {
	thing                    int
	factor, offset, deadBand float64

	value    float32
	good     bool
	heard    time.Time // by our clock
	stamp    time.Time // by the source's
	stamped  time.Time // by our clock, when stamp came
	reported float32   // in the last row
}

// machine is a thing whose rows are made.
type machine struct {
	config  mapping.Thing
	schema  string // of packed rows
	first   int    // slot of its first sensor
	seq     uint64
	next    time.Time // row
	last    time.Time // row
	changed bool
	spoke   bool // it had a row
}

// Table keeps the newest values. It is for several goroutines.
type Table struct {
	epoch string
	now   func() time.Time
	count func(reason string, n int)

	mu       sync.Mutex
	slots    []slot
	machines []machine
	tags     map[string][]Tag // by source
	users    [][]int          // slots by tag
}

// New makes a table for a configuration that was validated. count is told of values that are not used.
func New(c mapping.Config, epoch string, now func() time.Time, count func(reason string, n int)) *Table {
	t := &Table{epoch: epoch, now: now, count: count, tags: make(map[string][]Tag)}
	type address struct{ source, tag string }
	known := make(map[address]int)
	for i, thing := range c.Things {
		m := machine{config: thing, first: len(t.slots), next: now()}
		names := make([]string, 0, len(thing.Sensors))
		for _, s := range thing.Sensors {
			names = append(names, s.Sensor)
			a := address{s.Source, s.Tag}
			tag, ok := known[a]
			if !ok {
				tag = len(t.users)
				known[a] = tag
				t.users = append(t.users, nil)
				t.tags[s.Source] = append(t.tags[s.Source], Tag{tag, s.Tag})
			}
			t.users[tag] = append(t.users[tag], len(t.slots))
			t.slots = append(t.slots, slot{
				thing: i, factor: s.Factor, offset: s.Offset, deadBand: s.DeadBand, reported: float32(math.NaN()),
			})
		}
		if thing.Packed {
			m.schema = event.SchemaOf(names)
		}
		t.machines = append(t.machines, m)
	}
	return t
}

// Tags returns the tags of a source that sensors have.
func (t *Table) Tags(source string) []Tag { return t.tags[source] }

// Put takes values. What is not good, or no number, makes the sensor missing.
func (t *Table) Put(samples ...Sample) {
	now := t.now()
	var bad, odd, older int
	t.mu.Lock()
	for _, s := range samples {
		for _, i := range t.users[s.Tag] {
			switch slot := &t.slots[i]; {
			case t.isOlder(slot, s.TS, now):
				older++
			case !s.Good:
				bad++
				t.set(slot, float32(math.NaN()), false, s.TS, now)
			default:
				x := float32(s.Value*slot.factor + slot.offset)
				good := x-x == 0
				if !good {
					odd++
				}
				t.set(slot, x, good, s.TS, now)
			}
		}
	}
	t.mu.Unlock()
	for _, c := range [...]struct {
		reason string
		n      int
	}{{ReasonQuality, bad}, {ReasonNumber, odd}, {ReasonOlder, older}} {
		if c.n > 0 {
			t.count(c.reason, c.n)
		}
	}
}

// isOlder says whether a sample is out of order. A source's clock that was set back is believed after MaxAge.
func (t *Table) isOlder(s *slot, stamp, now time.Time) bool {
	return !stamp.IsZero() && stamp.Before(s.stamp) && s.stamp.Sub(now) < maxAhead &&
		now.Sub(s.stamped) <= t.machines[s.thing].config.MaxAge
}

func (t *Table) set(s *slot, x float32, good bool, stamp, now time.Time) {
	s.value, s.good, s.heard = x, good, now
	if !stamp.IsZero() {
		s.stamp, s.stamped = stamp, now
	}
	was := s.reported == s.reported // not NaN
	if good != was || good && math.Abs(float64(x)-float64(s.reported)) > s.deadBand {
		t.machines[s.thing].changed = true
	}
}

// Missing makes all values of a source's tags missing: the source is away.
func (t *Table) Missing(source string) { t.Drop(t.tags[source]...) }

// Drop makes the values of tags missing. Nothing is counted: the caller knows the reason. What comes next is in order.
func (t *Table) Drop(tags ...Tag) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tag := range tags {
		for _, i := range t.users[tag.Index] {
			s := &t.slots[i]
			s.stamp = time.Time{}
			if s.good {
				s.good = false
				t.machines[s.thing].changed = true
			}
		}
	}
}

// Refresh says that the values of tags still are what they were: a source that tells changes only is heard.
func (t *Table) Refresh(tags []Tag) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tag := range tags {
		for _, i := range t.users[tag.Index] {
			t.slots[i].heard = now
		}
	}
}

// Unheard returns the sensors, as thing/sensor, that have no value.
func (t *Table) Unheard() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var names []string
	for _, m := range t.machines {
		for i, s := range m.config.Sensors {
			if !t.slots[m.first+i].good {
				names = append(names, m.config.Thing+"/"+s.Sensor)
			}
		}
	}
	return names
}

// Due appends the rows that are due. A machine of which nothing is known has none: that it is silent is the alarm manager's
// to say.
func (t *Table) Due(rows []event.Telemetry) []event.Telemetry {
	now := t.now()
	rows, gap := t.due(rows, now)
	if gap > 0 {
		t.count(ReasonGap, gap)
	}
	return rows
}

func (t *Table) due(rows []event.Telemetry, now time.Time) (list []event.Telemetry, gap int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.machines {
		m := &t.machines[i]
		if now.Before(m.next) && m.next.Sub(now) <= m.config.Every { // else the clock was set back
			continue
		}
		if m.config.OnChange && !m.changed && now.Sub(m.last) < m.config.AtLeast && !now.Before(m.last) {
			continue
		}
		if row, known := t.row(m, now); known {
			rows = append(rows, row)
			m.spoke = true
		} else if m.spoke {
			gap++
		}
		m.last, m.changed = now, false
		if late := now.Sub(m.next); late < 0 || late >= m.config.Every { // a clock was set, or nobody asked
			m.next = now
		}
		m.next = m.next.Add(m.config.Every)
	}
	return rows, gap
}

// row makes a machine's row. It reports false if no sensor has a value.
func (t *Table) row(m *machine, now time.Time) (event.Telemetry, bool) {
	values := make(event.Values, len(m.config.Sensors))
	known := false
	for i := range values {
		s := &t.slots[m.first+i]
		values[i] = float32(math.NaN())
		if age := now.Sub(s.heard); s.good && age <= m.config.MaxAge {
			values[i], known = s.value, true
		}
		s.reported = values[i]
	}
	if !known {
		return event.Telemetry{}, false
	}
	m.seq++
	row := event.Telemetry{V: event.Version, Thing: m.config.Thing, Line: m.config.Line, Epoch: t.epoch, Seq: m.seq, TS: now.UTC()}
	if m.config.Packed {
		row.Packed, row.Schema = event.Packed(values), m.schema
		return row, true
	}
	row.Readings = make(event.Readings, len(values))
	for i, x := range values {
		row.Readings[m.config.Sensors[i].Sensor] = x
	}
	return row, true
}

// Tick is how often Due has to be asked: several times a row, so that a ticker that comes early or late moves a row, and does not
// take it away.
func (t *Table) Tick() time.Duration {
	tick := time.Second
	for i := range t.machines { // not by value: Put changes what is beside the configuration
		tick = min(tick, t.machines[i].config.Every)
	}
	return max(tick/4, 2*time.Millisecond)
}
