package spool

import (
	"fmt"
	"maps"
)

// Stats describes a queue. Counters count since Open.
type Stats struct {
	Depth       uint64            // records that are not acknowledged; until a damaged place is read, with those that it cost
	Bytes       int64             // what the segments take on disk
	Oldest      int64             // time of the oldest record that is not acknowledged, Unix nanoseconds; 0 when there is none
	Dropped     map[Reason]uint64 // accepted records that are gone without an acknowledgement
	LostRecords uint64            // found to be damaged or missing; after a loss of power also some that were never accepted
}

// Stats returns the state and the counters. It reads the oldest record when that has changed.
func (q *Queue) Stats() Stats {
	q.readMu.Lock()
	oldest := q.oldest()
	q.readMu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.Dropped = maps.Clone(s.Dropped)
	s.Depth, s.Bytes, s.Oldest = q.depth(), q.bytes, oldest
	return s
}

// Depth returns how many records are not acknowledged, as Stats does, and reads no file.
func (q *Queue) Depth() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.depth()
}

// depth is Depth. mu is held.
func (q *Queue) depth() uint64 {
	n := q.last - q.acked
	for _, g := range q.gaps {
		n -= g.to - g.from + 1
	}
	return n
}

// oldest returns the time of the oldest record, 0 when there is none or it cannot be read now. readMu is held.
func (q *Queue) oldest() int64 {
	q.mu.Lock()
	acked, empty := q.acked, q.last == q.acked || q.closed
	q.mu.Unlock()
	r := &q.reader
	switch {
	case empty:
		return 0
	case r.oldest.Seq > acked:
		return r.oldest.Time
	}
	records, _, err := q.read(acked, 1, 1)
	if err != nil || len(records) == 0 {
		return 0
	}
	r.oldest = Record{Seq: records[0].Seq, Time: records[0].Time}
	return r.oldest.Time
}

// remove counts off the records up to seq and those behind that cannot be read anyway. It returns how many readable ones
// there were. mu is held.
func (q *Queue) remove(seq uint64) (n uint64) {
	from := q.acked + 1
	q.acked = max(q.acked, seq)
	for len(q.gaps) > 0 && q.gaps[0].from <= q.acked+1 {
		g := q.gaps[0]
		q.gaps = q.gaps[1:]
		if g.from > from { // readable ones lie between
			n += g.from - from
		}
		from = g.to + 1
		q.acked = max(q.acked, g.to)
	}
	if q.acked >= from {
		n += q.acked - from + 1
	}
	return n
}

// miss notes that the records from..to cannot be read, unless that is known. readMu is held.
func (q *Queue) miss(from, to uint64) {
	if from > to {
		return
	}
	q.mu.Lock()
	from = max(from, q.reader.seen+1, q.acked+1)
	lost := from <= to
	if lost {
		q.reader.seen = to
		q.gaps = append(q.gaps, gap{from, to})
		q.stats.LostRecords += to - from + 1
		q.remove(q.acked)
	}
	q.mu.Unlock()
	if lost {
		q.log.Error("spool: records are lost", "dir", q.dir, "from", from, "to", to)
	}
}

// damage notes bytes of a segment that are no records, and copies them to the quarantine. readMu is held.
func (q *Queue) damage(s segment, from file, off, size int64) {
	kept, err := q.quarantine.save(s.base, from, off, size)
	detail := "kept in the quarantine"
	if err != nil {
		detail = fmt.Sprintf("not kept: %v", err)
	}
	q.log.Error("spool: damaged bytes", "dir", q.dir, "segment", s.name(), "offset", off, "bytes", size, "kept", kept, "detail", detail)
}
