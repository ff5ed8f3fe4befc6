package localcore

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// errNoDaemons is the answer of a classic nucleus, which is one process.
var errNoDaemons = errors.New("only nucleus lite has daemons that can end alone")

// KillPubSub ends nucleus lite's ggpubsubd, which systemd starts again at once. ggipcd notices and says nothing: every
// subscription to a local topic stays open and is silent for good. Publishing and new subscriptions work.
func (c *Core) KillPubSub() error {
	if c.opts.Mode != Lite {
		return errNoDaemons
	}
	c.pubsub.forget()
	return nil
}

// KillIPC ends nucleus lite's ggipcd, which systemd starts again at once; the socket is systemd's and stays. Every
// connection breaks and no token (SVCUID) is valid any more, at the token exchange service neither. A process of a
// component can connect again by its component's name, which makes a new token.
func (c *Core) KillIPC() error {
	if c.opts.Mode != Lite {
		return errNoDaemons
	}
	c.server.forgetTokens()
	return nil
}

// BreakOff does what a nucleus does first when it stops: it breaks all connections and knows no token any more, while its
// components still run.
func (c *Core) BreakOff() { c.server.forgetTokens() }

// forgetTokens makes all tokens invalid and breaks all connections. Who had a token can still connect by name.
func (s *server) forgetTokens() {
	s.mu.Lock()
	for _, p := range s.tokens {
		s.named[p.name] = p
	}
	clear(s.tokens)
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range conns {
		c.kill("the tokens are forgotten")
	}
}

// authenticateByName binds c to the component of that name, when c's peer is a process of it, and returns the token. Any
// process may be an external: the core knows none of their processes.
func (s *server) authenticateByName(c *conn, name string) (token string, ok bool) {
	group, err := peerGroup(c.nc)
	if err != nil {
		c.log.Warn("find the process of an IPC client", "err", err)
		return "", false
	}
	s.mu.Lock()
	p := s.named[name]
	for _, live := range s.tokens {
		if live.name == name {
			p = live
		}
	}
	s.mu.Unlock()
	if p == nil || p.comp != nil && !p.comp.runsAs(group) {
		return "", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.named[name] != p && s.tokens[p.token] != p {
		return "", false // it ended meanwhile
	}
	if s.named[name] == p {
		delete(s.named, name)
		p.token = newToken()
		s.tokens[p.token] = p
	}
	c.setPrincipal(p)
	return p.token, true
}

// runsAs tells whether the component's process group is the given one. Its own goroutine must not call it.
func (c *component) runsAs(group int) bool {
	c.core.mu.Lock()
	defer c.core.mu.Unlock()
	return group == c.status.PID
}

// peerGroup returns the process group of the process at the other end of a Unix socket.
func peerGroup(nc net.Conn) (int, error) {
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("get connection: %w", err)
	}
	var group int
	var failed error
	err = raw.Control(func(fd uintptr) {
		var peer *unix.Ucred
		if peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); failed == nil {
			group, failed = unix.Getpgid(int(peer.Pid))
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return 0, fmt.Errorf("get peer: %w", err)
	}
	return group, nil
}
