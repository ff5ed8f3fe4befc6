package forwarder

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"edgepdm/shared/cloud"
	"edgepdm/shared/spool"
	"edgepdm/shared/wait"
)

const (
	// fastLaneFrom is how many predictions have to wait until label changes get a lane of their own. With fewer, all keep their order.
	fastLaneFrom = 8
	// fastLaneLength is how many label changes the lane holds. The oldest of more join the predictions, so that new ones never
	// wait for those of an outage.
	fastLaneLength = 8
	fastLaneBytes  = 4 << 20 // for those that arrive while a request is under way
)

// fastLane sends the newest few label changes past the predictions. It moves the others to the predictions: old ones, and those
// that the sink does not take. While the disk does not let it, it sends them itself.
type fastLane struct {
	*stream
	to      sink
	head    *item     // the first record, once it was tried
	left    uint64    // records of an earlier process: all move, since some may be among the predictions already, without a mark
	refused bool      // the sink does not take the head
	moveAt  time.Time // no move before; the last one failed

	unread, unmoved int // failures in a row
}

func (s *stream) fastLane(ctx context.Context) {
	if !opened(ctx, s.behind) {
		return
	}
	l := fastLane{stream: s, left: s.queue.Depth()}
	for ctx.Err() == nil {
		excess := l.excess()
		left := time.Until(l.moveAt)
		switch {
		case excess == 0:
			l.report(placeMove, nil)
			l.send(ctx)
		case left > 0 && l.maySend():
			l.send(ctx)
		case wait.For(ctx, left):
			l.move(ctx, excess)
		}
	}
}

// excess is how many records have to move.
func (l *fastLane) excess() uint64 {
	depth := l.queue.Depth()
	excess := max(min(l.left, depth), depth-min(depth, fastLaneLength))
	if l.refused {
		excess = max(excess, 1)
	}
	return excess
}

// maySend reports whether the head may be sent although it has to move: it has no copy without a mark among the predictions.
func (l *fastLane) maySend() bool { return !l.refused && (l.left == 0 || l.behind.waiting() == 0) }

func (l *fastLane) move(ctx context.Context, excess uint64) {
	moved, err := l.moveOn(ctx, int(min(excess, peekRecords)))
	if ctx.Err() != nil {
		return
	}
	l.report(placeMove, err)
	l.left -= min(l.left, moved)
	l.refused = false
	if err == nil {
		l.unmoved, l.moveAt = 0, time.Time{}
		return
	}
	l.unmoved++
	l.moveAt = time.Now().Add(l.backoff.Delay(l.unmoved))
}

// send makes one attempt with the head, and waits when it fails.
func (l *fastLane) send(ctx context.Context) {
	if l.to == nil {
		l.to = l.awaitSink(ctx)
		return
	}
	if l.head != nil && l.gone(l.head.record) { // what was said of it is old before the next record comes
		l.uplink.forget(sender{stream: l.name})
		l.clearDelivery(l.head.record.Seq)
		l.head = nil
	}
	err := l.queue.Wait(ctx, 0)
	var records []spool.Record
	if err == nil {
		records, err = l.queue.Peek(1, peekBytes) // no more: what was read counts as sent
	}
	if ctx.Err() != nil {
		return
	}
	l.report(placeRead, err)
	if len(records) == 0 {
		l.unread++
		l.backoff.Wait(ctx, l.unread)
		return
	}
	l.unread = 0
	r := records[0]
	if l.head == nil || l.head.record.Seq != r.Seq {
		if l.head, err = l.newItem(r); err != nil {
			if l.bury(ctx, r, err) {
				l.drop(r)
			}
			return
		}
	}
	l.attemptHead(ctx)
}

func (l *fastLane) attemptHead(ctx context.Context) {
	reached := l.uplink.reached()
	result, kind, delay := l.try(ctx, l.to, 0, l.head, false)
	switch {
	case result == ended:
		return
	case result == settled:
		l.drop(l.head.record)
		return
	case l.head.attempts >= parkAfter && mayPark(kind) && kind != cloud.Unreachable && kind != cloud.Cut:
		l.refused = true
		return
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
}

// drop removes the first record, which need not be sent again.
func (l *fastLane) drop(r spool.Record) {
	l.report(placeRemove, l.queue.Ack(r.Seq))
	l.left -= min(l.left, 1)
}

// awaitSink waits for the sink, but not so long that the lane grows.
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

// moveOn moves up to n of the oldest records to the stream behind: it has them on disk before they are removed here.
func (s *stream) moveOn(ctx context.Context, n int) (moved uint64, err error) {
	records, err := s.queue.Peek(n, peekBytes)
	if err != nil {
		return 0, err
	}
	if len(records) == 0 { // nothing that can be read
		return uint64(n), nil
	}
	var receipts []*spool.Receipt
	for _, r := range records {
		var on spool.Record
		var receipt *spool.Receipt
		if on, err = s.onward(r); err == nil {
			receipt, err = s.behind.queue.AppendAsync(ctx, on)
		}
		if err != nil {
			break
		}
		receipts = append(receipts, receipt)
	}
	for _, receipt := range receipts { // in the order of the records
		if failed := await(ctx, receipt); failed != nil {
			err = failed
			break
		}
		moved++
	}
	if moved == 0 {
		return 0, err
	}
	for _, r := range records[:moved] {
		s.clearDelivery(r.Seq)
	}
	s.uplink.forget(sender{stream: s.name})
	return moved, errors.Join(err, s.queue.Ack(records[moved-1].Seq))
}

// onward is a record for the stream behind. What may have been sent says so there, too; a record that is no message is never sent.
func (s *stream) onward(r spool.Record) (spool.Record, error) {
	on := spool.Record{Stream: s.behind.name, ID: r.ID, Time: r.Time, Payload: r.Payload}
	var e envelope
	if r.Replayed && json.Unmarshal(r.Payload, &e) == nil {
		var err error
		e.Message = markReplayed(e.Message)
		if on.Payload, err = encode(e); err != nil {
			return on, err
		}
	}
	return on, nil
}
