package localcore

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"edgepdm/shared/ipc/eventstream"
)

const (
	// classicVersion is the classic nucleus that the core stands in for.
	classicVersion = "2.18.0"
	classicNucleus = "aws.greengrass.Nucleus"
)

// classic is the dialect of the classic nucleus, which is written in Java and serves with the AWS common runtime.
func classic(c *Core) *dialect {
	return &dialect{
		nucleus: classicNucleus, runtime: "aws_nucleus_classic", version: classicVersion,
		maxFrame: eventstream.MaxFrame, maxAnswer: eventstream.MaxFrame, maxConnections: math.MaxInt,
		unary:        eventstream.TerminateStream,
		checkHeaders: func([]byte) bool { return true },
		handle:       handleClassic,
		malformed:    func(c *conn) { c.protocolError(eventstream.ProtocolError, badMessage) },
		failure:      classicFailure,
		appendJSON:   appendGson,
		operations:   c.operations(),
		levels:       classicLevels, matches: matchesClassic, othersOnly: classicOthersOnly,
		tooManyPolicies:    func(map[string]any) bool { return false },
		resource:           func(pattern string) (string, error) { return pattern, nil },
		checkResource:      classicCheckResource,
		checkConfiguration: func(map[string]any) error { return nil },
		variableText:       classicVariableText,
		environment:        c.classicEnvironment,
		fill:               c.fillClassic,
		change:             changeClassic,
		resolve:            c.resolveClassic,
		fetch:              c.fetchClassic,
		unlock:             c.unlock,
		keepsPrevious:      true,
		ipcEndsFirst:       true,
		policiesFirst:      true,
	}
}

// Payloads of the connection-level errors of the AWS common runtime, which a classic nucleus serves with
// (aws-c-event-stream, include/aws/event-stream/private/event_stream_rpc_priv.h). One of them is not JSON.
const (
	badStreamID = `{ "message": "non-zero stream-id field is only allowed for messages of type APPLICATION_MESSAGE. ` +
		`The stream id max value is INT32_MAX." }`
	pastStreamID = `{ "message": "stream-id values must be monotonically incrementing. A stream-id arrived that was ` +
		`lower than the last seen stream-id." }`
	skippedStreamID = `{ "message": "stream-id values must be monotonically incrementing. A new stream-id arrived that ` +
		`was incremented by more than 1." }`
	badMessageType = `{ "message": "an invalid value for message-type field was received." }`
	badMessage     = `{ "message": "A message was received with missing required fields. Check that your client is ` +
		`sending at least, :message-type, :message-flags, and :stream-id" }`
	notConnected = `{ "message": "A CONNECT message must be received, and the CONNECT_ACK must be sent in response, ` +
		`before any other message-types can be sent on this connection. In addition, only one CONNECT message is ` +
		`allowed on a connection." }`
	noOperation = `{ "message": "The first message for on a non-zero :stream-id must contain an operation header value."; }`
)

// handleClassic routes one frame as aws-c-event-stream's server does, and says whether the connection goes on.
func handleClassic(c *conn, m *eventstream.Message) bool {
	if c.principal == nil && m.Type != eventstream.Connect {
		return c.protocolError(eventstream.ProtocolError, notConnected)
	}
	switch {
	case m.StreamID < 0 || m.StreamID > 0 && m.Type > eventstream.ApplicationError || m.StreamID > 0 && m.Type < 0:
		return c.protocolError(eventstream.ProtocolError, badStreamID)
	case m.StreamID > 0 && m.StreamID <= c.latest:
		return c.known(m)
	case m.StreamID > 0 && m.StreamID != c.latest+1:
		return c.protocolError(eventstream.ProtocolError, skippedStreamID)
	case m.StreamID > 0 && m.Operation == "":
		return c.protocolError(eventstream.ProtocolError, noOperation)
	case m.StreamID > 0:
		c.latest = m.StreamID
		c.request(m)
		return true
	}
	switch m.Type {
	case eventstream.Connect:
		if c.principal != nil {
			return c.protocolError(eventstream.ProtocolError, notConnected)
		}
		return c.connect(m)
	case eventstream.Ping:
		c.send(&eventstream.Message{Type: eventstream.PingResponse, Operation: m.Operation,
			ServiceModelType: m.ServiceModelType, Payload: m.Payload})
		return true
	case eventstream.PingResponse:
		return true
	case eventstream.ConnectAck, eventstream.ProtocolError, eventstream.InternalError:
		return c.protocolError(eventstream.InternalError, fmt.Sprintf(`{ "error": "Unrecognized Message Type" }`+
			`"message": " message type value: %d is not recognized as a valid request path." }`, m.Type))
	default:
		return c.protocolError(eventstream.ProtocolError, badMessageType)
	}
}

func (c *conn) connect(m *eventstream.Message) bool {
	ack := &eventstream.Message{Type: eventstream.ConnectAck}
	var request members
	switch {
	case m.Version != eventstream.Version:
		c.log.Warn("refuse IPC connection: wrong :version", "version", m.Version)
	case json.Unmarshal(m.Payload, &request) != nil:
		c.log.Warn("refuse IPC connection: the payload is not a JSON object")
	case !c.authenticate(request):
		c.log.Warn("refuse IPC connection: unknown token")
	default:
		ack.Flags = eventstream.ConnectionAccepted
		c.send(ack)
		return true
	}
	c.send(ack)
	return false
}

func (c *conn) authenticate(request members) bool {
	token, ok := get[string](new(decoder), request, "authToken")
	return ok && c.srv.authenticate(c, token)
}

// known handles a frame of a stream that was opened before.
func (c *conn) known(m *eventstream.Message) bool {
	open := c.opened(m.StreamID)
	terminate := m.Flags&eventstream.TerminateStream != 0
	switch {
	case len(open) == 0 && terminate: // both sides ended it at once
	case len(open) == 0:
		return c.protocolError(eventstream.ProtocolError, pastStreamID)
	case len(m.Payload) > 0 || !terminate: // no operation takes a second message: an exception in the nucleus
		open[0].fail(unexpected())
	default:
		open[0].end()
	}
	return true
}

// request handles the first frame of a stream.
func (c *conn) request(m *eventstream.Message) {
	op, known := c.srv.dialect.operations[m.Operation]
	if !known {
		c.send(&eventstream.Message{Type: eventstream.ApplicationError, Flags: eventstream.TerminateStream,
			StreamID: m.StreamID, ContentType: eventstream.ContentTypeJSON,
			Payload: []byte(`{ "error": "Unsupported Operation", "message": "` + m.Operation +
				` is an unsupported operation." }`)})
		return
	}
	if m.Flags&eventstream.TerminateStream != 0 {
		return // hung up before it asked: nothing is done, nothing is answered
	}
	s := c.open(m.StreamID, m.Operation, op.streaming)
	r := &request{principal: c.principal, operation: m.Operation, stream: s}
	switch {
	case op.handle == nil:
		s.answer(nil, errorf(serviceError, "Operation %s is not supported by Greengrass", m.Operation))
	case len(m.Payload) == 0:
		s.answer(nil, nullPointer())
	case json.Unmarshal(m.Payload, &r.fields) != nil:
		s.answer(nil, unexpected())
	default:
		s.answer(op.handle(r))
	}
}

func (c *conn) protocolError(t eventstream.MessageType, payload string) bool {
	c.log.Warn("IPC protocol violated", "answer", payload)
	c.send(&eventstream.Message{Type: t, ContentType: eventstream.ContentTypeJSON, Payload: []byte(payload)})
	return false
}

// classicFailure is an error as a classic nucleus sends it on a stream.
func classicFailure(e *opError) eventstream.Message {
	if e.code == "" {
		return eventstream.Message{ContentType: "text/plain", Payload: []byte(internalServerErrorMsg)}
	}
	var o object
	if e.message != nil {
		o = append(o, member{"message", *e.message})
	}
	o = append(append(o, e.details...), member{"_service", serviceName})
	switch {
	case e.noArg:
		o = append(o, member{"_message", ""})
	case e.message != nil:
		o = append(o, member{"_message", *e.message})
	}
	return eventstream.Message{ContentType: eventstream.ContentTypeJSON, ServiceModelType: operationPrefix + e.code,
		Payload: appendGson(nil, append(o, member{"_errorCode", e.code}))}
}

// classicLevels splits as Java's String.split does, which drops empty levels at the end: for a classic nucleus a/b/ is a/b.
func classicLevels(topic string) []string {
	return strings.Split(strings.TrimRight(topic, "/"), "/")
}

// matchesClassic matches as a classic nucleus's SubscriptionTrie does, which is not quite MQTT: `a/#` does not match `a`,
// wildcards match topics that begin with $, and a # before the last level is one level.
func matchesClassic(filter, topic []string) bool {
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

// classicOthersOnly applies the default of receiveMode: a filter with a wildcard does not get the component's own messages.
func classicOthersOnly(mode string, filter []string) bool {
	switch mode {
	case "RECEIVE_ALL_MESSAGES":
		return false
	case "RECEIVE_MESSAGES_FROM_OTHERS":
		return true
	default:
		return slices.Contains(filter, "+") || filter[len(filter)-1] == "#"
	}
}

func classicCheckResource(resource string) error {
	if resource == "" {
		return errors.New("Resource cannot be empty")
	}
	return nil
}

func (c *Core) classicEnvironment(env map[string]string, _ *spec) {
	socket := filepath.Join(c.opts.Root, "ipc.socket")
	env["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH"] = socket
	if len(socket) > maxSocketPath {
		socket = "../../ipc.socket" // from the component's work directory
	}
	env[socketVariable] = socket
	env["AWS_USE_FIPS_ENDPOINT"] = "false"
	if c.opts.CredentialsURL != "" {
		env[credentialsVariable] = c.opts.CredentialsURL
	}
}

// variable is a recipe variable: {namespace:key}. A key holds no ':' and no '}'.
var variable = regexp.MustCompile(`\{([.\w-]+):([^:}]*)\}`)

// fillClassic fills recipe variables in when a component is deployed. What is not resolved stays as it is.
func (c *Core) fillClassic(text string, _ bool, lookup func(namespace, key string) (string, bool)) (string, error) {
	return variable.ReplaceAllStringFunc(text, func(whole string) string {
		parts := variable.FindStringSubmatch(whole)
		v, ok := lookup(parts[1], parts[2])
		if !ok {
			c.log.Error("recipe variable is not resolved and stays as it is", "variable", whole)
			return whole
		}
		return v
	}), nil
}

// classicVariableText is a configuration value in a script: a container as Jackson prints it, nothing escaped that need
// not be.
func classicVariableText(v any) string {
	switch v.(type) {
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
