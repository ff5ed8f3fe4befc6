package forwarder

import (
	"context"
	"sync"

	"edgepdm/shared/spool"
)

// windowPerRequest bounds how far a stream that sends in parallel runs ahead of its oldest record, in records for each
// request. As many are sent a second time, at most, after the process was killed.
const windowPerRequest = 16

// window is the records that are under way. A queue removes only up to a record, so that one which was acknowledged stays
// until all before it are.
type window struct {
	slots chan struct{} // one for each record

	mu    sync.Mutex
	order []uint64        // their sequence numbers, ascending
	done  map[uint64]bool // those that need not be sent again
}

func newWindow(size int) *window {
	return &window{slots: make(chan struct{}, size), done: make(map[uint64]bool)}
}

// begin adds a record, above those before, once there is room. It returns false when ctx ended before.
func (w *window) begin(ctx context.Context, seq uint64) bool {
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.order = append(w.order, seq)
	return true
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
		<-w.slots
	}
	return upTo
}

// drainParallel does what drain does with several records at a time: they arrive in no order (promise F4: only where the
// configuration asks for it).
func (s *stream) drainParallel(ctx context.Context, to sink) {
	w := newWindow(windowPerRequest * s.parallel)
	records := make(chan spool.Record)
	var workers sync.WaitGroup
	for part := range s.parallel {
		workers.Go(func() {
			for r := range records {
				if ctx.Err() != nil || !s.gone(r) && !s.deliver(ctx, to, r, part) {
					continue // the record stays
				}
				if upTo := w.finish(r.Seq); upTo > 0 {
					s.report(placeRemove, s.queue.Ack(upTo))
				}
			}
		})
	}
	s.feed(ctx, w, records)
	close(records)
	workers.Wait()
}

// feed reads the queue into the window until ctx ends. A disk that fails is tried again.
func (s *stream) feed(ctx context.Context, w *window, to chan<- spool.Record) {
	last := uint64(0)
	for failures := 0; ; {
		records, err := s.next(ctx, last)
		if ctx.Err() != nil {
			return
		}
		s.report(placeRead, err)
		if len(records) == 0 {
			failures++
			s.backoff.Wait(ctx, failures)
			continue
		}
		failures = 0
		for _, r := range records {
			if !w.begin(ctx, r.Seq) {
				return
			}
			select {
			case to <- r:
			case <-ctx.Done():
				return
			}
			last = r.Seq
		}
	}
}
