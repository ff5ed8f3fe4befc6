package spool

import "time"

// What Expire looks at in one go. Behind as many records whose time tells no age, it sees none.
const (
	expireRecords = 1024
	expireBytes   = 1 << 20
)

// clockMargin is how far the clock that dated a record may be ahead of this one.
const clockMargin = 10 * time.Minute

// ages sorts times into those that tell no age, those that are too old and the others, in Unix nanoseconds.
type ages struct{ from, to, future int64 }

// known reports whether a time tells an age: neither a clock that was not set made it nor one that is ahead.
func (a ages) known(t int64) bool { return t >= a.from && t <= a.future }

// young reports whether a record of that time is to be kept, with all behind it.
func (a ages) young(t int64) bool { return a.known(t) && t >= a.to }

// Expire removes the oldest records as long as their time lies between from and to, and returns how many; they are counted
// as dropped with ReasonAge. It ends at the first record of a later time. One before from has the time of a clock that was
// not set, one of the future (beyond a margin of ten minutes) that of a clock that is ahead: they tell no age, and such a
// record is removed with the next record behind it that is too old, as it came before that one. An error of the disk has
// the meaning that it has for Peek or Ack.
func (q *Queue) Expire(from, to time.Time) (removed uint64, err error) {
	a := ages{from: from.UnixNano(), to: to.UnixNano(), future: q.o.Now().Add(clockMargin).UnixNano()}
	for {
		n, more, err := q.expire(a)
		removed += n
		if err != nil || !more {
			return removed, err
		}
	}
}

// expire does that for some of the oldest records.
func (q *Queue) expire(a ages) (removed uint64, more bool, err error) {
	q.readMu.Lock()
	defer q.readMu.Unlock()
	q.mu.Lock()
	acked, closed := q.acked, q.closed
	q.mu.Unlock()
	if closed {
		return 0, false, ErrClosed
	}
	if oldest := q.oldest(); oldest == 0 || a.young(oldest) { // it is known, mostly
		return 0, false, nil
	}
	records, _, err := q.read(acked, expireRecords, expireBytes)
	last, more := uint64(0), true // the sequence number up to which records are too old
	for _, r := range records {
		if a.young(r.Time) {
			more = false
			break
		}
		if a.known(r.Time) {
			last = r.Seq
		}
	}
	if last == 0 {
		return 0, false, err
	}
	q.mu.Lock()
	removed = q.remove(last)
	q.stats.Dropped[ReasonAge] += removed
	q.mu.Unlock()
	return removed, more, q.settle()
}

// Drop removes the records up to and including a sequence number, which need not be read for it, and returns how many; they are
// counted as dropped for that reason. An error has the meaning that it has for Ack.
func (q *Queue) Drop(through uint64, why Reason) (removed uint64, err error) {
	q.readMu.Lock()
	defer q.readMu.Unlock()
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return 0, ErrClosed
	}
	if through = min(through, q.last); through <= q.acked {
		q.mu.Unlock()
		return 0, nil
	}
	removed = q.remove(through)
	q.stats.Dropped[why] += removed
	q.mu.Unlock()
	return removed, q.settle()
}

// Shed makes room for others on a disk: it removes the oldest segments until they had so many bytes together, but not the newest
// one. Their records are counted as dropped with ReasonSpace.
func (q *Queue) Shed(bytes int64) (removed uint64, err error) {
	q.mu.Lock()
	var through uint64
	for i := 0; i+1 < len(q.segments) && bytes > 0; i++ {
		bytes -= q.segments[i].size
		through = q.segments[i+1].base - 1
	}
	q.mu.Unlock()
	return q.Drop(through, ReasonSpace)
}

// ID tells this queue from others in a folder of the same name, such as the one before it was deleted.
func (q *Queue) ID() uint32 { return q.salt }

// Acked returns the highest sequence number that is removed, by Ack or without: what was peeked up to it need not be sent.
func (q *Queue) Acked() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.acked
}
