package localcore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"edgepdm/shared/ipc/eventstream"
)

// Payloads of the connection-level errors of the AWS common runtime, which a classic nucleus serves with
// (aws-c-event-stream, include/aws/event-stream/private/event_stream_rpc_priv.h). One of them is not JSON.
const (
	badStreamID = `{ "message": "non-zero stream-id field is only allowed for messages of type APPLICATION_MESSAGE. ` +
		`The stream id max value is INT32_MAX." }`
	pastStreamID = `{ "message": "stream-id values must be monotonically incrementing. A stream-id arrived that was ` +
		`lower than the last seen stream-id." }`
	skippedStreamID = `{ "message": "stream-id values must be monotonically incrementing. A new stream-id arrived that ` +
		`was incremented by more than 1." }`
	badMessageType = `{ "message": "an invalid value for message-type field was received." }`
	badMessage     = `{ "message": "A message was received with missing required fields. Check that your client is ` +
		`sending at least, :message-type, :message-flags, and :stream-id" }`
	notConnected = `{ "message": "A CONNECT message must be received, and the CONNECT_ACK must be sent in response, ` +
		`before any other message-types can be sent on this connection. In addition, only one CONNECT message is ` +
		`allowed on a connection." }`
	noOperation = `{ "message": "The first message for on a non-zero :stream-id must contain an operation header value."; }`
)

// conn is one client connection: a goroutine reads and handles frames in order, another writes what is queued. Nobody
// else waits for the client: events are queued, and a client that lets the queue grow past its bound is disconnected.
type conn struct {
	srv *server
	nc  net.Conn
	log *slog.Logger

	latest int32 // newest stream id; the reader's own

	mu        sync.Mutex
	wake      *sync.Cond // there is something to write, or the end
	principal *principal
	queue     [][]byte
	queued    int  // bytes
	closing   bool // close when the queue is written
	dead      bool
	streams   map[int32]*stream
}

func newConn(s *server, nc net.Conn) *conn {
	c := &conn{srv: s, nc: nc, log: s.log, streams: make(map[int32]*stream)}
	c.wake = sync.NewCond(&c.mu)
	return c
}

func (c *conn) isOf(p *principal) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.principal == p
}

func (c *conn) setPrincipal(p *principal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.principal = p
	c.log = c.log.With("component", p.name)
}

// serve runs the connection until it ends, and then ends its streams.
func (c *conn) serve() {
	var writer sync.WaitGroup
	writer.Go(c.write)
	c.read()
	writer.Wait()
	c.nc.Close()
	c.srv.remove(c)
	c.mu.Lock()
	streams := c.streams
	c.streams = nil
	c.mu.Unlock()
	for _, s := range streams {
		s.close()
	}
}

// read handles frames until the connection fails or is to be closed, and leaves it closing.
func (c *conn) read() {
	dec := eventstream.NewDecoder(c.nc, eventstream.MaxFrame)
	var m eventstream.Message
	for {
		m = eventstream.Message{}
		err := dec.Decode(&m)
		switch {
		case err == nil:
			if !c.handle(&m) {
				c.finish()
				return
			}
			continue
		case errors.Is(err, eventstream.ErrMalformed) && m.Payload != nil: // the frame is whole, its headers are not
			c.protocolError(eventstream.ProtocolError, badMessage)
			c.finish()
			return
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
			c.kill("")
		default:
			c.kill(err.Error())
		}
		return
	}
}

// handle routes one frame as aws-c-event-stream's server does, and says whether the connection goes on.
func (c *conn) handle(m *eventstream.Message) bool {
	if c.principal == nil && m.Type != eventstream.Connect {
		return c.protocolError(eventstream.ProtocolError, notConnected)
	}
	switch {
	case m.StreamID < 0 || m.StreamID > 0 && m.Type > eventstream.ApplicationError || m.StreamID > 0 && m.Type < 0:
		return c.protocolError(eventstream.ProtocolError, badStreamID)
	case m.StreamID > 0 && m.StreamID <= c.latest:
		return c.known(m)
	case m.StreamID > 0 && m.StreamID != c.latest+1:
		return c.protocolError(eventstream.ProtocolError, skippedStreamID)
	case m.StreamID > 0 && m.Operation == "":
		return c.protocolError(eventstream.ProtocolError, noOperation)
	case m.StreamID > 0:
		c.latest = m.StreamID
		c.open(m)
		return true
	}
	switch m.Type {
	case eventstream.Connect:
		if c.principal != nil {
			return c.protocolError(eventstream.ProtocolError, notConnected)
		}
		return c.connect(m)
	case eventstream.Ping:
		c.send(&eventstream.Message{Type: eventstream.PingResponse, Operation: m.Operation,
			ServiceModelType: m.ServiceModelType, Payload: m.Payload})
		return true
	case eventstream.PingResponse:
		return true
	case eventstream.ConnectAck, eventstream.ProtocolError, eventstream.InternalError:
		return c.protocolError(eventstream.InternalError, fmt.Sprintf(`{ "error": "Unrecognized Message Type" }`+
			`"message": " message type value: %d is not recognized as a valid request path." }`, m.Type))
	default:
		return c.protocolError(eventstream.ProtocolError, badMessageType)
	}
}

func (c *conn) connect(m *eventstream.Message) bool {
	ack := &eventstream.Message{Type: eventstream.ConnectAck}
	var request members
	switch {
	case m.Version != eventstream.Version:
		c.log.Warn("refuse IPC connection: wrong :version", "version", m.Version)
	case json.Unmarshal(m.Payload, &request) != nil:
		c.log.Warn("refuse IPC connection: the payload is not a JSON object")
	case !c.authenticate(request):
		c.log.Warn("refuse IPC connection: unknown token")
	default:
		ack.Flags = eventstream.ConnectionAccepted
		c.send(ack)
		return true
	}
	c.send(ack)
	return false
}

func (c *conn) authenticate(request members) bool {
	token, ok := get[string](new(decoder), request, "authToken")
	return ok && c.srv.authenticate(c, token)
}

// known handles a frame of a stream that was opened before.
func (c *conn) known(m *eventstream.Message) bool {
	c.mu.Lock()
	s := c.streams[m.StreamID]
	c.mu.Unlock()
	terminate := m.Flags&eventstream.TerminateStream != 0
	switch {
	case s == nil && terminate: // both sides ended it at once
	case s == nil:
		return c.protocolError(eventstream.ProtocolError, pastStreamID)
	case len(m.Payload) > 0 || !terminate: // no operation takes a second message: an exception in the nucleus
		s.fail(unexpected())
	default:
		s.end()
	}
	return true
}

// open handles the first frame of a stream: the request.
func (c *conn) open(m *eventstream.Message) {
	op, known := c.srv.operations[m.Operation]
	if !known {
		c.send(&eventstream.Message{Type: eventstream.ApplicationError, Flags: eventstream.TerminateStream,
			StreamID: m.StreamID, ContentType: eventstream.ContentTypeJSON,
			Payload: []byte(`{ "error": "Unsupported Operation", "message": "` + m.Operation +
				` is an unsupported operation." }`)})
		return
	}
	if m.Flags&eventstream.TerminateStream != 0 {
		return // hung up before it asked: nothing is done, nothing is answered
	}
	s := &stream{conn: c, id: m.StreamID, operation: m.Operation, streaming: op.streaming}
	c.mu.Lock()
	if c.streams != nil {
		c.streams[s.id] = s
	}
	c.mu.Unlock()
	response, err := c.run(op, s, m)
	switch {
	case err != nil:
		c.log.Info("IPC operation failed", "operation", m.Operation, "err", err)
		s.fail(err)
	case response != nil:
		s.respond(response)
	} // else the operation answers later
}

func (c *conn) run(op operation, s *stream, m *eventstream.Message) ([]byte, *opError) {
	r := &request{principal: c.principal, operation: m.Operation, stream: s}
	if op.handle == nil {
		return nil, errorf(serviceError, "Operation %s is not supported by Greengrass", m.Operation)
	}
	if len(m.Payload) == 0 {
		return nil, nullPointer()
	}
	if json.Unmarshal(m.Payload, &r.fields) != nil {
		return nil, unexpected()
	}
	return op.handle(r)
}

func (c *conn) protocolError(t eventstream.MessageType, payload string) bool {
	c.log.Warn("IPC protocol violated", "answer", payload)
	c.send(&eventstream.Message{Type: t, ContentType: eventstream.ContentTypeJSON, Payload: []byte(payload)})
	return false
}

// send queues a frame. It never waits.
func (c *conn) send(m *eventstream.Message) {
	frame, err := eventstream.Append(nil, m)
	if err != nil {
		c.kill(err.Error())
		return
	}
	c.mu.Lock()
	tooSlow := c.queued > 0 && c.queued+len(frame) > c.srv.queueBytes
	if !c.dead && !c.closing && !tooSlow {
		c.queue = append(c.queue, frame)
		c.queued += len(frame)
		c.wake.Signal()
	}
	c.mu.Unlock()
	if tooSlow {
		c.kill(fmt.Sprintf("the client does not read: more than %d bytes are waiting for it", c.srv.queueBytes))
	}
}

// finish closes the connection once everything queued is written.
func (c *conn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	c.wake.Signal()
}

// kill closes the connection now. An empty reason is an ordinary end.
func (c *conn) kill(reason string) {
	c.mu.Lock()
	already := c.dead
	c.dead = true
	c.wake.Signal()
	c.mu.Unlock()
	if already {
		return
	}
	if reason != "" {
		c.log.Warn("close IPC connection", "reason", reason)
	}
	c.nc.Close()
}

// write writes queued frames, each with one Write, until the end.
func (c *conn) write() {
	for {
		c.mu.Lock()
		for len(c.queue) == 0 && !c.closing && !c.dead {
			c.wake.Wait()
		}
		if c.dead || len(c.queue) == 0 {
			c.mu.Unlock()
			c.kill("")
			return
		}
		frame := c.queue[0]
		c.queue[0] = nil
		c.queue = c.queue[1:]
		c.mu.Unlock()

		err := c.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err == nil {
			_, err = c.nc.Write(frame)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.kill(fmt.Sprintf("the client did not read a frame for %v", writeTimeout))
		} else if err != nil {
			c.kill("")
		}
		c.mu.Lock()
		c.queued -= len(frame)
		c.mu.Unlock()
	}
}
