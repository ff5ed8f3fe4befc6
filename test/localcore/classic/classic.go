// Package classic is the dialect of the classic nucleus, which is written in Java and serves with the AWS common runtime.
package classic

import (
	"encoding/json"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"edgepdm/shared/ipc/eventstream"
	"edgepdm/test/localcore/nucleus"
	"edgepdm/test/localcore/shadows"
)

// Name is the component that a classic nucleus is.
const Name = "aws.greengrass.Nucleus"

type dialect struct {
	n       *nucleus.Nucleus
	table   map[string]operation
	asks    *validation
	shadows *shadows.Shadows
}

// New makes the dialect for a nucleus.
func New(n *nucleus.Nucleus) nucleus.Dialect {
	d := &dialect{n: n, asks: newValidation()}
	d.table = d.operations()
	return d
}

func (*dialect) Traits() nucleus.Traits {
	return nucleus.Traits{Name: Name, Runtime: "aws_nucleus_classic", Version: "2.18.0", MaxFrame: eventstream.MaxFrame,
		MaxAnswer: eventstream.MaxFrame, MaxConnections: math.MaxInt, Unary: eventstream.TerminateStream}
}

// Payloads of connection-level errors of the AWS common runtime, which a classic nucleus serves with
// (aws-c-event-stream, include/aws/event-stream/private/event_stream_rpc_priv.h). It has more of them for single causes.
const (
	BadStreamID = `{ "message": "stream-id values must be monotonically incrementing. A new stream-id arrived that ` +
		`was incremented by more than 1." }`
	BadMessage = `{ "message": "A message was received with missing required fields. Check that your client is ` +
		`sending at least, :message-type, :message-flags, and :stream-id" }`
	NotConnected = `{ "message": "A CONNECT message must be received, and the CONNECT_ACK must be sent in response, ` +
		`before any other message-types can be sent on this connection. In addition, only one CONNECT message is ` +
		`allowed on a connection." }`
)

// Handle routes one frame as aws-c-event-stream's server does, and says whether the connection goes on.
func (d *dialect) Handle(c *nucleus.Conn, m *eventstream.Message) bool {
	switch {
	case m == nil:
		return protocolError(c, BadMessage)
	case (c.Principal == nil) != (m.Type == eventstream.Connect):
		return protocolError(c, NotConnected)
	case m.Type == eventstream.Connect && m.StreamID == 0:
		return connect(c, m)
	case m.Type == eventstream.Ping && m.StreamID == 0:
		c.Send(&eventstream.Message{Type: eventstream.PingResponse, Operation: m.Operation,
			ServiceModelType: m.ServiceModelType, Payload: m.Payload})
	case m.Type == eventstream.PingResponse && m.StreamID == 0:
	case m.StreamID == 0 || m.Type != eventstream.ApplicationMessage:
		return protocolError(c, BadMessage)
	case m.StreamID == c.Latest+1 && m.Operation != "":
		c.Latest = m.StreamID
		d.request(c, m)
	case m.StreamID > 0 && m.StreamID <= c.Latest && m.Flags&eventstream.TerminateStream != 0:
		for _, s := range c.Opened(m.StreamID) { // none when both sides ended it at once
			s.End()
		}
	default:
		return protocolError(c, BadStreamID)
	}
	return true
}

func connect(c *nucleus.Conn, m *eventstream.Message) bool {
	ack := &eventstream.Message{Type: eventstream.ConnectAck}
	var r request
	switch {
	case m.Version != eventstream.Version:
		c.Log().Warn("refuse IPC connection: wrong :version", "version", m.Version)
	case json.Unmarshal(m.Payload, &r.fields) != nil:
		c.Log().Warn("refuse IPC connection: the payload is not a JSON object")
	case !c.Authenticate(r.token()):
		c.Log().Warn("refuse IPC connection: unknown token")
	default:
		ack.Flags = eventstream.ConnectionAccepted
		c.Send(ack)
		return true
	}
	c.Send(ack)
	return false
}

// request handles the first frame of a stream.
func (d *dialect) request(c *nucleus.Conn, m *eventstream.Message) {
	op, known := d.table[m.Operation]
	if !known {
		c.Send(&eventstream.Message{Type: eventstream.ApplicationError, Flags: eventstream.TerminateStream,
			StreamID: m.StreamID, ContentType: eventstream.ContentTypeJSON,
			Payload: []byte(`{ "error": "Unsupported Operation", "message": "` + m.Operation +
				` is an unsupported operation." }`)})
		return
	}
	if m.Flags&eventstream.TerminateStream != 0 {
		return // hung up before it asked: nothing is done, nothing is answered
	}
	s := c.Open(m.StreamID, m.Operation, op.streaming)
	r := &request{Call: nucleus.Call{Principal: c.Principal, Operation: m.Operation, Stream: s}}
	switch {
	case op.handle == nil:
		s.Answer(nil, errorf(nucleus.ServiceError, "Operation %s is not supported by Greengrass", m.Operation))
	case len(m.Payload) == 0:
		s.Answer(nil, nullPointer())
	case json.Unmarshal(m.Payload, &r.fields) != nil:
		s.Answer(nil, unexpected())
	default:
		s.Answer(op.handle(r))
	}
}

func protocolError(c *nucleus.Conn, payload string) bool {
	c.Log().Warn("IPC protocol violated", "answer", payload)
	c.Send(&eventstream.Message{Type: eventstream.ProtocolError, ContentType: eventstream.ContentTypeJSON, Payload: []byte(payload)})
	return false
}

func (*dialect) Failure(e *nucleus.Error) eventstream.Message {
	if e.Code == "" {
		return eventstream.Message{ContentType: "text/plain", Payload: []byte("InternalServerError")}
	}
	var o object
	if e.Message != nil {
		o = append(o, "message", *e.Message)
	}
	o = append(append(o, e.Details...), "_service", "aws.greengrass#GreengrassCoreIPC")
	switch {
	case e.NoArg:
		o = append(o, "_message", "")
	case e.Message != nil:
		o = append(o, "_message", *e.Message)
	}
	return eventstream.Message{ContentType: eventstream.ContentTypeJSON, ServiceModelType: nucleus.OperationPrefix + e.Code,
		Payload: appendGson(nil, append(o, "_errorCode", e.Code))}
}

// levels splits as Java's String.split does, which drops empty levels at the end: for a classic nucleus a/b/ is a/b.
func levels(topic string) []string { return strings.Split(strings.TrimRight(topic, "/"), "/") }

// Matches matches as a classic nucleus's SubscriptionTrie does, which is not quite MQTT: `a/#` does not match `a`,
// wildcards match topics that begin with $, and a # before the last level is one level.
func (*dialect) Matches(wanted, published string) bool {
	filter, topic := levels(wanted), levels(published)
	for i, level := range topic {
		switch {
		case i >= len(filter):
			return false
		case filter[i] == "#" && i == len(filter)-1:
			return true
		case filter[i] != level && filter[i] != "+" && filter[i] != "#":
			return false
		}
	}
	return len(filter) == len(topic)
}

// othersOnly applies the default of receiveMode: a filter with a wildcard does not get the component's own messages.
func othersOnly(mode, filter string) bool {
	switch mode {
	case "RECEIVE_ALL_MESSAGES":
		return false
	case "RECEIVE_MESSAGES_FROM_OTHERS":
		return true
	default:
		at := levels(filter)
		return slices.Contains(at, "+") || at[len(at)-1] == "#"
	}
}

func (*dialect) AppendJSON(b []byte, v any) []byte { return appendGson(b, v) }

// A classic nucleus has no bounds on policies and configuration.

func (*dialect) CheckPolicies(map[string]any) error { return nil }

func (*dialect) Resource(pattern string) (string, error) { return pattern, nil }

func (*dialect) CheckConfiguration(map[string]any) error { return nil }

func (d *dialect) Environment(env map[string]string, _ bool) {
	socket := filepath.Join(d.n.Root, "ipc.socket")
	env["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH"] = socket
	if len(socket) > nucleus.MaxSocketPath {
		socket = "../../ipc.socket" // from the component's work directory
	}
	env[nucleus.SocketVariable] = socket
	env["AWS_USE_FIPS_ENDPOINT"] = "false"
	if d.n.CredentialsURL != "" {
		env[nucleus.CredentialsVariable] = d.n.CredentialsURL
	}
}

// variable is a recipe variable: {namespace:key}. A key holds no ':' and no '}'.
var variable = regexp.MustCompile(`\{([.\w-]+):([^:}]*)\}`)

// Fill fills recipe variables in when a component is deployed. What is not resolved stays as it is.
func (d *dialect) Fill(text string, _ bool, lookup func(namespace, key string) (any, bool)) (string, error) {
	return variable.ReplaceAllStringFunc(text, func(whole string) string {
		parts := variable.FindStringSubmatch(whole)
		v, ok := lookup(parts[1], parts[2])
		if !ok {
			d.n.Log.Error("recipe variable is not resolved and stays as it is", "variable", whole)
			return whole
		}
		return variableText(v)
	}), nil
}

// variableText is a value in a script: a container as Jackson prints it, nothing escaped that need not be.
func variableText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any, []any:
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil { // the store holds only what JSON can say
			return ""
		}
		return strings.TrimSpace(b.String())
	default:
		return string(appendGson(nil, v))
	}
}
