package window

import (
	"math"
	"time"
	"unsafe"
)

// Row is a thing's row. Values are those of Spec.Sensors, NaN where one is missing.
type Row struct {
	Epoch  string
	Seq    uint64 // 1, 2, 3… within the epoch; 0 in all rows: each is the next one
	TS     time.Time
	Values []float32
}

// ring keeps the last rows of one thing. A row's place is its number since the ring began, lost rows included.
type ring struct {
	epoch, before string // of the last row, and the epoch before
	seq, seqOf    uint64 // the last of each
	place, ts     int64  // of the last row; ts in microseconds
	clock         int64  // the place from which rows count for windows over time: the clock went back there

	head, n int       // the oldest row, and how many there are
	values  []float32 // a column of each kept sensor
	places  []int64
	times   []int64 // none if no window is over a time

	heard   time.Time
	touched bool // heard since the last DropIdle
}

const (
	nameBytes = 40 // of a thing in Spec.Bytes
	mapBytes  = 64 // of an entry in the map of rings
)

// bytes returns how much memory a ring with room for so many rows takes, and an eighth for what the allocator rounds up.
func (p *plan) bytes(room int) int64 {
	row := int64(len(p.kept))*4 + 8
	if p.time > 0 {
		row += 8
	}
	size := row * int64(room)
	return size + size/8 + int64(unsafe.Sizeof(ring{})) + mapBytes
}

func newRing(p *plan) *ring {
	r := &ring{touched: true}
	r.grow(p, p.first)
	return r
}

// grow makes room for more rows.
func (r *ring) grow(p *plan, room int) {
	values, places, times := make([]float32, len(p.kept)*room), make([]int64, room), []int64(nil)
	if p.time > 0 {
		times = make([]int64, room)
	}
	for i := range r.n {
		slot := r.slot(i)
		for c := range p.kept {
			values[c*room+i] = r.values[c*len(r.places)+slot]
		}
		places[i] = r.places[slot]
		if p.time > 0 {
			times[i] = r.times[slot]
		}
	}
	r.values, r.places, r.times, r.head = values, places, times, 0
}

// slot returns where row i from the oldest is.
func (r *ring) slot(i int) int {
	if i += r.head; i >= len(r.places) {
		i -= len(r.places)
	}
	return i
}

// steps returns how many rows a row is behind the last one, of which all but itself are lost; 0 if it is not behind it.
func (r *ring) steps(row *Row, ts int64) uint64 {
	last := r.seq
	switch {
	case row.Seq == 0:
		return 1
	case row.Epoch == r.epoch:
	case r.before != "" && row.Epoch == r.before:
		last = r.seqOf
	default: // of a producer that has begun
		return max(row.Seq, 1)
	}
	switch {
	case row.Seq > last:
		return row.Seq - last
	case row.Seq < last && ts > r.ts: // its numbers begin again
		return max(row.Seq, 1)
	}
	return 0
}

// add adds a row that is so many steps behind the last one. It says no if it needs more room than it may have.
func (r *ring) add(p *plan, row *Row, ts int64, steps uint64, mayGrow func(room int) bool) bool {
	place := r.place + int64(min(steps, MaxRows+1)) // more make no difference
	pause, clock := ts-r.ts, r.clock
	switch {
	case r.place == 0: // the first row
	case p.maxGap > 0 && max(pause, -pause) > p.maxGap:
		r.n, r.head = 0, 0
	case pause < 0:
		clock = place
	}
	for r.n > 0 && r.expired(p, place, ts, clock) {
		r.drop()
	}
	if r.n == len(r.places) {
		room := min(2*r.n, p.most)
		if room > r.n && !mayGrow(room) {
			return false
		}
		if room > r.n {
			r.grow(p, room)
		} else if r.n > 0 {
			r.drop()
		}
	}
	if row.Epoch != r.epoch {
		r.before, r.seqOf, r.epoch = r.epoch, r.seq, row.Epoch
	}
	r.seq, r.place, r.ts, r.clock = row.Seq, place, ts, clock
	if p.most == 0 {
		return true
	}
	slot := r.slot(r.n)
	r.n++
	r.places[slot] = place
	if p.time > 0 {
		r.times[slot] = ts
	}
	for c, sensor := range p.kept {
		r.values[c*len(r.places)+slot] = value(row.Values, sensor)
	}
	return true
}

// expired says whether the oldest row is in no window any more.
func (r *ring) expired(p *plan, place, ts, clock int64) bool {
	at := r.places[r.head]
	return at <= place-p.rows && (p.time == 0 || at < clock || r.times[r.head] <= ts-p.time)
}

func (r *ring) drop() {
	r.head = r.slot(1)
	r.n--
}

// start returns the first row of a window that ends with the last row.
func (r *ring) start(w span) int {
	i := r.n
	if w.time > 0 {
		for i > 0 && r.places[r.slot(i-1)] >= r.clock && r.times[r.slot(i-1)] > r.ts-w.time {
			i--
		}
		return i
	}
	for i > 0 && r.places[r.slot(i-1)] > r.place-w.rows {
		i--
	}
	return i
}

// value returns a row's value; one that is not there is missing.
func value(values []float32, sensor int) float32 {
	if sensor >= len(values) {
		return missing
	}
	return values[sensor]
}

var missing = float32(math.NaN())
