package plant

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Drift names a lasting change of what is usual at a machine. It is no fault: labels and remaining life are what they were.
type Drift string

// The drifts. A machine may have several at a time.
const (
	// NewOil: the oil was changed for a clean one that is thicker. The oil filter and the oil pump see it, the rotors and bearings
	// take more power and run warmer, the cooler is less effective, the oil carries fewer particles, and damps the upper vibration bands.
	NewOil Drift = "new-oil"
	// Recalibrated: one sensor has an offset and a gain, and all others show what they showed.
	Recalibrated Drift = "recalibrated"
	// LoadProfile: production has a third shift, and its air goes to other lines than before. The compressor is loaded at night too.
	LoadProfile Drift = "load-profile"
)

const (
	// maxSize is how strong a drift may be. At 3, the oil is nearly three times as thick.
	maxSize = 3

	thickening = 0.35 // of new oil: logarithm of viscosity, relative to the usual oil
	cleaning   = 0.5  // of new oil: logarithm of the particles that a sound machine's oil carries

	recalibratedGain = 0.1 // of a recalibrated sensor, about its mean
)

// loadShares is how a new load profile moves the lines' demand: the logarithm of what each takes, relative to what it took.
var loadShares = [lines]float64{-0.35, -0.1, 0.15, 0.6}

// Drifts returns all drifts.
func Drifts() []Drift { return []Drift{NewOil, Recalibrated, LoadProfile} }

// DriftNames lists the names of the drifts, for people.
func DriftNames() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(Drifts()), " ", ", "), "[]")
}

// Change is a drift and how strong it is.
type Change struct {
	Drift  Drift
	Sensor string  // with Recalibrated
	Size   float64 // 1 is a usual one. Below 0 it goes the other way.
}

// ParseChange reads a change as people write it: NAME, recalibrated:SENSOR, and either with =SIZE.
func ParseChange(text string) (Change, error) {
	name, size, sized := strings.Cut(text, "=")
	c := Change{Size: 1}
	if sized {
		var err error
		if c.Size, err = strconv.ParseFloat(size, 64); err != nil {
			return Change{}, fmt.Errorf("size: %q is not a number", size)
		}
	}
	name, c.Sensor, _ = strings.Cut(name, ":")
	c.Drift = Drift(name)
	return c, c.Check()
}

// Check names the field that is wrong.
func (c Change) Check() error {
	switch {
	case !slices.Contains(Drifts(), c.Drift):
		return fmt.Errorf("drift: there is no %q: it is one of %s", string(c.Drift), DriftNames())
	case c.Drift == Recalibrated && !slices.Contains(Sensors(), c.Sensor):
		return fmt.Errorf("sensor: there is no %q", c.Sensor)
	case c.Drift != Recalibrated && c.Sensor != "":
		return fmt.Errorf("sensor: is for %s, not for %s", Recalibrated, c.Drift)
	case !(math.Abs(c.Size) <= maxSize) || c.Size == 0:
		return fmt.Errorf("size: %v is not between -%d and %d, or is 0", c.Size, maxSize, maxSize)
	}
	return nil
}

// Changes is a list of changes that a command line may have: a flag.Value, of which each use adds some, separated by commas.
type Changes []Change

// String returns what Set takes.
func (c *Changes) String() string {
	var texts []string
	for _, change := range *c {
		text := string(change.Drift)
		if change.Sensor != "" {
			text += ":" + change.Sensor
		}
		texts = append(texts, text+"="+strconv.FormatFloat(change.Size, 'g', -1, 64))
	}
	return strings.Join(texts, ",")
}

// Set adds changes.
func (c *Changes) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		change, err := ParseChange(part)
		if err != nil {
			return err
		}
		*c = append(*c, change)
	}
	return nil
}

// drift is a change of a machine that is under way.
type drift struct {
	Change
	sensor int        // with Recalibrated: which
	usual  usualValue // of that
	began  float64    // on the elapsed scale, s
	grow   float64    // from nothing to full strength, s
}

// strength returns how much of the change there is: up to its size.
func (d *drift) strength(now float64) float64 {
	if now-d.began >= d.grow {
		return d.Size
	}
	return d.Size * (now - d.began) / d.grow
}

// Drift changes what is usual at the machine, over grow of simulated time (0: at once), until end is called. It draws no randomness:
// what the drift does not reach stays as it would have been.
func (m *Machine) Drift(c Change, grow time.Duration) (end func(), err error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if grow < 0 {
		return nil, errors.New("a drift cannot grow in negative time")
	}
	d := &drift{Change: c, sensor: slices.Index(Sensors(), c.Sensor), began: m.elapsed, grow: grow.Seconds()}
	if d.sensor >= 0 {
		d.usual = usualValues()[d.sensor]
	}
	m.drifts = append(m.drifts, d)
	return func() {
		m.drifts = slices.DeleteFunc(m.drifts, func(other *drift) bool { return other == d })
	}, nil
}

// altered is what drifts do to the machine. The zero value is what is usual.
type altered struct {
	newOil  float64 // strength of NewOil
	newLoad float64 // strength of LoadProfile
}

func (m *Machine) altered() (a altered) {
	for _, d := range m.drifts {
		switch strength := d.strength(m.elapsed); d.Drift {
		case NewOil:
			a.newOil += strength
		case LoadProfile:
			a.newLoad += strength
		case Recalibrated: // the machine is as it was
		}
	}
	return a
}

// thickness is the oil's viscosity, relative to that of the usual oil at the same temperature.
func (a altered) thickness() float64 { return math.Exp(thickening * a.newOil) }

// recalibrated returns what a sensor makes of a measured value.
func (m *Machine) recalibrated(sensor int, v float64) float64 {
	for _, d := range m.drifts {
		if d.Drift == Recalibrated && d.sensor == sensor {
			v += d.strength(m.elapsed) * (d.usual.deviation + recalibratedGain*(v-d.usual.mean))
		}
	}
	return v
}

// usualValue is how a sensor's values are spread in sound machines, around the clock.
type usualValue struct{ mean, deviation float64 }

// usualValues measures all sensors on some machines, so that an offset is as large for each sensor as its values are spread.
var usualValues = sync.OnceValue(func() []usualValue {
	const machines, rows, apart = 8, 120, 13 * time.Minute
	usual, count := make([]usualValue, SensorCount), make([]float64, SensorCount)
	squares := make([]float64, SensorCount)
	for i := range machines {
		m := New(0, numbered("usual", i))
		for range rows {
			for k, v := range m.Step(apart).Values {
				if !isMissing(v) {
					count[k]++
					usual[k].mean += float64(v)
					squares[k] += float64(v) * float64(v)
				}
			}
		}
	}
	for k := range usual {
		u := &usual[k]
		u.mean /= max(count[k], 1)
		u.deviation = math.Sqrt(max(0, squares[k]/max(count[k], 1)-u.mean*u.mean))
	}
	return usual
})
