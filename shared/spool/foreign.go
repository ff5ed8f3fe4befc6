package spool

import (
	"fmt"
	"math"
	"os"
)

// takeInBytes is how much of a foreign segment is written at once.
const takeInBytes = 1 << 20

// separate takes the segments out of the list that have another salt than the queue. Their records have numbers of another
// queue, so that neither the cursor nor the order of the list says anything about them.
func (q *Queue) separate() (foreign []segment) {
	var own []segment
	for _, s := range q.segments {
		if s.salt == q.salt {
			own = append(own, s)
			continue
		}
		foreign = append(foreign, s)
		q.bytes -= s.size
	}
	q.segments = own
	return foreign
}

// takeIn appends the records of foreign segments, and removes each segment when all of its records are on disk. One that
// fails stays for the next Open: its records may then come twice, but none is lost. The committer does not run yet.
func (q *Queue) takeIn(foreign []segment) {
	for _, s := range foreign {
		records, err := q.takeInSegment(s)
		if err == nil {
			err = q.o.files.Remove(q.path(s))
		}
		if err != nil {
			q.log.Error("spool: segment of another queue is not taken in; the next start tries again",
				"dir", q.dir, "segment", s.name(), "records", records, "error", err)
			continue
		}
		q.log.Warn("spool: segment of another queue is taken in", "dir", q.dir, "segment", s.name(), "records", records)
	}
}

func (q *Queue) takeInSegment(s segment) (records int, err error) {
	f, err := q.o.files.Open(q.path(s), os.O_RDONLY)
	if err != nil {
		return 0, fmt.Errorf("open segment: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	if _, err := s.checkHeader(f); err != nil {
		return 0, err
	}
	scan := scanner{
		file: f, salt: s.salt, pos: segmentHeader, limit: s.size, next: s.base, end: math.MaxUint64, chunk: scanChunk, reuse: true,
	}
	var b batch
	receipt := &Receipt{done: make(chan struct{})}
	write := func() error {
		if len(b.items) == 0 {
			return nil
		}
		receipt.left = len(b.items)
		q.queued += int64(len(b.buf))
		n := len(b.items)
		q.commit(&b)
		if receipt.err != nil {
			return receipt.err
		}
		records += n
		b, receipt = batch{}, &Receipt{done: make(chan struct{})}
		return nil
	}
	for {
		it, err := scan.scan()
		if err != nil {
			return records, fmt.Errorf("read segment: %w", err)
		}
		switch it.kind {
		case foundBad:
			if !it.torn && !it.zero {
				q.damage(s, f, it.off, it.size)
			}
		case foundRecord:
			b.buf = appendRecord(b.buf, &it.record)
			b.items = append(b.items, item{len(b.buf), receipt})
			if len(b.buf) < takeInBytes {
				continue
			}
			if err := write(); err != nil {
				return records, err
			}
		case foundEnd:
			return records, write()
		}
	}
}
