package spool

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"
)

// Errors that callers branch on.
var (
	// ErrClosed is returned by every method of a queue that was closed.
	ErrClosed = errors.New("queue is closed")
	// ErrRecord is returned by Append for a record that is larger than the limits. It can never be appended.
	ErrRecord = errors.New("record exceeds the limits")
	// ErrFull is returned by Append when Options.MaxBytes is reached.
	ErrFull = errors.New("queue is full")
	// ErrNoSpace is returned by Append while the disk has less free space than Options.MinFree, and nothing can be
	// removed for it.
	ErrNoSpace = errors.New("the disk has too little free space")
	// ErrSequence is returned by Ack for a sequence number that was not appended yet.
	ErrSequence = errors.New("no such record")
)

// Policy says what happens to records that find no room.
type Policy int

// The policies.
const (
	Reject     Policy = iota // Append returns ErrFull or ErrNoSpace
	DropOldest               // the oldest segment makes room; its unacknowledged records are counted as dropped
)

// Reason is why records that were accepted are gone without an acknowledgement.
type Reason string

// The reasons.
const (
	ReasonOldest   Reason = "drop-oldest" // made room for newer ones
	ReasonSpace    Reason = "free-space"  // made room for newer ones on a disk that is nearly full
	ReasonAge      Reason = "age"         // removed by Expire
	ReasonOperator Reason = "operator"    // a person had them dropped
)

// Options of a queue. The zero value is useful.
type Options struct {
	// GroupCommit is how long records wait for others to share a sync with; 0 syncs at once, together with what came
	// while the last sync was under way.
	GroupCommit time.Duration
	// SegmentSize is the size of a segment file in bytes; 4 MiB by default. It is what is deleted at once.
	SegmentSize int64
	// MaxBytes bounds what the segments take on disk, as far as that is possible in whole segments; 0 for no bound. A
	// segment is then at most a quarter of it.
	MaxBytes int64
	// MinFree is the free space of the disk, in bytes, below which the queue does not grow: it takes no more than what it
	// has removed since, by WhenFull. 0 for no floor; systems other than Linux have none.
	MinFree  int64
	WhenFull Policy
	// MaxPending bounds the bytes that wait for a sync in memory; 1 MiB by default. Beyond it Append blocks.
	MaxPending int
	// QuarantineBytes bounds the file of bad bytes; 16 MiB by default. What does not fit is only logged.
	QuarantineBytes int64
	// Log gets a line for each damage found and each file that could not be deleted; nil for none.
	Log *slog.Logger
	// After is the clock of GroupCommit; time.After by default.
	After func(time.Duration) <-chan time.Time
	// Now is the clock of Expire, which tells which records have a time in the future; time.Now by default.
	Now func() time.Time
	// Rand is where a new queue's salt comes from; crypto/rand by default.
	Rand io.Reader

	files files // of the operating system, but in tests
}

// Queue is a durable queue, open in this process. All methods may be called from several goroutines.
type Queue struct {
	dir    string
	o      Options
	log    *slog.Logger
	lock   io.Closer
	salt   uint32        // of new segments
	wake   chan struct{} // tells the committer that something waits, or that the queue is closed
	done   chan struct{} // closed when the committer has ended
	writer writer        // the committer's
	credit int64         // the committer's: bytes that it removed, and has not written again, since the disk is below MinFree

	// readMu is for reading files and removing them. It is taken before mu.
	readMu     sync.Mutex
	reader     reader
	cursor     cursor
	quarantine quarantine

	mu       sync.Mutex // never held while a file is used
	closed   bool
	segments []segment // oldest first; a new one is here from its first synced record on
	bytes    int64     // what they take on disk
	last     uint64    // the newest synced record; written by the committer only
	acked    uint64    // the highest sequence number that is removed
	gaps     []gap     // above acked: what was found to be missing, in order
	pending  batch     // waits for the committer
	spare    batch     // the committer's last one, to be filled again
	queued   int64     // bytes in pending and with the committer
	full     bool      // somebody waits until pending is taken
	room     signal    // pending was taken
	more     signal    // last was moved, or the queue closed
	stats    Stats     // the counters in it
}

// gap is a range of sequence numbers whose records cannot be read.
type gap struct{ from, to uint64 }

// signal wakes all who wait. It is guarded by the queue's mu.
type signal struct{ ch chan struct{} }

func (s *signal) wait() <-chan struct{} {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) fire() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// Wait returns nil when there is a record with a sequence number above after that is not acknowledged. With 0 that is
// any record; with the last one that Peek returned, a further one.
func (q *Queue) Wait(ctx context.Context, after uint64) error {
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return ErrClosed
		}
		if q.beyond(after) {
			q.mu.Unlock()
			return nil
		}
		more := q.more.wait()
		q.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// beyond reports whether there may be a readable record above seq. mu is held.
func (q *Queue) beyond(seq uint64) bool {
	seq = max(seq, q.acked)
	for _, g := range q.gaps {
		if g.from <= seq+1 {
			seq = max(seq, g.to)
		}
	}
	return seq < q.last
}

// Close writes and syncs what waits, so that every Append gets its answer, saves the cursor and releases the folder.
// It takes as long as the disk needs for that; a further Close waits for the first.
func (q *Queue) Close() error {
	q.mu.Lock()
	first := !q.closed
	q.closed = true
	q.room.fire()
	q.more.fire()
	q.mu.Unlock()
	q.signalCommitter()
	<-q.done
	q.readMu.Lock()
	defer q.readMu.Unlock()
	if !first {
		return nil
	}
	err := q.saveCursor(q.reader.handed, true)
	return errors.Join(err, q.cursor.close(), q.quarantine.close(), q.reader.close(), q.lock.Close())
}
