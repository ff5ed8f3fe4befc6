package window

import (
	"slices"
	"time"
)

// plan is a spec made ready. It is only read.
type plan struct {
	inputs  int
	lasts   []last
	kept    []int // sensors whose values a ring keeps: places in a row
	windows []span
	groups  []group

	rows   int64 // the longest window over rows
	time   int64 // the longest over time, in microseconds
	first  int   // rows for which a new ring has room
	most   int   // rows that a ring may keep
	maxGap int64 // microseconds; 0: any
}

// last is an input that is a row's own value.
type last struct{ sensor, at int }

// span is a window: so many rows, or so many microseconds.
type span struct{ rows, time int64 }

// group is the inputs that share a sensor and a window. Slope and Std take a second walk through the window.
type group struct {
	column, window int // of the ring; of the plan
	outputs        []output
	spread         bool
}

type output struct {
	stat Stat
	at   int // place among the inputs
}

// newPlan takes a spec that was checked.
func newPlan(s *Spec) *plan {
	p := &plan{inputs: len(s.Inputs), maxGap: micros(s.MaxGap)}
	places := make(map[string]int, len(s.Sensors))
	for i, name := range s.Sensors {
		places[name] = i
	}
	columns, windows, groups := map[int]int{}, map[span]int{}, map[[2]int]int{}
	for i, in := range s.Inputs {
		sensor := places[in.Sensor]
		if in.Stat == Last {
			p.lasts = append(p.lasts, last{sensor, i})
			continue
		}
		w := span{int64(in.Rows), micros(in.Time)}
		key := [2]int{number(columns, sensor, &p.kept), number(windows, w, &p.windows)}
		at, ok := groups[key]
		if !ok {
			at = len(p.groups)
			groups[key] = at
			p.groups = append(p.groups, group{column: key[0], window: key[1]})
		}
		g := &p.groups[at]
		g.outputs = append(g.outputs, output{in.Stat, i})
		g.spread = g.spread || in.Stat == Std || in.Stat == Slope
		p.rows, p.time = max(p.rows, w.rows), max(p.time, w.time)
	}
	// Rings walk through one column after the other.
	slices.SortStableFunc(p.groups, func(a, b group) int { return a.column - b.column })
	p.first, p.most = int(p.rows), int(p.rows)
	if p.time > 0 {
		p.first, p.most = max(p.first, 16), MaxRows
	}
	return p
}

// number returns the place of a value in a list to which it is added if it is new.
func number[T comparable](places map[T]int, v T, list *[]T) int {
	at, ok := places[v]
	if !ok {
		at = len(*list)
		places[v] = at
		*list = append(*list, v)
	}
	return at
}

func micros(duration string) int64 {
	d, _ := time.ParseDuration(duration) // it was checked; empty is 0
	return d.Microseconds()
}

// values returns how many values the windows of one row may have.
func (p *plan) values() int {
	sum := 0
	for _, g := range p.groups {
		if rows := int(p.windows[g.window].rows); rows > 0 {
			sum += rows
		} else {
			sum += MaxRows
		}
	}
	return sum
}
