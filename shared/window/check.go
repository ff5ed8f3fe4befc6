package window

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Bounds of a spec.
const (
	MaxInputs  = 4096                // inputs, and sensors
	MaxRows    = 4096                // rows in a window; one over a time has its last rows when there are more
	MaxTime    = 31 * 24 * time.Hour // of a window
	MaxThing   = 8 << 20             // bytes that the rows of one thing may take
	MaxValues  = 1 << 20             // values in the windows of one row: some milliseconds
	MaxSpec    = 1 << 20             // bytes of a spec's JSON
	minTime    = time.Millisecond
	maxNameLen = 128 // bytes of a sensor's name
)

var stats = []Stat{Last, Mean, Min, Max, Std, Slope, Count}

// Check returns an error that names the field which is wrong.
func (s *Spec) Check() error {
	c, err := s.checker()
	if err != nil {
		return err
	}
	if len(s.Inputs) == 0 || len(s.Inputs) > MaxInputs {
		return fmt.Errorf("inputs has %d entries; there must be 1 to %d", len(s.Inputs), MaxInputs)
	}
	for i := range s.Inputs {
		if err := c.add(s.Inputs[i]); err != nil {
			return fmt.Errorf("inputs[%d].%w", i, err)
		}
	}
	p := newPlan(s)
	if size := s.Bytes(); size > MaxThing {
		return fmt.Errorf("inputs: the rows of one thing take %d bytes; at most %d may be", size, MaxThing)
	}
	if values := p.values(); values > MaxValues {
		return fmt.Errorf("inputs: the windows of one row have %d values; at most %d may be", values, MaxValues)
	}
	return nil
}

// checker finds what is wrong with inputs, one after the other.
type checker struct {
	sensors map[string]bool
	names   map[string]bool // of the inputs so far
	windows map[windowKey]bool
}

// windowKey is an input, whatever its duration is spelled like.
type windowKey struct {
	sensor string
	stat   Stat
	rows   int
	time   time.Duration
}

// checker checks all but the inputs.
func (s *Spec) checker() (*checker, error) {
	if len(s.Sensors) == 0 || len(s.Sensors) > MaxInputs {
		return nil, fmt.Errorf("sensors has %d entries; there must be 1 to %d", len(s.Sensors), MaxInputs)
	}
	c := &checker{sensors: map[string]bool{}, names: map[string]bool{}, windows: map[windowKey]bool{}}
	for i, name := range s.Sensors {
		switch {
		case name == "" || len(name) > maxNameLen:
			return nil, fmt.Errorf("sensors[%d] is %.40q; a name has 1 to %d bytes", i, name, maxNameLen)
		case c.sensors[name]:
			return nil, fmt.Errorf("sensors[%d] is %q, as one before it", i, name)
		}
		c.sensors[name] = true
	}
	if s.MaxGap != "" {
		if d, err := time.ParseDuration(s.MaxGap); err != nil || d < minTime {
			return nil, fmt.Errorf("maxGap is %.40q; it must be a duration from %s on, such as 10m", s.MaxGap, minTime)
		}
	}
	return c, nil
}

// add checks one more input. The error begins with the field.
func (c *checker) add(in Input) error {
	key := windowKey{in.Sensor, in.Stat, in.Rows, 0}
	least := 1
	if in.Stat == Std || in.Stat == Slope {
		least = 2
	}
	switch {
	case !c.sensors[in.Sensor]:
		return fmt.Errorf("sensor is %.40q, which is none of the sensors", in.Sensor)
	case !slices.Contains(stats, in.Stat):
		return fmt.Errorf("stat is %.40q, which is none of %q", in.Stat, stats)
	case in.Stat == Last && in.Rows != 0:
		return fmt.Errorf("rows is %d; stat last takes neither rows nor time", in.Rows)
	case in.Stat == Last && in.Time != "":
		return fmt.Errorf("time is %.40q; stat last takes neither rows nor time", in.Time)
	case in.Stat == Last:
	case in.Rows != 0 && in.Time != "":
		return fmt.Errorf("rows is %d and time is %.40q; a window has one of both", in.Rows, in.Time)
	case in.Rows == 0 && in.Time == "":
		return fmt.Errorf("rows is missing, and so is time; stat %s takes one of both", in.Stat)
	case in.Time != "":
		d, err := time.ParseDuration(in.Time)
		if err != nil || d < minTime || d > MaxTime {
			return fmt.Errorf("time is %.40q; it must be a duration from %s to %s, such as 10m", in.Time, minTime, MaxTime)
		}
		key.time = d
	case in.Rows < least || in.Rows > MaxRows:
		return fmt.Errorf("rows is %d; a window for %s has %d to %d rows", in.Rows, in.Stat, least, MaxRows)
	}
	name := in.Name()
	if c.windows[key] || c.names[name] {
		return fmt.Errorf("sensor: the input %q is there twice", name)
	}
	c.windows[key], c.names[name] = true, true
	return nil
}

// Name returns how the feature is called: oil_temp for its last value, oil_temp_mean_20, oil_temp_slope_10m.
func (in Input) Name() string {
	switch {
	case in.Stat == Last:
		return in.Sensor
	case in.Time != "":
		return in.Sensor + "_" + string(in.Stat) + "_" + in.Time
	}
	return in.Sensor + "_" + string(in.Stat) + "_" + strconv.Itoa(in.Rows)
}

// Names returns how the features are called, in the order of the inputs.
func (s *Spec) Names() []string {
	names := make([]string, len(s.Inputs))
	for i, in := range s.Inputs {
		names[i] = in.Name()
	}
	return names
}

// HasValue reports whether any feature of a row has a value. A count of none is none.
func (s *Spec) HasValue(features []float32) bool {
	for i, x := range features {
		if x == x && (x != 0 || s.Inputs[i].Stat != Count) {
			return true
		}
	}
	return false
}

// Bytes returns the most memory that one thing may take, its name of 40 bytes included. A spec of windows over rows takes it
// when they are full; one over time as much as it has rows, up to this.
func (s *Spec) Bytes() int64 {
	p := newPlan(s)
	return p.bytes(p.most) + nameBytes
}

// NeedsTime returns the first field for which rows need a time; empty if there is none.
func (s *Spec) NeedsTime() string {
	if s.MaxGap != "" {
		return "maxGap"
	}
	for i, in := range s.Inputs {
		if in.Time != "" {
			return fmt.Sprintf("inputs[%d].time", i)
		}
	}
	return ""
}
