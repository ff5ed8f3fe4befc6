package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/shared/ipc/eventstream"
)

// wire is a connection below the client: it can send what the client never would.
type wire struct {
	conn    net.Conn
	decoder *eventstream.Decoder
}

// dialWire connects without a handshake.
func dialWire(ctx context.Context, s *session) (*wire, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", s.options.Connection.Socket)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if err := conn.SetDeadline(time.Now().Add(s.options.Patience)); err != nil {
		return nil, errors.Join(fmt.Errorf("set deadline: %w", err), conn.Close())
	}
	return &wire{conn, eventstream.NewDecoder(conn, eventstream.MaxFrame)}, nil
}

// openWire connects and authenticates.
func openWire(ctx context.Context, s *session) (*wire, error) {
	w, err := dialWire(ctx, s)
	if err != nil {
		return nil, err
	}
	seen, err := w.handshake(s.options.Connection.AuthToken, eventstream.Version)
	if err == nil && seen != accepted {
		err = fmt.Errorf("handshake: %s", seen)
	}
	if err != nil {
		return nil, errors.Join(err, w.conn.Close())
	}
	return w, nil
}

// handshake sends CONNECT and says how it was answered.
func (w *wire) handshake(token, version string) (string, error) {
	payload, err := json.Marshal(map[string]string{"authToken": token})
	if err != nil {
		return "", err
	}
	connect := eventstream.Message{Type: eventstream.Connect, Version: version, ContentType: eventstream.ContentTypeJSON, Payload: payload}
	answer, err := w.ask(&connect)
	switch {
	case errors.Is(err, errClosed): // as nucleus lite refuses
		return refused, nil
	case err != nil:
		return "", err
	case answer.Type != eventstream.ConnectAck:
		return answer.Type.String(), nil
	case answer.Flags&eventstream.ConnectionAccepted == 0:
		return refused, nil
	}
	return accepted, nil
}

// errClosed means that the nucleus closed the connection instead of an answer.
var errClosed = errors.New("the nucleus closed the connection")

// ask sends a frame and reads the next one.
func (w *wire) ask(m *eventstream.Message) (*eventstream.Message, error) {
	frame, err := eventstream.Append(nil, m)
	if err != nil {
		return nil, err
	}
	if _, err := w.conn.Write(frame); err != nil {
		return nil, wireError(err)
	}
	answer := new(eventstream.Message)
	if err := w.decoder.Decode(answer); err != nil {
		return nil, wireError(err)
	}
	return answer, nil
}

func wireError(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errPatience
	}
	return err
}

// request is the first frame of a stream.
func request(id int32, operation, payload string) *eventstream.Message {
	return &eventstream.Message{
		StreamID: id, Operation: "aws.greengrass#" + operation, ServiceModelType: "aws.greengrass#" + operation + "Request",
		ContentType: eventstream.ContentTypeJSON, Payload: []byte(payload),
	}
}

// seenOf puts an answer into a word or two.
func seenOf(answer *eventstream.Message, err error) (string, error) {
	switch {
	case errors.Is(err, errClosed):
		return closed, nil
	case err != nil:
		return "", err
	case answer.Type == eventstream.ApplicationMessage:
		return accepted, nil
	case answer.Type == eventstream.ApplicationError && answer.ServiceModelType != "":
		return strings.TrimPrefix(answer.ServiceModelType, "aws.greengrass#"), nil
	case answer.Type == eventstream.ApplicationError:
		return "error without a shape", nil
	}
	return answer.Type.String(), nil
}

// readNucleus is a request that any caller may make of any nucleus.
func readNucleus(id int32) func(*session) *eventstream.Message {
	return func(s *session) *eventstream.Message {
		return request(id, "GetConfiguration", `{"componentName":"`+nucleusName(s.runtime)+`","keyPath":[]}`)
	}
}

// nucleusName is the component that has the nucleus's configuration.
func nucleusName(runtime ipc.NucleusKind) string {
	if runtime == ipc.Lite {
		return "aws.greengrass.NucleusLite"
	}
	return "aws.greengrass.Nucleus"
}

// onWire is a case of one frame on an authenticated connection.
func onWire(frame func(s *session) *eventstream.Message, see func(*eventstream.Message, error) (string, error)) func(context.Context, *session) (string, error) {
	return func(ctx context.Context, s *session) (string, error) {
		w, err := openWire(ctx, s)
		if err != nil {
			return "", err
		}
		defer func() { _ = w.conn.Close() }()
		return see(w.ask(frame(s)))
	}
}

func connectCases() []testCase {
	// shake is a case of a handshake.
	shake := func(token func(*session) string, version string) func(context.Context, *session) (string, error) {
		return func(ctx context.Context, s *session) (string, error) {
			w, err := dialWire(ctx, s)
			if err != nil {
				return "", err
			}
			defer func() { _ = w.conn.Close() }()
			return w.handshake(token(s), version)
		}
	}
	own := func(s *session) string { return s.options.Connection.AuthToken }
	return []testCase{
		{"Connect", "second connection with the token", accepted, accepted, shake(own, eventstream.Version)},
		{"Connect", "token that nobody has", refused, refused, shake(func(*session) string { return "AAAAAAAAAAAAAAAA" }, eventstream.Version)},
		{"Connect", "version 0.2.0", refused, refused, shake(own, "0.2.0")},
		{"Connect", "request instead of CONNECT", eventstream.ProtocolError.String(), closed, func(ctx context.Context, s *session) (string, error) {
			w, err := dialWire(ctx, s)
			if err != nil {
				return "", err
			}
			defer func() { _ = w.conn.Close() }()
			return seenOf(w.ask(readNucleus(1)(s)))
		}},
		{"Connect", "refusal is told to the program", refused, refused, func(ctx context.Context, s *session) (string, error) {
			o := s.options.Connection
			o.AuthToken = "AAAAAAAAAAAAAAAA"
			client, err := ipc.Dial(ctx, o)
			if err != nil {
				return "", err
			}
			return accepted, client.Close()
		}},
	}
}

func protocolCases() []testCase {
	frame := func(m *eventstream.Message) func(*session) *eventstream.Message {
		return func(*session) *eventstream.Message { return m }
	}
	protocolError := eventstream.ProtocolError.String()
	return []testCase{
		{"Protocol", "flags of a response", "terminate", "none", onWire(readNucleus(1),
			func(m *eventstream.Message, err error) (string, error) {
				switch {
				case err != nil:
					return seenOf(m, err)
				case m.Flags&eventstream.TerminateStream != 0:
					return "terminate", nil
				}
				return "none", nil
			})},
		{"Protocol", "operation that does not exist", "error without a shape", "ServiceError", onWire(frame(request(1, "NoSuchOperation", "{}")), seenOf)},
		{"Protocol", "stream ids that begin with 5", protocolError, accepted, onWire(readNucleus(5), seenOf)},
		{"Protocol", "request on stream 0", protocolError, closed, onWire(readNucleus(0), seenOf)},
		{"Protocol", "PING with a header of its own", eventstream.PingResponse.String(), closed,
			onWire(frame(&eventstream.Message{Type: eventstream.Ping, Operation: "edgepdm"}), seenOf)},
		{"Protocol", "PING", eventstream.PingResponse.String(), closed, func(ctx context.Context, s *session) (string, error) {
			if !s.options.Embedded {
				return "", skipf("it aborts a real classic nucleus")
			}
			return onWire(frame(&eventstream.Message{Type: eventstream.Ping}), seenOf)(ctx, s)
		}},
		{"Protocol", "request without a payload", "", "ServiceError", onWire(frame(request(1, "GetConfiguration", "")), seenOf)},
		{"Protocol", "frame of more than 10,012 bytes", accepted, closed, onWire(func(s *session) *eventstream.Message {
			return request(1, "PublishToTopic", `{"topic":"`+s.topic("frame")+`","publishMessage":{"binaryMessage":{"message":"`+
				strings.Repeat("AAAA", 2500)+`"}}}`)
		}, seenOf)},
	}
}

// asked is a case of a request that the client would refuse to send; TOPIC stands for a topic of the run.
func asked(operation, payload string) func(context.Context, *session) (string, error) {
	return onWire(func(s *session) *eventstream.Message {
		return request(1, operation, strings.ReplaceAll(payload, "TOPIC", s.topic("cloud/asked")))
	}, seenOf)
}
