package spool

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

const (
	minChunk    = 4 << 10
	maxChunk    = 256 << 10
	handedAhead = 1024 // how far the cursor's "handed out" runs ahead, so that it is synced rarely
)

// place is where a record is read: the first one with a sequence number of at least next is at off in the segment base,
// or behind.
type place struct {
	base uint64
	off  int64
	next uint64
}

// reader is what Peek and Ack know. It is guarded by readMu.
type reader struct {
	file    file // an open segment, nil for none
	segment segment

	head   place  // at or before the oldest record that is not acknowledged
	ahead  place  // behind what was peeked last
	seen   uint64 // missing records up to this one are noted
	damage place  // damaged bytes before this place are noted: base and off
	handed uint64 // the highest sequence number that Peek returned
	oldest Record // without body, for Stats
}

// close closes the open segment.
func (r *reader) close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

// Peek returns the oldest records that are not acknowledged, in order, and leaves them in the queue. It returns at most
// maxRecords, and as many as have maxBytes of payload together, but at least one; none when the queue is empty. The
// payloads are the caller's. After an error of the disk the same call may be repeated.
func (q *Queue) Peek(maxRecords, maxBytes int) ([]Record, error) {
	return q.PeekAfter(0, maxRecords, maxBytes)
}

// PeekAfter is like Peek for the records above sequence number after: a caller that has sent records, and waits for
// their acknowledgement, gets further ones with it.
func (q *Queue) PeekAfter(after uint64, maxRecords, maxBytes int) ([]Record, error) {
	q.readMu.Lock()
	defer q.readMu.Unlock()
	q.mu.Lock()
	closed := q.closed
	q.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	if maxRecords <= 0 {
		return nil, nil
	}
	r := &q.reader
	records, ahead, err := q.read(after, maxRecords, maxBytes)
	r.ahead = ahead
	if len(records) == 0 {
		return nil, err // an error behind good records comes back with the next call
	}
	for i := range records {
		records[i].Replayed = records[i].Seq <= r.handed
	}
	if last := records[len(records)-1].Seq; last > r.handed {
		r.handed = last
		if last > q.cursor.handed {
			q.reserveHanded(last + handedAhead)
		}
	}
	return records, nil
}

// reserveHanded notes on disk that records up to seq may have been handed out, before the first of them is. A disk that
// refuses is no reason to send nothing: then a record may come again without the mark.
func (q *Queue) reserveHanded(seq uint64) {
	if err := q.saveCursor(seq, true); err != nil {
		q.log.Warn("spool: cursor not written", "dir", q.dir, "error", err)
	}
}

// Ack removes the records up to and including seq. Nothing happens when they are removed already. An error other than
// ErrSequence and ErrClosed means that the disk did not take the cursor: the records are removed in this process, but
// come again after a restart.
func (q *Queue) Ack(seq uint64) error {
	q.readMu.Lock()
	defer q.readMu.Unlock()
	q.mu.Lock()
	switch {
	case q.closed:
		q.mu.Unlock()
		return ErrClosed
	case seq > q.last:
		last := q.last
		q.mu.Unlock()
		return fmt.Errorf("acknowledge %d: %w: the last one is %d", seq, ErrSequence, last)
	case seq <= q.acked:
		q.mu.Unlock()
		return nil
	}
	q.remove(seq)
	acked := q.acked
	q.mu.Unlock()
	if q.reader.ahead.next <= acked+1 && q.reader.ahead.next > q.reader.head.next {
		q.reader.head = q.reader.ahead
	}
	return q.settle()
}

// settle writes the cursor and deletes segments that are acknowledged as a whole. readMu is held.
func (q *Queue) settle() error {
	q.mu.Lock()
	removable := q.removable()
	q.mu.Unlock()
	// A cursor that is older than the segments would look like records that are missing.
	err := q.saveCursor(q.cursor.handed, removable)
	if err == nil && removable {
		q.removeSegments()
	}
	return err
}

// saveCursor writes the cursor, and syncs it when asked to. readMu is held.
func (q *Queue) saveCursor(handed uint64, sync bool) error {
	q.mu.Lock()
	acked := q.acked
	q.mu.Unlock()
	err := q.cursor.write(q.salt, acked, handed)
	if err == nil && sync {
		err = q.cursor.sync()
	}
	return err
}

// removable reports whether the oldest segment is acknowledged as a whole. The newest never is: it is appended to. mu is held.
func (q *Queue) removable() bool {
	return len(q.segments) > 1 && q.segments[1].base-1 <= q.acked
}

// removeSegments deletes the segments that are acknowledged as a whole. readMu is held.
func (q *Queue) removeSegments() {
	for {
		q.mu.Lock()
		if !q.removable() {
			q.mu.Unlock()
			return
		}
		s := q.segments[0]
		q.mu.Unlock()
		if err := q.removeSegment(s); err != nil {
			return
		}
	}
}

// removeSegment deletes the oldest segment. readMu is held.
func (q *Queue) removeSegment(s segment) error {
	if q.reader.file != nil && q.reader.segment.base == s.base {
		_ = q.reader.close()
	}
	err := q.o.files.Remove(q.path(s))
	gone := err == nil || errors.Is(err, os.ErrNotExist)
	q.mu.Lock()
	if gone {
		q.segments = slices.Delete(q.segments, 0, 1)
		q.bytes -= s.size
	}
	q.mu.Unlock()
	if !gone {
		q.log.Warn("spool: segment not removed", "dir", q.dir, "segment", s.name(), "error", err)
		return fmt.Errorf("remove segment: %w", err)
	}
	return nil
}

// read returns records above after and the place behind the last of them. Damage on the way is noted; damaged records at
// the head need no acknowledgement. readMu is held.
func (q *Queue) read(after uint64, maxRecords, maxBytes int) ([]Record, place, error) {
	q.mu.Lock()
	acked := q.acked
	q.mu.Unlock()
	records, p, err := q.readFrom(max(after, acked), maxRecords, maxBytes)
	q.mu.Lock()
	moved := q.acked != acked
	q.mu.Unlock()
	if moved {
		_ = q.settle() // the next Ack does it again
	}
	return records, p, err
}

// readFrom does what read does, but for the head.
func (q *Queue) readFrom(after uint64, maxRecords, maxBytes int) (records []Record, p place, err error) {
	r := &q.reader
	p = r.head
	if r.ahead.next > p.next && r.ahead.next <= after+1 {
		p = r.ahead
	}
	size := 0
	for {
		s, end, newest, ok := q.find(p.base)
		if !ok {
			return records, p, nil
		}
		if s.base != p.base {
			q.miss(p.next, s.base-1)
			p = place{base: s.base, off: segmentHeader, next: s.base}
		}
		if err := q.openSegment(s); err != nil {
			return records, p, err
		}
		scan := scanner{file: r.file, salt: s.salt, pos: p.off, limit: s.size, next: p.next, end: end}
		scan.chunk = chunkSize(s, end, min(maxRecords-len(records), 1<<20), maxBytes-size)
		for more := true; more; {
			it, err := scan.scan()
			if err != nil {
				return records, p, fmt.Errorf("read segment %s: %w", s.name(), err)
			}
			switch it.kind {
			case foundBad:
				q.noteDamage(s, it, scan.limit)
			case foundEnd:
				q.miss(p.next, end-1)
				p.off, p.next = scan.pos, max(p.next, end)
				q.moveHead(p)
				if newest {
					return records, p, nil
				}
				p.base, p.off, more = end, segmentHeader, false
				continue
			case foundRecord:
				if it.record.Seq > after {
					size += len(it.record.Payload)
					if len(records) > 0 && (len(records) == maxRecords || size > maxBytes) {
						return records, p, nil
					}
					records = append(records, it.record)
				}
				q.miss(p.next, it.record.Seq-1)
				p.next = it.record.Seq + 1
			}
			p.off = scan.pos
			if len(records) == 0 {
				q.moveHead(p)
			}
			if len(records) == maxRecords {
				return records, p, nil
			}
		}
	}
}

// chunkSize returns how much to read at once for so many records of average size.
func chunkSize(s segment, end uint64, records, bytes int) int {
	average := s.size/int64(max(end-s.base, 1)) + 1
	want := min(int64(records)*average, int64(bytes)+average)
	return int(min(max(want, minChunk), maxChunk))
}

// moveHead moves the head to p when all before it is acknowledged. readMu is held.
func (q *Queue) moveHead(p place) {
	q.mu.Lock()
	acked := q.acked
	q.mu.Unlock()
	if p.next <= acked+1 && p.next > q.reader.head.next {
		q.reader.head = p
	}
}

// find returns the segment base, or the one after it when that is gone. Its sequence numbers are below end.
func (q *Queue) find(base uint64) (s segment, end uint64, newest, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.segments, func(s segment) bool { return s.base >= base })
	switch {
	case i < 0:
		return segment{}, 0, false, false
	case i+1 < len(q.segments):
		return q.segments[i], q.segments[i+1].base, false, true
	}
	return q.segments[i], q.last + 1, true, true
}

// openSegment makes reader.file the segment's. readMu is held.
func (q *Queue) openSegment(s segment) error {
	r := &q.reader
	if r.file != nil && r.segment.base == s.base {
		return nil
	}
	_ = r.close() // opened for reading only
	f, err := q.o.files.Open(q.path(s), os.O_RDONLY)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	intact, err := s.checkHeader(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r.file, r.segment = f, s
	if !intact {
		q.noteDamage(s, found{off: 0, size: min(segmentHeader, s.size)}, s.size)
	}
	return nil
}

// noteDamage notes bad bytes of the open segment, once. readMu is held.
func (q *Queue) noteDamage(s segment, it found, limit int64) {
	r := &q.reader
	if it.size == 0 || it.zero && it.off+it.size >= limit { // nothing was there, or the sequence numbers will tell
		return
	}
	if s.base < r.damage.base || s.base == r.damage.base && it.off < r.damage.off {
		return
	}
	q.damage(s, r.file, it.off, it.size)
	r.damage = place{base: s.base, off: it.off + it.size}
}
