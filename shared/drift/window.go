package drift

import (
	"math"
	"time"
)

// The windows.
const (
	shortWindow = iota // of 200 rows
	longWindow         // of 500 rows
	dayWindow          // of 24 hours
	windows
)

// window is rows that are compared with what is usual.
type window struct {
	total
	mixture mixture
	psi     []float32 // by column; below 0: too few values
}

// total is counts of rows.
type total struct {
	counts       []uint32 // by column and cell
	healthy, all []uint32 // rows by thing, and with the faulty ones
	rows         int
}

func newTotal(columns int) total { return total{counts: make([]uint32, columns*cells)} }

// members makes room for things.
func (t *total) members(n int) {
	for len(t.all) < n {
		t.healthy, t.all = append(t.healthy, 0), append(t.all, 0)
	}
}

// add adds a block, or takes it out if sign is negative.
func (t *total) add(b *block, things, sign int) {
	t.members(things)
	for i, n := range b.counts {
		t.counts[i] += uint32(sign * int(n))
	}
	for _, m := range b.who[:b.rows] {
		t.all[m.thing] += uint32(sign)
		if !m.faulty {
			t.healthy[m.thing] += uint32(sign)
		}
	}
	t.rows += sign * b.rows
}

// join adds another total.
func (t *total) join(other *total) {
	t.members(len(other.all))
	for i, n := range other.counts {
		t.counts[i] += n
	}
	for i, n := range other.all {
		t.all[i] += n
		t.healthy[i] += other.healthy[i]
	}
	t.rows += other.rows
}

func (t *total) clear() {
	clear(t.counts)
	clear(t.healthy)
	clear(t.all)
	t.rows = 0
}

// day is the slices of the window of 24 hours.
type day struct {
	slices [daySlices]total
	now    total
	begun  time.Time // of now
	filled int
}

// add adds a block, and reports whether a slice is complete. After a time without rows the window begins again.
func (d *day) add(b *block, things int, at time.Time) (complete bool) {
	if d.begun.IsZero() || at.Before(d.begun) || at.Sub(d.begun) > 2*sliceTime {
		d.begun, d.filled = at, 0
		d.now.clear()
	}
	d.now.add(b, things, 1)
	if at.Sub(d.begun) < sliceTime {
		return false
	}
	oldest := d.slices[0]
	copy(d.slices[:], d.slices[1:])
	d.slices[daySlices-1], d.now = d.now, oldest
	d.now.clear()
	d.begun, d.filled = d.begun.Add(sliceTime), min(d.filled+1, daySlices)
	return true
}

// mixture is what is usual of the things whose rows are in a window.
type mixture struct {
	healthy, all []float64 // shares of the things that it was made of
	usual        []float32 // share by column and group; the last cell has the share that is missing
	rows         float64   // that what is usual was learned of
	made         int       // blocks since
}

// remake is how many blocks a mixture serves while the same things have the same shares, but for few rows.
const (
	remake   = 8
	sameRows = 0.02
)

// mix makes the mixture for a window, unless that at hand will do.
func (m *mixture) mix(l *Line, w *total) {
	if m.made++; m.usual != nil && m.made < remake && near(m.all, w.all, w.rows) && near(m.healthy, w.healthy, w.rows) {
		return
	}
	m.made = 0
	m.all, m.healthy = shares(m.all[:0], w.all), shares(m.healthy[:0], w.healthy)
	if m.usual == nil {
		m.usual = make([]float32, len(l.plan.columns)*cells)
	}
	clear(m.usual)
	m.rows = 0
	for i, share := range m.all {
		if share > 0 {
			m.rows += l.things[i].rows
		}
	}
	for c := range l.plan.columns {
		of := m.healthy
		if c == l.plan.size() {
			of = m.all
		}
		m.column(l, c, of)
	}
}

// column mixes what is usual of a column.
func (m *mixture) column(l *Line, c int, of []float64) {
	usual := m.usual[c*cells:][:cells]
	weight, missing := float32(0), float32(0)
	for i, share := range of {
		if share == 0 {
			continue
		}
		counts := l.things[i].counts[c*cells:][:cells]
		values := uint32(0)
		for _, n := range counts[:groups] {
			values += uint32(n)
		}
		if all := values + uint32(counts[groups]); all > 0 {
			missing += float32(share) * float32(counts[groups]) / float32(all)
		}
		if values == 0 {
			continue
		}
		part := float32(share) / float32(values)
		weight += float32(share)
		for g, n := range counts[:groups] {
			usual[g] += part * float32(n)
		}
	}
	usual[groups] = missing
	if weight > 0 {
		for g := range groups {
			usual[g] /= weight
		}
	}
}

func near(of []float64, rows []uint32, all int) bool {
	if len(of) != len(rows) {
		return false
	}
	apart := 0.
	for i, n := range rows {
		apart += math.Abs(of[i] - float64(n)/float64(max(all, 1)))
	}
	return apart < 2*sameRows
}

func shares(dst []float64, rows []uint32) []float64 {
	sum := 0.
	for _, n := range rows {
		sum += float64(n)
	}
	for _, n := range rows {
		dst = append(dst, float64(n)/max(sum, 1))
	}
	return dst
}

// psiOf returns the population stability index of counts against others, smoothed.
func psiOf(counts, usual []float64) float64 {
	n, m := 0., 0.
	for g := range counts {
		n, m = n+counts[g], m+usual[g]
	}
	psi := 0.
	for g := range counts {
		q, p := smoothed(counts[g]/max(n, 1), len(counts)), smoothed(usual[g]/max(m, 1), len(counts))
		psi += (q - p) * math.Log(q/p)
	}
	return psi
}

// measure compares a window with the shares that are usual, which usual gives by column.
func (w *window) measure(l *Line, usual func(c int) []float32, inside float64) {
	for c, size := range l.sizes {
		counts := w.counts[c*cells:][:cells]
		n, k := 0., int(size)
		for _, x := range counts[:k] {
			n += float64(x)
		}
		p := usual(c)
		if n < float64(w.rows)/2 || n < 2*blockRows || k < 2 {
			w.psi[c] = -1
			continue
		}
		psi := 0.
		for g, x := range counts[:k] {
			q, p := smoothed(float64(x)/n, k), smoothed(float64(p[g]), k)
			psi += (q - p) * math.Log(q/p)
		}
		w.psi[c] = float32(psi * inside)
	}
}
