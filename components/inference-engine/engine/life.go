package engine

import (
	"math"
	"slices"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
)

// Names of the counters of remaining life.
const (
	CounterLifeRows    = "life.rows"     // estimates
	CounterLifeMissing = "life.missing." // and the reason: no estimate
)

// Reasons for which inputs over time, or the life, are missing.
const (
	missingWindows = "windows" // no input has a value
	missingLate    = "late"    // the row came after its successors
	missingMemory  = "memory"  // windowMemory is used up
	missingScore   = "score"   // the model gave nothing
)

// lifeScorer estimates how much longer the machine of a row will run, by the life model. The scorer's goroutine owns it.
type lifeScorer struct {
	rt     *component.Runtime
	now    func() time.Time
	models *models
	pick   []int     // where in a row each of the model's sensors is
	row    []float32 // scratch: its sensors
	inputs []float32 // scratch

	given     *use         // by models
	model     *activeModel // nil: there is none
	rings     *rings
	probation probation
}

func newLifeScorer(rt *component.Runtime, now func() time.Time, models *models) *lifeScorer {
	return &lifeScorer{rt: rt, now: now, models: models}
}

// layOut says where the life model's values are in rows: in those of the fault model, or behind them. It returns the positions of
// those behind.
func (l *lifeScorer) layOut(fault *activeModel) (extra map[string]int) {
	if l.model == nil {
		return nil
	}
	extra = make(map[string]int)
	l.pick = l.pick[:0]
	for _, name := range l.model.names {
		i, ok := fault.sensors[name]
		if !ok {
			i = fault.features + len(extra)
			extra[name] = i
		}
		l.pick = append(l.pick, i)
	}
	return extra
}

// adopt takes over the life model that models gave, if it is another one, and reports whether it is.
func (l *lifeScorer) adopt() bool {
	given := l.models.inUse.Load()
	if given == l.given {
		return false
	}
	l.given, l.model, l.rings, l.probation = given, given.model, given.rings, given.probation
	return true
}

// estimate gives the remaining life by a row and what came before it; nil: there is none. A new model that fails, or is too
// slow, is sent back; no row waits for that.
func (l *lifeScorer) estimate(t *event.Telemetry, values, extra []float32) *event.Life {
	if l.model == nil {
		return nil
	}
	begin := l.now()
	row, missing := l.modelRow(t, values, extra)
	if missing != "" {
		l.rt.Counter(CounterLifeMissing + missing).Add(1)
		return nil
	}
	life, err := l.model.life(row)
	if !l.probation.until.IsZero() {
		now := l.now()
		if reason := l.probation.row(err, now.Sub(begin), now); reason != "" && l.models.giveBack(l.model, reason) {
			l.model, l.probation = nil, probation{}
		}
	}
	if err != nil {
		l.rt.Counter(CounterLifeMissing + missingScore).Add(1)
		return nil
	}
	l.rt.Counter(CounterLifeRows).Add(1)
	return life
}

// modelRow returns what the model is given for a row, or why that is missing.
func (l *lifeScorer) modelRow(t *event.Telemetry, values, extra []float32) (row []float32, missing string) {
	row = l.gather(values, extra)
	some := slices.ContainsFunc(row, func(x float32) bool { return x == x })
	if l.rings != nil {
		l.inputs, missing = l.rings.add(l.inputs[:0], t, row)
		row, some = l.inputs, l.rings.spec.HasValue(l.inputs)
	}
	if missing == "" && !some {
		missing = missingWindows
	}
	return row, missing
}

// gather returns what a row has of the model's sensors.
func (l *lifeScorer) gather(values, extra []float32) []float32 {
	l.row = l.row[:0]
	for _, i := range l.pick {
		x := float32(math.NaN())
		if i < len(values) {
			x = values[i]
		} else if i -= len(values); i < len(extra) {
			x = extra[i]
		}
		l.row = append(l.row, x)
	}
	return l.row
}
