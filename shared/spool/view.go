package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"syscall"
	"time"
)

// View is a queue as it lies on disk: read without its lock and without a write, also while another process has it open. It
// shows the queue of the moment at which it was made; what that process removes meanwhile is left out.
type View struct {
	dir      string
	files    files
	segments []segment // of the queue itself, oldest first
	acked    uint64
	salt     uint32
	stats    ViewStats
}

// ViewStats describes a View.
type ViewStats struct {
	Records  uint64    // that are not acknowledged; with those that damage cost
	First    uint64    // the lowest sequence number that one of them may have
	Last     uint64    // the highest; First-1 when there is none
	Bytes    int64     // what the segments take on disk, with those of other queues
	Segments int       // of this queue
	Foreign  int       // of other queues, which the next Open takes in
	Oldest   time.Time // of the oldest record that can be read; zero when there is none
	Newest   time.Time // of the newest one
}

// Look reads a queue's folder. The error wraps fs.ErrNotExist when there is none, and durable.ErrNewerFormat for a cursor that a
// newer program wrote.
func Look(dir string) (*View, error) {
	v := &View{dir: dir, files: readOnlyFiles{}}
	q := Queue{dir: dir, o: Options{files: v.files}, cursor: cursor{files: v.files, dir: dir}}
	slots, err := q.cursor.load() // before the list: segments of a later one may be gone already, and those of an earlier one not
	if err == nil {
		err = q.list()
	}
	if err != nil {
		return nil, fmt.Errorf("look at queue: %w", err)
	}
	v.stats.Bytes = q.bytes
	if v.salt = q.cursor.salt; v.salt == 0 && len(q.segments) > 0 {
		v.salt = q.segments[len(q.segments)-1].salt
	}
	for _, s := range q.segments {
		if s.salt == v.salt {
			v.segments = append(v.segments, s)
		} else {
			v.stats.Foreign++
		}
	}
	v.stats.Segments = len(v.segments)
	if slots > 0 && (q.cursor.salt != 0 || v.stats.Foreign == 0) {
		v.acked = q.cursor.acked
	}
	return v, v.measure()
}

// measure reads the first record and the newest segment.
func (v *View) measure() error {
	last := v.acked
	if n := len(v.segments); n > 0 {
		v.acked = max(v.acked, v.segments[0].base-1)
		last = max(v.acked, v.segments[n-1].base-1)
	}
	for r, err := range v.Records(v.acked) {
		if err != nil {
			return err
		}
		v.stats.Oldest = time.Unix(0, r.Time)
		break
	}
	for r, err := range v.Records(last) {
		if err != nil {
			return err
		}
		last, v.stats.Newest = r.Seq, time.Unix(0, r.Time)
	}
	if v.stats.Newest.IsZero() { // the newest segment has none that can be read
		v.stats.Newest = v.stats.Oldest
	}
	v.stats.First, v.stats.Last, v.stats.Records = v.acked+1, last, last-v.acked
	return nil
}

// Stats describes what was there when the View was made.
func (v *View) Stats() ViewStats { return v.stats }

// ID is the queue's, see Queue.ID.
func (v *View) ID() uint32 { return v.salt }

// Expired returns up to which record a queue's Expire with these times would remove the oldest ones, 0 for none. seen, if not nil,
// is told of each record that is read for it.
func (v *View) Expired(from, to, now time.Time, seen func(Record)) (through uint64, err error) {
	a := ages{from: from.UnixNano(), to: to.UnixNano(), future: now.Add(clockMargin).UnixNano()}
	for r, err := range v.Records(0) {
		if err != nil {
			return 0, err
		}
		if seen != nil {
			seen(r)
		}
		if a.young(r.Time) {
			break
		}
		if a.known(r.Time) {
			through = r.Seq
		}
	}
	return through, nil
}

// Records returns the records above a sequence number that are not acknowledged, oldest first. What is damaged is passed over. A
// record's payload is valid until the next one. Memory is needed for one of them, however long the queue is.
func (v *View) Records(after uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		after = max(after, v.acked)
		for i, s := range v.segments {
			end := uint64(math.MaxUint64)
			if i+1 < len(v.segments) {
				end = v.segments[i+1].base
			}
			if end <= after+1 {
				continue
			}
			if !v.segmentRecords(s, after, end, yield) {
				return
			}
		}
	}
}

// segmentRecords yields those of one segment, and reports whether more are wanted.
func (v *View) segmentRecords(s segment, after, end uint64, yield func(Record, error) bool) bool {
	q := Queue{dir: v.dir}
	f, err := v.files.Open(q.path(s), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) { // acknowledged meanwhile
		return true
	}
	if err != nil {
		return yield(Record{}, fmt.Errorf("open segment: %w", err))
	}
	defer func() { _ = f.Close() }() // opened for reading only
	if _, err := s.checkHeader(f); err != nil {
		return yield(Record{}, err)
	}
	scan := scanner{file: f, salt: s.salt, pos: segmentHeader, limit: s.size, next: s.base, end: end, chunk: scanChunk, reuse: true}
	for {
		it, err := scan.scan()
		switch {
		case err != nil:
			return yield(Record{}, fmt.Errorf("read segment %s: %w", s.name(), err))
		case it.kind == foundEnd:
			return true
		case it.kind == foundRecord && it.record.Seq > after && !yield(it.record, nil):
			return false
		}
	}
}

// readOnlyFiles are the files of the operating system for somebody who only looks. What is there is not believed to be the
// queue's: opening a pipe must not wait for a writer.
type readOnlyFiles struct{ osFiles }

func (readOnlyFiles) Open(path string, _ int) (file, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is not a file", path), err, f.Close())
	}
	return osFile{f}, nil
}

func (readOnlyFiles) Remove(string) error { return nil }

func (readOnlyFiles) Rename(string, string) error { return fs.ErrPermission }
