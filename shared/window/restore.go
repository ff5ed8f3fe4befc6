package window

import (
	"encoding/binary"
	"errors"
	"math"
)

var errRecord = errors.New("its record is none that Save writes")

// restore takes a thing's record, whose checksum is right.
func (w *Windows) restore(record []byte) error {
	p := w.plan
	d := decoder{rest: record}
	thing := d.text()
	r := &ring{touched: true, epoch: d.text(), before: d.text(), seq: d.uint64(), seqOf: d.uint64()}
	r.place, r.ts, r.clock = int64(d.uint64()), int64(d.uint64()), int64(d.uint64())
	n := int(d.uint32())
	row := 8 + 4*len(p.kept)
	if p.time > 0 {
		row += 8
	}
	if d.failed || w.rings[thing] != nil || r.place < 1 || r.place > math.MaxInt64/2 || n > p.most || len(d.rest) != n*row {
		return errRecord
	}
	room := p.first
	for room < n {
		room = min(2*room, p.most)
	}
	if !w.take(p.bytes(room) + int64(len(thing))) {
		w.stats.Full++
		return nil
	}
	r.grow(p, room)
	r.n = n
	for i := range n {
		r.places[i] = int64(d.uint64())
	}
	for i := range min(n, len(r.times)) {
		r.times[i] = int64(d.uint64())
	}
	for c := range p.kept {
		for i := range n {
			r.values[c*room+i] = math.Float32frombits(d.uint32())
		}
	}
	w.rings[thing] = r
	if !r.ordered() {
		w.forget(thing, r)
		return errRecord
	}
	return nil
}

// ordered says whether rows follow one another as add has them.
func (r *ring) ordered() bool {
	for i := range r.n {
		next, nextTime := r.place, r.ts
		if i+1 < r.n {
			next = r.places[i+1] - 1
			if len(r.times) > 0 {
				nextTime = r.times[i+1]
			}
		}
		if r.places[i] < 1 || r.places[i] > next || len(r.times) > 0 && r.places[i] >= r.clock && r.times[i] > nextTime {
			return false
		}
	}
	return true
}

// decoder takes a record apart. Once it has failed, it gives nothing more.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) take(n int) []byte {
	if d.failed = d.failed || n > len(d.rest); d.failed {
		return make([]byte, n)
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) text() string   { return string(d.take(int(binary.LittleEndian.Uint16(d.take(2))))) }
func (d *decoder) uint32() uint32 { return binary.LittleEndian.Uint32(d.take(4)) }
func (d *decoder) uint64() uint64 { return binary.LittleEndian.Uint64(d.take(8)) }
