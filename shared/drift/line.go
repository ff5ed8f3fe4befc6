package drift

import (
	"slices"
	"time"
)

// phase is how far a line is.
type phase uint8

const (
	finding  phase = iota // where values are: training does not say
	learning              // what is usual of each thing
	spread                // how much windows differ though nothing has changed
	judging
)

const (
	leastLearned = 500  // rows of a line, and
	leastSpread  = 1000 // rows of its windows, however short the time
	leastThing   = 50   // rows of a thing
	sampleRows   = 250  // of which edges are made
	halveEvery   = 48 * time.Hour
	halveRows    = 50_000 // counts have 16 bits
)

// Row is a row that counts.
type Row struct {
	Thing       string
	At          time.Time // when it arrived
	Values      []float32 // what the model was given
	Probability float64
	Faulty      bool     // it says nothing of sensors, which show a fault then
	Unknown     []string // sensors that the model does not have
	Full        bool     // there is no room for one more thing: a new one only takes the place of one that was silent for silentThing
}

// Line looks for drift of a line. It has one owner.
type Line struct {
	plan  *Plan
	edges [][]float32 // by column
	phase phase
	begun time.Time // of the phase
	rows  int       // in it

	sample [][]float32 // finding
	seen   uint64

	group  []uint8   // by column and fine bin
	sizes  []uint8   // groups of each column
	usual  []float32 // rows by column and cell, when the groups were made
	fixed  []float32 // the same as shares
	things []*thing
	names  map[string]int

	blocks  [longBlocks + 1]block
	next    int // block to be filled
	filled  int // blocks that are
	day     day
	windows [windows]window

	moments  [windows][]moments // of the PSI by column, while limits are learned
	absences []moments          // of the share that is missing in the long window
	limits   [windows][]float32 // of the PSI by column; nil: not known yet
	missing  []float32          // of the share that is missing

	faults  faults
	unknown tally
	found   finds
	unlike  []int // columns that were unlike the training when they were learned
	bins    []uint8
}

// thing is what is usual of a thing.
type thing struct {
	name    string
	counts  []uint16 // by column and cell; while the line learns by column and fine bin
	rows    float64  // in counts
	since   time.Time
	halved  time.Time
	last    time.Time
	learned bool
}

// block is the counts of some rows.
type block struct {
	counts []uint8
	who    [blockRows]member
	rows   int
	begun  time.Time
}

// member is whose row it was. One that was faulty counts for the score only.
type member struct {
	thing  uint16
	faulty bool
}

// NewLine returns a line of which nothing is known.
func NewLine(p *Plan) *Line {
	l := &Line{plan: p, names: make(map[string]int), bins: make([]uint8, len(p.columns))}
	l.found.init(len(p.columns))
	switch {
	case p.known && p.blind():
		l.edges = l.plan.edges()
		l.begin(judging, time.Time{})
		l.lay(l.plan.counts(), make([]float64, len(p.columns)))
		l.limit()
	case p.known:
		l.edges = l.plan.edges()
		l.begin(learning, time.Time{})
	default:
		l.sample = make([][]float32, len(p.columns))
	}
	return l
}

func (p *Plan) edges() [][]float32 {
	edges := make([][]float32, len(p.columns))
	for i := range p.columns {
		edges[i] = p.columns[i].edges
	}
	return edges
}

func (p *Plan) counts() [][]float64 {
	counts := make([][]float64, len(p.columns))
	for i := range p.columns {
		counts[i] = p.columns[i].counts
		if !p.columns[i].trained() {
			counts[i] = make([]float64, len(p.columns[i].edges)+1)
		}
	}
	return counts
}

func (l *Line) begin(p phase, at time.Time) { l.phase, l.begun, l.rows = p, at, 0 }

// Add takes a row. It returns a report when there is something to tell.
func (l *Line) Add(r Row) *Report {
	if l.begun.IsZero() || r.At.Before(l.begun) { // the clock was set
		l.begun = r.At
	}
	l.rows++
	l.unknown.add(r.Unknown)
	switch l.phase {
	case finding:
		l.look(r)
		return nil
	case learning:
		l.learn(r)
		return nil
	case spread, judging:
	}
	return l.watch(r)
}

// Phase says how far the line is.
func (l *Line) Phase() string {
	switch l.phase {
	case finding, learning:
		return "learns what is usual"
	case spread:
		return "learns how much is usual"
	case judging:
		if l.limits[dayWindow] == nil {
			return "is judged, but for days"
		}
	}
	return "is judged"
}

// over reports whether the phase has lasted.
func (l *Line) over(at time.Time, d time.Duration, rows int) bool {
	return l.rows >= rows && at.Sub(l.begun) >= d
}

// look keeps a sample of rows, to find out where values are.
func (l *Line) look(r Row) {
	at := len(l.sample[0])
	if l.seen++; at >= sampleRows { // each row has the same chance to be in it, by a fixed sequence
		x := l.seen * 0x9e3779b97f4a7c15
		if at = int((x >> 33) % l.seen); at >= sampleRows {
			at = -1
		}
	}
	for c := range l.sample {
		x := l.value(&r, c)
		switch {
		case at == len(l.sample[c]):
			l.sample[c] = append(l.sample[c], x)
		case at >= 0:
			l.sample[c][at] = x
		}
	}
	if !l.over(r.At, l.plan.learn/4, sampleRows) {
		return
	}
	l.edges = l.plan.edges()
	for c, edges := range l.edges {
		if len(edges) == 0 {
			l.edges[c] = quantileEdges(slices.DeleteFunc(l.sample[c], func(x float32) bool { return x != x }))
		}
	}
	l.sample = nil
	l.begin(learning, r.At)
}

// value returns a column of a row; NaN is missing.
func (l *Line) value(r *Row, c int) float32 {
	if c == l.plan.size() {
		return float32(r.Probability)
	}
	return r.Values[c]
}

// fineCells are the fine bins of a column, and the missing ones.
const fineCells = fineBins + 1

// learn counts a row for its thing.
func (l *Line) learn(r Row) {
	l.faults.learn(r.Faulty)
	t := l.thing(&r, fineCells)
	if t == nil {
		return
	}
	for c := range l.plan.columns {
		if r.Faulty && c < l.plan.size() {
			continue
		}
		at := fineBins
		if x := l.value(&r, c); x == x {
			at = bin(l.edges[c], x)
		}
		if n := &t.counts[c*fineCells+at]; *n < 1<<16-1 {
			*n++
		}
	}
	t.rows++
	if l.over(r.At, l.plan.learn, leastLearned) {
		l.learned(r.At)
	}
}

// Things is how many things of the line are looked at.
func (l *Line) Things() int { return len(l.things) }

// Has reports whether rows of a thing count.
func (l *Line) Has(thing string) bool {
	_, known := l.names[thing]
	return known || l.phase == finding
}

// thing returns the thing of a row, and makes one of which nothing is known; nil: there are too many.
func (l *Line) thing(r *Row, size int) *thing {
	i, ok := l.names[r.Thing]
	if !ok {
		if i = len(l.things); i >= MaxThings || r.Full {
			i = slices.IndexFunc(l.things, func(t *thing) bool { return r.At.Sub(t.last) > silentThing })
			if i < 0 {
				return nil
			}
			delete(l.names, l.things[i].name)
		} else {
			l.things = append(l.things, nil)
		}
		l.things[i] = &thing{name: r.Thing, counts: make([]uint16, len(l.plan.columns)*size), since: r.At, halved: r.At}
		l.names[r.Thing] = i
	}
	l.things[i].last = r.At
	return l.things[i]
}

// learned ends the learning: bins become groups, by what the line itself showed.
func (l *Line) learned(at time.Time) {
	counts, missing := make([][]float64, len(l.plan.columns)), make([]float64, len(l.plan.columns))
	for c := range counts {
		counts[c] = make([]float64, len(l.edges[c])+1)
		for _, t := range l.things {
			missing[c] += float64(t.counts[c*fineCells+fineBins])
			for b := range counts[c] {
				counts[c][b] += float64(t.counts[c*fineCells+b])
			}
		}
	}
	l.compare(counts)
	if l.plan.training {
		for c, trained := range l.plan.counts() {
			if l.plan.columns[c].trained() {
				counts[c] = trained
			}
		}
	}
	l.lay(counts, missing)
	for _, t := range l.things {
		fine := t.counts
		t.counts = make([]uint16, len(l.plan.columns)*cells)
		for c := range l.plan.columns {
			for b := range len(l.edges[c]) + 1 {
				n := &t.counts[c*cells+int(l.group[c*fineBins+b])]
				*n = uint16(min(1<<16-1, int(*n)+int(fine[c*fineCells+b])))
			}
			t.counts[c*cells+groups] = fine[c*fineCells+fineBins]
		}
		if t.learned = t.rows >= leastThing; !t.learned {
			t.since = at
		}
	}
	l.begin(spread, at)
}

// compare notes which columns the line has unlike the training.
func (l *Line) compare(counts [][]float64) {
	l.unlike = nil
	for c, own := range counts {
		column := &l.plan.columns[c]
		if !column.trained() || len(column.counts) != len(own) {
			continue
		}
		of := grouping(column.counts)
		if psiOf(sums(own, of), sums(column.counts, of)) > unlikePSI {
			l.unlike = append(l.unlike, c)
		}
	}
}

// Unlike returns the columns that were unlike the training when the line was learned.
func (l *Line) Unlike() []int { return l.unlike }

func sums(counts []float64, of []uint8) []float64 {
	out := make([]float64, int(of[len(of)-1])+1)
	for b, n := range counts {
		out[of[b]] += n
	}
	return out
}

// lay makes groups of the bins, and room for the windows.
func (l *Line) lay(counts [][]float64, missing []float64) {
	n := len(l.plan.columns)
	l.group, l.sizes = make([]uint8, n*fineBins), make([]uint8, n)
	l.usual = make([]float32, n*cells)
	for c, own := range counts {
		of := grouping(own)
		copy(l.group[c*fineBins:], of)
		l.sizes[c] = of[len(of)-1] + 1
		for g, x := range sums(own, of) {
			l.usual[c*cells+g] = float32(x)
		}
		if l.usual[c*cells+groups] = float32(missing[c]); l.plan.training && l.plan.columns[c].trained() {
			l.usual[c*cells+groups] = float32(l.plan.columns[c].missing)
		}
	}
	l.fix()
	l.room()
}

// fix makes shares of the rows that were usual.
func (l *Line) fix() {
	l.fixed = make([]float32, len(l.usual))
	for c := range l.plan.columns {
		rows := float32(0)
		for _, x := range l.usual[c*cells:][:groups] {
			rows += x
		}
		for g, x := range l.usual[c*cells:][:groups] {
			l.fixed[c*cells+g] = x / max(rows, 1)
		}
		missing := l.usual[c*cells+groups]
		l.fixed[c*cells+groups] = missing / max(rows+missing, 1)
	}
}

// room makes the windows.
func (l *Line) room() {
	n := len(l.plan.columns)
	for i := range l.blocks {
		l.blocks[i] = block{counts: make([]uint8, n*cells)}
	}
	l.next, l.filled = 0, 0
	l.day = day{now: newTotal(n)}
	for i := range l.day.slices {
		l.day.slices[i] = newTotal(n)
	}
	for w := range l.windows {
		l.windows[w] = window{total: newTotal(n), psi: make([]float32, n)}
		l.moments[w] = make([]moments, n)
	}
	l.absences = make([]moments, n)
}

// watch counts a row of a line that has been learned.
func (l *Line) watch(r Row) *Report {
	t := l.thing(&r, cells)
	if t == nil {
		return nil
	}
	l.faults.add(r.Faulty)
	for c := range l.plan.columns {
		l.bins[c] = groups
		if x := l.value(&r, c); x == x {
			l.bins[c] = l.group[c*fineBins+bin(l.edges[c], x)]
		}
	}
	l.follow(t, &r)
	if !t.learned && !l.plan.blind() {
		if t.learned = t.rows >= leastThing && r.At.Sub(t.since) >= l.plan.learn; !t.learned {
			return nil
		}
	}
	b := &l.blocks[l.next]
	if b.rows == 0 {
		b.begun = r.At
	}
	for c := range l.plan.columns {
		if !r.Faulty || c == l.plan.size() {
			b.counts[c*cells+int(l.bins[c])]++
		}
	}
	b.who[b.rows] = member{uint16(l.names[r.Thing]), r.Faulty}
	if b.rows++; b.rows < blockRows {
		return nil
	}
	return l.complete(r.At)
}

// follow adds the row to what is usual of its thing, which may change slowly; not of columns that drift.
func (l *Line) follow(t *thing, r *Row) {
	if l.plan.blind() {
		return
	}
	if t.rows++; t.rows >= halveRows || r.At.Sub(t.halved) >= halveEvery {
		t.halved, t.rows = r.At, t.rows/2
		for c := range l.plan.columns {
			if !l.found.is(c) {
				for g := range cells {
					t.counts[c*cells+g] /= 2
				}
			}
		}
	}
	for c, g := range l.bins {
		if n := &t.counts[c*cells+int(g)]; !l.found.is(c) && *n < 1<<16-1 && (!r.Faulty || c == l.plan.size()) {
			*n++
		}
	}
}

// complete ends a block.
func (l *Line) complete(at time.Time) *Report {
	b := &l.blocks[l.next]
	for w, blocks := range []int{shortBlocks, longBlocks} {
		l.windows[w].add(b, len(l.things), 1)
		if l.filled >= blocks {
			l.windows[w].add(&l.blocks[(l.next+len(l.blocks)-blocks)%len(l.blocks)], len(l.things), -1)
		}
	}
	newDay := l.day.add(b, len(l.things), at) && l.day.filled == daySlices
	if newDay {
		l.windows[dayWindow].clear()
		for i := range l.day.slices {
			l.windows[dayWindow].join(&l.day.slices[i])
		}
	}
	l.next, l.filled = (l.next+1)%len(l.blocks), min(l.filled+1, longBlocks)
	clear(l.blocks[l.next].counts)
	l.blocks[l.next].rows = 0
	l.faults.block()
	l.unknown.block()
	l.measure(newDay)
	if l.phase == spread && l.over(at, l.plan.learn, leastSpread) {
		l.limit()
		l.begin(judging, at)
		return nil
	}
	if l.phase != judging {
		return nil
	}
	return l.judge(at, newDay)
}
