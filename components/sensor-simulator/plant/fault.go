package plant

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Fault names what is wrong with a machine.
type Fault string

// The faults. A machine has at most one at a time.
const (
	None Fault = ""

	// AirLeak: air escapes from one of the four lines. The line takes more flow, its pressure sags under load, an
	// ultrasonic microphone hears it, and the compressor is loaded for a larger share of the time.
	AirLeak Fault = "air-leak"
	// BearingWear: one of the six bearings is damaged. Its upper vibration bands grow first, then its overall level and
	// its temperature; its neighbours vibrate along, and the oil carries particles.
	BearingWear Fault = "bearing-wear"
	// Overheating: the cooler is fouled and the cabinet badly ventilated. Oil, air end, windings and cabinet run hot once
	// the fan has no reserve left, and the air leaves damper.
	Overheating Fault = "overheating"

	// SensorStuck: channels of one input card repeat the value they had; the more, the severer.
	SensorStuck Fault = "sensor-stuck"
	// SensorDropout: readings of one input card are missing; the more often, the severer.
	SensorDropout Fault = "sensor-dropout"
)

const (
	cardSize     = 8   // channels of an input card
	fullLeak     = 3.4 // flow that a leak of severity 1 loses at 7 bar, m³/min
	fullBlock    = 0.5 // share of the cooling that is lost at severity 1
	maxGrow      = 6 * time.Hour
	minGrow      = 30 * time.Minute
	maxUntouched = 90 * time.Minute // how long a spontaneous fault stays at full severity before it is repaired
)

// Faults returns all faults, machine faults first.
func Faults() []Fault {
	return []Fault{AirLeak, BearingWear, Overheating, SensorStuck, SensorDropout}
}

// OfMachine reports whether f is a fault of the machine rather than of its sensors.
func (f Fault) OfMachine() bool {
	return f == AirLeak || f == BearingWear || f == Overheating
}

// ParseFault returns the fault of that name. None has no name.
func ParseFault(name string) (Fault, error) {
	if f := Fault(name); slices.Contains(Faults(), f) {
		return f, nil
	}
	return None, fmt.Errorf("there is no fault %q: it is one of %s", name, FaultNames())
}

// FaultNames lists the names of the faults, for people.
func FaultNames() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(Faults()), " ", ", "), "[]")
}

// harm is what the fault under way does to the machine. The zero value is health.
type harm struct {
	leak    [lines]float64    // flow lost at 7 bar, m³/min
	damage  [bearings]float64 // 0…1
	blocked float64           // share of the cooling that is lost, 0…1
}

// episode is one fault, from its start to its repair.
type episode struct {
	fault  Fault
	began  float64 // on the elapsed scale, s
	grow   float64 // from nothing to full severity, s
	repair float64 // when a spontaneous fault is repaired, on the elapsed scale; +Inf for an injected one

	line, bearing, card int               // where it is: each fault uses its own
	stuck               [cardSize]float32 // what a stuck channel shows; NaN = not stuck yet
	before              process           // the machine as the fault found it
}

// Inject starts f, which reaches full severity after grow of simulated time (0: at once) and stays until Repair. It takes
// the place of a fault that is under way.
func (m *Machine) Inject(f Fault, grow time.Duration) error {
	if _, err := ParseFault(string(f)); err != nil {
		return err
	}
	if grow < 0 {
		return errors.New("a fault cannot grow in negative time")
	}
	m.start(f, grow.Seconds(), math.Inf(1))
	return nil
}

// Repair ends the fault under way, if there is one. It stands for a whole visit of the service team: the machine is back
// at work in the state and at the temperatures in which the fault found it, and after a machine fault without wear. The part that
// Age lets wear stays.
func (m *Machine) Repair() {
	if m.episode == nil {
		return
	}
	m.process = m.episode.before
	if m.episode.fault.OfMachine() {
		m.wear = 0
	}
	m.episode = nil
	m.schedule()
}

// SetMeanTimeBetweenFaults lets faults of all kinds come by themselves, mean apart in simulated time on the average, each
// growing over some hours and repaired some time later. Zero, which is the start value, or less means none.
func (m *Machine) SetMeanTimeBetweenFaults(mean time.Duration) {
	m.meanGap = max(0, mean.Seconds())
	m.schedule()
}

// schedule draws when the next spontaneous fault starts: exponentially distributed, without memory.
func (m *Machine) schedule() {
	m.next = math.Inf(1)
	if m.meanGap > 0 {
		m.next = m.elapsed + m.meanGap*m.luck.ExpFloat64()
	}
}

// develop starts a spontaneous fault that is due, ends one whose time is over, and replaces a part that is worn.
func (m *Machine) develop() {
	if a := m.aging; a != nil && m.elapsed >= a.repair {
		next := m.newAging()
		m.aging, m.wear = &next, 0
	}
	switch {
	case m.episode != nil:
		if m.elapsed >= m.episode.repair {
			m.Repair()
		}
	case m.meanGap > 0 && m.elapsed >= m.next:
		all := Faults()
		grow := minGrow.Seconds() + m.luck.Float64()*(maxGrow-minGrow).Seconds()
		m.start(all[m.luck.IntN(len(all))], grow, m.elapsed+grow+m.luck.Float64()*maxUntouched.Seconds())
	}
}

func (m *Machine) start(f Fault, grow, repair float64) {
	e := &episode{
		fault: f, began: m.elapsed, grow: grow, repair: repair,
		line: m.luck.IntN(lines), bearing: m.luck.IntN(bearings), card: m.luck.IntN(len(m.sensors) / cardSize),
		before: m.process,
	}
	if m.episode != nil {
		e.before = m.episode.before
	}
	for i := range e.stuck {
		e.stuck[i] = missing
	}
	m.episode = e
}

// severity returns 0…1.
func (e *episode) severity(now float64) float64 {
	if now-e.began >= e.grow {
		return 1
	}
	return (now - e.began) / e.grow
}

// harm returns what the fault under way and wear do to the machine.
func (m *Machine) harm() harm {
	var h harm
	if a := m.aging; a != nil {
		h.add(a.fault, 0, a.bearing, a.severity(m.elapsed))
	}
	if e := m.episode; e != nil {
		h.add(e.fault, e.line, e.bearing, e.severity(m.elapsed))
	}
	return h
}

// add adds a fault to what harms the machine. Two faults of a part are no worse than the severer of them.
func (h *harm) add(f Fault, line, bearing int, severity float64) {
	switch share := effect(severity); f {
	case AirLeak:
		h.leak[line] = max(h.leak[line], fullLeak*share)
	case BearingWear:
		h.damage[bearing] = max(h.damage[bearing], share)
	case Overheating:
		h.blocked = max(h.blocked, fullBlock*share)
	case None, SensorStuck, SensorDropout: // the machine is well
	}
}

// effect returns how much of a fault's full effect shows at a severity: next to nothing at first, half of it a little
// before FaultyFrom, and then it levels off. A fault feeds itself until it has run its course.
func effect(severity float64) float64 {
	const half = 0.34
	cube := severity * severity * severity
	return (1 + half*half*half) * cube / (cube + half*half*half)
}

// spoil changes readings as a sensor fault does; values are the row just taken, last the row before.
func (e *episode) spoil(values, last []float32, severity float64, luck *rand.Rand) {
	first := e.card * cardSize
	switch e.fault {
	case SensorStuck:
		for i := range 1 + int(severity*(cardSize-1)) {
			c := first + i
			if isMissing(e.stuck[i]) {
				if e.stuck[i] = last[c]; isMissing(last[c]) {
					e.stuck[i] = values[c]
				}
			}
			values[c] = e.stuck[i]
		}
	case SensorDropout:
		for c := first; c < first+cardSize; c++ {
			if luck.Float64() < severity {
				values[c] = missing
			}
		}
	case None, AirLeak, BearingWear, Overheating: // the sensors are well
	}
}
