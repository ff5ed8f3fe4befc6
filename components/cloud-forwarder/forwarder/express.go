package forwarder

import (
	"context"
	"encoding/json"
	"time"

	"edgepdm/shared/cloud"
	"edgepdm/shared/spool"
)

const (
	// expressFrom is how many predictions have to wait until changes of labels go by their own stream. With fewer, all keep
	// their order.
	expressFrom = 8
	// expressLength is how many changes of labels wait in their own stream. The oldest of more join the predictions, so that
	// those of now never wait for those of an outage.
	expressLength = 8
	expressBytes  = 4 << 20 // for those that come while a request is under way
)

// express drains a stream until ctx ends: the few newest records go by it, and what becomes old goes on to the stream
// behind, also what the sink does not take, for that stream has means against it. What an earlier process has left goes
// there too: it may have moved some of that already, and of two copies the marked one has to be the second.
func (s *stream) express(ctx context.Context) {
	if !opened(ctx, s.behind) {
		return
	}
	var to sink
	var i *item
	left := s.queue.Depth()
	for failures := 0; ctx.Err() == nil; {
		excess := left
		if depth := s.queue.Depth(); depth > expressLength {
			excess = max(left, depth-expressLength)
		}
		if excess > 0 {
			moved, err := s.moveOn(ctx, int(min(excess, peekRecords)))
			if ctx.Err() != nil {
				return
			}
			s.report(placeMove, err)
			if left -= min(left, moved); err == nil {
				failures = 0
				continue
			}
			failures++
			s.backoff.Wait(ctx, failures)
			continue
		}
		if to == nil {
			to = s.awaitSink(ctx)
			continue
		}
		if i != nil && s.gone(i.record) { // what was said of it is old before there is another record
			s.uplink.forget(sender{stream: s.name})
			s.delivers(i.record.Seq)
			i = nil
		}
		err := s.queue.Wait(ctx, 0)
		var records []spool.Record
		if err == nil {
			records, err = s.queue.Peek(1, peekBytes) // no more: what was read counts as sent
		}
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
		if i == nil || i.record.Seq != records[0].Seq {
			if i, err = s.newItem(records[0]); err != nil {
				left = 1 // the stream behind buries it
				continue
			}
		}
		if s.expressOne(ctx, to, i) {
			left = 1
		}
	}
}

// expressOne makes one attempt with a record, and waits when it fails. It reports whether the record is to be left to the
// stream behind.
func (s *stream) expressOne(ctx context.Context, to sink, i *item) (leave bool) {
	reached := s.uplink.reached()
	result, kind, delay := s.try(ctx, to, 0, i, false)
	switch {
	case result == ended:
		return false
	case result == settled:
		s.report(placeRemove, s.queue.Ack(i.record.Seq))
		return false
	case i.attempts >= asideTries && mayStepAside(kind) && kind != cloud.Unreachable && kind != cloud.Cut:
		return true
	case kind == cloud.Throttled:
		reached = nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-reached: // by another stream: no reason to wait
	case <-ctx.Done():
	}
	return false
}

// awaitSink waits for the sink, but not so long that the stream grows.
func (s *stream) awaitSink(ctx context.Context) sink {
	timer := time.NewTimer(measureEvery)
	defer timer.Stop()
	select {
	case to := <-s.sinks:
		return to
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// moveOn moves up to n of the oldest records to the stream behind: it has them on disk before they are removed here. What may
// have been sent keeps a mark of that.
func (s *stream) moveOn(ctx context.Context, n int) (moved uint64, err error) {
	records, err := s.queue.Peek(n, peekBytes)
	if err != nil {
		return 0, err
	}
	if len(records) == 0 { // nothing that can be read
		return uint64(n), nil
	}
	receipts := make([]*spool.Receipt, 0, len(records))
	for _, r := range records {
		on := spool.Record{Stream: s.behind.name, ID: r.ID, Time: r.Time, Payload: r.Payload}
		var e envelope
		if r.Replayed && json.Unmarshal(r.Payload, &e) == nil {
			e.Message = markReplayed(e.Message)
			if marked, err := encode(e); err == nil {
				on.Payload = marked
			}
		}
		receipt, err := s.behind.queue.AppendAsync(ctx, on)
		if err != nil {
			return 0, err
		}
		receipts = append(receipts, receipt)
	}
	for _, receipt := range receipts {
		select {
		case <-receipt.Done():
			if err := receipt.Err(); err != nil {
				return 0, err
			}
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	for _, r := range records {
		s.delivers(r.Seq)
	}
	s.uplink.forget(sender{stream: s.name})
	return uint64(len(records)), s.queue.Ack(records[len(records)-1].Seq)
}
