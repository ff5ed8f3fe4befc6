package forwarder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"edgepdm/shared/cloud"
	"edgepdm/shared/event"
	"edgepdm/shared/spool"
	"edgepdm/shared/wait"
)

// outcome is what an attempt to deliver a record came to.
type outcome int

const (
	settled outcome = iota // it need not be sent again: the sink has it, or it is a dead letter, or a bound has dropped it
	failed                 // it is to be tried again
	ended                  // ctx ended, and it stays
)

// drain sends what the queue holds until ctx ends: one record at a time, and a backlog as objects where there is a bucket for it.
func (s *stream) drain(ctx context.Context, to sink) {
	w := newWindow(s.parallel)
	for ctx.Err() == nil {
		w = s.archiveBacklog(ctx, w)
		s.publish(ctx, to, w)
	}
}

// publish sends records until ctx ends, or until the backlog is to leave as objects: in order, except for parked records (promise
// F4); several at a time and in no order where the configuration asks for it.
func (s *stream) publish(ctx context.Context, to sink, w *window) {
	ctx, s.interrupt = context.WithCancel(ctx)
	defer s.interrupt()
	records := make(chan spool.Record)
	var workers sync.WaitGroup
	for part := range s.parallel {
		workers.Go(func() { s.work(ctx, to, part, w, records) })
	}
	s.feed(ctx, w, records)
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
			if !s.giveWay(ctx) || !w.begin(ctx, r.Seq) {
				return
			}
			if last = r.Seq; w.settled(r.Seq) {
				s.remove(w, r.Seq)
				continue
			}
			select {
			case to <- r:
			case <-ctx.Done():
				return
			}
		}
	}
}

// giveWay waits while streams that go before this one have a backlog. It returns false when ctx ended before.
func (s *stream) giveWay(ctx context.Context) bool {
	for slices.ContainsFunc(s.before, func(other *stream) bool { return other.isOpen() && other.waiting() > fastLaneFrom }) {
		if !wait.For(ctx, measureEvery) {
			return false
		}
	}
	return true
}

// next waits for records above a sequence number and returns the oldest of them.
func (s *stream) next(ctx context.Context, after uint64) ([]spool.Record, error) {
	if err := s.queue.Wait(ctx, after); err != nil {
		return nil, err
	}
	return s.queue.PeekAfter(after, peekRecords, peekBytes)
}

// work delivers records, and parked ones, one at a time until ctx ends.
func (s *stream) work(ctx context.Context, to sink, part int, w *window, records <-chan spool.Record) {
	for ctx.Err() == nil {
		g, wait, open, changed := w.next(s.options.Now())
		if g != nil {
			s.retry(ctx, to, part, w, g)
			continue
		}
		from := records
		if !open {
			from = nil
		}
		var due <-chan time.Time
		stop := func() bool { return false }
		if wait > 0 {
			timer := time.NewTimer(wait)
			due, stop = timer.C, timer.Stop
		}
		select {
		case r := <-from:
			s.deliver(ctx, to, part, w, r)
		case <-due:
		case <-changed:
		case <-ctx.Done():
		}
		stop()
	}
}

// deliver delivers a record that was not tried before, or parks it.
func (s *stream) deliver(ctx context.Context, to sink, part int, w *window, r spool.Record) {
	i, err := s.newItem(r)
	if err != nil {
		if s.bury(ctx, r, err) {
			s.remove(w, r.Seq)
		}
		return
	}
	if s.parallel > 1 {
		i.group = ownGroup(r.Seq)
	}
	if w.join(i) {
		return
	}
	for {
		result, kind, delay := s.try(ctx, to, part, i, false)
		switch {
		case result == ended:
			return
		case result == settled:
			w.progressed()
			s.remove(w, r.Seq)
			return
		case mayPark(kind) && (i.attempts >= parkAfter || !w.progressing()): // where nothing passes one attempt will do
			w.park(i, s.options.Now().Add(delay))
			return
		}
		if !wait.For(ctx, delay) {
			return
		}
	}
}

// newItem makes an item of a record.
func (s *stream) newItem(r spool.Record) (*item, error) {
	var e envelope
	if err := e.decode(r.Payload); err != nil {
		return nil, fmt.Errorf("%w: %w", errPoison, err)
	}
	return &item{
		record: r, group: e.Topic, begun: s.options.Now(),
		// An earlier process may have sent it.
		message: message{topic: e.Topic, payload: e.Message, replayed: r.Replayed, id: r.ID, seq: r.Seq, at: r.Time},
	}, nil
}

// mayPark tells whether others may pass where a message does not. Without credentials none passes, and a service that
// is throttled is not asked more.
func mayPark(kind cloud.Kind) bool {
	return kind != cloud.NoCredentials && kind != cloud.Throttled
}

// retry tries the first record of a parked group, and another one when that may overtake.
func (s *stream) retry(ctx context.Context, to sink, part int, w *window, g *group) {
	i := w.first(g)
	result, kind, delay := s.try(ctx, to, part, i, w.progressing())
	if result == failed && w.full() && i.attempts > parkAfter {
		if result = ended; s.bury(ctx, i.record, errors.New("others were taken, and this one was not")) {
			result = settled
		}
	}
	due := s.options.Now()
	switch result {
	case settled:
		w.progressed()
		w.drop(g, i)
		s.remove(w, i.record.Seq)
	case failed:
		due = due.Add(delay)
		w.failed(g)
		if s.mayOvertake(w, i, kind) && s.overtake(ctx, to, part, w, g, due) {
			due = s.options.Now()
		}
	case ended:
	}
	w.release(g, due)
}

// overtake tries another record of a group whose first is not taken. It reports whether the group goes on with those behind it.
func (s *stream) overtake(ctx context.Context, to sink, part int, w *window, g *group, due time.Time) bool {
	i, before := w.other(g)
	if i == nil {
		return false
	}
	if result, _, _ := s.try(ctx, to, part, i, true); result != settled {
		return false
	}
	w.progressed()
	w.drop(g, i)
	s.remove(w, i.record.Seq)
	w.detach(g, before, due)
	return true
}

// mayOvertake tells whether another record of a group may pass the parked one: predictions when the service itself
// refuses that one or others get on, and after a while when its connections are cut, alerts after a long time only.
func (s *stream) mayOvertake(w *window, i *item, kind cloud.Kind) bool {
	waits := s.options.Now().Sub(i.begun)
	switch {
	case !mayPark(kind):
		return false
	case waits >= groupWait:
		return true
	case !s.loose:
		return false
	case w.progressing() || kind == cloud.Cut && waits >= stuckAfter:
		return true
	}
	return kind != cloud.Unreachable && kind != cloud.Cut
}

// remove removes a record, and those before it, as soon as none of them is to be sent.
func (s *stream) remove(w *window, seq uint64) {
	if upTo := w.finish(seq); upTo > 0 {
		// Without its cursor on disk, the record is sent again after a restart: no reason to stop now.
		s.report(placeRemove, s.queue.Ack(upTo))
	}
}

// gone reports whether a record was dropped since it was read.
func (s *stream) gone(r spool.Record) bool { return r.Seq <= s.queue.Acked() }

// try makes one attempt to deliver a record. What failed is due again after the delay. With quiet, a failure says nothing
// of the uplink: others get on.
func (s *stream) try(ctx context.Context, to sink, part int, i *item, quiet bool) (result outcome, kind cloud.Kind, delay time.Duration) {
	by := sender{s.name, part}
	if s.gone(i.record) { // what this stream said of it may be old before there is another record
		s.uplink.forget(by)
		s.clearDelivery(i.record.Seq)
		return settled, 0, 0
	}
	err := s.attempt(ctx, to, i.message)
	if err != nil && ctx.Err() != nil {
		return ended, 0, 0
	}
	up, known := reached(to, err)
	if known && (up || !quiet) {
		s.uplink.set(by, up)
	}
	if up || err == nil {
		s.mayArchive(i.record.Time)
	}
	switch {
	case err == nil:
		s.clearDelivery(i.record.Seq)
		s.count(counterSent, 1)
		return settled, 0, 0
	case errors.Is(err, errPoison):
		if !s.bury(ctx, i.record, err) {
			return ended, 0, 0
		}
		return settled, 0, 0
	}
	i.attempts++
	s.count(counterRetried, 1)
	if i.attempts == 1 {
		if skipped, log := s.failing.allow(s.options.Now()); log {
			s.rt.Log.Warn("not delivered; it will be tried again", "stream", s.name, "id", i.record.ID, "error", err, "others", skipped)
		}
	}
	kind = s.reportDelivery(i, err, quiet)
	i.message.replayed = true // the failed attempt may have arrived
	return failed, kind, max(s.backoff.Delay(i.attempts), retryAfter(err))
}

// reportDelivery reports why an attempt failed, once that does not pass by itself: what is refused, or fails while
// others get on, after a few attempts, and all else after a while.
func (s *stream) reportDelivery(i *item, err error, others bool) cloud.Kind {
	kind, why := judge(err)
	passing := !others && (kind == cloud.Busy || kind == cloud.Throttled || kind == cloud.Unreachable || kind == cloud.Cut)
	if !passing && i.attempts < patience || passing && s.options.Now().Sub(i.begun) < stuckAfter {
		return kind
	}
	code, other := event.CodeDelivery, event.CodeCloudAccess
	if kind == cloud.NoCredentials {
		code, other = other, code
	}
	place, part := s.name+" "+placeDeliver, int(i.record.Seq)
	s.rt.Conditions().SetPart(code, place, part, fmt.Errorf("%s (%s)", why, i.record.ID))
	s.rt.Conditions().SetPart(other, place, part, nil)
	return kind
}

// clearDelivery takes back what was reported of a record.
func (s *stream) clearDelivery(seq uint64) {
	for _, code := range []event.Code{event.CodeDelivery, event.CodeCloudAccess} {
		s.rt.Conditions().SetPart(code, s.name+" "+placeDeliver, int(seq), nil)
	}
}

func (s *stream) attempt(ctx context.Context, to sink, m message) error {
	ctx, release := wait.Outlive(ctx, sendGrace)
	defer release()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return to.send(ctx, m)
}

// bury adds a record to the dead letters, so that it does not stop its stream (promise F7). When the disk does not take it, it
// goes to the log in the end: a full disk may be waiting for this very stream to drain.
func (s *stream) bury(ctx context.Context, r spool.Record, reason error) bool {
	if skipped, log := s.buried.allow(s.options.Now()); log {
		s.rt.Log.Error("message is undeliverable: it goes to the dead letters", "stream", s.name, "id", r.ID, "error", reason, "others", skipped)
	}
	for attempt := 1; ; attempt++ {
		err := s.dead.add(s.name, r, reason)
		if err == nil || attempt == buryTries {
			if err != nil {
				s.rt.Log.Error("dead letter could not be written; this line is its only copy", "stream", s.name, "id", r.ID, "error", err, "record", string(r.Payload))
			}
			s.clearDelivery(r.Seq)
			s.reportPart(placeBury, int(r.Seq), nil)
			s.count(counterDead, 1)
			return true
		}
		s.reportPart(placeBury, int(r.Seq), err)
		if !wait.For(ctx, s.backoff.Delay(attempt)) {
			return false
		}
	}
}
