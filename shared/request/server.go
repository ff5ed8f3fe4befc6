package request

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Server takes the requests of a component. It is one of one work: the next one begins with its own.
type Server struct {
	component string
	path      string
	now       func() time.Time
	log       *slog.Logger

	mu      sync.Mutex // one use of the folder at a time
	failing bool
	started bool
}

// NewServer prepares the taking of requests in a component's work directory.
func NewServer(component, workDir string, now func() time.Time, log *slog.Logger) *Server {
	return &Server{component: component, path: filepath.Join(workDir, folder), now: now, log: log}
}

// Take takes the requests that wait, for the caller to answer each. It is called again and again; a fault of the disk is
// logged, and the next call tries again.
func (s *Server) Take() []*Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken, err := s.take()
	if err != nil && !s.failing {
		s.log.Error("commands given on this device are not taken; it will be tried again", "error", err)
	}
	s.failing = err != nil
	return taken
}

func (s *Server) take() ([]*Request, error) {
	dir, err := os.OpenRoot(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(s.path, 0o700); err != nil {
			return nil, err
		}
		dir, err = os.OpenRoot(s.path)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return nil, err
	}
	var taken []*Request
	for _, e := range entries {
		id, isRequest := strings.CutSuffix(e.Name(), suffixRequest)
		leftID, left := strings.CutSuffix(e.Name(), suffixTaken)
		switch {
		case isRequest && validID(id) && len(taken) < maxTake:
			r, err := s.claim(dir, id)
			if err != nil {
				return taken, err
			}
			if r != nil {
				taken = append(taken, r)
			}
		case left && validID(leftID) && !s.started:
			s.interrupted(dir, leftID)
		case !isRequest && !left:
			if info, err := e.Info(); err == nil && s.now().Sub(info.ModTime()).Abs() > keepFor {
				_ = dir.RemoveAll(e.Name()) // is tried again
			}
		}
	}
	s.started = true
	return taken, nil
}

// claim takes one request. nil: it was withdrawn, or is answered already, as it cannot be done.
func (s *Server) claim(dir *os.Root, id string) (*Request, error) {
	if err := dir.Rename(id+suffixRequest, id+suffixTaken); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	r := &Request{id: id, server: s}
	if err := syncFolder(dir); err != nil { // after a loss of power it might be done again
		r.put(dir, stateFailed, "not done: that it was taken is not on disk: "+err.Error())
		return nil, err
	}
	var m message
	err := get(dir, id+suffixTaken, &m)
	age := s.now().Sub(m.Created).Abs() // the clock may have been set meanwhile
	valid := min(time.Duration(min(m.Valid, int64(maxValid/time.Second)))*time.Second, maxValid)
	switch {
	case err != nil:
	case m.V != format:
		err = fmt.Errorf("its format is %d, known is %d", m.V, format)
	case m.ID != id:
		err = errors.New("it is another's copy")
	case age > valid:
		err = fmt.Errorf("it expired: it is %v old by this clock, and was valid for %v", age.Round(time.Second), valid)
	}
	if err != nil {
		s.log.Warn("a command given on this device is not done", "id", id, "error", printable(err.Error()))
		r.put(dir, stateFailed, "not done: "+err.Error())
		return nil, nil
	}
	r.Command, r.By, r.arguments = printable(m.Command), printable(m.By), m.Arguments
	s.log.Info("command given on this device", "command", r.Command, "by", r.By, "id", id)
	return r, nil
}

// interrupted answers what an earlier work took and did not finish.
func (s *Server) interrupted(dir *os.Root, id string) {
	var a answer
	if err := get(dir, id+suffixAnswer, &a); err == nil && a.State != stateWorking {
		_ = dir.Remove(id + suffixTaken)
		return
	}
	text := "the component's work ended before it answered, by a restart or a new configuration: it may be done, or not"
	if a.Text != "" {
		text += "; the last word was: " + a.Text
	}
	(&Request{id: id, server: s}).put(dir, stateFailed, text)
}

// Request is one that was taken. It is used by one goroutine at a time.
type Request struct {
	Command string
	By      string // who asks, as claimed

	id        string
	arguments json.RawMessage
	server    *Server
}

// Arguments decodes the command's arguments; without any, into stays as it is.
func (r *Request) Arguments(into any) error {
	if len(r.arguments) == 0 {
		return nil
	}
	if err := json.Unmarshal(r.arguments, into); err != nil {
		return fmt.Errorf("read the arguments of %s: %w", r.Command, err)
	}
	return nil
}

// Progress tells who waits for the answer how far it is.
func (r *Request) Progress(text string) { r.tell(stateWorking, text) }

// Answer ends the request: with text, or with why it failed.
func (r *Request) Answer(text string, err error) {
	if err != nil {
		r.tell(stateFailed, err.Error())
		return
	}
	r.tell(stateDone, text)
}

// Unknown answers that there is no such command.
func (r *Request) Unknown() {
	r.Answer("", fmt.Errorf("this version of %s does not know the command %q", r.server.component, r.Command))
}

func (r *Request) tell(s state, text string) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	dir, err := os.OpenRoot(r.server.path)
	if err != nil {
		r.server.log.Warn("a command is not answered", "command", r.Command, "error", err)
		return
	}
	defer func() { _ = dir.Close() }()
	r.put(dir, s, text)
}

func (r *Request) put(dir *os.Root, s state, text string) {
	a := answer{V: format, ID: r.id, State: s, Text: printable(text), TS: r.server.now().UTC()}
	if err := put(dir, r.id+suffixAnswer, r.id, a, nil); err != nil {
		r.server.log.Warn("a command is not answered", "command", r.Command, "error", err)
	}
	if s != stateWorking {
		_ = dir.Remove(r.id + suffixTaken) // if it stays, the next work finds the answer
	}
}
