package simulator

import (
	"fmt"
	"time"
)

// Machine is one machine of a configured plant, for who publishes its rows in another way than the component. Not for several
// goroutines.
type Machine struct {
	source  source
	index   int
	period  time.Duration // between two rows
	elapsed time.Duration
	line    string
}

// Reading is a row of a machine. Faulty and Remaining, in hours, are nil where they are not known.
type Reading struct {
	Values    []float32
	Faulty    *bool
	Remaining *float64
}

// OpenMachine makes a machine of the plant that a valid configuration describes.
func OpenMachine(c Config, thing string) (*Machine, error) {
	for i := range c.Things {
		if c.thing(i) != thing {
			continue
		}
		src, err := openSource(c)
		if err != nil {
			return nil, err
		}
		return &Machine{source: src, index: i, period: time.Duration(float64(time.Second) / c.Rate), line: c.line(i)}, nil
	}
	return nil, fmt.Errorf("the plant has no machine %q: they are %s to %s", thing, c.thing(0), c.thing(c.Things-1))
}

// Columns are the names of the sensors.
func (m *Machine) Columns() []string { return m.source.columns() }

// Line is the production line at which the machine is.
func (m *Machine) Line() string { return m.line }

// Period is the time between two rows.
func (m *Machine) Period() time.Duration { return m.period }

// Next gives the next row; io.EOF ends those of a table.
func (m *Machine) Next() (Reading, error) {
	r, err := m.source.next(m.index, m.period, m.elapsed)
	m.elapsed += m.period
	return Reading{Values: r.values, Faulty: r.faulty, Remaining: r.remaining}, err
}

// Close ends it.
func (m *Machine) Close() error { return m.source.close() }
