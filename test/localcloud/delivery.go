package localcloud

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"edgepdm/shared/wait"
)

// maxTries is how often Lambda runs a function on an asynchronous event.
const maxTries = 3

// DeadLetter is an SNS message on which the function failed for the last time.
type DeadLetter struct {
	Event []byte // as the function got it
	Err   error  // the last try's
	Tries int
}

// subscription delivers a topic's messages to a function, in order, each at least once.
type subscription struct {
	arn, topic string
	invoke     func(ctx context.Context, event []byte) error
	retryDelay time.Duration
	now        func() time.Time
	journal    *recorder
	log        *slog.Logger

	mu         sync.Mutex
	queue      []notification
	wake       chan struct{} // has room for one
	duplicates int           // messages to deliver twice
	dead       []DeadLetter
}

func (s *subscription) enqueue(n notification) {
	s.mu.Lock()
	s.queue = append(s.queue, n)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next returns the message that is to be delivered, and whether it is to be delivered twice.
func (s *subscription) next(ctx context.Context) (n notification, twice, ok bool) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 {
			n, s.queue = s.queue[0], s.queue[1:]
			if s.duplicates > 0 {
				s.duplicates--
				twice = true
			}
			s.mu.Unlock()
			return n, twice, true
		}
		s.mu.Unlock()
		select {
		case <-s.wake:
		case <-ctx.Done():
			return n, false, false
		}
	}
}

// run delivers until ctx ends.
func (s *subscription) run(ctx context.Context) {
	for {
		n, twice, ok := s.next(ctx)
		if !ok {
			return
		}
		event, err := n.event(s.topic, s.arn, s.now())
		if err != nil { // not possible: it holds strings only
			s.log.Error("make SNS event", "err", err)
			continue
		}
		s.deliver(ctx, event, n)
		if twice {
			s.deliver(ctx, event, n)
		}
	}
}

func (s *subscription) deliver(ctx context.Context, event []byte, n notification) {
	var err error
	for try := 1; try <= maxTries; try++ {
		if try > 1 && !wait.For(ctx, s.retryDelay<<(try-2)) {
			return
		}
		if err = s.invoke(ctx, event); err == nil || ctx.Err() != nil {
			return
		}
		s.log.Warn("function failed", "message", n.id, "try", try, "err", err)
	}
	s.mu.Lock()
	s.dead = append(s.dead, DeadLetter{Event: event, Err: err, Tries: maxTries})
	s.mu.Unlock()
	s.journal.addEntry(Entry{Kind: KindDeadLetter, IDs: recordIDs([]byte(n.forLambda)), Name: n.id, Size: len(event)})
}

func (s *subscription) deadLetters() []DeadLetter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.dead)
}

// mailbox keeps what subscribers by e-mail get.
type mailbox struct {
	mu    sync.Mutex
	mails []Mail
}

func (b *mailbox) put(m Mail) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails = append(b.mails, m)
}

func (b *mailbox) all() []Mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.mails)
}

// functionError is the error that a function reported.
type functionError struct {
	Message string `json:"errorMessage"`
	Type    string `json:"errorType"`
}

func (e *functionError) Error() string { return fmt.Sprintf("%s: %s", e.Type, e.Message) }
