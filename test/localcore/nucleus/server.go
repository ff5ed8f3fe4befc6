package nucleus

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// defaultQueueBytes bounds what one connection may have waiting to be read: more than one frame of the largest size.
	defaultQueueBytes = 32 << 20
	// writeTimeout is how long a client may take to read one frame.
	writeTimeout = 30 * time.Second
	// MaxSocketPath is the longest path that a Unix socket address holds, in bytes.
	MaxSocketPath = 107
)

// Server is the IPC socket: it accepts connections, knows the tokens, and closes what it opened.
type Server struct {
	log        *slog.Logger
	dialect    Dialect
	traits     Traits
	queueBytes int

	listener net.Listener
	path     string // of the socket, as a client anywhere can reach it
	aliasDir string // holds a short link to a root whose path is too long

	wg     sync.WaitGroup // accept loop and connections
	mu     sync.Mutex
	closed bool
	// refusing says that no token is good any more, though the socket is open.
	refusing bool
	tokens   map[string]*Principal
	named    map[string]*Principal // who lost its token, and can connect by its name
	conns    map[*Conn]*Principal  // nil before an accepted CONNECT
}

// Principal is whom a token stands for. A new start of a component is a new principal.
type Principal struct {
	Name    string
	Token   string
	Process Process // nil: an external, of which the core has no process
}

// Process is a component's process, as far as IPC deals with it.
type Process interface {
	// Report takes UpdateState by the principal, unless its process has ended.
	Report(p *Principal, state string)
	// RunsAs tells whether the component's process group is the given one.
	RunsAs(group int) bool
}

func newServer(log *slog.Logger, queueBytes int, d Dialect) *Server {
	return &Server{log: log, queueBytes: cmp.Or(queueBytes, defaultQueueBytes), dialect: d, traits: d.Traits(), tokens: make(map[string]*Principal),
		named: make(map[string]*Principal), conns: make(map[*Conn]*Principal)}
}

// Path is that of the socket, which a client anywhere can use.
func (s *Server) Path() string { return s.path }

// Listen opens the socket in root and starts to accept. A stale one is removed: the caller holds the root's lock.
func (s *Server) Listen(root string) error {
	s.path = filepath.Join(root, "ipc.socket")
	if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	if len(s.path) > MaxSocketPath {
		dir, err := os.MkdirTemp("", "localcore-")
		if err != nil {
			return fmt.Errorf("make short path to the socket: %w", err)
		}
		s.aliasDir = dir
		link := filepath.Join(dir, "root")
		if err := os.Symlink(root, link); err != nil {
			return fmt.Errorf("make short path to the socket: %w", err)
		}
		s.path = filepath.Join(link, "ipc.socket")
	}
	l, err := net.Listen("unix", s.path)
	if err != nil {
		return fmt.Errorf("listen on the IPC socket: %w", err)
	}
	s.listener = l
	s.wg.Go(s.accept)
	return nil
}

func (s *Server) accept() {
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.log.Error("accept IPC connection", "err", err)
			}
			return
		}
		c := newConn(s, nc)
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			nc.Close()
			return
		}
		if len(s.conns) >= s.traits.MaxConnections {
			s.mu.Unlock()
			s.log.Warn("close IPC connection", "reason", "there are too many")
			nc.Close()
			continue
		}
		s.conns[c] = nil
		s.wg.Go(c.serve)
		s.mu.Unlock()
	}
}

func (s *Server) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Close ends the socket and every connection and waits for their goroutines.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	conns := s.conns
	s.conns = make(map[*Conn]*Principal)
	s.mu.Unlock()
	if s.listener != nil {
		s.listener.Close() // also removes the socket
	}
	for c := range conns {
		c.kill("the core stops")
	}
	s.wg.Wait()
	if s.aliasDir != "" {
		if err := os.RemoveAll(s.aliasDir); err != nil {
			s.log.Warn("remove short path to the socket", "err", err)
		}
	}
}

// RefuseAll breaks every connection and from now on refuses every token.
func (s *Server) RefuseAll() {
	s.mu.Lock()
	s.refusing = true
	s.mu.Unlock()
	s.breakAll("the core stops")
}

func (s *Server) breakAll(reason string) {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range conns {
		c.kill(reason)
	}
}

// Issue makes a new token for name. Who has no process is an external.
func (s *Server) Issue(name string, process Process) *Principal {
	p := &Principal{Name: name, Process: process, Token: newToken()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[p.Token] = p
	return p
}

func newToken() string {
	var random [12]byte
	rand.Read(random[:]) // never fails
	return base64.StdEncoding.EncodeToString(random[:])
}

// Revoke makes a token invalid and closes the connections that used it.
func (s *Server) Revoke(p *Principal) {
	s.mu.Lock()
	delete(s.tokens, p.Token)
	if s.named[p.Name] == p {
		delete(s.named, p.Name)
	}
	var gone []*Conn
	for c, of := range s.conns {
		if of == p {
			gone = append(gone, c)
		}
	}
	s.mu.Unlock()
	for _, c := range gone {
		c.kill("its component's process ended")
	}
}

// KnowsToken tells whether a token is good.
func (s *Server) KnowsToken(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens[token] != nil && !s.refusing
}

// ForgetTokens makes all tokens invalid and breaks all connections. Who had a token can still connect by name.
func (s *Server) ForgetTokens() {
	s.mu.Lock()
	for _, p := range s.tokens {
		s.named[p.Name] = p
	}
	clear(s.tokens)
	s.mu.Unlock()
	s.breakAll("the tokens are forgotten")
}

// AuthenticateByName makes the connection that of the component of that name, when its peer is a process of it, and
// returns the token. Any process may be an external: the core knows none of their processes.
func (c *Conn) AuthenticateByName(name string) (token string, ok bool) {
	group, err := peerGroup(c.nc)
	if err != nil {
		c.Log().Warn("find the process of an IPC client", "err", err)
		return "", false
	}
	s := c.server
	s.mu.Lock()
	p := s.named[name]
	for _, live := range s.tokens {
		if live.Name == name {
			p = live
		}
	}
	s.mu.Unlock()
	if p == nil || p.Process != nil && !p.Process.RunsAs(group) {
		return "", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	forgotten := s.named[name] == p
	if !forgotten && s.tokens[p.Token] != p || !c.bind(p) {
		return "", false // it ended meanwhile
	}
	if forgotten {
		delete(s.named, name)
		p.Token = newToken()
		s.tokens[p.Token] = p
	}
	return p.Token, true
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
