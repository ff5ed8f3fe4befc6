package drift

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// State is what is kept of a line on disk.
type State struct {
	Plan   string        `json:"plan"` // what was compared with what
	Phase  uint8         `json:"phase"`
	Begun  time.Time     `json:"begun"`
	Rows   int           `json:"rows"`
	Edges  [][]float32   `json:"edges,omitempty"` // where training does not say them
	Things []thingState  `json:"things"`
	Blocks []memberState `json:"blocks,omitempty"` // those that are complete, and the one at hand
	Next   int           `json:"next"`
	Filled int           `json:"filled"`
	Day    dayState      `json:"day"`
	Faults faults        `json:"faults"`
	Unlike []int         `json:"unlike,omitempty"`
	Limits [windows]bool `json:"limits"` // which windows have limits
	Drift  bool          `json:"drift,omitempty"`
	Since  time.Time     `json:"since,omitzero"`
	Told   time.Time     `json:"told,omitzero"`
	Quiet  int           `json:"quiet,omitempty"`
	Fault  bool          `json:"fault,omitempty"`
	Faulty bool          `json:"faulty,omitempty"`

	Unknown []string `json:"unknown,omitempty"`
	Data    []byte   `json:"data"` // the counts, packed
}

type thingState struct {
	Name    string    `json:"name"`
	Rows    float64   `json:"rows"`
	Since   time.Time `json:"since"`
	Halved  time.Time `json:"halved"`
	Last    time.Time `json:"last"`
	Learned bool      `json:"learned"`
}

type memberState struct {
	Begun  time.Time `json:"begun"`
	Things []uint16  `json:"things"`
	Faulty []int     `json:"faulty,omitempty"` // positions
}

type dayState struct {
	Begun  time.Time `json:"begun,omitzero"`
	Filled int       `json:"filled"`
	Rows   []int     `json:"rows"` // of the slices, and of that at hand
}

// ErrPlan says that a state is of another model, or was compared in another way.
var ErrPlan = errors.New("what was learned of the line is of another plan")

// maxData bounds the counts of a line, unpacked.
const maxData = 256 << 20

// State returns what is to be kept of the line. What it looks for while training does not say where values are, is not kept.
func (l *Line) State() (State, error) {
	s := State{
		Plan: l.plan.sum, Phase: uint8(l.phase), Begun: l.begun, Rows: l.rows, Next: l.next, Filled: l.filled, Faults: l.faults, Unlike: l.unlike,
		Drift: l.found.drift, Since: l.found.since, Told: l.found.told, Quiet: l.found.quiet, Fault: l.found.fault, Faulty: l.found.faulty, Unknown: l.found.unknown,
	}
	if l.phase == finding {
		return s, nil
	}
	if !l.plan.known {
		s.Edges = l.edges
	}
	for w := range l.limits {
		s.Limits[w] = l.limits[w] != nil
	}
	for _, t := range l.things {
		s.Things = append(s.Things, thingState{t.name, t.rows, t.since, t.halved, t.last, t.learned})
	}
	if l.phase != learning {
		for i := range l.blocks {
			b := &l.blocks[i]
			m := memberState{Begun: b.begun}
			for at, who := range b.who[:b.rows] {
				if m.Things = append(m.Things, who.thing); who.faulty {
					m.Faulty = append(m.Faulty, at)
				}
			}
			s.Blocks = append(s.Blocks, m)
		}
		s.Day = dayState{Begun: l.day.begun, Filled: l.day.filled}
		for _, t := range l.day.all() {
			s.Day.Rows = append(s.Day.Rows, t.rows)
		}
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestSpeed)
	if err != nil {
		return s, err
	}
	err = l.arrays(func(v any) error { return binary.Write(w, binary.LittleEndian, v) })
	if err = errors.Join(err, w.Close()); err != nil {
		return s, fmt.Errorf("pack the counts: %w", err)
	}
	s.Data = packed.Bytes()
	return s, nil
}

// all returns the slices, and the one at hand.
func (d *day) all() []*total {
	var all []*total
	for i := range d.slices {
		all = append(all, &d.slices[i])
	}
	return append(all, &d.now)
}

// arrays gives each array of numbers of a line, in an order that is always the same.
func (l *Line) arrays(each func(any) error) error {
	var all []any
	for _, t := range l.things {
		all = append(all, t.counts)
	}
	if l.phase == judging {
		all = append(all, l.missing)
	}
	if l.phase != learning {
		all = append(all, l.group, l.sizes, l.usual, l.absences, l.found.columns, l.found.ratios, l.found.shown)
		for i := range l.blocks {
			all = append(all, l.blocks[i].counts)
		}
		for _, t := range l.day.all() {
			t.members(len(l.things))
			all = append(all, t.counts, t.healthy, t.all)
		}
		for w := range l.windows {
			all = append(all, l.moments[w], l.windows[w].psi)
			if l.limits[w] != nil {
				all = append(all, l.limits[w])
			}
		}
	}
	for _, v := range all {
		if err := each(v); err != nil {
			return err
		}
	}
	return nil
}

// Restore makes a line of what was kept. The error wraps ErrPlan, or says what is wrong.
func (p *Plan) Restore(s State) (*Line, error) {
	if s.Plan != p.sum {
		return nil, ErrPlan
	}
	l := NewLine(p)
	l.begun, l.rows = s.Begun, s.Rows
	if phase(s.Phase) == finding {
		l.rows = 0 // the sample is not kept
		return l, nil
	}
	if phase(s.Phase) > judging || len(s.Things) > MaxThings || s.Next < 0 || s.Next >= len(l.blocks) || s.Filled < 0 || s.Filled > longBlocks {
		return nil, errors.New("a number is out of its range")
	}
	l.phase, l.faults, l.unlike = phase(s.Phase), s.Faults, s.Unlike
	if l.faults.N < 0 || l.faults.N > blockRows || l.faults.K < 0 || l.faults.K > l.faults.N {
		return nil, errors.New("the faulty rows are out of their range")
	}
	if l.sample = nil; l.edges == nil {
		l.edges = s.Edges
	}
	if err := l.checkEdges(); err != nil {
		return nil, err
	}
	for _, c := range s.Unlike {
		if c < 0 || c >= len(p.columns) {
			return nil, errors.New("a column is out of its range")
		}
	}
	if err := l.revive(s); err != nil {
		return nil, err
	}
	r := io.LimitReader(flate.NewReader(bytes.NewReader(s.Data)), maxData)
	if err := l.arrays(func(v any) error { return binary.Read(r, binary.LittleEndian, v) }); err != nil {
		return nil, fmt.Errorf("unpack the counts: %w", err)
	}
	f := &l.found
	f.drift, f.since, f.told, f.quiet, f.fault, f.faulty = s.Drift, s.Since, s.Told, s.Quiet, s.Fault, s.Faulty
	f.unknown, f.names = s.Unknown, len(s.Unknown)
	if l.phase == learning {
		return l, nil
	}
	return l, l.reckon()
}

func (l *Line) checkEdges() error {
	if len(l.edges) != len(l.plan.columns) {
		return errors.New("the edges are of another number of columns")
	}
	for _, edges := range l.edges {
		if len(edges) == 0 || len(edges) > fineBins-1 {
			return errors.New("a column has no edges, or too many")
		}
		for i := 1; i < len(edges); i++ {
			if !(edges[i-1] < edges[i]) {
				return errors.New("edges do not ascend")
			}
		}
	}
	return nil
}

// revive makes things, blocks and slices, whose counts follow.
func (l *Line) revive(s State) error {
	size := cells
	if l.phase == learning {
		size = fineCells
	}
	for _, t := range s.Things {
		if _, twice := l.names[t.Name]; twice {
			return errors.New("a thing is there twice")
		}
		l.names[t.Name] = len(l.things)
		l.things = append(l.things, &thing{t.Name, make([]uint16, len(l.plan.columns)*size), t.Rows, t.Since, t.Halved, t.Last, t.Learned})
	}
	if l.phase == learning {
		return nil
	}
	n := len(l.plan.columns)
	l.group, l.sizes, l.usual = make([]uint8, n*fineBins), make([]uint8, n), make([]float32, n*cells)
	l.room()
	for w, limited := range s.Limits {
		if l.limits[w] = nil; limited {
			l.limits[w] = make([]float32, n)
		}
	}
	if l.missing = nil; l.phase == judging {
		l.missing = make([]float32, n)
	}
	if len(s.Blocks) != len(l.blocks) || len(s.Day.Rows) != daySlices+1 || s.Day.Filled < 0 || s.Day.Filled > daySlices {
		return errors.New("the windows are of another size")
	}
	for i, m := range s.Blocks {
		if len(m.Things) > blockRows {
			return errors.New("a block is too long")
		}
		b := &l.blocks[i]
		b.begun, b.rows = m.Begun, len(m.Things)
		for at, t := range m.Things {
			if int(t) >= len(l.things) {
				return errors.New("a thing is not known")
			}
			b.who[at].thing = t
		}
		for _, at := range m.Faulty {
			if at < 0 || at >= b.rows {
				return errors.New("a row is out of its block")
			}
			b.who[at].faulty = true
		}
	}
	l.next, l.filled = s.Next, s.Filled
	l.day.begun, l.day.filled = s.Day.Begun, s.Day.Filled
	for i, t := range l.day.all() {
		t.rows = max(0, s.Day.Rows[i])
	}
	return nil
}

// reckon makes what follows from the counts.
func (l *Line) reckon() error {
	for c, size := range l.sizes {
		for b := range len(l.edges[c]) + 1 {
			if l.group[c*fineBins+b] >= size || size > groups {
				return errors.New("a group is out of its range")
			}
		}
	}
	l.fix()
	for w, blocks := range []int{shortBlocks, longBlocks} {
		for i := 1; i <= min(blocks, l.filled); i++ {
			l.windows[w].add(&l.blocks[(l.next+len(l.blocks)-i)%len(l.blocks)], len(l.things), 1)
		}
	}
	if l.day.filled == daySlices {
		for i := range l.day.slices {
			l.windows[dayWindow].join(&l.day.slices[i])
		}
	}
	for i := range l.windows {
		if w := &l.windows[i]; w.rows > 0 && !l.plan.training {
			w.mixture.mix(l, &w.total)
		}
	}
	return nil
}
