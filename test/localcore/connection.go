package localcore

import (
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

// conn is one client connection: a goroutine reads and handles frames in order, another writes what is queued. Nobody
// else waits for the client: events are queued, and a client that lets the queue grow past its bound is disconnected.
type conn struct {
	srv *server
	nc  net.Conn
	log *slog.Logger

	latest int32 // newest stream id on a classic nucleus; the reader's own

	mu        sync.Mutex
	wake      *sync.Cond // there is something to write, or the end
	principal *principal
	queue     [][]byte
	queued    int  // bytes
	closing   bool // close when the queue is written
	dead      bool
	streams   map[*stream]bool
}

func newConn(s *server, nc net.Conn) *conn {
	c := &conn{srv: s, nc: nc, log: s.log, streams: make(map[*stream]bool)}
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
	for s := range streams {
		s.close()
	}
}

// read handles frames until the connection fails or is to be closed, and leaves it closing.
func (c *conn) read() {
	d := c.srv.dialect
	dec := eventstream.NewDecoder(newFrameReader(c.nc, d), d.maxFrame)
	var m eventstream.Message
	for {
		m = eventstream.Message{}
		err := dec.Decode(&m)
		switch {
		case err == nil:
			if d.handle(c, &m) {
				continue
			}
			c.finish()
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
			c.kill("")
		case errors.Is(err, eventstream.ErrMalformed) && m.Payload != nil: // the frame is whole, its headers are not
			d.malformed(c)
			c.finish()
		default:
			c.log.Warn("close IPC connection", "reason", err)
			c.finish()
		}
		return
	}
}

// open makes a stream of the connection.
func (c *conn) open(id int32, operationName string, streaming bool) *stream {
	s := &stream{conn: c, id: id, operation: operationName, streaming: streaming}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams != nil {
		c.streams[s] = true
	}
	return s
}

// opened returns the streams of an id that have not ended.
func (c *conn) opened(id int32) []*stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*stream
	for s := range c.streams {
		if s.id == id {
			out = append(out, s)
		}
	}
	return out
}

// answer sends an operation's response or error; with neither the operation answers later.
func (s *stream) answer(response []byte, err *opError) {
	switch {
	case err != nil:
		s.conn.log.Info("IPC operation failed", "operation", s.operation, "err", err)
		s.fail(err)
	case response != nil:
		s.respond(response)
	}
}

// send queues a frame. It never waits.
func (c *conn) send(m *eventstream.Message) {
	frame, err := eventstream.Append(nil, m)
	if err != nil {
		c.kill(err.Error())
		return
	}
	if len(frame) > c.srv.dialect.maxAnswer {
		c.log.Warn("leave out a frame that is too large", "bytes", len(frame))
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
