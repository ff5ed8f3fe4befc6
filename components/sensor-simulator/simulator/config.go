// Package simulator is the component that plays the plant: it publishes sensor rows of simulated machines, or replays
// a table of recorded ones, as telemetry. It is for demonstrations and tests; its messages say "simulated".
package simulator

import (
	"fmt"
	"time"

	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/event"
)

// Config is the component's configuration.
type Config struct {
	Things     int           `json:"things"`     // machines
	Name       string        `json:"-"`          // of the one machine that a client device is; empty: by Prefix
	Prefix     string        `json:"prefix"`     // machines are called <prefix>-1, <prefix>-2…
	Lines      int           `json:"lines"`      // production lines, over which the machines are spread
	Rate       float64       `json:"rate"`       // rows a second of each machine
	Seed       uint64        `json:"seed"`       // equal seeds give equal machines
	TimeScale  float64       `json:"timeScale"`  // simulated seconds that pass in a second
	Batch      int           `json:"batch"`      // rows a message, in the compact form; 1 = a message a row
	Output     Output        `json:"output"`     // where the rows go
	MeanTimeBF time.Duration `json:"meanTimeBF"` // simulated time between spontaneous faults of a machine; 0 = none
	Faults     []Injection   `json:"faults"`     // faults at given times
	Drifts     []Drift       `json:"drifts"`     // lasting changes at given times, which are no faults
	Life       bool          `json:"life"`       // machines wear out, and their rows tell the hours until maintenance is due
	Lives      []Wear        `json:"lives"`      // with life: the first life of some of them
	Input      string        `json:"input"`      // CSV or CSV.gz file to replay instead of simulating
	Loop       bool          `json:"loop"`       // begin the file again at its end
	WaitFor    string        `json:"waitFor"`    // component whose health message must say OK before the first row; "" = none
	WaitLimit  time.Duration `json:"waitLimit"`  // rows are published after so long, whatever it says
}

// Output is where the rows go.
type Output string

// The outputs.
const (
	ToPubSub Output = "pubsub" // local publish/subscribe, as telemetry
	ToShadow Output = "shadow" // the machines' device shadows, which take a classic nucleus with aws.greengrass.ShadowManager
)

// Injection is a fault that is injected into a machine. Times are real time since the start.
type Injection struct {
	Thing string        `json:"thing"`
	Fault string        `json:"fault"`
	After time.Duration `json:"after"`
	For   time.Duration `json:"for"`  // 0 = until the end
	Grow  time.Duration `json:"grow"` // until full severity; 0 = at once
}

// Drift is a lasting change of what is usual at a machine, of all machines of a line, or of all. Times are real time since the start.
type Drift struct {
	Drift  string        `json:"drift"`
	Thing  string        `json:"thing"`  // with an empty Line too: all machines
	Line   string        `json:"line"`   // instead of Thing
	Sensor string        `json:"sensor"` // with plant.Recalibrated
	After  time.Duration `json:"after"`
	For    time.Duration `json:"for"`  // 0 = until the end
	Grow   time.Duration `json:"grow"` // until full strength; 0 = at once
	Size   float64       `json:"size"` // how strong; 0 = 1
}

// change is what happens to a machine.
func (d Drift) change() plant.Change {
	c := plant.Change{Drift: plant.Drift(d.Drift), Sensor: d.Sensor, Size: d.Size}
	if c.Size == 0 {
		c.Size = 1
	}
	return c
}

// reaches reports whether a machine of a line changes.
func (d Drift) reaches(thing, line string) bool {
	return (d.Thing == "" || d.Thing == thing) && (d.Line == "" || d.Line == line)
}

// Wear is the part of a machine that wears at the start, and how long it will last in simulated time.
type Wear struct {
	Thing     string        `json:"thing"`
	Fault     string        `json:"fault"`
	Remaining time.Duration `json:"remaining"`
}

// Default returns the configuration with no key set.
func Default() Config {
	return Config{
		Things: 3, Prefix: "compressor", Lines: 2, Rate: 1, Seed: 1, TimeScale: 60, Batch: 1, Output: ToPubSub, Loop: true,
		WaitFor: event.InferenceEngine, WaitLimit: time.Minute,
	}
}

// maxBatch rows of 168 sensors in the compact form, with the longest names, fit a local message.
const maxBatch = 4

// Validate names the field that is wrong.
func (c Config) Validate() error {
	switch {
	case c.Things < 1 || c.Things > 1000:
		return fmt.Errorf("things: %d is not between 1 and 1000", c.Things)
	case c.Lines < 1 || c.Lines > 100:
		return fmt.Errorf("lines: %d is not between 1 and 100", c.Lines)
	case !(c.Rate > 0 && c.Rate <= 1000):
		return fmt.Errorf("rate: %v rows a second is not above 0 and at most 1000", c.Rate)
	case !(c.TimeScale > 0 && c.TimeScale <= 1e6):
		return fmt.Errorf("timeScale: %v is not above 0 and at most 1000000", c.TimeScale)
	case c.Batch < 1 || c.Batch > maxBatch:
		return fmt.Errorf("batch: %d is not between 1 and %d", c.Batch, maxBatch)
	case c.Output != ToPubSub && c.Output != ToShadow:
		return fmt.Errorf("output: %q is neither %s nor %s", c.Output, ToPubSub, ToShadow)
	case c.WaitLimit < 100*time.Millisecond || c.WaitLimit > time.Hour:
		return fmt.Errorf("waitLimit: %v is not between 100ms and 1h", c.WaitLimit)
	case c.MeanTimeBF < 0:
		return fmt.Errorf("meanTimeBF: %v is negative", c.MeanTimeBF)
	}
	if err := event.CheckName(c.thing(c.Things - 1)); err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	for i, f := range c.Faults {
		if _, err := plant.ParseFault(f.Fault); err != nil {
			return fmt.Errorf("faults[%d].fault: %w", i, err)
		}
		if f.After < 0 || f.For < 0 || f.Grow < 0 {
			return fmt.Errorf("faults[%d]: a time is negative", i)
		}
		if c.index(f.Thing) < 0 {
			return fmt.Errorf("faults[%d].thing: %q is none of %s to %s", i, f.Thing, c.thing(0), c.thing(c.Things-1))
		}
	}
	for i, d := range c.Drifts {
		if err := d.change().Check(); err != nil {
			return fmt.Errorf("drifts[%d].%w", i, err)
		}
		switch {
		case d.After < 0 || d.For < 0 || d.Grow < 0:
			return fmt.Errorf("drifts[%d]: a time is negative", i)
		case d.Thing != "" && d.Line != "":
			return fmt.Errorf("drifts[%d].line: is not for a drift of one thing", i)
		case d.Thing != "" && c.index(d.Thing) < 0:
			return fmt.Errorf("drifts[%d].thing: %q is none of %s to %s", i, d.Thing, c.thing(0), c.thing(c.Things-1))
		case d.Line != "" && !c.hasLine(d.Line):
			return fmt.Errorf("drifts[%d].line: %q is none of %s to %s", i, d.Line, c.line(0), c.line(min(c.Lines, c.Things)-1))
		}
	}
	for i, w := range c.Lives {
		if c.index(w.Thing) < 0 {
			return fmt.Errorf("lives[%d].thing: %q is none of %s to %s", i, w.Thing, c.thing(0), c.thing(c.Things-1))
		}
		if err := plant.CheckWear(plant.Fault(w.Fault), w.Remaining); err != nil {
			return fmt.Errorf("lives[%d].%w", i, err)
		}
	}
	switch {
	case len(c.Lives) > 0 && !c.Life:
		return fmt.Errorf("lives: machines wear only with life")
	case c.Input != "" && len(c.Faults) > 0:
		return fmt.Errorf("faults: cannot be injected into rows replayed from input")
	case c.Input != "" && len(c.Drifts) > 0:
		return fmt.Errorf("drifts: rows replayed from input do not drift")
	case c.Input != "" && c.Life:
		return fmt.Errorf("life: rows replayed from input do not wear")
	}
	return nil
}

func (c Config) thing(i int) string {
	if c.Name != "" {
		return c.Name
	}
	return fmt.Sprintf("%s-%d", c.Prefix, i+1)
}

func (c Config) line(i int) string { return fmt.Sprintf("line-%d", i%c.Lines+1) }

// hasLine reports whether a machine stands at the line.
func (c Config) hasLine(line string) bool {
	for i := range min(c.Lines, c.Things) {
		if c.line(i) == line {
			return true
		}
	}
	return false
}

// index returns which machine has that name, or -1.
func (c Config) index(thing string) int {
	for i := range c.Things {
		if c.thing(i) == thing {
			return i
		}
	}
	return -1
}
