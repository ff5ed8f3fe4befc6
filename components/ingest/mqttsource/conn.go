package mqttsource

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
)

// dial connects to a broker. What it returns lets no packet through that is larger than maxMessage.
func dial(ctx context.Context, broker *url.URL, config *tls.Config, oversized func()) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	port := broker.Port()
	if port == "" {
		port = map[bool]string{false: "1883", true: "8883"}[config != nil]
	}
	addr := net.JoinHostPort(broker.Hostname(), port)
	var conn net.Conn
	var err error
	if config == nil {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", addr)
	} else {
		conn, err = (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", addr)
	}
	if err != nil {
		return nil, err
	}
	return &boundedConn{Conn: conn, in: bufio.NewReader(conn), oversized: oversized}, nil
}

// boundedConn takes packets that are too large out of what a broker sends, because the client would keep room for whatever length
// a packet says that it has. A retained message that is too large comes with each connection: ending it would not help.
type boundedConn struct {
	net.Conn
	in        *bufio.Reader
	oversized func() // called for each such packet

	header []byte // of the packet under way, to be read
	body   int    // bytes of it that follow
}

const (
	packetPublish = 3
	maxLength     = 4 // bytes of a packet's length
)

// Read is called by one goroutine at a time.
func (c *boundedConn) Read(p []byte) (int, error) {
	for len(p) > 0 && len(c.header) == 0 && c.body == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if len(c.header) > 0 {
		n := copy(p, c.header)
		c.header = c.header[n:]
		return n, nil
	}
	n, err := c.in.Read(p[:min(len(p), c.body)])
	c.body -= n
	return n, err
}

// next reads the header of a packet, and passes over the packet if it is too large.
func (c *boundedConn) next() error {
	header := make([]byte, 0, 1+maxLength)
	first, err := c.in.ReadByte()
	if err != nil {
		return err
	}
	header = append(header, first)
	length := 0
	for shift := 0; ; shift += 7 {
		if shift == 7*maxLength {
			return errors.New("the broker sends no MQTT: the length of a packet does not end")
		}
		b, err := c.in.ReadByte()
		if err != nil {
			return err
		}
		header = append(header, b)
		length |= int(b&0x7f) << shift
		if b < 0x80 {
			break
		}
	}
	switch {
	case length <= maxMessage:
		c.header, c.body = header, length
		return nil
	case first>>4 != packetPublish:
		return fmt.Errorf("the broker sends a packet of %d bytes that is no message", length)
	}
	c.oversized()
	_, err = io.CopyN(io.Discard, c.in, int64(length))
	return err
}
