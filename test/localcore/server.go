package localcore

import (
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
	"time"
)

const (
	// defaultQueueBytes bounds what one connection may have waiting to be read: more than one frame of the largest size.
	defaultQueueBytes = 32 << 20
	// writeTimeout is how long a client may take to read one frame.
	writeTimeout = 30 * time.Second
	// maxSocketPath is the longest path that a Unix socket address holds, in bytes.
	maxSocketPath = 107
)

// server is the IPC socket: it accepts connections, knows the tokens, and closes what it opened.
type server struct {
	log        *slog.Logger
	dialect    *dialect
	queueBytes int

	listener net.Listener
	path     string // of the socket, as a client anywhere can reach it
	aliasDir string // holds a short link to a root whose path is too long

	wg     sync.WaitGroup // accept loop and connections
	mu     sync.Mutex
	closed bool
	// refusing says that no token is good any more, though the socket is open.
	refusing bool
	tokens   map[string]*principal
	named    map[string]*principal // who lost its token, and can connect by its name
	conns    map[*conn]bool
}

// principal is whom a token stands for. A new start of a component is a new principal.
type principal struct {
	name  string
	token string
	comp  *component // nil: an external without a process
}

func newServer(log *slog.Logger, queueBytes int, d *dialect) *server {
	return &server{log: log, queueBytes: queueBytes, dialect: d, tokens: make(map[string]*principal),
		named: make(map[string]*principal), conns: make(map[*conn]bool)}
}

// listen opens the socket in root and starts to accept. A stale one is removed: the caller holds the root's lock.
func (s *server) listen(root string) error {
	s.path = filepath.Join(root, "ipc.socket")
	if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	if len(s.path) > maxSocketPath {
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

func (s *server) accept() {
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
		if len(s.conns) >= s.dialect.maxConnections {
			s.mu.Unlock()
			s.log.Warn("close IPC connection", "reason", "there are too many")
			nc.Close()
			continue
		}
		s.conns[c] = true
		s.wg.Go(c.serve)
		s.mu.Unlock()
	}
}

func (s *server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// close ends the socket and every connection and waits for their goroutines.
func (s *server) close() {
	s.mu.Lock()
	s.closed = true
	conns := s.conns
	s.conns = make(map[*conn]bool)
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

// refuseAll breaks every connection and from now on refuses every token.
func (s *server) refuseAll() {
	s.mu.Lock()
	s.refusing = true
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range conns {
		c.kill("the core stops")
	}
}

// issue makes a new token for name.
func (s *server) issue(name string, comp *component) *principal {
	p := &principal{name: name, comp: comp, token: newToken()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[p.token] = p
	return p
}

func newToken() string {
	var random [12]byte
	rand.Read(random[:]) // never fails
	return base64.StdEncoding.EncodeToString(random[:])
}

// revoke makes a token invalid and closes the connections that used it.
func (s *server) revoke(p *principal) {
	s.mu.Lock()
	delete(s.tokens, p.token)
	if s.named[p.name] == p {
		delete(s.named, p.name)
	}
	var gone []*conn
	for c := range s.conns {
		if c.isOf(p) {
			gone = append(gone, c)
		}
	}
	s.mu.Unlock()
	for _, c := range gone {
		c.kill("its component's process ended")
	}
}

// authenticate binds c to the principal of token. It is atomic with revoke.
func (s *server) authenticate(c *conn, token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.tokens[token]
	if p == nil || s.closed || s.refusing {
		return false
	}
	c.setPrincipal(p)
	return true
}
