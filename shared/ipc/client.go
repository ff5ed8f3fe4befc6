package ipc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"edgepdm/shared/ipc/eventstream"
)

// Environment variables that a nucleus gives to every component.
const (
	EnvSocket    = "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"
	EnvAuthToken = "SVCUID"
)

const (
	modelPrefix         = "aws.greengrass#"
	defaultWriteTimeout = 5 * time.Second
	defaultCallTimeout  = 30 * time.Second
	defaultQueue        = 1024
	keptBuffer          = 64 << 10 // a rare large frame must not hold its memory for ever
)

// Options say how to reach the nucleus.
type Options struct {
	Socket    string // path of the nucleus's Unix socket
	AuthToken string // opaque, given to the component at its start
	// ComponentName authenticates where AuthToken is empty: nucleus lite then goes by the process at the other end of the socket,
	// and gives a new token. The classic nucleus refuses it.
	ComponentName string

	// WriteTimeout bounds the time that the nucleus may take to read a frame; 5 s by default. After it the connection is lost.
	WriteTimeout time.Duration
	// CallTimeout bounds the wait for an answer where the caller's context has no deadline; 30 s by default. After it the
	// call ends with ErrTimeout, and the connection goes on.
	CallTimeout time.Duration
	// Queue is how many events a subscription holds for a slow reader before it drops the oldest; 1,024 by default.
	Queue int

	// Logger gets what no call returns: warnings of events that are dropped, and the connection's life at level debug.
	// nil: nothing is logged.
	Logger *slog.Logger
	// OnDrop is called for every event that a subscription loses, beside the Subscription's counters. The goroutine that
	// reads the connection calls it: it must return soon and must not wait for the Client.
	OnDrop func(Drop)
}

// Drop tells of an event that a subscription has lost.
type Drop struct {
	Operation string // such as SubscribeToTopic
	Request   any    // what the subscription was made with, such as a SubscribeToTopicRequest
	Err       error  // ErrSlowReader, or why the event could not be decoded
}

// FromEnvironment returns the Options that the nucleus put into the component's environment.
func FromEnvironment(getenv func(string) string) (Options, error) {
	o := Options{Socket: getenv(EnvSocket), AuthToken: getenv(EnvAuthToken)}
	switch {
	case o.Socket == "":
		return o, fmt.Errorf("%s is not set: this program must be started by a Greengrass nucleus", EnvSocket)
	case o.AuthToken == "":
		return o, fmt.Errorf("%s is not set: this program must be started by a Greengrass nucleus", EnvAuthToken)
	}
	return o, nil
}

// Client is one authenticated connection. All methods may be called from several goroutines.
type Client struct {
	conn         net.Conn
	writeTimeout time.Duration
	callTimeout  time.Duration
	queue        int
	log          *slog.Logger
	onDrop       func(Drop)
	waiters      sync.Pool    // of *waiter
	slab         slab         // the reader's own
	nucleus      atomic.Int32 // a NucleusKind; 0 until the nucleus was asked
	token        string       // that the nucleus knows this connection by

	// writeMu orders frames: a stream id is allocated and its first frame written under it, as a classic nucleus
	// demands ids 1, 2, 3… in the order of arrival. The reader never takes it.
	writeMu sync.Mutex
	buf     []byte
	lastID  int32
	calls   []Call // to hand out: made many at a time

	mu      sync.Mutex // guards what follows
	streams map[int32]*Call
	err     error // why the connection ended; nil while it lives

	done    chan struct{}  // closed when the reader has ended
	ponging atomic.Bool    // a ping is being answered
	pongs   sync.WaitGroup // of the answer
}

// Dial connects and authenticates, within Options.CallTimeout. The error wraps ErrRefused when the nucleus does not accept the token.
func Dial(ctx context.Context, o Options) (*Client, error) {
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = defaultWriteTimeout
	}
	if o.CallTimeout <= 0 {
		o.CallTimeout = defaultCallTimeout
	}
	if o.Queue <= 0 {
		o.Queue = defaultQueue
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	within, cancel := context.WithTimeoutCause(ctx, o.CallTimeout, fmt.Errorf("%w for %v", ErrTimeout, o.CallTimeout))
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(within, "unix", o.Socket)
	if err != nil {
		return nil, fmt.Errorf("connect to the nucleus: %w", err)
	}
	c := &Client{
		conn: conn, writeTimeout: o.WriteTimeout, callTimeout: o.CallTimeout, queue: o.Queue, log: o.Logger, onDrop: o.OnDrop,
		streams: make(map[int32]*Call), done: make(chan struct{}),
	}
	c.waiters.New = func() any { return newWaiter() }
	decoder := eventstream.NewDecoder(conn, eventstream.MaxFrame)
	// A context that ends must end the handshake too: a deadline in the past unblocks the read.
	stop := context.AfterFunc(within, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = c.connect(decoder, o)
	if !stop() { // it has run, and the connection is of no use
		err = context.Cause(within)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("authenticate with the nucleus: %w", err)
	}
	c.log.Debug("connected to the nucleus", "socket", o.Socket)
	go c.read(decoder)
	return c, nil
}

// Redial connects again after a lost connection: it tries until it succeeds, ctx ends, or the nucleus refuses the token.
// An error that wraps ErrRefused means that the program should exit, to be restarted with a new token. wait is called
// after each failed attempt, counted from 1, and should return later each time.
func Redial(ctx context.Context, o Options, wait func(ctx context.Context, attempt int, err error)) (*Client, error) {
	for attempt := 1; ; attempt++ {
		c, err := Dial(ctx, o)
		if err == nil || errors.Is(err, ErrRefused) || ctx.Err() != nil {
			return c, err
		}
		wait(ctx, attempt, err)
	}
}

// connect sends CONNECT and waits for its acknowledgement.
func (c *Client) connect(decoder *eventstream.Decoder, o Options) error {
	who := map[string]string{"authToken": o.AuthToken}
	if o.AuthToken == "" {
		who = map[string]string{"componentName": o.ComponentName}
	}
	payload, err := json.Marshal(who)
	if err != nil {
		return err
	}
	hello := eventstream.Message{
		Type: eventstream.Connect, Version: eventstream.Version,
		ContentType: eventstream.ContentTypeJSON, Payload: payload,
	}
	if err := c.write(&hello); err != nil {
		return err
	}
	var ack eventstream.Message
	if err := decoder.Decode(&ack); err != nil {
		if errors.Is(err, io.EOF) { // nucleus lite closes without a word
			return ErrRefused
		}
		return err
	}
	if ack.Type != eventstream.ConnectAck || ack.Flags&eventstream.ConnectionAccepted == 0 {
		return fmt.Errorf("%w: it answered %v %s", ErrRefused, ack.Type, ack.Payload)
	}
	if c.token = o.AuthToken; c.token == "" {
		c.token = ack.Token
	}
	return nil
}

// Token is the token that the nucleus knows this connection by: the one in Options, or that which nucleus lite gave to a
// connection by ComponentName. It opens the token exchange service, too.
func (c *Client) Token() string { return c.token }

// Done is closed when the connection has ended; Err then tells why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended: ErrClosed, or an error that wraps ErrConnectionLost. It is nil while it lives.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection with all calls and subscriptions, and waits for the reader.
func (c *Client) Close() error {
	c.fail(ErrClosed)
	<-c.done
	c.pongs.Wait()
	return nil
}

// Abandon ends the connection with all calls and subscriptions, for a reason that Err then wraps, with ErrConnectionLost,
// and does not wait.
func (c *Client) Abandon(reason error) { c.fail(fmt.Errorf("%w: %w", ErrConnectionLost, reason)) }

// fail records the first reason why the connection ends, and ends it.
func (c *Client) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	_ = c.conn.Close() // the reader ends, and with it every stream
}

// write sends one frame. It is called with writeMu held, or before the client is shared.
func (c *Client) write(m *eventstream.Message) error {
	frame, err := eventstream.Append(c.buf[:0], m)
	if err != nil {
		return err
	}
	return c.writeFrame(frame)
}

// writeFrame sends a frame that was encoded into c.buf, with one Write: nucleus lite serves nobody while it waits for
// the rest of a frame.
func (c *Client) writeFrame(frame []byte) error {
	if c.buf = frame[:0]; cap(frame) > keptBuffer {
		c.buf = nil
	}
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.writeTimeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(frame)
	return err
}

// read dispatches what the nucleus sends until the connection ends.
func (c *Client) read(decoder *eventstream.Decoder) {
	defer close(c.done)
	var m eventstream.Message
	err := decoder.Decode(&m)
	for ; err == nil; err = decoder.Decode(&m) {
		if err = c.dispatch(&m); err != nil {
			break
		}
	}
	c.fail(fmt.Errorf("%w: %w", ErrConnectionLost, err))
	c.mu.Lock()
	streams := c.streams
	c.streams = nil
	err = c.err
	c.mu.Unlock()
	c.log.Debug("the connection to the nucleus ended", "error", err, "streams", len(streams))
	for _, k := range streams {
		k.end(err)
	}
}

// lost tells of an event that a subscription has lost, the n-th for this reason. Of many the 1st, 2nd, 4th, 8th … are logged.
func (c *Client) lost(d Drop, n uint64) {
	if n&(n-1) == 0 {
		c.log.Warn("event dropped", "operation", d.Operation, "request", d.Request, "error", d.Err, "count", n)
	}
	if c.onDrop != nil {
		c.onDrop(d)
	}
}

// dispatch handles one message of the nucleus. An error ends the connection.
func (c *Client) dispatch(m *eventstream.Message) error {
	switch m.Type {
	case eventstream.ApplicationMessage, eventstream.ApplicationError:
	case eventstream.Ping:
		c.pong(m.Payload)
		return nil
	case eventstream.PingResponse:
		return nil
	default:
		return fmt.Errorf("%v from the nucleus: %.200s", m.Type, m.Payload)
	}
	failed := m.Type == eventstream.ApplicationError
	terminated := failed || m.Flags&eventstream.TerminateStream != 0
	c.mu.Lock()
	k := c.streams[m.StreamID]
	if k == nil {
		c.mu.Unlock()
		return nil // an event that was under way when its stream was closed, or an answer that came too late
	}
	first := !k.opened
	k.opened = true
	if terminated || k.events == nil {
		delete(c.streams, m.StreamID)
	}
	c.mu.Unlock()

	var err error
	if failed {
		err = operationError(k.operation, m)
	}
	if first {
		k.answer(m.Payload, err)
	}
	switch {
	case k.events == nil:
	case terminated:
		k.events.end(err)
	case !first:
		k.events.event(m.Payload)
	}
	return nil
}

// pong answers a ping. The reader does not wait for it: who writes may be waiting for the nucleus to read.
func (c *Client) pong(payload []byte) {
	if !c.ponging.CompareAndSwap(false, true) {
		return
	}
	m := eventstream.Message{Type: eventstream.PingResponse, Payload: append([]byte(nil), payload...)}
	c.pongs.Go(func() {
		defer c.ponging.Store(false)
		c.writeMu.Lock()
		defer c.writeMu.Unlock()
		if err := c.write(&m); err != nil {
			c.fail(fmt.Errorf("%w: answer a ping: %w", ErrConnectionLost, err))
		}
	})
}

// forget removes a subscription's stream and tells whether it was there: if not, the reader has ended it.
func (c *Client) forget(id int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, there := c.streams[id]
	delete(c.streams, id)
	return there
}

// abandon removes a stream whose answer nobody waits for any more, and tells whether it could: if not, the answer is on
// the way, or here.
func (c *Client) abandon(k *Call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[k.id] == nil || k.opened {
		return false
	}
	delete(c.streams, k.id)
	return true
}
