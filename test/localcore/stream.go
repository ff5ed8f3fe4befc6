package localcore

import (
	"sync"

	"edgepdm/shared/ipc/eventstream"
)

// stream is one operation in progress. Its response always precedes its events.
type stream struct {
	conn      *conn
	id        int32
	operation string
	streaming bool

	mu        sync.Mutex
	responded bool
	ended     bool
	early     []eventstream.Message // events from before the response
	cleanup   func()                // ends the subscription
}

// onClose sets what ends the subscription behind the stream. It is called once, also when the stream has ended already.
func (s *stream) onClose(f func()) {
	s.mu.Lock()
	ended := s.ended
	if !ended {
		s.cleanup = f
	}
	s.mu.Unlock()
	if ended {
		f()
	}
}

// respond sends the response; it ends the stream of an operation without events.
func (s *stream) respond(payload []byte) {
	m := s.message(s.operation+"Response", payload)
	if !s.streaming {
		m.Flags = s.conn.srv.dialect.unary
		s.end()
		s.conn.send(&m)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.responded = true
	s.conn.send(&m)
	for i := range s.early {
		s.conn.send(&s.early[i])
	}
	s.early = nil
}

// event sends an event of the given shape.
func (s *stream) event(shape string, payload []byte) {
	m := s.message(operationPrefix+shape, payload)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
	case !s.responded:
		s.early = append(s.early, m)
	default:
		s.conn.send(&m)
	}
}

func (s *stream) fail(err *opError) {
	m := s.conn.srv.dialect.failure(err)
	m.Type, m.Flags, m.StreamID = eventstream.ApplicationError, eventstream.TerminateStream, s.id
	s.end()
	s.conn.send(&m)
}

func (s *stream) message(shape string, payload []byte) eventstream.Message {
	return eventstream.Message{StreamID: s.id, ContentType: eventstream.ContentTypeJSON, ServiceModelType: shape, Payload: payload}
}

// end forgets the stream: nothing more is sent on it, and its id is spent.
func (s *stream) end() {
	s.conn.mu.Lock()
	delete(s.conn.streams, s)
	s.conn.mu.Unlock()
	s.close()
}

func (s *stream) close() {
	s.mu.Lock()
	cleanup := s.cleanup
	s.ended, s.cleanup = true, nil
	s.mu.Unlock()
	if cleanup != nil {
		cleanup()
	}
}

// request is an operation's request.
type request struct {
	decoder
	principal *principal
	operation string
	stream    *stream
	fields    members        // on a classic nucleus
	args      map[string]any // on nucleus lite
}

// operation is one entry of the table of operations; a nil handle is one that a core without plugins does not serve.
// handle runs on the connection's goroutine and must not wait. It returns the response, or nil to answer later.
type operation struct {
	streaming bool
	handle    func(r *request) ([]byte, *opError)
}
