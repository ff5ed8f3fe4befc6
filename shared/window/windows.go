package window

import (
	"fmt"
	"sync"
	"time"
)

// Windows keeps the last rows of every thing, as many as a spec's windows take. It may be used by several goroutines.
type Windows struct {
	spec   Spec
	plan   *plan
	memory int64

	mu     sync.Mutex
	rings  map[string]*ring
	starts []int
	stats  Stats

	changes, saved uint64 // of rings, now and when the file was written
	savedTo        string
}

// Stats says how full the windows are, and counts what they could not take since New.
type Stats struct {
	Things int    `json:"things"`
	Bytes  int64  `json:"bytes"`
	Full   uint64 `json:"full"` // rows without room
	Late   uint64 `json:"late"` // rows that came again, or after their successors
}

// Outcome says what became of a row.
type Outcome uint8

// What becomes of a row. All statistics of a row that is not Added or Repeated are missing.
const (
	Added    Outcome = iota
	Repeated         // the last row again: it counts once, and has the same features
	Late             // it came after its successors: it stays missing in their windows
	Full             // there is no memory for it: it is missing in the windows of its successors
)

// New takes a spec, which it checks, and how many bytes all things together may take.
func New(spec Spec, memory int64) (*Windows, error) {
	if err := spec.Check(); err != nil {
		return nil, fmt.Errorf("inputs over time: %w", err)
	}
	p := newPlan(&spec)
	return &Windows{spec: spec, plan: p, memory: memory, rings: map[string]*ring{}, starts: make([]int, len(p.windows))}, nil
}

// Add adds a thing's row, and appends its features to dst, in the order of the spec's inputs.
func (w *Windows) Add(dst []float32, thing string, row Row) ([]float32, Outcome) {
	p := w.plan
	from := len(dst)
	for range p.inputs {
		dst = append(dst, missing)
	}
	features := dst[from:]
	for _, l := range p.lasts {
		features[l.at] = value(row.Values, l.sensor)
	}
	if p.most == 0 {
		return dst, Added
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r, outcome := w.place(thing, &row)
	switch outcome {
	case Added, Repeated:
		r.features(p, features, w.starts)
	case Late:
		w.stats.Late++
	case Full:
		w.stats.Full++
	}
	return dst, outcome
}

// place puts a row into the thing's ring.
func (w *Windows) place(thing string, row *Row) (*ring, Outcome) {
	p := w.plan
	ts := row.TS.UnixMicro()
	w.changes++
	r := w.rings[thing]
	if r == nil {
		if !w.take(p.bytes(p.first) + int64(len(thing))) {
			return nil, Full
		}
		r = newRing(p)
		w.rings[thing] = r
	}
	r.touched = true
	steps := uint64(1)
	if r.place > 0 {
		steps = r.steps(row, ts)
	}
	switch {
	case steps == 0 && row.Epoch == r.epoch && row.Seq == r.seq && ts == r.ts:
		w.stats.Late++
		return r, Repeated
	case steps == 0:
		return r, Late
	}
	mayGrow := func(room int) bool { return w.take(p.bytes(room) - p.bytes(len(r.places))) }
	if !r.add(p, row, ts, steps, mayGrow) {
		return r, Full
	}
	return r, Added
}

// take takes so many bytes of the memory, if it has them.
func (w *Windows) take(bytes int64) bool {
	if w.stats.Bytes+bytes > w.memory {
		return false
	}
	w.stats.Bytes += bytes
	return true
}

// DropIdle forgets the things that were not heard for longer than after. What was heard since the last call counts as heard
// now, so that Add needs no clock.
func (w *Windows) DropIdle(now time.Time, after time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for thing, r := range w.rings {
		if r.touched {
			r.heard, r.touched = now, false
		} else if now.Sub(r.heard) > after {
			w.forget(thing, r)
		}
	}
}

func (w *Windows) forget(thing string, r *ring) {
	w.changes++
	delete(w.rings, thing)
	w.stats.Bytes -= w.plan.bytes(len(r.places)) + int64(len(thing))
}

// Stats returns the numbers of now.
func (w *Windows) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Things = len(w.rings)
	return w.stats
}
