package ipc

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// Subscription is a stream of events. A reader that is too slow loses the oldest events (Options.Queue of them wait),
// never the connection nor the events of other subscriptions; Dropped counts them. The zero value is one without events.
type Subscription[T any] struct {
	client  *Client
	call    *Call
	loss    Drop // what is the same in all of them
	decode  func(payload []byte) (T, error)
	events  chan T
	dropped atomic.Uint64
	garbled atomic.Uint64

	mu    sync.Mutex // the reader and Close meet here
	ended bool
	err   error // set before events is closed
}

// subscribe starts a subscription and waits until the nucleus has accepted it. The reader calls decode; what it returns
// must not refer to the payload.
func subscribe[T any](ctx context.Context, c *Client, operation string, request any, decode func([]byte) (T, error)) (*Subscription[T], error) {
	payload, err := c.marshal(ctx, operation, request)
	if err != nil {
		return nil, err
	}
	s := &Subscription[T]{client: c, loss: Drop{Operation: operation, Request: request}, decode: decode, events: make(chan T, c.queue)}
	s.call, err = c.start(ctx, named(operation), false, s, nil, func(b []byte) []byte { return append(b, payload...) })
	if err != nil {
		return nil, err
	}
	if err := s.call.Wait(ctx); err != nil {
		if errors.Is(err, ErrTimeout) || errors.Is(err, ctx.Err()) {
			c.terminate(s.call) // it may yet be accepted
		}
		return nil, err
	}
	return s, nil
}

// Events returns the channel of events, oldest first. It is closed when the subscription ends; Err then tells why.
func (s *Subscription[T]) Events() <-chan T { return s.events }

// Dropped returns how many events were dropped because the reader was too slow.
func (s *Subscription[T]) Dropped() uint64 { return s.dropped.Load() }

// Garbled returns how many events could not be decoded and were left out: nucleus lite passes on what it does not check.
func (s *Subscription[T]) Garbled() uint64 { return s.garbled.Load() }

// Err returns why the subscription ended: nil while it lives, ErrEnded when the nucleus ended it, ErrClosed after Close,
// an *OperationError, or an error that wraps ErrConnectionLost.
func (s *Subscription[T]) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the subscription. Events that have arrived can still be read from Events.
func (s *Subscription[T]) Close() error {
	if s.client != nil && s.client.forget(s.call.id) {
		s.client.terminate(s.call)
	}
	s.end(ErrClosed)
	return nil
}

func (s *Subscription[T]) event(payload []byte) {
	v, err := s.decode(payload)
	if err != nil {
		s.lost(err, s.garbled.Add(1))
		return
	}
	before := s.dropped.Load()
	s.put(v)
	for n := before; n < s.dropped.Load(); n++ {
		s.lost(ErrSlowReader, n+1)
	}
}

func (s *Subscription[T]) lost(err error, n uint64) {
	d := s.loss
	d.Err = err
	s.client.lost(d, n)
}

// put appends an event to those that wait, and drops the oldest where there is no room. The reader alone calls it.
func (s *Subscription[T]) put(v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	for {
		select {
		case s.events <- v:
			return
		default:
		}
		select {
		case <-s.events:
			s.dropped.Add(1)
		default:
		}
	}
}

func (s *Subscription[T]) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if err == nil {
		err = ErrEnded
	}
	s.ended = true
	s.err = err
	if s.events != nil {
		close(s.events)
	}
}
