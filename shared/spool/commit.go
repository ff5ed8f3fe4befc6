package spool

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// writer is the segment that is appended to. It belongs to the committer.
type writer struct {
	file    file // nil: the next record starts a segment
	segment segment
	fresh   bool // nothing of it is synced yet, nor is its name
}

// errSync marks a failed sync, after which the file cannot be trusted.
var errSync = errors.New("sync failed")

// run is the committer: the one goroutine that writes segments. It ends when the queue is closed and nothing waits.
func (q *Queue) run() {
	defer close(q.done)
	for q.await() {
		q.commit(q.take())
	}
	if q.writer.file != nil {
		_ = q.writer.file.Close() // all of it is synced
	}
}

// await returns when there is something to write; false when there is nothing and the queue is closed.
func (q *Queue) await() bool {
	var timer <-chan time.Time
	due := q.o.GroupCommit == 0
	for {
		q.mu.Lock()
		waiting, now, closed := len(q.pending.items) > 0, q.full, q.closed
		q.mu.Unlock()
		switch {
		case waiting && (due || now || closed):
			return true
		case !waiting && closed:
			return false
		case waiting && timer == nil:
			timer = q.o.After(q.o.GroupCommit)
		}
		select {
		case <-q.wake:
		case <-timer:
			due = true
		}
	}
}

// take takes what waits.
func (q *Queue) take() *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.pending
	q.pending, q.spare = q.spare, batch{}
	q.full = false
	q.room.fire()
	return &b
}

// commit writes the records of a batch and answers their receipts. Usually that takes one write and one sync; a batch
// that does not fit into the segment goes on in the next one.
func (q *Queue) commit(b *batch) {
	var err error
	for start, first := 0, 0; first < len(b.items) && err == nil; {
		last := q.fit(b.items, first, start)
		end := b.items[last-1].end
		if err = q.store(b.buf[start:end], last-first); err == nil {
			q.mu.Lock()
			q.queued -= int64(end - start)
			q.answer(b.items[first:last], nil)
			q.mu.Unlock()
			start, first = end, last
			continue
		}
		q.fail(b, start, first, err)
	}
	clear(b.items)
	q.mu.Lock()
	defer q.mu.Unlock()
	if cap(b.buf) <= 2*q.o.MaxPending { // not one huge record's for ever
		q.spare = batch{b.buf[:0], b.items[:0]}
	}
}

// fail answers the rest of a batch, and all that waits behind it.
func (q *Queue) fail(b *batch, start, first int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queued -= int64(len(b.buf) - start + len(q.pending.buf))
	q.answer(b.items[first:], err)
	q.answer(q.pending.items, err)
	clear(q.pending.items)
	q.pending = batch{q.pending.buf[:0], q.pending.items[:0]}
	q.full = false
	q.room.fire()
}

// fit returns how far the items from first, at start, fit into one segment: the current one, or a new one when not even
// the first fits.
func (q *Queue) fit(items []item, first, start int) (last int) {
	w := &q.writer
	room := q.o.SegmentSize - segmentHeader
	if w.file != nil {
		if w.segment.size+int64(items[first].end-start) > q.o.SegmentSize {
			_ = w.file.Close() // all of it is synced
			w.file = nil
		} else {
			room = q.o.SegmentSize - w.segment.size
		}
	}
	last = first + 1
	for last < len(items) && int64(items[last].end-start) <= room {
		last++
	}
	return last
}

// store writes n records and syncs them.
func (q *Queue) store(b []byte, n int) error {
	number(b, q.salt, q.last+1)
	if err := q.makeRoom(int64(len(b))); err != nil {
		return err
	}
	err := q.write(b)
	if errors.Is(err, errSync) {
		err = q.write(b) // to a new segment
	}
	if err != nil {
		return err
	}
	w := &q.writer
	q.mu.Lock()
	defer q.mu.Unlock()
	w.segment.size += int64(len(b))
	if w.fresh {
		w.fresh = false
		q.segments = append(q.segments, w.segment)
		q.bytes += w.segment.size
	} else {
		q.segments[len(q.segments)-1] = w.segment
		q.bytes += int64(len(b))
	}
	q.last += uint64(n)
	q.more.fire()
	return nil
}

// write writes b behind what is synced, and syncs it. After an error nothing of it counts.
func (q *Queue) write(b []byte) error {
	w := &q.writer
	if w.file == nil {
		if err := q.startSegment(); err != nil {
			return err
		}
	}
	if _, err := w.file.WriteAt(b, w.segment.size); err != nil {
		if w.fresh || w.file.Truncate(w.segment.size) != nil {
			q.abandon()
		}
		return fmt.Errorf("write records: %w", err)
	}
	err := w.file.Sync()
	if err == nil && w.fresh {
		err = q.o.files.SyncDir(q.dir)
	}
	if err != nil {
		q.abandon()
		return fmt.Errorf("%w: %w", errSync, err)
	}
	return nil
}

// startSegment creates the segment of the next record. A file of its name is the rest of an attempt that failed: had a
// record in it been acknowledged, the next one would have a higher number.
func (q *Queue) startSegment() error {
	s := segment{base: q.last + 1, salt: q.salt, size: segmentHeader}
	f, err := q.o.files.Open(q.path(s), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if errors.Is(err, syscall.EISDIR) { // somebody made a folder of this name
		aside := q.path(s) + ".aside"
		q.log.Warn("spool: a folder has a segment's name and is renamed", "dir", q.dir, "segment", s.name(), "to", aside)
		if err = q.o.files.Rename(q.path(s), aside); err == nil {
			f, err = q.o.files.Open(q.path(s), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
		}
	}
	if err != nil {
		return fmt.Errorf("create segment: %w", err)
	}
	q.writer = writer{file: f, segment: s, fresh: true}
	if _, err := f.WriteAt(s.header(formatVersion), 0); err != nil {
		q.abandon()
		return fmt.Errorf("write header of segment: %w", err)
	}
	return nil
}

// abandon leaves the segment: the next record starts another one. It is tidied up as far as the disk allows. What stays
// behind its synced end is not read, as the next segment begins with the number that stands there.
func (q *Queue) abandon() {
	w := &q.writer
	if !w.fresh {
		_ = w.file.Truncate(w.segment.size)
	}
	_ = w.file.Close()
	if w.fresh {
		_ = q.o.files.Remove(q.path(w.segment))
	}
	w.file = nil
}

// makeRoom deletes the oldest segments until there is room for size bytes: with Reject those that are acknowledged as a
// whole, also the newest, with DropOldest any.
func (q *Queue) makeRoom(size int64) error {
	crowded := func() bool { return q.crowded(size) }
	for crowded() {
		_, done, err := q.dropOldest(ReasonOldest, crowded)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
		if !done {
			break
		}
	}
	return q.keepFree(size)
}

// keepFree keeps the disk from filling: while it has less free space than MinFree the queue takes only as much as it removes.
// When others fill the disk, that costs no more than what the new records need.
func (q *Queue) keepFree(size int64) error {
	if q.o.MinFree == 0 {
		return nil
	}
	if free, err := q.o.files.Free(q.dir); err != nil || free-size >= q.o.MinFree {
		q.credit = 0
		return nil //nolint:nilerr // without an answer, the write tells
	}
	if q.writer.file == nil {
		size += segmentHeader
	}
	for q.credit < size {
		freed, done, err := q.dropOldest(ReasonSpace, func() bool { return true })
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNoSpace, err)
		}
		if !done {
			return fmt.Errorf("%w: %d bytes have to stay free", ErrNoSpace, q.o.MinFree)
		}
		q.credit += freed
	}
	q.credit -= size
	return nil
}

// crowded reports whether there is no room for size bytes.
func (q *Queue) crowded(size int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.o.MaxBytes > 0 && len(q.segments) > 0 && q.bytes+segmentHeader+size > q.o.MaxBytes
}

// dropOldest deletes the oldest segment, and returns its size; not, with Reject, when records in it are not acknowledged,
// and not when that is not wanted any more: an Ack may have made room.
func (q *Queue) dropOldest(why Reason, wanted func() bool) (freed int64, done bool, err error) {
	q.readMu.Lock()
	defer q.readMu.Unlock()
	if !wanted() {
		return 0, false, nil
	}
	q.mu.Lock()
	if len(q.segments) == 0 {
		q.mu.Unlock()
		return 0, false, nil
	}
	s, last := q.segments[0], q.last
	if len(q.segments) > 1 {
		last = q.segments[1].base - 1
	}
	if last > q.acked {
		if q.o.WhenFull == Reject {
			q.mu.Unlock()
			return 0, false, nil
		}
		q.stats.Dropped[why] += q.remove(last)
	}
	q.mu.Unlock()
	if q.writer.file != nil && q.writer.segment.base == s.base {
		_ = q.writer.file.Close() // all of it is synced
		q.writer.file = nil
	}
	_ = q.saveCursor(q.cursor.handed, true) // at worst the next Open takes the segment for a missing one
	if err := q.removeSegment(s); err != nil {
		return 0, false, err
	}
	return s.size, true, nil
}
