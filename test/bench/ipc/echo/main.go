// Command echo is the least that a nucleus could do: it accepts every token, and answers each PublishToTopic with the event,
// to the connection's own subscription, and the response. With it a benchmark measures clients rather than a nucleus.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"

	"edgepdm/shared/ipc/eventstream"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: echo SOCKET")
		os.Exit(2)
	}
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(socket string) error {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Println("ready")
	for {
		conn, err := listener.AcceptUnix()
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go func() { // ends with the connection, and at the latest with the process
			if err := answer(conn); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			_ = conn.Close() // it has ended
		}()
	}
}

const model = "aws.greengrass#"

// answer serves one connection until its client closes it.
func answer(conn *net.UnixConn) error {
	decoder := eventstream.NewDecoder(conn, eventstream.MaxFrame)
	var m eventstream.Message
	var subscription int32
	var out, event []byte
	for decoder.Decode(&m) == nil {
		out = out[:0]
		var err error
		switch {
		case m.Type == eventstream.Connect:
			out, err = eventstream.Append(out, &eventstream.Message{Type: eventstream.ConnectAck, Flags: eventstream.ConnectionAccepted})
		case m.Operation == model+"SubscribeToTopic":
			subscription = m.StreamID
			out, err = respond(out, &m, 0)
		case m.Operation == model+"PublishToTopic":
			if event, err = appendEvent(event[:0], m.Payload); err != nil {
				return err
			}
			out, err = eventstream.Append(out, &eventstream.Message{StreamID: subscription, ServiceModelType: model + "SubscriptionResponseMessage",
				ContentType: eventstream.ContentTypeJSON, Payload: event})
			if err == nil {
				out, err = respond(out, &m, eventstream.TerminateStream)
			}
		case m.Flags&eventstream.TerminateStream != 0: // the subscription's end
		default:
			err = errors.New("a request that a benchmark does not make: " + m.Operation)
		}
		if err != nil {
			return err
		}
		if _, err := conn.Write(out); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

func respond(out []byte, m *eventstream.Message, flags eventstream.Flags) ([]byte, error) {
	return eventstream.Append(out, &eventstream.Message{StreamID: m.StreamID, Flags: flags, ServiceModelType: m.Operation + "Response",
		ContentType: eventstream.ContentTypeJSON, Payload: []byte("{}")})
}

// appendEvent makes the event of a request to publish a binaryMessage. Every part of it goes in as it came.
func appendEvent(b, request []byte) ([]byte, error) {
	var r struct {
		Topic   json.RawMessage `json:"topic"`
		Publish struct {
			Binary struct {
				Message json.RawMessage `json:"message"`
			} `json:"binaryMessage"`
		} `json:"publishMessage"`
	}
	if err := json.Unmarshal(request, &r); err != nil {
		return nil, fmt.Errorf("decode request: %w", err)
	}
	return fmt.Appendf(b, `{"binaryMessage":{"message":%s,"context":{"topic":%s}}}`, r.Publish.Binary.Message, r.Topic), nil
}
