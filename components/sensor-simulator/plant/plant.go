// Package plant simulates an industrial air compressor that is watched by 168 sensors: an oil-injected screw compressor
// of 90 kW that feeds a receiver and four production lines.
//
// Is: a lumped physical model (mass balance of the receiver, first-order thermal masses, vibration that follows speed,
// load and damage) with load/unload control, a working day, weather, wear, noise and faults. The sensors show what that
// model does, so a fault shows wherever it physically would, and nowhere else.
//
// Is not: a thermodynamic design tool. The numbers are plausible, no maker's data.
//
// A Machine is a pure function of its seed, its name and the calls made on it: it reads no clock and starts no goroutine, and
// equal calls give equal rows. (Another processor architecture may round a float64 differently, and with it, rarely, the
// last digit of a reading.) It is not safe for concurrent use.
package plant

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"
)

const (
	// FaultyFrom is the severity from which a row counts as faulty. Below it a fault is under way, but the machine still
	// does its work within its limits and no planner would stop it.
	//
	// Only machine faults count. A sensor that is stuck or silent needs an electrician and leaves the machine sound:
	// labelling it as a fault of the machine would teach a model to stop production for a loose plug.
	FaultyFrom = 0.4

	startHour   = 8            // the time of day at which a new machine stands, h
	warmUp      = 4 * 3600     // what a new machine has run before its first row, s
	subStep     = 5.0          // longest step of the physical model, s
	maxSubSteps = 2000         // of one Step: beyond 2.8 h the sub-steps grow rather than their number
	serviceLife = 4000. * 3600 // simulated time in which wear goes from 0 to 1, s
	calibrated  = 0.4          // a sensor's own error beside the noise of a reading
)

// Row is one reading of all sensors and the truth behind it.
type Row struct {
	Values   []float32 // in the order of Sensors; NaN is a missing reading. The caller's to keep and change.
	State    string    // one of the State constants
	Fault    Fault     // the fault under way, or else the one that a part wears to, or None
	Severity float64   // of Fault, 0…1
	Faulty   bool      // a machine fault, or wear, whose severity is at least FaultyFrom
	// Remaining is how long the machine will run until its severity is FaultyFrom, by what is under way, in hours. It is NaN for
	// a machine that does not age.
	Remaining float64
}

// Machine is one compressor.
type Machine struct {
	world   disturbances
	process process
	build   build
	wear    float64 // 0 fresh from service … 1 due for service

	elapsed float64 // simulated time, s
	episode *episode
	meanGap float64 // mean simulated time between spontaneous faults, s; 0 = none
	next    float64 // when the next spontaneous fault starts, on the elapsed scale
	aging   *aging  // nil: the machine does not age
	drifts  []*drift

	sensors     []sensor
	calibration []float64 // each sensor's own error, in standard deviations of its noise
	last        []float32 // the row before, which a stuck sensor repeats

	// Independent streams: a fault, or another sensor, does not change the weather.
	nature *rand.Rand // disturbances
	noise  *rand.Rand // sensor noise and natural gaps
	luck   *rand.Rand // which fault, where, when
	fate   *rand.Rand // which part wears, and how fast
}

// build is what makes one machine differ from the next of the same type.
type build struct {
	climate   float64                  // mean ambient temperature of its hall, °C
	demand    float64                  // air its lines take, relative to the nominal profile
	friction  float64                  // power, relative to nominal
	cooling   float64                  // cooler effectiveness, relative to nominal
	vibration [bearings][bands]float64 // vibration, relative to nominal
	shares    [lines]float64           // how the demand divides between the lines; sums to 1
}

// New returns a machine at 08:00, warm and at work. Machines of different names differ, as do those of different seeds.
func New(seed uint64, thing string) *Machine {
	stream := func(purpose string) *rand.Rand {
		h := fnv.New64a()
		_, _ = h.Write([]byte(thing + "\x00" + purpose)) // a hash never fails
		return rand.New(rand.NewPCG(seed, h.Sum64()))
	}
	traits := stream("build")
	m := &Machine{
		sensors: sensorTable(),
		build:   newBuild(traits),
		wear:    0.9 * traits.Float64(),
		nature:  stream("nature"),
		noise:   stream("noise"),
		luck:    stream("luck"),
		fate:    stream("fate"),
	}
	m.calibration = make([]float64, len(m.sensors))
	m.last = make([]float32, len(m.sensors))
	for i := range m.calibration {
		m.calibration[i] = traits.NormFloat64()
		m.last[i] = missing
	}
	m.world = newDisturbances()
	m.process = newProcess()
	m.elapsed = -warmUp
	for m.elapsed < 0 {
		m.advance(subStep)
	}
	m.elapsed = 0
	return m
}

func newBuild(r *rand.Rand) build {
	b := build{
		climate:  21 + 2*r.NormFloat64(),
		demand:   1 + 0.05*r.NormFloat64(),
		friction: 1 + 0.015*r.NormFloat64(),
		cooling:  1 + 0.03*r.NormFloat64(),
		shares:   [lines]float64{0.34, 0.28, 0.22, 0.16},
	}
	for i := range b.vibration {
		for k := range b.vibration[i] {
			b.vibration[i][k] = math.Exp(0.12 * r.NormFloat64())
		}
	}
	return b
}

// Step advances the simulated time by dt and reads all sensors. A dt of zero or less reads them again at the same time.
func (m *Machine) Step(dt time.Duration) Row {
	if left := dt.Seconds(); left > 0 {
		n := min(math.Ceil(left/subStep), maxSubSteps)
		for range int(n) {
			m.advance(left / n)
		}
	}
	return m.read()
}

// advance moves machine, disturbances and fault on by dt seconds.
func (m *Machine) advance(dt float64) {
	m.elapsed += dt
	m.world.advance(dt, startHour+m.elapsed/3600, m.build, m.altered().newLoad, m.nature)
	m.develop()
	m.process.advance(dt, m.conditions())
	if m.wear += dt / serviceLife; m.wear >= 1 {
		m.wear = 0 // the planned service
	}
}

func (m *Machine) conditions() conditions {
	return conditions{disturbances: &m.world, build: &m.build, wear: m.wear, harm: m.harm(), altered: m.altered()}
}

// read takes one row. Every sensor draws the same amount of randomness whatever it shows, so that two machines that
// differ only in a fault differ only in what the fault does.
func (m *Machine) read() Row {
	now := observe(&m.process, m.conditions())
	row := Row{Values: make([]float32, len(m.sensors)), State: m.process.state, Remaining: m.remaining()}
	for i := range m.sensors {
		s := &m.sensors[i]
		deviation, gap := m.noise.NormFloat64(), m.noise.Float64() < s.gap
		row.Values[i] = s.show(m.recalibrated(i, s.measure(&now, deviation+calibrated*m.calibration[i])))
		if gap {
			row.Values[i] = missing
		}
	}
	if a := m.aging; a != nil {
		row.Fault, row.Severity = a.fault, a.severity(m.elapsed)
		row.Faulty = row.Severity >= FaultyFrom
	}
	if e := m.episode; e != nil {
		row.Fault, row.Severity = e.fault, e.severity(m.elapsed)
		row.Faulty = row.Faulty || e.fault.OfMachine() && row.Severity >= FaultyFrom
		e.spoil(row.Values, m.last, row.Severity, m.luck)
	}
	copy(m.last, row.Values)
	return row
}
