package forwarder

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"edgepdm/shared/spool"
)

// Bounds of parking: a record that the sink does not take waits aside, with those of its group, while others pass (promise F4).
const (
	parkAfter = 5 // attempts with a record before it is parked
	// parkedWindow bounds how far a stream runs ahead of a parked record, in records. At most so many are sent a second time
	// after the process was killed; beyond it the record goes to the dead letters.
	parkedWindow = 512
	// probeWindow bounds how far a stream reads to find a record of another group, where all in the window are of parked
	// groups: if the sink takes that one, the sink works.
	probeWindow = 8 * parkedWindow
	// maxStalled is how many groups in a row may be parked before the sink counts as one that takes nothing: then what is
	// parked is tried, and one new record each time that the oldest of it has failed.
	maxStalled = 3
	maxProbe   = 16 // records of a group that are tried in place of its first, one each time
	// groupWait is how long the records of a topic wait for a parked one, where order matters more than speed.
	groupWait = 10 * time.Minute
	// windowPerRequest bounds how far a stream runs ahead of its oldest record otherwise, in records for each request.
	windowPerRequest = 16
)

// item is a record that is to be delivered.
type item struct {
	record   spool.Record
	message  message
	group    string // records of a group keep their order
	begun    time.Time
	attempts int
}

// window is the records that are under way or parked. A queue removes only up to a record, so that one which was
// delivered stays until all before it are.
type window struct {
	size int // of records, while none is parked

	mu      sync.Mutex
	order   []uint64        // sequence numbers, ascending
	done    map[uint64]bool // those that need not be sent again
	groups  map[string]*group
	stalled int           // groups that were parked since the last delivery
	probe   bool          // one new record may be tried although nothing passes
	changed chan struct{} // closed at each change of the above
}

// group is the records that wait for the first of them, which is parked.
type group struct {
	key     string
	waiting []*item
	due     time.Time // when the first is tried again
	busy    bool      // it is tried now
	probe   int       // which of the others is tried next in its place, from 0
}

// settled reports whether a record was delivered in an earlier window.
func (w *window) settled(seq uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done[seq]
}

// rest is a window that begins with what has to be sent of this one.
func (w *window) rest(parallel int, acked uint64) *window {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := newWindow(parallel)
	for seq := range w.done {
		if seq > acked {
			next.done[seq] = true
		}
	}
	return next
}

// leave forgets the records up to one, which have left, and returns those that were under way or parked.
func (w *window) leave(upTo uint64) (under []uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for n < len(w.order) && w.order[n] <= upTo {
		n++
	}
	under, w.order = w.order[:n], w.order[n:]
	maps.DeleteFunc(w.done, func(seq uint64, _ bool) bool { return seq <= upTo })
	return under
}

func newWindow(parallel int) *window {
	return &window{
		size: windowPerRequest * parallel, done: make(map[uint64]bool), groups: make(map[string]*group), changed: make(chan struct{}),
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
	if len(w.groups) > 0 && w.probe && w.stalled > 0 {
		return max(probeWindow, w.size)
	}
	if len(w.groups) > 0 {
		return max(parkedWindow, w.size)
	}
	return w.size
}

// full reports whether a parked record holds up all others.
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

// progressed notes that the sink takes messages. What was parked before is tried again at once: the sink may have been away.
func (w *window) progressed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stalled == 0 {
		return
	}
	w.stalled = 0
	for _, g := range w.groups {
		g.due = time.Time{}
	}
	w.tell()
}

// progressing reports whether the sink has taken something since a group was last parked.
func (w *window) progressing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stalled == 0
}

// join puts a record behind those of its group that are parked. It reports false when there are none.
func (w *window) join(i *item) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.groups[i.group]
	if g == nil {
		return false
	}
	g.waiting = append(g.waiting, i)
	w.tell()
	return true
}

// park lets a record wait aside until due.
func (w *window) park(i *item, due time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.groups[i.group] = &group{key: i.group, waiting: []*item{i}, due: due}
	w.stalled++
	w.probe = false
	w.tell()
}

// detach makes the first n records of a group ones that nothing waits for. The others go on.
func (w *window) detach(g *group, n int, due time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range g.waiting[:n] {
		i.group = ownGroup(i.record.Seq)
		w.groups[i.group] = &group{key: i.group, waiting: []*item{i}, due: due}
	}
	g.waiting, g.probe = slices.Delete(g.waiting, 0, n), 0
}

// ownGroup is the group of a record that nothing waits for.
func ownGroup(seq uint64) string { return strconv.FormatUint(seq, 10) }

// failed notes that a group's first record is not taken yet: one new record may be tried if it is the oldest of all.
func (w *window) failed(g *group) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.groups {
		if len(c.waiting) > 0 && c.waiting[0].record.Seq < g.waiting[0].record.Seq {
			return
		}
	}
	w.probe = true
	w.tell()
}

// next returns the group to be tried now, of those that are due the one with the oldest record, and makes the caller its
// owner until release; or how long it takes until one is, 0 when there is none. With open, new records may be tried.
func (w *window) next(now time.Time) (g *group, wait time.Duration, open bool, changed <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.groups {
		if c.busy {
			continue
		}
		if left := c.due.Sub(now); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		if g == nil || c.waiting[0].record.Seq < g.waiting[0].record.Seq {
			g = c
		}
	}
	if g != nil {
		g.busy = true
	}
	return g, wait, w.stalled < maxStalled || w.probe, w.changed
}

// first returns the first record of a group.
func (w *window) first(g *group) *item {
	w.mu.Lock()
	defer w.mu.Unlock()
	return g.waiting[0]
}

// other returns a record of a group that may be taken where the first is not, another one each time, and how many are before
// it; nil when the first is the only one.
func (w *window) other(g *group) (i *item, before int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	others := min(len(g.waiting)-1, maxProbe)
	if others == 0 {
		return nil, 0
	}
	before = 1 + g.probe%others
	g.probe++
	return g.waiting[before], before
}

// drop takes a record, which need not be sent again, out of its group.
func (w *window) drop(g *group, i *item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g.waiting = slices.DeleteFunc(g.waiting, func(c *item) bool { return c == i })
}

// release gives a group back, to be tried at due. One without records ends.
func (w *window) release(g *group, due time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g.busy, g.due = false, due
	if len(g.waiting) == 0 {
		delete(w.groups, g.key)
	}
	w.tell()
}
