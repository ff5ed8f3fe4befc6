package plant

import (
	"fmt"
	"math"
)

// SensorCount is the length of a row: that of the workshop's model.
const SensorCount = 168

// missing is a reading that did not come.
var missing = float32(math.NaN())

func isMissing(v float32) bool { return v != v }

// sensor turns a physical quantity into a reading: with noise, rounded to what the instrument resolves, sometimes absent.
type sensor struct {
	name   string
	en, de string // what people call it
	group  string // of sensors that tell of one thing, see groups; "" if it stands alone
	unit   string
	step   float64 // resolution, in the unit
	noise  float64 // standard deviation, in the unit
	spread float64 // standard deviation relative to the value, added to noise
	gap    float64 // share of readings that are missing
	below  bool    // it can read below zero
	value  func(o *observation) float64
}

// measure returns the value with a measurement error that is deviation standard deviations large.
func (s *sensor) measure(o *observation, deviation float64) float64 {
	v := s.value(o)
	return v + deviation*(s.noise+s.spread*math.Abs(v))
}

// show returns the reading of a measured value.
func (s *sensor) show(v float64) float32 {
	v = math.Round(v/s.step) * s.step
	if v == 0 || (v < 0 && !s.below) {
		v = 0 // also a negative zero
	}
	return float32(v)
}

// observation is the machine at one instant: the process and what follows from it.
type observation struct {
	process
	conditions
	kW, current, factor, air float64 // power, A, power factor, m³/min
	flows                    [lines]float64
	vibrations               [bearings][bands]float64
}

func observe(p *process, c conditions) observation {
	o := observation{process: *p, conditions: c, kW: p.power(c), air: p.flow(c), vibrations: p.vibration(c)}
	o.factor = 0.9
	if p.running() > 0.02 {
		o.factor = clamp(0.42+0.46*o.kW/ratedPower, 0, 0.91)
	}
	o.current = o.kW * 1000 / (math.Sqrt(3) * 400 * c.supply * o.factor)
	for i := range o.flows {
		o.flows[i] = p.lineFlow(i, c)
	}
	return o
}

// linePressure returns the pressure at a line's far end, bar(g): friction takes a share that grows with the flow squared.
func (o *observation) linePressure(line int) float64 {
	pipe := [lines]float64{0.010, 0.013, 0.017, 0.024} // the thinner, the more
	return o.receiver - pipe[line]*o.flows[line]*o.flows[line]
}

// leakNoise returns the ultrasonic level at a line, dB.
func (o *observation) leakNoise(line int) float64 {
	escaping := o.harm.leak[line] * o.receiver / 7
	return 38 + 9*math.Log10(1+o.flows[line]-escaping) + 15*math.Log10(1+1.6*escaping)
}

// damage returns the worst bearing's, 0…1.
func (o *observation) damage() float64 {
	worst := 0.
	for _, d := range o.harm.damage {
		worst = max(worst, d)
	}
	return worst
}

// Sensors returns the sensors' names, in the order of Row.Values.
func Sensors() []string {
	table := sensorTable()
	names := make([]string, len(table))
	for i := range table {
		names[i] = table[i].name
	}
	return names
}

// Units returns the sensors' units, in the same order; "" is a pure number.
func Units() []string {
	table := sensorTable()
	units := make([]string, len(table))
	for i := range table {
		units[i] = table[i].unit
	}
	return units
}

// sensorTable lists all sensors. Names and order are what models are trained on: add none, move none.
func sensorTable() []sensor {
	table := make([]sensor, 0, SensorCount)
	table = append(table, driveSensors()...)
	table = append(table, pressureSensors()...)
	table = append(table, temperatureSensors()...)
	table = append(table, airSensors()...)
	table = append(table, machineSensors()...)
	for i := range bearings {
		table = append(table, bearingSensors(i)...)
	}
	for h := range histograms {
		table = append(table, histogramSensors(h)...)
	}
	return table
}

// gapRate is the share of readings that get lost on the way from an ordinary sensor.
const gapRate = 0.002

// numbered names the sensors of a group: name_1, name_2 …
func numbered(name string, i int) string { return fmt.Sprintf("%s_%d", name, i+1) }

// bearingName is how a bearing is called, in sensors' names and by people.
type bearingName struct{ id, en, de string }

func nameOf(bearing int) bearingName {
	return [bearings]bearingName{
		{"de", "drive end bearing", "Lager der Antriebsseite"},
		{"nde", "non-drive end bearing", "Lager der Gegenseite"},
		{"male", "male rotor bearing", "Lager des Hauptläufers"},
		{"female", "female rotor bearing", "Lager des Nebenläufers"},
		{"thrust", "thrust bearing", "Axiallager"},
		{"gear", "gear bearing", "Getriebelager"},
	}[bearing]
}

// prefix begins the names of a bearing's sensors.
func (b bearingName) prefix() string { return "bearing_" + b.id }

// bands is the name of the group of a bearing's vibration bands.
func (b bearingName) bands() string { return b.prefix() + "_vib_bands" }

// bearingSensors are those on one bearing: vibration by band in mm/s, three figures drawn from it, and the temperature.
func bearingSensors(b int) []sensor {
	const radioGap = 0.004 // these send by radio
	name := nameOf(b)
	prefix := name.prefix()
	var s []sensor
	for k := range bands {
		s = append(s, sensor{
			name: fmt.Sprintf("%s_vib_band%02d", prefix, k+1), group: name.bands(),
			en: fmt.Sprintf("vibration of the %s in band %d", name.en, k+1), de: fmt.Sprintf("Schwingung im %s in Band %d", name.de, k+1),
			unit: "mm/s", step: 0.01, noise: 0.008, spread: 0.11, gap: radioGap,
			value: func(o *observation) float64 { return o.vibrations[b][k] },
		})
	}
	return append(s,
		sensor{
			name: prefix + "_vib_rms", en: "vibration of the " + name.en, de: "Schwingung im " + name.de,
			unit: "mm/s", step: 0.01, noise: 0.02, spread: 0.06, gap: radioGap,
			value: func(o *observation) float64 { return rms(o.vibrations[b]) },
		},
		sensor{
			name: prefix + "_vib_peak", en: "vibration peak of the " + name.en, de: "Schwingungsspitze im " + name.de,
			unit: "mm/s", step: 0.1, noise: 0.05, spread: 0.14, gap: radioGap,
			value: func(o *observation) float64 { return (3.3 + 1.6*o.harm.damage[b]) * rms(o.vibrations[b]) },
		},
		sensor{ // impulsiveness: highest while the damage is small and sharp-edged
			name: prefix + "_vib_kurtosis", en: "vibration kurtosis of the " + name.en, de: "Schwingungs-Kurtosis im " + name.de,
			step: 0.1, noise: 0.45, gap: radioGap,
			value: func(o *observation) float64 {
				d := o.harm.damage[b]
				return 3 + 5*d*(1.3-d)*min(1, o.running())
			},
		},
		sensor{
			name: prefix + "_temp", en: "temperature of the " + name.en, de: "Temperatur im " + name.de, unit: "°C", step: 0.1, noise: 0.8, gap: gapRate,
			value: func(o *observation) float64 { return o.bearing[b] },
		},
	)
}
