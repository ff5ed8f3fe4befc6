package spool

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"edgepdm/shared/durable"
)

const (
	defaultSegmentSize = 4 << 20
	minSegmentSize     = 4 << 10
	defaultMaxPending  = 1 << 20
	defaultQuarantine  = 16 << 20
	scanChunk          = 256 << 10
)

// withDefaults completes the options.
func (o Options) withDefaults() (Options, error) {
	if o.GroupCommit < 0 || o.SegmentSize < 0 || o.MaxBytes < 0 || o.MaxPending < 0 || o.QuarantineBytes < 0 {
		return o, errors.New("negative option")
	}
	if o.MaxBytes > 0 && o.MaxBytes < 4*minSegmentSize {
		return o, fmt.Errorf("MaxBytes is %d, at least %d is needed", o.MaxBytes, 4*minSegmentSize)
	}
	if o.SegmentSize == 0 {
		o.SegmentSize = defaultSegmentSize
	}
	o.SegmentSize = max(o.SegmentSize, minSegmentSize)
	if o.MaxBytes > 0 {
		o.SegmentSize = min(o.SegmentSize, o.MaxBytes/4)
	}
	if o.MaxPending == 0 {
		o.MaxPending = defaultMaxPending
	}
	if o.QuarantineBytes == 0 {
		o.QuarantineBytes = defaultQuarantine
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.After == nil {
		o.After = time.After
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.files == nil {
		o.files = osFiles{}
	}
	return o, nil
}

// Open opens the queue in the folder dir, which it creates when there is none. Damaged files do not make it fail: what is
// wrong with them is in Stats and in the log.
func Open(dir string, o Options) (*Queue, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	q := &Queue{
		dir: dir, o: o, log: o.Log,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
		cursor:     cursor{files: o.files, dir: dir},
		quarantine: quarantine{files: o.files, dir: dir, limit: o.QuarantineBytes},
		stats:      Stats{Dropped: make(map[Reason]uint64)},
	}
	if err := q.open(); err != nil {
		return nil, fmt.Errorf("open queue: %w", errors.Join(err, q.release()))
	}
	go q.run()
	return q, nil
}

// release closes what open has opened.
func (q *Queue) release() error {
	var err error
	if q.writer.file != nil {
		err = q.writer.file.Close()
	}
	if q.lock != nil {
		err = errors.Join(err, q.lock.Close())
	}
	return errors.Join(err, q.cursor.close(), q.quarantine.close(), q.reader.close())
}

func (q *Queue) open() error {
	if err := q.makeDir(); err != nil {
		return err
	}
	var err error
	if q.lock, err = q.o.files.Lock(q.dir); err != nil {
		return fmt.Errorf("lock folder: %w", err)
	}
	if err := q.list(); err != nil {
		return err
	}
	// Nothing is changed before it is known that no newer program was here.
	slots, err := q.cursor.load()
	if err != nil {
		return err
	}
	if err := q.checkVersion(); err != nil {
		return err
	}
	if q.salt, err = q.chooseSalt(); err != nil {
		return err
	}
	foreign := q.separate()
	if len(foreign) > 0 && q.cursor.salt == 0 {
		slots = 0 // it does not say whose numbers it has
		q.cursor.marks = marks{generation: q.cursor.generation}
	}
	if err := q.recover(); err != nil {
		return err
	}
	q.place(slots)
	q.takeIn(foreign)
	return nil
}

// makeDir creates the folder; its name is on disk when it returns.
func (q *Queue) makeDir() error {
	if _, err := q.o.files.List(q.dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := q.o.files.MakeDir(q.dir); err != nil {
		return fmt.Errorf("create folder: %w", err)
	}
	return q.o.files.SyncDir(filepath.Dir(q.dir))
}

// list finds the segments.
func (q *Queue) list() error {
	infos, err := q.o.files.List(q.dir)
	if err != nil {
		return fmt.Errorf("list segments: %w", err)
	}
	for _, info := range infos {
		if s, ok := parseName(info.Name()); ok {
			s.size = info.Size()
			q.segments = append(q.segments, s)
			q.bytes += s.size
		}
	}
	slices.SortFunc(q.segments, func(a, b segment) int { return cmp.Compare(a.base, b.base) })
	return nil
}

func (q *Queue) path(s segment) string { return filepath.Join(q.dir, s.name()) }

// checkVersion refuses segments of a newer program. It looks at the newest one whose header is good; the cursor has
// been looked at, and what else a newer program left is refused when it is read.
func (q *Queue) checkVersion() error {
	for _, s := range slices.Backward(q.segments) {
		if s.size < segmentHeader {
			continue
		}
		f, err := q.o.files.Open(q.path(s), os.O_RDONLY)
		if err != nil {
			return fmt.Errorf("open segment: %w", err)
		}
		intact, err := s.checkHeader(f)
		_ = f.Close() // opened for reading only
		if intact || errors.Is(err, durable.ErrNewerFormat) {
			return err
		}
	}
	return nil
}

// chooseSalt returns the salt that the cursor names, that of the newest segment, or a new one.
func (q *Queue) chooseSalt() (uint32, error) {
	if q.cursor.salt != 0 {
		return q.cursor.salt, nil
	}
	if n := len(q.segments); n > 0 {
		return q.segments[n-1].salt, nil
	}
	var b [4]byte
	if _, err := io.ReadFull(q.o.Rand, b[:]); err != nil {
		return 0, fmt.Errorf("choose salt: %w", err)
	}
	return binary.LittleEndian.Uint32(b[:]), nil
}

// recover finds the end of the newest segment and makes it the one that is appended to.
func (q *Queue) recover() error {
	n := len(q.segments) - 1
	if n < 0 {
		return nil
	}
	s := &q.segments[n]
	f, err := q.o.files.Open(q.path(*s), os.O_RDWR)
	writable := err == nil
	if !writable { // a read-only disk: what is there can be read
		if f, err = q.o.files.Open(q.path(*s), os.O_RDONLY); err != nil {
			return fmt.Errorf("open segment: %w", err)
		}
	}
	size, clean, err := q.scanTail(*s, f)
	switch {
	case err != nil: // the disk may read it another time; no record in it has a number above this one
		q.last = s.base + uint64(s.size)/recordHeader
		q.log.Error("spool: newest segment cannot be read", "dir", q.dir, "segment", s.name(), "error", err)
		return f.Close()
	case !clean: // left as it is for Peek, which counts and keeps what is damaged; the next append starts a segment
		q.last = max(q.last, s.base) // which must not have the same name
		q.log.Warn("spool: damaged end of newest segment", "dir", q.dir, "segment", s.name(), "offset", size, "bytes", s.size-size)
		return f.Close()
	case size == segmentHeader: // a crash came before its first record was synced
		q.forgetNewest()
		return f.Close()
	}
	if err := q.adopt(s, size, f, writable); err != nil {
		q.log.Warn("spool: newest segment is left as it is", "dir", q.dir, "segment", s.name(), "error", err)
		return f.Close() // the next append starts a segment, and what is behind this one's end is never read
	}
	q.writer = writer{file: f, segment: *s}
	return nil
}

// adopt cuts what is behind size in the newest segment and makes it safe to append to: the process before this one may
// have ended before it could sync the file or its name.
func (q *Queue) adopt(s *segment, size int64, f file, writable bool) error {
	torn := s.size - size
	s.size = size
	q.bytes -= torn
	q.tellTorn(*s, torn)
	if !writable {
		return os.ErrPermission
	}
	if torn > 0 {
		if err := f.Truncate(size); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return q.o.files.SyncDir(q.dir)
}

// tellTorn logs what is cut. An interrupted write leaves such an end, and was not acknowledged; if instead the end
// of the file is missing, nothing else tells.
func (q *Queue) tellTorn(s segment, bytes int64) {
	if bytes > 0 {
		q.log.Warn("spool: the newest segment ended within a record, which is cut off", "dir", q.dir, "segment", s.name(), "bytes", bytes)
	}
}

// forgetNewest removes the newest segment, which has no record. If the disk refuses, it is written again when its turn comes.
func (q *Queue) forgetNewest() {
	n := len(q.segments) - 1
	s := q.segments[n]
	q.segments = q.segments[:n]
	q.bytes -= s.size
	q.tellTorn(s, max(s.size-segmentHeader, 0))
	if err := q.o.files.Remove(q.path(s)); err != nil {
		q.log.Warn("spool: empty segment not removed", "dir", q.dir, "segment", s.name(), "error", err)
	}
}

// scanTail sets last to the last record of the segment and returns where the last good one ends. What is behind it is
// clean when it looks like the rest of an interrupted write.
func (q *Queue) scanTail(s segment, f file) (size int64, clean bool, err error) {
	size, q.last, clean = segmentHeader, s.base-1, true
	scan := scanner{
		file: f, salt: s.salt, pos: size, limit: s.size, next: s.base, end: math.MaxUint64, chunk: scanChunk, reuse: true,
	}
	for {
		it, err := scan.scan()
		if err != nil {
			return 0, false, err
		}
		switch it.kind {
		case foundRecord:
			size, clean = scan.pos, true
			q.last = max(q.last, it.record.Seq)
		case foundBad:
			clean = clean && (it.torn || it.zero)
			q.last = max(q.last, it.record.Seq) // of a record whose body is damaged
		case foundEnd:
			return size, clean, nil
		}
	}
}

// place sets where reading begins, from the cursor, of which so many slots are good, and the segments.
func (q *Queue) place(slots int) {
	acked, handed := q.cursor.acked, q.cursor.handed
	found := len(q.segments) > 0
	if slots == 0 && found {
		handed = q.last // all of it may have been
		q.log.Error("spool: cursor is lost: what is in the queue comes again", "dir", q.dir)
	}
	// The end of the log may be lost, with records that were acknowledged: their numbers are not given again.
	q.last = max(q.last, acked)
	q.acked = acked
	q.reader.seen = acked
	q.reader.handed = min(handed, q.last)
	if found {
		first := q.segments[0].base
		q.reader.head = place{base: first, off: segmentHeader, next: first}
		if acked+1 < first {
			if slots < 2 { // an older or no cursor: what is not there was acknowledged
				q.acked, q.reader.seen = first-1, first-1
			} else {
				q.miss(acked+1, first-1)
			}
		}
	}
	q.reader.ahead = q.reader.head
	// Both slots: so that a damaged one is known to be damaged. A disk that refuses is asked again with the next Ack.
	err := q.saveCursor(q.reader.handed, slots == 2)
	if err == nil && slots < 2 {
		err = q.saveCursor(q.reader.handed, true)
	}
	if err != nil {
		q.log.Warn("spool: cursor not written", "dir", q.dir, "error", err)
		return
	}
	q.removeSegments()
}
