package localcloud

import (
	"net"
	"sync"
)

// uplink is the line between a site and the cloud: what is connected over it can be cut off.
type uplink struct {
	mu    sync.Mutex
	down  bool
	conns map[*lineConn]struct{}
}

func newUplink() *uplink { return &uplink{conns: make(map[*lineConn]struct{})} }

// set cuts or restores the line. Connections are reset at once, in the middle of a request too. While the line is down,
// new ones are accepted and reset, so that the addresses stay the cloud's.
func (u *uplink) set(up bool) {
	u.mu.Lock()
	u.down = !up
	var cut []*lineConn
	if !up {
		for c := range u.conns {
			cut = append(cut, c)
		}
		clear(u.conns)
	}
	u.mu.Unlock()
	for _, c := range cut {
		reset(c.Conn)
	}
}

func (u *uplink) isUp() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.down
}

// admit registers a connection, unless the line is down.
func (u *uplink) admit(c net.Conn) (*lineConn, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.down {
		return nil, false
	}
	l := &lineConn{Conn: c, line: u}
	u.conns[l] = struct{}{}
	return l, true
}

// lineListener accepts connections that come over a line.
type lineListener struct {
	net.Listener
	line *uplink
}

func (l lineListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if conn, ok := l.line.admit(c); ok {
			return conn, nil
		}
		reset(c)
	}
}

type lineConn struct {
	net.Conn
	line *uplink
}

func (c *lineConn) Close() error {
	c.line.mu.Lock()
	delete(c.line.conns, c)
	c.line.mu.Unlock()
	return c.Conn.Close()
}

// reset closes a connection without sending what is still to be sent.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close() // fails when the other side was faster, which is what is wanted
}
