package spool

import (
	"slices"
	"time"
)

const (
	expireRecords = 256
	expireBytes   = 256 << 10
)

// Expire removes the oldest records as long as their time lies between from and to, and returns how many; they are counted
// as dropped with ReasonAge. It ends at the first record of another time: one before from has the time of a clock that was
// not set, which tells no age. An error of the disk has the meaning that it has for Peek or Ack.
func (q *Queue) Expire(from, to time.Time) (removed uint64, err error) {
	for {
		n, more, err := q.expire(from.UnixNano(), to.UnixNano())
		removed += n
		if err != nil || !more {
			return removed, err
		}
	}
}

// expire does that for some of the oldest records.
func (q *Queue) expire(from, to int64) (removed uint64, more bool, err error) {
	q.readMu.Lock()
	defer q.readMu.Unlock()
	q.mu.Lock()
	acked, closed := q.acked, q.closed
	q.mu.Unlock()
	if closed {
		return 0, false, ErrClosed
	}
	keep := func(r Record) bool { return r.Time < from || r.Time >= to }
	if oldest := q.oldest(); oldest == 0 || keep(Record{Time: oldest}) { // it is known, mostly
		return 0, false, nil
	}
	records, _, err := q.read(acked, expireRecords, expireBytes)
	old := records
	if i := slices.IndexFunc(records, keep); i >= 0 {
		old = records[:i]
	}
	if len(old) == 0 {
		return 0, false, err
	}
	q.mu.Lock()
	removed = q.remove(old[len(old)-1].Seq)
	q.stats.Dropped[ReasonAge] += removed
	q.mu.Unlock()
	return removed, len(old) == len(records), q.settle()
}

// Acked returns the highest sequence number that is removed, by Ack or without: what was peeked up to it need not be sent.
func (q *Queue) Acked() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.acked
}
