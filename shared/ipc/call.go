package ipc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"edgepdm/shared/ipc/eventstream"
)

// ErrTimeout ends a call that the nucleus does not answer within Options.CallTimeout. Whether it was carried out is unknown.
var ErrTimeout = errors.New("the nucleus does not answer")

// Call is a request that was sent and whose response is still to come.
type Call struct {
	client    *Client
	id        int32  // of its stream
	operation string // without the model's prefix
	keep      bool   // somebody wants the response's payload
	events    sink   // nil for a single request
	told      chan<- struct{}
	opened    bool // the response has come; guarded by client.mu

	waiter *waiter // nil once Wait has returned
	err    error   // what Wait returned
}

// sink takes the events of a subscription.
type sink interface {
	event(payload []byte) // valid during the call
	end(err error)
}

// waiter is what a call waits with. Nothing refers to it once the wait is over, so the next call takes it.
type waiter struct {
	answer chan answer // of capacity 1, so that the reader never waits
	timer  *time.Timer
}

type answer struct {
	payload []byte // owned by the receiver
	err     error
}

const callsAtOnce = 32

func newWaiter() *waiter {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &waiter{answer: make(chan answer, 1), timer: timer}
}

// operationName is an operation with the header values that name it.
type operationName struct {
	name    string // PublishToTopic
	header  string // aws.greengrass#PublishToTopic
	request string // aws.greengrass#PublishToTopicRequest
}

func named(name string) operationName {
	return operationName{name, modelPrefix + name, modelPrefix + name + "Request"}
}

// start sends the first message of a new stream, with the payload that appendPayload appends. told, if any, gets word of the
// response, if it has room.
func (c *Client) start(ctx context.Context, op operationName, keep bool, events sink, told chan<- struct{}, appendPayload func([]byte) []byte) (*Call, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("send %s: %w", op.name, err)
	}
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	frame, err := c.encode(op, appendPayload)
	if err == nil && len(frame) > eventstream.MaxFrameLite && NucleusKind(c.nucleus.Load()) != Classic {
		c.writeMu.Unlock() // to ask which runtime it is needs a call
		err = c.checkFrame(ctx, len(frame))
		c.writeMu.Lock()
		if err == nil {
			frame, err = c.encode(op, appendPayload) // the stream id may have been taken meanwhile
		}
	}
	if err != nil {
		return nil, fmt.Errorf("send %s: %w", op.name, err)
	}
	k := c.newCall(events != nil)
	*k = Call{client: c, id: c.lastID + 1, operation: op.name, keep: keep, events: events, told: told, waiter: c.waiters.Get().(*waiter)}
	c.mu.Lock()
	if err := c.err; err != nil {
		c.mu.Unlock()
		return nil, fmt.Errorf("send %s: %w", op.name, err)
	}
	c.streams[k.id] = k
	c.mu.Unlock()
	c.lastID = k.id
	if err := c.writeFrame(frame); err != nil {
		// Part of the frame may be out: the connection is of no more use.
		c.fail(fmt.Errorf("%w: send %s: %w", ErrConnectionLost, op.name, err))
		return nil, fmt.Errorf("send %s: %w", op.name, c.Err())
	}
	return k, nil
}

// newCall returns memory for a call. Those of single requests are made many at a time; a subscription lives long, and would
// keep its neighbours.
func (c *Client) newCall(subscription bool) *Call {
	if subscription {
		return new(Call)
	}
	if len(c.calls) == 0 {
		c.calls = make([]Call, callsAtOnce)
	}
	k := &c.calls[0]
	c.calls = c.calls[1:]
	return k
}

// encode makes the first frame of the next stream in c.buf.
func (c *Client) encode(op operationName, appendPayload func([]byte) []byte) ([]byte, error) {
	if c.lastID == math.MaxInt32 {
		c.fail(fmt.Errorf("%w: all stream ids are used", ErrConnectionLost))
		return nil, c.Err()
	}
	frame, err := eventstream.Begin(c.buf[:0], &eventstream.Message{
		StreamID: c.lastID + 1, Operation: op.header, ServiceModelType: op.request, ContentType: eventstream.ContentTypeJSON,
	})
	if err != nil {
		return nil, err
	}
	return eventstream.End(appendPayload(frame), 0)
}

// answer hands the response, or the error in its place, to whoever waits. It is called once.
func (k *Call) answer(payload []byte, err error) {
	a := answer{err: err}
	if k.keep && err == nil {
		a.payload = append([]byte(nil), payload...)
	}
	k.waiter.answer <- a
	if k.told != nil {
		select {
		case k.told <- struct{}{}:
		default:
		}
	}
}

// Answered reports whether Wait returns at once: the response is here, or none will come.
func (k *Call) Answered() bool { return k.waiter == nil || len(k.waiter.answer) > 0 }

// end ends the call when the connection is lost.
func (k *Call) end(err error) {
	if !k.opened {
		k.answer(nil, err)
	}
	if k.events != nil {
		k.events.end(err)
	}
}

// Wait waits for the response; call it once. The error is an *OperationError, or one of the typed errors, when the
// nucleus refused the request; it wraps ErrConnectionLost or ErrTimeout when the request's fate is unknown, or is the context's.
func (k *Call) Wait(ctx context.Context) error {
	_, err := k.wait(ctx)
	return err
}

func (k *Call) wait(ctx context.Context) ([]byte, error) {
	w := k.waiter
	if w == nil {
		return nil, k.err
	}
	var a answer
	select {
	case a = <-w.answer:
	default:
		a = k.block(ctx, w)
	}
	k.waiter, k.err = nil, a.err
	k.client.waiters.Put(w)
	return a.payload, a.err
}

// block waits for an answer that has not come yet.
func (k *Call) block(ctx context.Context, w *waiter) answer {
	var expired <-chan time.Time
	if _, has := ctx.Deadline(); !has {
		w.timer.Reset(k.client.callTimeout)
		defer w.timer.Stop()
		expired = w.timer.C
	}
	var err error
	select {
	case a := <-w.answer:
		return a
	case <-ctx.Done():
		err = ctx.Err()
	case <-expired:
		err = fmt.Errorf("%w for %v", ErrTimeout, k.client.callTimeout)
	}
	if !k.client.abandon(k) {
		return <-w.answer // it came at the same moment
	}
	return answer{err: fmt.Errorf("%s: %w", k.operation, err)}
}

// call sends a request and returns its response if it is to be kept.
func (c *Client) call(ctx context.Context, operation string, request any, keep bool) ([]byte, error) {
	payload, err := c.marshal(ctx, operation, request)
	if err != nil {
		return nil, err
	}
	k, err := c.start(ctx, named(operation), keep, nil, nil, func(b []byte) []byte { return append(b, payload...) })
	if err != nil {
		return nil, err
	}
	return k.wait(ctx)
}

// perform calls an operation whose response says no more than that there was no error.
func (c *Client) perform(ctx context.Context, operation string, request any) error {
	_, err := c.call(ctx, operation, request, false)
	return err
}

// answered calls an operation with a response.
func answered[R any](ctx context.Context, c *Client, operation string, request any) (*R, error) {
	payload, err := c.call(ctx, operation, request, true)
	if err != nil {
		return nil, err
	}
	response := new(R)
	if err := json.Unmarshal(payload, response); err != nil {
		return nil, fmt.Errorf("%s: decode response: %w", operation, err)
	}
	return response, nil
}

// marshal encodes a request after a look at what the model demands and what this runtime can take.
func (c *Client) marshal(ctx context.Context, operation string, request any) ([]byte, error) {
	if r, is := request.(checker); is {
		if err := r.check(); err != nil {
			return nil, within(operation, err)
		}
	}
	if err := c.checkRequest(ctx, request); err != nil {
		return nil, fmt.Errorf("send %s: %w", operation, err)
	}
	payload, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", operation, err)
	}
	return payload, nil
}

// terminate ends a stream from our side. Neither nucleus acknowledges it.
func (c *Client) terminate(k *Call) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if c.Err() != nil {
		return
	}
	if err := c.write(&eventstream.Message{StreamID: k.id, Flags: eventstream.TerminateStream}); err != nil {
		c.fail(fmt.Errorf("%w: close %s: %w", ErrConnectionLost, k.operation, err))
	}
}
