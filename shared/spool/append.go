package spool

import (
	"context"
	"fmt"
)

// batch is encoded records that wait for the committer, in order.
type batch struct {
	buf   []byte
	items []item
}

// item is one record of a batch.
type item struct {
	end     int // where it ends in buf
	receipt *Receipt
}

// Receipt is the answer to an AppendAsync that is to come.
type Receipt struct {
	done chan struct{}
	left int   // records that have no answer; guarded by the queue's mu
	err  error // set before done is closed
}

// Done is closed when the records are on disk, or when it is certain that they will not be.
func (r *Receipt) Done() <-chan struct{} { return r.done }

// Err returns nil when the records are on disk. It waits for Done.
func (r *Receipt) Err() error {
	<-r.done
	return r.err
}

// Append adds records at the end of the queue. It returns nil when they are on disk and will be there after a loss of
// power. After an error some or none of them may be in the queue: append them again, the sink knows them by their ID.
// When ctx ends they may still be written.
//
// All appends that wait while one fails get its error, so that a record never overtakes one that was appended before it.
func (q *Queue) Append(ctx context.Context, records ...Record) error {
	r, err := q.AppendAsync(ctx, records...)
	if err != nil {
		return err
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return fmt.Errorf("append: %w", ctx.Err())
	}
}

// AppendAsync is Append without waiting for the disk: it copies the records and returns a receipt, for one goroutine that
// takes in many messages. Receipts are answered in the order of the calls. It blocks while more than Options.MaxPending
// bytes wait for the disk.
func (q *Queue) AppendAsync(ctx context.Context, records ...Record) (*Receipt, error) {
	var size int64
	for i := range records {
		if err := records[i].check(); err != nil {
			return nil, fmt.Errorf("append: %w", err)
		}
		size += int64(records[i].size())
	}
	r := &Receipt{done: make(chan struct{}), left: len(records)}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.admit(ctx, size); err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	if len(records) == 0 {
		close(r.done)
		return r, nil
	}
	defer q.signalCommitter()
	for i := range records {
		if err := q.awaitRoom(ctx, r, records[i].size()); err != nil {
			return nil, err
		}
		q.pending.buf = appendRecord(q.pending.buf, &records[i])
		q.pending.items = append(q.pending.items, item{len(q.pending.buf), r})
		q.queued += int64(records[i].size())
	}
	return r, nil
}

// admit refuses what cannot be appended at all. mu is held.
func (q *Queue) admit(ctx context.Context, size int64) error {
	switch {
	case q.closed:
		return ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	case q.o.MaxBytes == 0:
		return nil
	}
	used := int64(segmentHeader)
	if q.o.WhenFull == Reject {
		used += q.queued
		if q.acked < q.last { // else the committer can remove all of it
			used += q.bytes
		}
	}
	if used+size > q.o.MaxBytes {
		return fmt.Errorf("%w: %d of %d bytes used, %d needed", ErrFull, used, q.o.MaxBytes, size)
	}
	return nil
}

// awaitRoom waits until size bytes may be added to pending. It fails when the receipt has its answer, which the records
// before this one brought. mu is held, but not while it waits.
func (q *Queue) awaitRoom(ctx context.Context, r *Receipt, size int) error {
	for {
		switch {
		case r.err != nil:
			return r.err
		case q.closed:
			return fmt.Errorf("append: %w", ErrClosed)
		case len(q.pending.buf) == 0 || len(q.pending.buf)+size <= q.o.MaxPending:
			return nil
		}
		q.full = true
		q.signalCommitter()
		room := q.room.wait()
		q.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
		}
		q.mu.Lock()
		if ctx.Err() != nil {
			return fmt.Errorf("append: %w", ctx.Err())
		}
	}
}

// signalCommitter makes the committer look at pending, now or when it is done with what it does.
func (q *Queue) signalCommitter() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// answer tells the receipts of items how it went. mu is held.
func (q *Queue) answer(items []item, err error) {
	for _, it := range items {
		r := it.receipt
		r.left--
		if r.err == nil && err != nil {
			r.err = fmt.Errorf("append: %w", err)
			close(r.done)
		}
		if r.left == 0 && r.err == nil {
			close(r.done)
		}
	}
}
