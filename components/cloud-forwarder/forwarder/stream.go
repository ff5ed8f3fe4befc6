package forwarder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"edgepdm/shared/cloud"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/spool"
)

// Names of a stream's counters in the health messages are counterStream + its name + one of these.
const (
	counterStream   = "stream."
	counterAccepted = ".accepted" // on disk
	counterDepth    = ".depth"    // records that wait now
	counterBytes    = ".bytes"    // that they take now
	counterAge      = ".oldest_s" // age of the oldest of them, seconds
	counterSent     = ".sent"     // acknowledged by the sink
	counterRetried  = ".retried"  // attempts that failed and will be repeated
	counterDead     = ".dead"     // dead letters
	counterDropped  = ".dropped"  // by a bound; also with "." and the bound: drop-oldest (bytes), free-space or age
	counterLost     = ".lost"     // damaged on disk
)

// Waiting returns how many records wait in all streams, by the counters of a health message.
func Waiting(counters map[string]uint64) (n uint64) {
	for name, value := range counters {
		if strings.HasPrefix(name, counterStream) && strings.HasSuffix(name, counterDepth) {
			n += value
		}
	}
	return n
}

// Places of a stream where something can be wrong, and those of access to AWS.
const (
	placeOpen    = "open"
	placeReceive = "receive"
	placeRead    = "read"
	placeDeliver = "deliver"
	placeBury    = "dead letters"
	placeRemove  = "remove"
	placeExpire  = "expire"
	placeAWS     = "AWS"
	placeRootCAs = "root certificates"
)

const (
	peekRecords = 64
	peekBytes   = 256 << 10
	patience    = 3                // attempts that a service refuses, until that is a condition
	stuckAfter  = 30 * time.Second // without a success, whatever the reason is, until that is one
	buryTries   = 10               // until a dead letter goes to the log only
)

// stream is one queue and the sink that drains it, in order unless parallel is above 1 (promise F4). Streams do not wait for each other, so that
// alerts overtake predictions and neither starves (F6).
type stream struct {
	name    string
	dir     string
	options spool.Options
	queue   *spool.Queue // from when opened is closed
	opened  chan struct{}
	sinks   chan sink // gets one sink, once there is access to it

	parallel int           // requests under way at a time
	maxAge   time.Duration // at which records are dropped; 0 = never
	timeout  time.Duration
	backoff  component.Backoff
	dead     *deadLetters
	uplink   *uplink
	rt       *component.Runtime

	dropped map[spool.Reason]uint64 // as counted
	lost    uint64                  // as counted
}

// envelope is what the queue keeps of a message.
type envelope struct {
	Topic   string          `json:"topic"`
	Message json.RawMessage `json:"message"`
}

// report says what is wrong with the disk at a place of the stream; nil: it works.
func (s *stream) report(what string, problem error) { s.reportPart(what, 0, problem) }

// reportPart is report for one of the requests that the stream has under way.
func (s *stream) reportPart(what string, part int, problem error) {
	s.rt.Conditions().SetPart(event.CodeDisk, s.name+" "+what, part, problem)
}

func (s *stream) count(what string, n uint64) {
	s.rt.Counter(counterStream + s.name + what).Add(n)
}

// sensible is a time before which no clock is right: what carries an earlier one has no age that is known.
func sensible() time.Time { return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) }

// expire drops the records that are too old (promise F5).
func (s *stream) expire(now time.Time) {
	if s.maxAge == 0 {
		return
	}
	_, err := s.queue.Expire(sensible(), now.Add(-s.maxAge))
	s.report(placeExpire, err)
}

// measure brings the counters up to date that are the queue's.
func (s *stream) measure(now time.Time) {
	stats := s.queue.Stats()
	set := func(what string, n uint64) { s.rt.Counter(counterStream + s.name + what).Store(n) }
	set(counterDepth, stats.Depth)
	set(counterBytes, uint64(stats.Bytes))
	age := time.Duration(0)
	if stats.Depth > 0 {
		age = max(now.Sub(time.Unix(0, stats.Oldest)), 0)
	}
	set(counterAge, uint64(age/time.Second))
	dropped := uint64(0)
	for reason, n := range stats.Dropped { // the queue counts from when it was opened
		if s.dropped[reason] == 0 && n > 0 {
			s.rt.Log.Warn("messages that waited are dropped, and counted", "stream", s.name, "bound", reason)
		}
		dropped += n - s.dropped[reason]
		s.count(counterDropped+"."+string(reason), n-s.dropped[reason])
		s.dropped[reason] = n
	}
	s.count(counterDropped, dropped)
	s.count(counterLost, stats.LostRecords-s.lost)
	s.lost = stats.LostRecords
}

// run opens the queue, and drains it once there is a sink, until ctx ends.
func (s *stream) run(ctx context.Context) {
	for attempt := 1; ; attempt++ {
		err := s.open()
		s.report(placeOpen, err)
		if err == nil {
			break
		}
		s.backoff.Wait(ctx, attempt)
		if ctx.Err() != nil {
			return
		}
	}
	select {
	case to := <-s.sinks:
		if s.parallel > 1 {
			s.drainParallel(ctx, to)
			return
		}
		s.drain(ctx, to)
	case <-ctx.Done():
	}
}

func (s *stream) open() error {
	queue, err := spool.Open(s.dir, s.options)
	if err != nil {
		return err
	}
	// The folders that Open made are on disk only with their names.
	spools := filepath.Dir(s.dir)
	if err := errors.Join(syncDir(spools), syncDir(filepath.Dir(spools))); err != nil {
		return errors.Join(err, queue.Close())
	}
	s.queue = queue
	close(s.opened)
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *stream) isOpen() bool {
	select {
	case <-s.opened:
		return true
	default:
		return false
	}
}

func (s *stream) close() {
	if !s.isOpen() {
		return
	}
	if err := s.queue.Close(); err != nil {
		s.rt.Log.Error("queue was not closed cleanly", "stream", s.name, "error", err)
	}
}

// drain sends what the queue holds until ctx ends. A disk that fails is tried again.
func (s *stream) drain(ctx context.Context, to sink) {
	for failures := 0; ; {
		records, err := s.next(ctx, 0)
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
			if ctx.Err() != nil || !s.gone(r) && !s.deliver(ctx, to, r, 0) {
				return // the record stays
			}
			// Without its cursor on disk, the record is sent again after a restart: no reason to stop now.
			s.report(placeRemove, s.queue.Ack(r.Seq))
		}
	}
}

// next waits for records above a sequence number and returns the oldest of them.
func (s *stream) next(ctx context.Context, after uint64) ([]spool.Record, error) {
	if err := s.queue.Wait(ctx, after); err != nil {
		return nil, err
	}
	return s.queue.PeekAfter(after, peekRecords, peekBytes)
}

// gone reports whether a record was dropped since it was read.
func (s *stream) gone(r spool.Record) bool { return r.Seq <= s.queue.Acked() }

// deliver sends one record, again and again until the sink has it or refuses it for good, or until a bound has dropped it. It
// returns false when ctx ended before. Of those that a stream sends at a time, each has a part of its own.
func (s *stream) deliver(ctx context.Context, to sink, r spool.Record, part int) bool {
	var e envelope
	if err := json.Unmarshal(r.Payload, &e); err != nil {
		return s.bury(ctx, r, part, fmt.Errorf("%w: %w", errPoison, err))
	}
	m := message{topic: e.Topic, payload: e.Message, replayed: r.Replayed} // an earlier process may have sent it
	begun := s.options.Now()
	for attempt := 1; ; attempt++ {
		err := s.attempt(ctx, to, m)
		if err != nil && ctx.Err() != nil {
			return false
		}
		if up, known := reached(to, err); known {
			s.uplink.set(sender{s.name, part}, up)
		}
		switch {
		case err == nil:
			s.delivers(part)
			s.count(counterSent, 1)
			return true
		case errors.Is(err, errPoison):
			return s.bury(ctx, r, part, err)
		}
		s.count(counterRetried, 1)
		if attempt == 1 {
			s.rt.Log.Warn("not delivered; it will be tried again", "stream", s.name, "id", r.ID, "error", err)
		}
		s.undelivered(part, err, attempt, s.options.Now().Sub(begun))
		m.replayed = true // the failed attempt may have arrived all the same
		if !pause(ctx, max(s.backoff.Delay(attempt), min(retryAfter(err), s.backoff.Max))) {
			return false
		}
		if s.gone(r) { // what this stream said of it may be old before there is another record
			s.uplink.forget(sender{s.name, part})
			s.delivers(part)
			return true
		}
	}
}

// undelivered reports what an attempt has failed with, once that does not pass by itself: what is refused after a few
// attempts, and all else after a while.
func (s *stream) undelivered(part int, err error, attempt int, since time.Duration) {
	kind, why := judge(err)
	definite := kind != cloud.Busy && kind != cloud.Unreachable
	if definite && attempt < patience || !definite && since < stuckAfter {
		return
	}
	code, other := event.CodeDelivery, event.CodeCloudAccess
	if kind == cloud.NoCredentials {
		code, other = other, code
	}
	place := s.name + " " + placeDeliver
	s.rt.Conditions().SetPart(other, place, part, nil)
	s.rt.Conditions().SetPart(code, place, part, errors.New(why))
}

// delivers reports that a part of the stream gets on.
func (s *stream) delivers(part int) {
	for _, code := range []event.Code{event.CodeDelivery, event.CodeCloudAccess} {
		s.rt.Conditions().SetPart(code, s.name+" "+placeDeliver, part, nil)
	}
}

func (s *stream) attempt(ctx context.Context, to sink, m message) error {
	ctx, release := component.Outlive(ctx, sendGrace)
	defer release()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return to.send(ctx, m)
}

// bury puts a record among the dead letters, so that it does not stop its stream (promise F7). When the disk does not take
// it, it goes to the log in the end: a full disk may be waiting for this very stream to drain.
func (s *stream) bury(ctx context.Context, r spool.Record, part int, reason error) bool {
	s.rt.Log.Error("message is undeliverable: it goes to the dead letters", "stream", s.name, "id", r.ID, "error", reason)
	for attempt := 1; ; attempt++ {
		err := s.dead.add(s.name, r, reason)
		if err == nil || attempt == buryTries {
			if err != nil {
				s.rt.Log.Error("dead letter is lost, but for this line", "stream", s.name, "id", r.ID, "error", err, "record", string(r.Payload))
			}
			s.delivers(part)
			s.reportPart(placeBury, part, nil)
			s.count(counterDead, 1)
			return true
		}
		s.reportPart(placeBury, part, err)
		if !pause(ctx, s.backoff.Delay(attempt)) {
			return false
		}
	}
}

// pause waits, and reports whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
