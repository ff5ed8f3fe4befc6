package forwarder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/spool"
	"edgepdm/shared/wait"
)

// Names of a stream's counters in the health messages are event.CounterStream + its name + one of these.
const (
	counterAccepted = ".accepted" // on disk
	counterBytes    = ".bytes"    // that they take now
	counterAge      = ".oldest_s" // age of the oldest of them, seconds
	counterSent     = ".sent"     // acknowledged by the sink
	counterArchived = ".archived" // of those, as objects
	counterRetried  = ".retried"  // attempts that failed and will be repeated
	counterDead     = ".dead"     // dead letters
	counterDropped  = ".dropped"  // by a bound or a person; also with "." and the reason: drop-oldest (bytes), free-space, age or operator
	counterLost     = ".lost"     // damaged on disk
)

// Places of a stream where something can be wrong, and those of access to AWS.
const (
	placeOpen    = "open"
	placeReceive = "receive"
	placeRead    = "read"
	placeDeliver = "deliver"
	placeArchive = "archive"
	placeBury    = "dead letters"
	placeRemove  = "remove"
	placeExpire  = "expire"
	placeMove    = "move on"
	placeDrops   = "drops"
	placeDedup   = "known alerts"
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

// stream is one queue and the sink that drains it: in order, unless parallel is above 1 or the sink does not take a record
// (promise F4). Streams do not wait for each other, so that alerts overtake predictions and neither starves (F6).
type stream struct {
	name    string
	dir     string
	options spool.Options
	queue   *spool.Queue // from when opened is closed
	opened  chan struct{}
	sinks   chan sink // gets one sink, once there is access to it

	parallel int           // requests under way at a time
	loose    bool          // records may pass one that the sink does not take, of the same topic too
	behind   *stream       // nil, or the stream that takes what this one does not send soon
	before   []*stream     // this one sends nothing while others have a backlog
	maxAge   time.Duration // at which records are dropped; 0 = never
	timeout  time.Duration
	backoff  wait.Backoff
	dead     *deadLetters
	uplink   *uplink
	rt       *component.Runtime

	archive   *archive           // nil where all leave one at a time
	interrupt context.CancelFunc // ends publishing, so that the backlog leaves as objects

	ahead   atomic.Pointer[window]  // what is under way; nil before there is a sink
	drops   *drops                  // of all streams
	buried  logLimiter              // messages that became dead letters
	failing logLimiter              // messages whose first attempt failed
	dropped map[spool.Reason]uint64 // as counted
	lost    uint64                  // as counted
}

// encode is json.Marshal without the escapes for HTML: a message is kept as it came.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// put begins to put a message on disk, which was decoded.
func (s *stream) put(ctx context.Context, m ipc.TopicMessage, id string, ts time.Time) (*spool.Receipt, error) {
	payload, err := encodeEnvelope(m)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	if ts.IsZero() {
		ts = s.options.Now()
	}
	return s.queue.AppendAsync(ctx, spool.Record{Stream: s.name, ID: id, Time: ts.UnixNano(), Payload: payload})
}

// accepted counts a message that is on disk.
func (s *stream) accepted() {
	s.count(counterAccepted, 1)
	s.report(placeReceive, nil)
}

// refused counts a message that is not.
func (s *stream) refused(err error) {
	reason := ".disk" // it does not take it
	switch {
	case errors.Is(err, spool.ErrFull):
		reason = ".full" // the stream's bound in bytes
	case errors.Is(err, spool.ErrNoSpace):
		reason = ".free-space" // the disk's floor
	}
	s.rt.Counter(CounterRefused).Add(1)
	s.rt.Counter(CounterRefused + reason).Add(1)
	s.report(placeReceive, fmt.Errorf("not put on disk: %w", err))
}

// report sets what is wrong with the disk at a place of the stream; nil: nothing.
func (s *stream) report(what string, problem error) { s.reportPart(what, 0, problem) }

// reportPart is report for one of the requests that the stream has under way.
func (s *stream) reportPart(what string, part int, problem error) {
	s.rt.Conditions().SetPart(event.CodeDisk, s.name+" "+what, part, problem)
}

func (s *stream) count(what string, n uint64) {
	s.rt.Counter(event.CounterStream + s.name + what).Add(n)
}

// Sensible is the earliest time that a right clock shows: the age of what has an earlier time is unknown.
func Sensible() time.Time { return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) }

// expire drops the records that are too old (promise F5).
func (s *stream) expire(now time.Time) {
	if s.maxAge == 0 {
		return
	}
	_, err := s.queue.Expire(Sensible(), now.Add(-s.maxAge))
	s.report(placeExpire, err)
}

// measure brings the counters up to date that are the queue's.
func (s *stream) measure(now time.Time) {
	stats := s.queue.Stats()
	set := func(what string, n uint64) { s.rt.Counter(event.CounterStream + s.name + what).Store(n) }
	depth := s.waiting()
	set(event.CounterStreamDepth, depth)
	set(counterBytes, uint64(stats.Bytes))
	age := time.Duration(0)
	if depth > 0 {
		age = max(now.Sub(time.Unix(0, stats.Oldest)), 0)
	}
	set(counterAge, uint64(age/time.Second))
	dropped := uint64(0)
	for reason, n := range stats.Dropped { // the queue counts from when it was opened
		if s.dropped[reason] == 0 && n > 0 {
			s.rt.Log.Warn("messages that waited are dropped, and counted", "stream", s.name, "bound", reason)
		}
		dropped += n - s.dropped[reason]
		s.drops.add(s.name, reason, n-s.dropped[reason], now)
		s.count(counterDropped+"."+string(reason), n-s.dropped[reason])
		s.dropped[reason] = n
	}
	s.count(counterDropped, dropped)
	if s.archive.over(now, depth, stats.Oldest) { // what is wrong with the bucket is told again with the next backlog
		s.clearArchive()
	}
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
	if s.behind != nil {
		s.fastLane(ctx)
		return
	}
	if s.archive != nil && s.archive.every > 0 {
		s.drainObjects(ctx)
		return
	}
	select {
	case to := <-s.sinks:
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
	if err := errors.Join(durable.Sync(spools), durable.Sync(filepath.Dir(spools))); err != nil {
		return errors.Join(err, queue.Close())
	}
	s.queue = queue
	close(s.opened)
	return nil
}

// waiting returns how many records are to be sent.
func (s *stream) waiting() uint64 {
	depth := s.queue.Depth()
	if w := s.ahead.Load(); w != nil {
		depth -= min(depth, uint64(w.delivered()))
	}
	return depth
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
