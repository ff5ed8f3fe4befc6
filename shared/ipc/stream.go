package ipc

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sync"

	"edgepdm/shared/ipc/eventstream"
)

// stream is one operation under way: a single request with its response, or a subscription.
type stream struct {
	id        int32
	operation string // without the model's prefix
	response  chan result

	mu     sync.Mutex // guards what follows; the reader and Close meet here
	opened bool       // the response has come
	ended  bool
	events sink // nil for a single request
}

// sink takes the events of a subscription. Its methods are called with the stream's mutex held.
type sink interface {
	event(payload []byte)
	end(err error)
}

type result struct {
	payload []byte // owned by the receiver
	err     error
}

// start sends the first message of a new stream.
func (c *Client) start(operation string, request any, events sink) (*stream, error) {
	payload, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", operation, err)
	}
	s := &stream{operation: operation, response: make(chan result, 1), events: events}
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if c.lastID == math.MaxInt32 {
		c.fail(fmt.Errorf("%w: all stream ids are used", ErrConnectionLost))
	}
	s.id = c.lastID + 1
	m := eventstream.Message{
		StreamID: s.id, Operation: modelPrefix + operation, ServiceModelType: modelPrefix + operation + "Request",
		ContentType: eventstream.ContentTypeJSON, Payload: payload,
	}
	if len(payload) > eventstream.MaxFrame-1024 {
		return nil, fmt.Errorf("send %s: %d bytes: %w", operation, len(payload), eventstream.ErrFrameTooLarge)
	}
	c.mu.Lock()
	if err := c.err; err != nil {
		c.mu.Unlock()
		return nil, fmt.Errorf("send %s: %w", operation, err)
	}
	c.streams[s.id] = s
	c.mu.Unlock()
	c.lastID = s.id
	if err := c.write(&m); err != nil {
		// Part of the frame may be out: the connection is of no more use.
		c.fail(fmt.Errorf("%w: send %s: %w", ErrConnectionLost, operation, err))
		return nil, fmt.Errorf("send %s: %w", operation, c.Err())
	}
	return s, nil
}

// terminate ends a stream from our side. Neither nucleus acknowledges it.
func (c *Client) terminate(s *stream) {
	c.forget(s.id)
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if c.Err() != nil {
		return
	}
	if err := c.write(&eventstream.Message{StreamID: s.id, Flags: eventstream.TerminateStream}); err != nil {
		c.fail(fmt.Errorf("%w: close %s: %w", ErrConnectionLost, s.operation, err))
	}
}

// receive takes a message of the stream and tells whether it was its last.
func (s *stream) receive(m *eventstream.Message) (last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return true
	}
	failed := m.Type == eventstream.ApplicationError
	var err error
	if failed {
		err = operationError(s.operation, m)
	}
	terminated := failed || m.Flags&eventstream.TerminateStream != 0
	if !s.opened {
		s.opened = true
		s.response <- result{payload: append([]byte(nil), m.Payload...), err: err}
		last = terminated || s.events == nil
		if last {
			s.finish(err)
		}
		return last
	}
	if terminated {
		s.finish(err)
		return true
	}
	s.events.event(m.Payload)
	return false
}

// end ends the stream from outside: the connection is lost, or the subscriber closed it.
func (s *stream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if !s.opened {
		s.opened = true
		s.response <- result{err: err}
	}
	s.finish(err)
}

// finish is called with mu held.
func (s *stream) finish(err error) {
	s.ended = true
	if s.events != nil {
		s.events.end(err)
	}
}

// Call is a request whose response is still to come.
type Call struct {
	client *Client
	stream *stream
}

// Wait waits for the response. The error is an *OperationError when the nucleus refused the request, wraps
// ErrConnectionLost when its fate is unknown, or is the context's.
func (k *Call) Wait(ctx context.Context) error {
	_, err := k.wait(ctx)
	return err
}

func (k *Call) wait(ctx context.Context) ([]byte, error) {
	select {
	case r := <-k.stream.response:
		return r.payload, r.err
	case <-ctx.Done():
		k.client.forget(k.stream.id)
		return nil, fmt.Errorf("%s: %w", k.stream.operation, ctx.Err())
	}
}

// call sends a request and decodes its response into response, unless that is nil.
func (c *Client) call(ctx context.Context, operation string, request, response any) error {
	s, err := c.start(operation, request, nil)
	if err != nil {
		return err
	}
	payload, err := (&Call{c, s}).wait(ctx)
	if err != nil || response == nil {
		return err
	}
	if err := json.Unmarshal(payload, response); err != nil {
		return fmt.Errorf("%s: decode response: %w", operation, err)
	}
	return nil
}
