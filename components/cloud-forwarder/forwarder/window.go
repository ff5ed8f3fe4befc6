package forwarder

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"edgepdm/shared/spool"
)

// Bounds of what a stream does around a record that the sink does not take while it takes others.
const (
	parkAfter = 5 // attempts with a record before it steps aside
	// parkedWindow bounds how far a stream runs ahead of a record that stepped aside, in records. As many are sent a second
	// time, at most, after the process was killed; beyond it the record goes to the dead letters.
	parkedWindow = 512
	// probeWindow bounds how far a stream reads to find a record of another lane, where all in the window are of lanes that
	// step aside: if the sink takes that one, not the sink is what is wrong.
	probeWindow = 8 * parkedWindow
	// maxStalled is how many lanes in a row may fail before the sink counts as one that takes nothing: then what stepped
	// aside is tried, and one new record each time that the oldest of that has failed.
	maxStalled = 3
	maxProbe   = 16 // records of a lane that are tried in place of its first, one each time
	// groupWait is how long the records of a topic wait for one that steps aside, where order matters more than speed.
	groupWait = 10 * time.Minute
	// windowPerRequest bounds how far a stream runs ahead of its oldest record otherwise, in records for each request.
	windowPerRequest = 16
)

// item is a record that is to be delivered.
type item struct {
	record   spool.Record
	message  message
	lane     string // records of a lane keep their order
	begun    time.Time
	attempts int
}

// window is the records that are under way or step aside. A queue removes only up to a record, so that one which was
// delivered stays until all before it are.
type window struct {
	size int // of records, while none steps aside

	mu      sync.Mutex
	order   []uint64        // sequence numbers, ascending
	done    map[uint64]bool // those that need not be sent again
	lanes   map[string]*lane
	stalled int           // lanes that stepped aside since something was delivered last
	probe   bool          // one new record may be tried although nothing passes
	changed chan struct{} // closed at each change of the above
}

// lane is the records that wait for the first of them, which stepped aside.
type lane struct {
	key     string
	waiting []*item
	due     time.Time // when the first is tried again
	busy    bool      // it is tried now
	probe   int       // which of the others is tried next in its place, from 0
}

func newWindow(parallel int) *window {
	return &window{
		size: windowPerRequest * parallel, done: make(map[uint64]bool), lanes: make(map[string]*lane), changed: make(chan struct{}),
	}
}

// tell wakes all who wait for a change. mu is held.
func (w *window) tell() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// begin adds a record, above those before, once there is room. It returns false when ctx ended before.
func (w *window) begin(ctx context.Context, seq uint64) bool {
	for {
		w.mu.Lock()
		if len(w.order) < w.limit() {
			w.order = append(w.order, seq)
			w.mu.Unlock()
			return true
		}
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// limit is the number of records that have room. mu is held.
func (w *window) limit() int {
	if len(w.lanes) > 0 && w.probe && w.stalled > 0 {
		return max(probeWindow, w.size)
	}
	if len(w.lanes) > 0 {
		return max(parkedWindow, w.size)
	}
	return w.size
}

// full reports whether a record that steps aside keeps all others from getting on.
func (w *window) full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.order) >= w.limit() && w.stalled == 0
}

// finish notes that a record need not be sent again. It returns the highest sequence number up to which that holds for
// all; 0 while an older one than this is under way.
func (w *window) finish(seq uint64) (upTo uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done[seq] = true
	for len(w.order) > 0 && w.done[w.order[0]] {
		upTo = w.order[0]
		delete(w.done, upTo)
		w.order = w.order[1:]
	}
	w.tell()
	return upTo
}

// delivered returns how many records are in the queue although they were delivered.
func (w *window) delivered() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.done)
}

// passes notes that the sink takes messages. What stepped aside before is tried again at once: the sink may have been away.
func (w *window) passes() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stalled == 0 {
		return
	}
	w.stalled = 0
	for _, l := range w.lanes {
		l.due = time.Time{}
	}
	w.tell()
}

// others reports whether the sink has taken something since a lane stepped aside last.
func (w *window) others() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stalled == 0
}

// join puts a record behind those of its lane that step aside. It reports false when there are none.
func (w *window) join(i *item) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.lanes[i.lane]
	if l == nil {
		return false
	}
	l.waiting = append(l.waiting, i)
	w.tell()
	return true
}

// hold lets a record step aside until due.
func (w *window) hold(i *item, due time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lanes[i.lane] = &lane{key: i.lane, waiting: []*item{i}, due: due}
	w.stalled++
	w.probe = false
	w.tell()
}

// alone makes the first n records of a lane ones that nothing waits for. The others go on.
func (w *window) alone(l *lane, n int, due time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range l.waiting[:n] {
		i.lane = ownGroup(i.record.Seq)
		w.lanes[i.lane] = &lane{key: i.lane, waiting: []*item{i}, due: due}
	}
	l.waiting, l.probe = slices.Delete(l.waiting, 0, n), 0
}

// ownGroup is the lane of a record that nothing waits for.
func ownGroup(seq uint64) string { return strconv.FormatUint(seq, 10) }

// fails notes that a lane's first record is not taken yet: one new record may be tried if it is the oldest of all.
func (w *window) fails(l *lane) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.lanes {
		if len(c.waiting) > 0 && c.waiting[0].record.Seq < l.waiting[0].record.Seq {
			return
		}
	}
	w.probe = true
	w.tell()
}

// next returns the lane to be tried now, of those that are due the one with the oldest record, and makes the caller its
// owner until release; or how long it takes until one is, 0 when there is none. With open, new records may be tried.
func (w *window) next(now time.Time) (l *lane, wait time.Duration, open bool, changed <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.lanes {
		if c.busy {
			continue
		}
		if left := c.due.Sub(now); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		if l == nil || c.waiting[0].record.Seq < l.waiting[0].record.Seq {
			l = c
		}
	}
	if l != nil {
		l.busy = true
	}
	return l, wait, w.stalled < maxStalled || w.probe, w.changed
}

// first returns the first record of a lane.
func (w *window) first(l *lane) *item {
	w.mu.Lock()
	defer w.mu.Unlock()
	return l.waiting[0]
}

// other returns a record of a lane that may be taken where the first is not, another one each time, and how many are before
// it; nil when the first is the only one.
func (w *window) other(l *lane) (i *item, before int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	others := min(len(l.waiting)-1, maxProbe)
	if others == 0 {
		return nil, 0
	}
	before = 1 + l.probe%others
	l.probe++
	return l.waiting[before], before
}

// drop takes a record, which need not be sent again, out of its lane.
func (w *window) drop(l *lane, i *item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.waiting = slices.DeleteFunc(l.waiting, func(c *item) bool { return c == i })
}

// release gives a lane back, to be tried at due. One without records ends.
func (w *window) release(l *lane, due time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.busy, l.due = false, due
	if len(l.waiting) == 0 {
		delete(w.lanes, l.key)
	}
	w.tell()
}
