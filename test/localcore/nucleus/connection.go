package nucleus

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

// Conn is one client connection: a goroutine reads and handles frames in order, another writes what is queued. Nobody
// else waits for the client: events are queued, and a client that lets the queue grow past its bound is disconnected.
type Conn struct {
	// The reader's own, and the dialect's.
	Principal *Principal // nil before an accepted CONNECT
	Latest    int32      // newest stream id on a classic nucleus

	server *Server
	nc     net.Conn

	mu      sync.Mutex
	log     *slog.Logger
	wake    *sync.Cond // there is something to write, or the end
	queue   [][]byte
	queued  int  // bytes
	closing bool // close when the queue is written
	dead    bool
	streams map[*Stream]bool
}

func newConn(s *Server, nc net.Conn) *Conn {
	c := &Conn{server: s, nc: nc, log: s.log, streams: make(map[*Stream]bool)}
	c.wake = sync.NewCond(&c.mu)
	return c
}

// Log names the component, once the connection is one's.
func (c *Conn) Log() *slog.Logger {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log
}

// Authenticate makes the connection that of the token's component, and says whether the token is good.
func (c *Conn) Authenticate(token string) bool {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return c.bind(c.server.tokens[token])
}

// bind makes the connection p's. It is atomic with revoke: the server is locked.
func (c *Conn) bind(p *Principal) bool {
	if p == nil || c.server.closed || c.server.refusing {
		return false
	}
	c.server.conns[c] = p
	c.Principal = p
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = c.log.With("component", p.Name)
	return true
}

// serve runs the connection until it ends, and then ends its streams.
func (c *Conn) serve() {
	var writer sync.WaitGroup
	writer.Go(c.write)
	c.read()
	writer.Wait()
	c.nc.Close()
	c.server.remove(c)
	c.mu.Lock()
	streams := c.streams
	c.streams = nil
	c.mu.Unlock()
	for s := range streams {
		s.close()
	}
}

// read handles frames until the connection fails or is to be closed, and leaves it closing.
func (c *Conn) read() {
	d := c.server.dialect
	dec := eventstream.NewDecoder(c.nc, c.server.traits.MaxFrame)
	var m eventstream.Message
	for {
		m = eventstream.Message{}
		err := dec.Decode(&m)
		switch {
		case err == nil:
			if d.Handle(c, &m) {
				continue
			}
			c.finish()
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
			c.kill("")
		case errors.Is(err, eventstream.ErrMalformed) && m.Payload != nil: // the frame is whole, its headers are not
			d.Handle(c, nil)
			c.finish()
		default:
			c.Log().Warn("close IPC connection", "reason", err)
			c.finish()
		}
		return
	}
}

// Open makes a stream of the connection.
func (c *Conn) Open(id int32, operation string, streaming bool) *Stream {
	s := &Stream{conn: c, id: id, operation: operation, streaming: streaming}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams != nil {
		c.streams[s] = true
	}
	return s
}

// Opened returns the streams of an id that have not ended.
func (c *Conn) Opened(id int32) []*Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*Stream
	for s := range c.streams {
		if s.id == id {
			out = append(out, s)
		}
	}
	return out
}

// Send queues a frame. It never waits.
func (c *Conn) Send(m *eventstream.Message) {
	frame, err := eventstream.Append(nil, m)
	if err != nil {
		c.kill(err.Error())
		return
	}
	if len(frame) > c.server.traits.MaxAnswer {
		c.Log().Warn("leave out a frame that is too large", "bytes", len(frame))
		return
	}
	c.mu.Lock()
	tooSlow := c.queued > 0 && c.queued+len(frame) > c.server.queueBytes
	if !c.dead && !c.closing && !tooSlow {
		c.queue = append(c.queue, frame)
		c.queued += len(frame)
		c.wake.Signal()
	}
	c.mu.Unlock()
	if tooSlow {
		c.kill(fmt.Sprintf("the client does not read: more than %d bytes are waiting for it", c.server.queueBytes))
	}
}

// finish closes the connection once everything queued is written.
func (c *Conn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	c.wake.Signal()
}

// kill closes the connection now. An empty reason is an ordinary end.
func (c *Conn) kill(reason string) {
	c.mu.Lock()
	already := c.dead
	c.dead = true
	c.wake.Signal()
	c.mu.Unlock()
	if already {
		return
	}
	if reason != "" {
		c.Log().Warn("close IPC connection", "reason", reason)
	}
	c.nc.Close()
}

// write writes queued frames, each with one Write, until the end.
func (c *Conn) write() {
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
