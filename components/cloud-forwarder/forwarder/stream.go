package forwarder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"edgepdm/shared/component"
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
	counterDropped  = ".dropped"  // by the bound on disk space
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

const (
	peekRecords = 64
	peekBytes   = 256 << 10
)

// stream is one queue and the sink that drains it, in order (promise F4). Streams do not wait for each other, so that
// alerts overtake predictions and neither starves (F6).
type stream struct {
	name    string
	queue   *spool.Queue
	sink    sink
	timeout time.Duration
	backoff component.Backoff
	dead    *deadLetters
	uplink  func(up bool) // told what an attempt says of the way to the cloud; nil for sinks that do not use it
	rt      *component.Runtime
}

// envelope is what the queue keeps of a message.
type envelope struct {
	Topic   string          `json:"topic"`
	Message json.RawMessage `json:"message"`
}

func (s *stream) count(what string, n int) {
	s.rt.Counter(counterStream + s.name + what).Add(uint64(n))
}

// measure brings the counters that say how much waits up to date.
func (s *stream) measure(now time.Time) {
	stats := s.queue.Stats()
	set := func(what string, n uint64) { s.rt.Counter(counterStream + s.name + what).Store(n) }
	set(counterDepth, stats.Depth)
	set(counterBytes, uint64(stats.Bytes))
	set(counterDropped, stats.Dropped[spool.ReasonOldest])
	age := time.Duration(0)
	if stats.Depth > 0 {
		age = max(now.Sub(time.Unix(0, stats.Oldest)), 0)
	}
	set(counterAge, uint64(age/time.Second))
}

// drain sends what the queue holds until ctx ends. Only a queue that fails ends it early.
func (s *stream) drain(ctx context.Context) error {
	for {
		if err := s.queue.Wait(ctx, 0); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("wait for %s: %w", s.name, err)
		}
		records, err := s.queue.Peek(peekRecords, peekBytes)
		if err != nil {
			return fmt.Errorf("read %s: %w", s.name, err)
		}
		for _, r := range records {
			if !s.deliver(ctx, r) {
				return nil // the context has ended; the record stays
			}
			if err := s.queue.Ack(r.Seq); err != nil {
				return fmt.Errorf("remove from %s: %w", s.name, err)
			}
		}
	}
}

// deliver sends one record, again and again until the sink has it or refuses it for good. It returns false when ctx ended
// before.
func (s *stream) deliver(ctx context.Context, r spool.Record) bool {
	var e envelope
	if err := json.Unmarshal(r.Payload, &e); err != nil {
		return s.bury(r, fmt.Errorf("%w: %w", errPoison, err))
	}
	m := message{e.Topic, e.Message}
	if r.Replayed { // an earlier process may have sent it
		m.payload = markReplayed(e.Message)
	}
	for attempt := 1; ; attempt++ {
		err := s.attempt(ctx, m)
		if s.uplink != nil && (err == nil || ctx.Err() == nil) {
			s.uplink(err == nil || reached(err))
		}
		switch {
		case err == nil:
			s.count(counterSent, 1)
			return true
		case errors.Is(err, errPoison):
			return s.bury(r, err)
		case ctx.Err() != nil:
			return false
		}
		s.count(counterRetried, 1)
		if attempt == 1 {
			s.rt.Log.Warn("not delivered; it will be tried again", "stream", s.name, "id", r.ID, "error", err)
		}
		m.payload = markReplayed(e.Message) // the failed attempt may have arrived all the same
		s.backoff.Wait(ctx, attempt)
	}
}

func (s *stream) attempt(ctx context.Context, m message) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.sink.send(ctx, m)
}

// bury puts a record among the dead letters, so that it does not stop its stream (promise F7).
func (s *stream) bury(r spool.Record, reason error) bool {
	s.count(counterDead, 1)
	s.rt.Log.Error("message is undeliverable: it goes to the dead letters", "stream", s.name, "id", r.ID, "error", reason)
	if err := s.dead.add(s.name, r, reason); err != nil {
		s.rt.Log.Error("dead letter is lost", "stream", s.name, "id", r.ID, "error", err)
	}
	return true
}

// deadLetters is a file of what no sink will take, a JSON line each. Beyond its limit it begins anew, and the file before
// is kept with the suffix .old.
type deadLetters struct {
	path  string
	limit int64 // bytes
	now   func() time.Time
}

type deadLetter struct {
	Stream string          `json:"stream"`
	ID     string          `json:"id"`
	Time   time.Time       `json:"time"` // of the message
	Buried time.Time       `json:"buried"`
	Reason string          `json:"reason"`
	Record json.RawMessage `json:"record"`
}

func (d *deadLetters) add(streamName string, r spool.Record, reason error) error {
	letter := deadLetter{streamName, r.ID, time.Unix(0, r.Time).UTC(), d.now().UTC(), reason.Error(), r.Payload}
	if !json.Valid(r.Payload) {
		quoted, err := json.Marshal(string(r.Payload))
		if err != nil {
			return fmt.Errorf("encode dead letter: %w", err)
		}
		letter.Record = quoted
	}
	line, err := json.Marshal(letter)
	if err != nil {
		return fmt.Errorf("encode dead letter: %w", err)
	}
	if info, err := os.Stat(d.path); err == nil && info.Size()+int64(len(line)) > d.limit {
		if err := os.Rename(d.path, d.path+".old"); err != nil {
			return fmt.Errorf("begin new dead letters: %w", err)
		}
	}
	f, err := os.OpenFile(d.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open dead letters: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}
