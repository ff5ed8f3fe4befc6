package forwarder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"edgepdm/shared/cloud"
	"edgepdm/shared/event"
	"edgepdm/shared/spool"
	"edgepdm/shared/wait"
)

const (
	// archiveLeast is how many messages an old backlog has at least until it leaves as objects: fewer are sent as soon one at a
	// time, also those of a machine whose clock is behind.
	archiveLeast   = 100
	archiveRetry   = 10 * time.Second
	archiveRefused = 5 * time.Minute // between two attempts with a bucket that refuses objects for good
	// archiveEvery is how long the messages of a stream that leaves as objects only wait for more of them.
	archiveEvery = 5 * time.Minute
)

// archive is where a stream's backlog goes, and when. The backlog is not held up by a bucket that takes nothing: meanwhile it
// leaves one message at a time.
type archive struct {
	records uint64
	age     time.Duration
	bytes   int
	every   time.Duration // 0: only a backlog leaves as objects; else all, and an object is begun so long before it leaves at the latest
	backoff wait.Backoff

	mu       sync.Mutex
	to       batchSink // nil until there is access to it
	failures int       // in a row
	failed   time.Time // when the last one was
	pause    time.Duration
}

// use gives the archive its sink.
func (a *archive) use(to batchSink) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.to = to
}

// long reports whether a backlog of so many records, the oldest of that time, is one that leaves as objects.
func (a *archive) long(now time.Time, waiting uint64, oldest int64) bool {
	at := time.Unix(0, oldest)
	return waiting >= a.records || waiting >= archiveLeast && !at.Before(Sensible()) && now.Sub(at) >= a.age
}

// due returns the sink if a backlog of so many records, the oldest of that time, is to leave as objects now.
func (a *archive) due(now time.Time, waiting uint64, oldest int64) batchSink {
	if a == nil || !a.long(now, waiting, oldest) {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failures > 0 && now.Sub(a.failed).Abs() < a.pause {
		return nil
	}
	return a.to
}

// settle notes what an attempt came to, and returns how many failed in a row.
func (a *archive) settle(now time.Time, err error) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.failures = 0
		return 0
	}
	a.failures++
	a.failed, a.pause = now, max(a.backoff.Delay(a.failures), retryAfter(err))
	if !passes(err) {
		a.pause = archiveRefused
	}
	return a.failures
}

// over reports whether a backlog that was to leave as objects is gone.
func (a *archive) over(now time.Time, waiting uint64, oldest int64) bool {
	if a == nil || a.long(now, waiting, oldest) {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failures > 0
}

// mayArchive ends publishing when the cloud is there and the backlog is to leave as objects: packing is not tried while it is not.
func (s *stream) mayArchive(oldest int64) {
	if s.archive.due(s.options.Now(), s.waiting(), oldest) != nil {
		s.interrupt()
	}
}

// drainObjects sends all that the queue holds as objects, until ctx ends. What the bucket does not take stays.
func (s *stream) drainObjects(ctx context.Context) {
	w := newWindow(s.parallel)
	for ctx.Err() == nil {
		s.fill(ctx)
		for ctx.Err() == nil && s.waiting() > 0 && !s.sendDue(ctx, w) {
			wait.For(ctx, measureEvery)
		}
	}
}

// sendDue sends an object, if one may be sent now.
func (s *stream) sendDue(ctx context.Context, w *window) bool {
	to := s.archive.due(s.options.Now(), s.waiting(), s.queue.Stats().Oldest)
	return to != nil && s.giveWay(ctx) && s.sendObjects(ctx, to, w)
}

// fill waits until there is as much as an object takes, or until the first of it has waited long enough.
func (s *stream) fill(ctx context.Context) {
	if s.queue.Wait(ctx, 0) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.archive.every)
	defer cancel()
	for after, size := uint64(0), 0; size < s.archive.bytes; {
		records, err := s.next(ctx, after)
		if ctx.Err() != nil {
			return
		}
		s.report(placeRead, err)
		if len(records) == 0 {
			s.backoff.Wait(ctx, 1)
			continue
		}
		for _, r := range records {
			after = r.Seq
			size += len(r.Payload)
		}
	}
}

// archiveBacklog sends the backlog as objects, oldest records first, while it is long or old enough and the bucket takes it. It
// returns a window for what is left.
func (s *stream) archiveBacklog(ctx context.Context, w *window) *window {
	for ctx.Err() == nil {
		to := s.archive.due(s.options.Now(), s.waiting(), s.queue.Stats().Oldest)
		if to == nil || !s.sendObjects(ctx, to, w) {
			break
		}
	}
	rest := w.rest(s.parallel, s.queue.Acked())
	s.ahead.Store(rest)
	return rest
}

// sendObjects sends the oldest records, as many as an object takes, and removes them once the service has them all: also those
// that were parked, as the bucket does not ask what a message is. It reports whether they are gone.
func (s *stream) sendObjects(ctx context.Context, to batchSink, w *window) bool {
	messages, bad, upTo, err := s.oldest(w)
	s.report(placeRead, err)
	if upTo == 0 {
		return false
	}
	if len(messages) > 0 {
		err = s.sendBatch(ctx, to, messages)
		if err != nil && ctx.Err() != nil {
			return false
		}
		failures := s.archive.settle(s.options.Now(), err)
		s.reportArchive(err, failures)
		if err != nil {
			return false
		}
		s.count(counterSent, uint64(len(messages)))
		s.count(counterArchived, uint64(len(messages)))
	}
	for _, r := range bad {
		if _, err := s.newMessage(r); !s.bury(ctx, r, err) {
			return false
		}
	}
	for _, seq := range w.leave(upTo) {
		s.clearDelivery(seq)
	}
	for part := range s.parallel {
		s.uplink.forget(sender{s.name, part})
	}
	s.report(placeRemove, s.queue.Ack(upTo))
	return true
}

// oldest reads the oldest records, as many as an object takes, without those that were delivered, and returns the last one's
// sequence number. bad are those that are no messages.
func (s *stream) oldest(w *window) (messages []message, bad []spool.Record, upTo uint64, err error) {
	for size := 0; size < s.archive.bytes; {
		records, err := s.queue.PeekAfter(upTo, peekRecords, min(peekBytes, s.archive.bytes-size))
		if err != nil || len(records) == 0 {
			return messages, bad, upTo, err
		}
		for _, r := range records {
			upTo = r.Seq
			size += len(r.Payload)
			if w.settled(r.Seq) {
				continue
			}
			if m, err := s.newMessage(r); err == nil {
				messages = append(messages, m)
			} else {
				bad = append(bad, r)
			}
		}
	}
	return messages, bad, upTo, nil
}

// newMessage makes a message of a record for an object, which has JSON objects only.
func (s *stream) newMessage(r spool.Record) (message, error) {
	i, err := s.newItem(r)
	if err != nil {
		return message{}, err
	}
	if !bytes.HasPrefix(i.message.payload, []byte("{")) {
		return message{}, fmt.Errorf("%w: it is no JSON object", errPoison)
	}
	return i.message, nil
}

// sendBatch sends messages as objects, a few times where a failure may pass: a message that left by itself meanwhile would make
// others of the same objects, and they might be in the bucket twice.
func (s *stream) sendBatch(ctx context.Context, to batchSink, messages []message) error {
	for attempt := 1; ; attempt++ {
		err := s.attemptBatch(ctx, to, messages)
		if err == nil || !passes(err) || attempt == parkAfter {
			return err
		}
		if skipped, log := s.failing.allow(s.options.Now()); log {
			s.rt.Log.Warn("objects are not delivered; they will be tried again", "stream", s.name, "error", err, "others", skipped)
		}
		if !wait.For(ctx, max(s.backoff.Delay(attempt), retryAfter(err))) {
			return err
		}
	}
}

// passes tells whether a failure to put an object may be over soon.
func passes(err error) bool {
	kind, _ := cloud.Classify(err)
	return kind != cloud.Refused && kind != cloud.NotTheService && !errors.Is(err, errLocal)
}

// attemptBatch makes one attempt. The sink bounds the time of its requests.
func (s *stream) attemptBatch(ctx context.Context, to batchSink, messages []message) error {
	ctx, release := wait.Outlive(ctx, sendGrace)
	defer release()
	err := to.sendBatch(ctx, messages)
	if err == nil || ctx.Err() != nil {
		return err
	}
	s.count(counterRetried, 1)
	if kind, _ := cloud.Classify(err); !errors.Is(err, errLocal) {
		s.uplink.set(sender{stream: s.name}, kind == cloud.Busy || kind == cloud.Throttled || kind == cloud.Refused)
	}
	return err
}

// reportArchive tells of a bucket that takes no objects: at once when that does not pass by itself, else after a few rounds.
func (s *stream) reportArchive(err error, failures int) {
	if err == nil {
		s.uplink.set(sender{stream: s.name}, true)
		s.clearArchive()
		return
	}
	kind, why := cloud.Classify(err)
	if passes(err) && kind != cloud.NoCredentials && failures < patience {
		return
	}
	if region := elsewhere(err); region != "" {
		why = fmt.Sprintf("the bucket is in %s, which is not the region of this core", region)
	}
	if errors.Is(err, errLocal) {
		why = err.Error()
	}
	code, other := event.CodeDelivery, event.CodeCloudAccess
	if kind == cloud.NoCredentials {
		code, other = other, code
	}
	s.rt.Conditions().Set(other, s.name+" "+placeArchive, nil)
	meanwhile := "the backlog leaves one message at a time"
	if s.archive.every > 0 {
		meanwhile = "what waits stays"
	}
	s.rt.Conditions().Set(code, s.name+" "+placeArchive, fmt.Errorf("%s: the bucket takes no objects, and %s", why, meanwhile))
}

// clearArchive takes back what was told of the bucket.
func (s *stream) clearArchive() {
	for _, code := range []event.Code{event.CodeDelivery, event.CodeCloudAccess} {
		s.rt.Conditions().Set(code, s.name+" "+placeArchive, nil)
	}
}
