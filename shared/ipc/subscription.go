package ipc

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Subscription is a stream of events. A reader that is too slow loses the oldest events, never the connection nor
// the events of other subscriptions; Dropped counts them.
type Subscription[T any] struct {
	client  *Client
	stream  *stream
	decode  func(payload []byte) (T, error)
	events  chan T
	dropped atomic.Uint64
	garbled atomic.Uint64
	err     error // set before events is closed
}

// subscribe starts a subscription and waits until the nucleus has accepted it.
func subscribe[T any](ctx context.Context, c *Client, operation string, request any, decode func([]byte) (T, error)) (*Subscription[T], error) {
	sub := &Subscription[T]{client: c, decode: decode, events: make(chan T, c.queue)}
	s, err := c.start(operation, request, sub)
	if err != nil {
		return nil, err
	}
	sub.stream = s
	select {
	case r := <-s.response:
		if r.err != nil {
			return nil, r.err
		}
		return sub, nil
	case <-ctx.Done():
		_ = sub.Close()
		return nil, fmt.Errorf("%s: %w", operation, ctx.Err())
	}
}

// Events returns the channel of events, oldest first. It is closed when the subscription ends; Err then tells why.
func (s *Subscription[T]) Events() <-chan T { return s.events }

// Dropped returns how many events were dropped because the reader was too slow.
func (s *Subscription[T]) Dropped() uint64 { return s.dropped.Load() }

// Garbled returns how many events could not be decoded and were left out: nucleus lite passes on what it does not check.
func (s *Subscription[T]) Garbled() uint64 { return s.garbled.Load() }

// Err returns why the subscription ended: nil when the nucleus ended it, ErrClosed after Close, an *OperationError, or
// an error that wraps ErrConnectionLost. Call it after Events is closed.
func (s *Subscription[T]) Err() error { return s.err }

// Close ends the subscription. Events that have arrived can still be read from Events.
func (s *Subscription[T]) Close() error {
	s.client.terminate(s.stream)
	s.stream.end(ErrClosed)
	return nil
}

func (s *Subscription[T]) event(payload []byte) {
	v, err := s.decode(payload)
	if err != nil {
		s.garbled.Add(1)
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
	s.err = err
	close(s.events)
}
