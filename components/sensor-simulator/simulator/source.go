package simulator

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"edgepdm/components/sensor-simulator/dataset"
	"edgepdm/components/sensor-simulator/plant"
)

// row is one row of a machine, before it is addressed and numbered.
type row struct {
	values []float32
	faulty *bool // nil where not known

	remaining *float64 // hours until maintenance is due; nil where not known
}

// source gives the machines' rows. Its error io.EOF means that there are no more.
type source interface {
	columns() []string
	next(machine int, dt, elapsed time.Duration) (row, error) // dt and elapsed in real time
	close() error
}

func openSource(c Config) (source, error) {
	if c.Input != "" {
		r, err := dataset.Open(c.Input)
		if err != nil {
			return nil, fmt.Errorf("open input: %w", err)
		}
		return &replay{reader: r, loop: c.Loop}, nil
	}
	s := &simulation{config: c}
	for i := range c.Things {
		m := plant.New(c.Seed, c.thing(i))
		m.SetMeanTimeBetweenFaults(c.MeanTimeBF)
		if c.Life {
			m.Age()
		}
		s.machines = append(s.machines, m)
	}
	for i, w := range c.Lives {
		if err := s.machines[c.index(w.Thing)].AgeFrom(plant.Fault(w.Fault), w.Remaining); err != nil {
			return nil, fmt.Errorf("lives[%d]: %w", i, err)
		}
	}
	for _, f := range c.Faults {
		s.injections = append(s.injections, injection{Injection: f})
	}
	s.drifts = make([][]drifting, c.Things)
	for i := range s.drifts {
		for _, d := range c.Drifts {
			if d.reaches(c.thing(i), c.line(i)) {
				s.drifts[i] = append(s.drifts[i], drifting{Drift: d})
			}
		}
	}
	return s, nil
}

// simulation is a plant of simulated machines.
type simulation struct {
	config     Config
	machines   []*plant.Machine
	injections []injection
	drifts     [][]drifting // by machine
}

// drifting is a drift of one machine.
type drifting struct {
	Drift
	begun bool
	end   func() // nil before the beginning, and after the end
}

type injection struct {
	Injection
	begun, ended bool
}

func (s *simulation) columns() []string { return plant.Sensors() }

func (s *simulation) close() error { return nil }

func (s *simulation) next(machine int, dt, elapsed time.Duration) (row, error) {
	m, thing := s.machines[machine], s.config.thing(machine)
	for i := range s.injections {
		f := &s.injections[i]
		switch {
		case f.Thing != thing:
		case !f.begun && elapsed >= f.After:
			f.begun = true
			fault, err := plant.ParseFault(f.Fault)
			if err == nil {
				err = m.Inject(fault, s.simulated(f.Grow))
			}
			if err != nil {
				return row{}, fmt.Errorf("inject %s into %s: %w", f.Fault, thing, err)
			}
		case f.begun && !f.ended && f.For > 0 && elapsed >= f.After+f.For:
			f.ended = true
			m.Repair()
		}
	}
	for i := range s.drifts[machine] {
		d := &s.drifts[machine][i]
		switch {
		case !d.begun && elapsed >= d.After:
			d.begun = true
			end, err := m.Drift(d.change(), s.simulated(d.Grow))
			if err != nil {
				return row{}, fmt.Errorf("let %s drift: %w", thing, err)
			}
			d.end = end
		case d.end != nil && d.For > 0 && elapsed >= d.After+d.For:
			d.end()
			d.end = nil
		}
	}
	r := m.Step(s.simulated(dt))
	out := row{values: r.Values, faulty: &r.Faulty}
	if s.config.Life {
		hours := math.Round(r.Remaining*1000) / 1000
		out.remaining = &hours
	}
	return out, nil
}

func (s *simulation) simulated(real time.Duration) time.Duration {
	return time.Duration(float64(real) * s.config.TimeScale)
}

// replay deals the rows of a table to the machines in turn.
type replay struct {
	reader *dataset.Reader
	loop   bool
}

func (r *replay) columns() []string { return r.reader.Columns() }

func (r *replay) close() error { return r.reader.Close() }

func (r *replay) next(int, time.Duration, time.Duration) (row, error) {
	next, err := r.reader.Next()
	if errors.Is(err, io.EOF) && r.loop {
		if err := r.reader.Rewind(); err != nil {
			return row{}, fmt.Errorf("begin the input again: %w", err)
		}
		next, err = r.reader.Next()
	}
	if err != nil {
		return row{}, err
	}
	out := row{values: next.Values}
	if next.Label.Known {
		out.faulty = &next.Label.Faulty
	}
	return out, nil
}
