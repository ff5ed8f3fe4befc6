package drift

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Kind says what differs.
type Kind uint8

// The kinds.
const (
	Sensor Kind = iota
	Missing
	Score
	FaultRate
)

// Figure is one thing that differs.
type Figure struct {
	Kind       Kind
	Column     int // of Sensor and Missing
	Value      float64
	Limit      float64
	Usual, Now float64 // NaN: not known
}

// Report is what is to be told of a line.
type Report struct {
	Drift   bool // false: it is over
	Since   time.Time
	At      time.Time
	Rows    int
	Found   []Figure // the most first
	More    int
	Unknown []string
}

const (
	// MaxFigures is how many figures, and how many unknown sensors, a report has.
	MaxFigures = 8
	// hysteresis is the share of its limit below which a figure that was found is over.
	hysteresis = 0.7
	// quietBlocks without anything found end a drift: three windows of 200 rows.
	quietBlocks = 3 * shortBlocks
	// tellEvery is the time between two reports of a drift that grows.
	tellEvery = time.Hour
	// grown is how much more a figure is that is told again.
	grown = 1.25
	// dayFigures are those of windows of a day, one in three hours, that their limits are learned of: five days.
	dayFigures = 4*daySlices + 1
)

// finds is what is found of a line.
type finds struct {
	columns []uint8 // by column: bits of windows, and of missing values
	ratios  []float32
	shown   []float32 // the ratios that were told
	drift   bool
	since   time.Time
	told    time.Time
	quiet   int
	fault   bool
	unknown []string
	names   int // of unknown sensors that were told
	faulty  bool
}

const missingBit = 1 << windows

func (f *finds) init(columns int) {
	f.columns, f.ratios, f.shown = make([]uint8, columns), make([]float32, columns), make([]float32, columns)
}

// is reports whether a column drifts.
func (f *finds) is(c int) bool { return f.columns[c] != 0 }

// measure compares the windows that are complete with what is usual, and learns from that.
func (l *Line) measure(newDay bool) {
	for i := range l.windows {
		w := &l.windows[i]
		if !l.ready(i, newDay) {
			continue
		}
		learns := l.limits[i] == nil
		if learns || !l.plan.training {
			w.mixture.mix(l, &w.total)
			m, n := w.mixture.rows, float64(w.rows)
			inside := 1. // rows of the window are among those of what is usual
			if m > n {
				inside = min(4, m*m/((m-n)*(m-n)))
			}
			w.measure(l, func(c int) []float32 { return w.mixture.usual[c*cells:][:cells] }, inside)
		}
		if learns && (i == dayWindow || l.phase == spread) {
			l.note(i)
		}
		if l.plan.training && !learns {
			w.measure(l, l.trained, 1)
		}
	}
}

// ready reports whether a window is complete.
func (l *Line) ready(w int, newDay bool) bool {
	switch w {
	case shortWindow:
		return l.filled >= shortBlocks
	case longWindow:
		return l.filled >= longBlocks
	}
	return newDay && l.windows[w].rows >= longBlocks*blockRows
}

// note learns how much a window differs.
func (l *Line) note(i int) {
	w := &l.windows[i]
	for c, psi := range w.psi {
		if psi >= 0 {
			l.moments[i][c].add(float64(psi))
		}
		if i == longWindow {
			if share, ok := w.absent(c); ok {
				l.absences[c].add(share)
			}
		}
	}
	if i == dayWindow && l.moments[i][l.plan.size()].N >= dayFigures {
		l.limitDay()
	}
}

// absent returns the share of rows without a value of a column.
func (w *window) absent(c int) (float64, bool) {
	n := uint32(0)
	for _, x := range w.counts[c*cells:][:cells] {
		n += x
	}
	return float64(w.counts[c*cells+groups]) / float64(max(n, 1)), n >= 2*blockRows
}

// trained returns the shares of the training.
func (l *Line) trained(c int) []float32 { return l.fixed[c*cells:][:cells] }

// limit computes the limits of the windows of rows.
func (l *Line) limit() {
	z, chances := normalTail(chance), -math.Log(chance)
	for w, n := range []int{shortBlocks * blockRows, longBlocks * blockRows} {
		l.limits[w] = make([]float32, len(l.plan.columns))
		for c := range l.plan.columns {
			p, rows := sharesOf(l.usualOf(c))
			limit := l.plan.chanceLimit(p, n, chances) * (1 + 2*float64(n)/max(rows, float64(n))) // what is usual is known of so many rows only
			m := &l.moments[w][c]
			least := leastPSI
			if len(p) <= fewGroups {
				least = leastFew
			}
			limit = max(least, limit, beyondLearned*float64(m.Max), rareLimit(p, rare[w]))
			if wide := float64(m.Mean) * float64(n) / float64(max(len(p)-1, 1)); wide > independent {
				limit = max(limit, min(beyondLearned, wide/independent)*learnedLimit(float64(m.Mean), m.variance(), z))
			}
			l.limits[w][c] = float32(limit)
		}
	}
	l.missing = make([]float32, len(l.plan.columns))
	for c := range l.missing {
		l.missing[c] = beyondLearned * l.absences[c].Max
	}
	if l.plan.blind() {
		l.limitDay()
	}
}

// usualOf returns the rows of a column by group, when the groups were made.
func (l *Line) usualOf(c int) []float32 { return l.usual[c*cells:][:l.sizes[c]] }

// sharesOf returns the shares of groups, none of them 0, and the rows.
func sharesOf(counts []float32) (shares []float64, rows float64) {
	for _, x := range counts {
		rows += float64(x)
	}
	for _, x := range counts {
		shares = append(shares, (float64(x)+0.5)/(rows+0.5*float64(len(counts))))
	}
	return shares, rows
}

// limitDay computes the limits of the window of a day.
func (l *Line) limitDay() {
	l.limits[dayWindow] = make([]float32, len(l.plan.columns))
	z := normalTail(dayChance)
	for c := range l.plan.columns {
		p, _ := sharesOf(l.usualOf(c))
		m := &l.moments[dayWindow][c]
		limit := max(leastDay, beyondDays*max(learnedLimit(float64(m.Mean), m.variance(), z), beyondLearned*float64(m.Max)), rareLimit(p, rare[dayWindow]))
		if l.plan.blind() { // independent rows: of at least a long window
			df := float64(l.sizes[c]) - 1
			limit = max(leastDay, learnedLimit(df/(longBlocks*blockRows), 2*df/(longBlocks*blockRows*longBlocks*blockRows), z))
		}
		l.limits[dayWindow][c] = float32(limit)
	}
}

// judge says what is found, and returns a report when there is something to tell.
func (l *Line) judge(at time.Time, newDay bool) *Report {
	f := &l.found
	clear(f.ratios)
	any := false
	for c := range l.plan.columns {
		for i := range l.windows {
			w := &l.windows[i]
			if l.limits[i] == nil || !l.ready(i, newDay) && !(i == dayWindow && l.day.filled == daySlices && w.rows >= longBlocks*blockRows) || w.psi[c] < 0 {
				continue
			}
			f.mark(c, 1<<i, w.psi[c]/l.limits[i][c])
		}
		if c < l.plan.size() && l.ready(longWindow, false) {
			f.mark(c, missingBit, l.absence(c))
		}
		any = any || f.columns[c] != 0
	}
	l.faults.settle()
	ratio := l.faults.ratio()
	f.fault = ratio > 1 || f.fault && ratio > hysteresis
	if l.unknown.fresh {
		f.unknown, l.unknown.fresh = l.unknown.last, false
	}
	if any || f.fault || len(f.unknown) > 0 {
		f.quiet = 0
		return l.tell(at)
	}
	if f.quiet++; !f.drift || f.quiet < quietBlocks {
		return nil
	}
	r := &Report{Since: f.since, At: at, Rows: l.windows[longWindow].rows}
	f.drift, f.names = false, 0
	clear(f.shown)
	return r
}

// mark notes how much of its limit a figure is.
func (f *finds) mark(c int, bit uint8, ratio float32) {
	switch {
	case ratio > 1:
		f.columns[c] |= bit
	case ratio < hysteresis:
		f.columns[c] &^= bit
	}
	if f.columns[c]&bit != 0 {
		f.ratios[c] = max(f.ratios[c], ratio)
	}
}

// absence returns how much of its limit the share of missing values is.
func (l *Line) absence(c int) float32 {
	w := &l.windows[longWindow]
	share, ok := w.absent(c)
	if !ok || share == 0 {
		return 0
	}
	return float32(share / l.absenceLimit(c))
}

// absenceLimit returns the limit of the share that is missing.
func (l *Line) absenceLimit(c int) float64 {
	w := &l.windows[longWindow]
	usual := l.usualAbsence(c)
	const leastMore = 0.02
	return max(shareLimit(min(0.999, usual+1/float64(w.rows)), w.rows, -math.Log(chance)), 2*usual+leastMore, float64(l.missing[c]))
}

func (l *Line) usualAbsence(c int) float64 {
	if l.plan.training {
		return float64(l.fixed[c*cells+groups])
	}
	return float64(l.windows[longWindow].mixture.usual[c*cells+groups])
}

// tell returns the report of a drift that is new, or that has grown.
func (l *Line) tell(at time.Time) *Report {
	f := &l.found
	news := !f.drift
	for c, r := range f.ratios {
		news = news || f.columns[c] != 0 && r > grown*max(f.shown[c], 1) || f.columns[c] != 0 && f.shown[c] == 0
	}
	news = news || f.fault && !f.faulty || len(f.unknown) > f.names
	if !news || f.drift && at.Sub(f.told) < tellEvery {
		return nil
	}
	if !f.drift {
		f.drift, f.since = true, l.blocks[(l.next+len(l.blocks)-min(l.filled, longBlocks))%len(l.blocks)].begun
	}
	f.told, f.faulty, f.names = at, f.fault, len(f.unknown)
	for c := range f.shown {
		f.shown[c] = 0
		if f.columns[c] != 0 {
			f.shown[c] = f.ratios[c]
		}
	}
	return l.Standing(at)
}

// Standing returns the report of a drift that was found; nil: there is none.
func (l *Line) Standing(at time.Time) *Report {
	f := &l.found
	if !f.drift {
		return nil
	}
	r := &Report{Drift: true, Since: f.since, At: at, Rows: l.windows[longWindow].rows, Unknown: slices.Clone(f.unknown)}
	var all []Figure
	for c, bits := range f.columns {
		if bits&^missingBit != 0 {
			all = append(all, l.figure(c, bits))
		}
		if bits&missingBit != 0 {
			share, _ := l.windows[longWindow].absent(c)
			all = append(all, Figure{Kind: Missing, Column: c, Value: share, Limit: l.absenceLimit(c), Usual: l.usualAbsence(c), Now: share})
		}
	}
	slices.SortStableFunc(all, func(a, b Figure) int { return cmp.Compare(b.Value/b.Limit, a.Value/a.Limit) })
	if f.fault {
		all = append([]Figure{l.faults.figure()}, all...)
	}
	n := min(len(all), MaxFigures)
	r.Found, r.More = all[:n], len(all)-n
	return r
}

// figure returns that of the window in which a column differs most.
func (l *Line) figure(c int, bits uint8) Figure {
	best := -1
	ratio := func(i int) float32 { return l.windows[i].psi[c] / l.limits[i][c] }
	for i := range l.windows {
		if bits&(1<<i) != 0 && (best < 0 || ratio(i) > ratio(best)) {
			best = i
		}
	}
	w := &l.windows[best]
	f := Figure{Column: c, Value: float64(w.psi[c]), Limit: float64(l.limits[best][c])}
	if c == l.plan.size() {
		f.Kind, f.Column = Score, 0
	}
	usual := w.mixture.usual
	if l.plan.training {
		usual = l.fixed
	}
	k := int(l.sizes[c])
	was, now := make([]float64, k), make([]float64, k)
	for g := range k {
		was[g], now[g] = float64(usual[c*cells+g]), float64(w.counts[c*cells+g])
	}
	edges := l.borders(c)
	f.Usual = median(was, edges, l.plan.columns[c].low, l.plan.columns[c].high)
	f.Now = median(now, edges, l.plan.columns[c].low, l.plan.columns[c].high)
	return f
}

// borders are the edges between the groups of a column.
func (l *Line) borders(c int) []float32 {
	var edges []float32
	for b, edge := range l.edges[c] {
		if l.group[c*fineBins+b] != l.group[c*fineBins+b+1] {
			edges = append(edges, edge)
		}
	}
	return edges
}
