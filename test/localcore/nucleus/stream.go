package nucleus

import (
	"sync"

	"edgepdm/shared/ipc/eventstream"
)

// Stream is one operation in progress. Its response always precedes its events.
type Stream struct {
	conn      *Conn
	id        int32
	operation string
	streaming bool

	mu        sync.Mutex
	responded bool
	ended     bool
	early     []eventstream.Message // events from before the response
	cleanup   func()                // ends the subscription
}

// OnClose sets what ends the subscription behind the stream. It is called once, also when the stream has ended already.
func (s *Stream) OnClose(f func()) {
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

// Respond sends the response; it ends the stream of an operation without events.
func (s *Stream) Respond(payload []byte) {
	m := s.message(s.operation+"Response", payload)
	if !s.streaming {
		m.Flags = s.conn.server.traits.Unary
		s.End()
		s.conn.Send(&m)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.responded = true
	s.conn.Send(&m)
	for i := range s.early {
		s.conn.Send(&s.early[i])
	}
	s.early = nil
}

// Event sends an event of the given shape.
func (s *Stream) Event(shape string, payload []byte) {
	m := s.message(OperationPrefix+shape, payload)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
	case !s.responded:
		s.early = append(s.early, m)
	default:
		s.conn.Send(&m)
	}
}

// Fail sends an error, which ends the stream.
func (s *Stream) Fail(err *Error) {
	m := s.conn.server.dialect.Failure(err)
	m.Type, m.Flags, m.StreamID = eventstream.ApplicationError, eventstream.TerminateStream, s.id
	s.End()
	s.conn.Send(&m)
}

func (s *Stream) message(shape string, payload []byte) eventstream.Message {
	return eventstream.Message{StreamID: s.id, ContentType: eventstream.ContentTypeJSON, ServiceModelType: shape, Payload: payload}
}

// End forgets the stream: nothing more is sent on it, and its id is spent.
func (s *Stream) End() {
	s.conn.mu.Lock()
	delete(s.conn.streams, s)
	s.conn.mu.Unlock()
	s.close()
}

func (s *Stream) close() {
	s.mu.Lock()
	cleanup := s.cleanup
	s.ended, s.cleanup = true, nil
	s.mu.Unlock()
	if cleanup != nil {
		cleanup()
	}
}

// Call is what every operation is called with.
type Call struct {
	*Principal
	Operation string
	Stream    *Stream
}

// Answer sends an operation's response or error; with neither the operation answers later.
func (s *Stream) Answer(response []byte, err *Error) {
	switch {
	case err != nil:
		s.conn.Log().Info("IPC operation failed", "operation", s.operation, "err", err)
		s.Fail(err)
	case response != nil:
		s.Respond(response)
	}
}

// Fits tells whether a response can be sent. An event that does not fit is left out.
func (s *Stream) Fits(response []byte) bool {
	m := s.message(s.operation+"Response", response)
	frame, err := eventstream.Append(nil, &m)
	return err == nil && len(frame) <= s.conn.server.traits.MaxAnswer
}
