package spool

import (
	"bytes"
	"errors"
	"io"
)

// What a scanner finds.
const (
	foundEnd    = iota // no more records in this segment
	foundRecord        // a record
	foundBad           // bytes that are none
)

// found is a part of a segment.
type found struct {
	kind      int
	off, size int64
	record    Record // of foundRecord; of foundBad only Seq, when the header is intact and the body is not
	// What the bytes of foundBad look like:
	torn bool // the first part of a record up to the end: what an interrupted write leaves
	zero bool // zeros up to the end
}

// scanner reads the records of a segment. It needs memory for one chunk or one record, whatever the file contains.
type scanner struct {
	file  io.ReaderAt
	salt  uint32
	pos   int64  // where to go on
	limit int64  // where the segment ends
	next  uint64 // sequence numbers below this one have been read
	end   uint64 // sequence numbers from this one on are in the next segment

	chunk  int  // how much to read at once
	reuse  bool // read into the same buffer again: the caller keeps no payload
	buf    []byte
	bufOff int64
	stream string // of the last record
}

// scan returns what stands at pos and moves behind it. An error is one of reading the file.
func (s *scanner) scan() (found, error) {
	if s.pos >= s.limit {
		return found{kind: foundEnd, off: s.pos}, nil
	}
	b, err := s.view(s.pos, recordHeader)
	if err != nil {
		return found{}, err
	}
	h, ok := parseHeader(b, s.salt)
	switch {
	case !ok:
		return s.resync()
	case h.seq >= s.end: // left by an append that failed
		f := found{kind: foundEnd, off: s.pos}
		s.pos = s.limit
		return f, nil
	case s.pos+int64(h.length) > s.limit:
		return s.bad(s.limit, found{torn: true}), nil
	case h.seq < s.next: // a second copy
		return s.bad(s.pos+int64(h.length), found{}), nil
	}
	b, err = s.view(s.pos, h.length)
	switch {
	case err != nil:
		return found{}, err
	case len(b) < h.length:
		return s.bad(s.limit, found{torn: true}), nil
	}
	r, ok := h.record(b, s.stream)
	if !ok {
		return s.bad(s.pos+int64(h.length), found{record: Record{Seq: h.seq}}), nil
	}
	f := found{kind: foundRecord, off: s.pos, size: int64(h.length), record: r}
	s.pos += f.size
	s.next, s.stream = h.seq+1, r.Stream
	return f, nil
}

// bad completes f, which reaches from pos to end, and moves behind it.
func (s *scanner) bad(end int64, f found) found {
	f.kind, f.off, f.size = foundBad, s.pos, end-s.pos
	s.pos = end
	return f
}

// resync looks for the next header behind pos, where none is.
func (s *scanner) resync() (found, error) {
	zero := true
	for off := s.pos; ; {
		b, err := s.rest(off)
		if err != nil {
			return found{}, err
		}
		if len(b) < recordHeader { // too short for another record: this is the end
			torn := off == s.pos && len(b) > 0 && bytes.HasPrefix([]byte(marker), b[:min(len(b), len(marker))])
			return s.bad(s.limit, found{torn: torn, zero: zero && allZero(b)}), nil
		}
		// A header at off itself is looked at again when off has moved: the search steps back to where one may start.
		i := bytes.Index(b[1:], []byte(marker)) + 1
		if i == 0 {
			i = len(b) - len(marker) + 1
		}
		zero = zero && allZero(b[:i])
		off += int64(i)
		if b, err = s.view(off, recordHeader); err != nil {
			return found{}, err
		}
		if h, ok := parseHeader(b, s.salt); ok && h.seq >= s.next && off+int64(h.length) <= s.limit {
			return s.bad(off, found{}), nil
		}
	}
}

// view returns n bytes from off, fewer where the segment ends before.
func (s *scanner) view(off int64, n int) ([]byte, error) {
	n = int(max(0, min(int64(n), s.limit-off)))
	if off < s.bufOff || off+int64(n) > s.bufOff+int64(len(s.buf)) {
		if err := s.fill(off, n); err != nil {
			return nil, err
		}
	}
	b := s.buf[off-s.bufOff:]
	return b[:min(n, len(b))], nil
}

// rest returns the bytes from off on that are in memory, at least those of a header where the segment has as many.
func (s *scanner) rest(off int64) ([]byte, error) {
	if _, err := s.view(off, recordHeader); err != nil {
		return nil, err
	}
	return s.buf[off-s.bufOff:], nil
}

// fill reads n bytes or a chunk, whichever is more. A file that is shorter than it was makes the segment end there.
func (s *scanner) fill(off int64, n int) error {
	n = int(min(int64(max(n, s.chunk)), s.limit-off))
	buf := s.buf
	if !s.reuse || cap(buf) < n {
		buf = make([]byte, n)
	}
	got, err := s.file.ReadAt(buf[:n], off)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	s.buf, s.bufOff = buf[:got], off
	if got < n {
		s.limit = off + int64(got)
	}
	return nil
}

func allZero(b []byte) bool {
	return len(bytes.TrimLeft(b, "\x00")) == 0
}
