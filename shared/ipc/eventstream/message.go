// Package eventstream encodes and decodes the frames of Greengrass IPC: AWS event-stream messages with the
// RPC headers of aws-c-event-stream (include/aws/event-stream/event_stream.h and event_stream_rpc.h).
//
// A frame, all integers big-endian, CRC32 = IEEE:
//
//	u32 total length   of the whole frame, both CRCs included; at least 16
//	u32 headers length
//	u32 prelude CRC    over the first 8 bytes
//	headers
//	payload            total length - headers length - 16 bytes
//	u32 message CRC    over everything before it
package eventstream

import (
	"errors"
	"fmt"
)

// MessageType is the :message-type header.
type MessageType int32

// The message types of the protocol.
const (
	ApplicationMessage MessageType = iota
	ApplicationError
	Ping
	PingResponse
	Connect
	ConnectAck
	ProtocolError
	InternalError
)

var messageTypeNames = [...]string{
	"APPLICATION_MESSAGE", "APPLICATION_ERROR", "PING", "PING_RESPONSE",
	"CONNECT", "CONNECT_ACK", "PROTOCOL_ERROR", "INTERNAL_ERROR",
}

func (t MessageType) String() string {
	if t >= 0 && int(t) < len(messageTypeNames) {
		return messageTypeNames[t]
	}
	return fmt.Sprintf("message type %d", int32(t))
}

// Flags is the :message-flags header, a bit set.
type Flags int32

// The flags of the protocol.
const (
	ConnectionAccepted Flags = 1
	TerminateStream    Flags = 2
)

// Version is the protocol version that a CONNECT message carries in its :version header.
const Version = "0.1.0"

// ContentTypeJSON is the content type of every payload but one (a classic nucleus's InternalServerError).
const ContentTypeJSON = "application/json"

// MaxFrame is the largest frame that the AWS common runtime accepts, in bytes, and so the largest of a classic nucleus.
const MaxFrame = 24 << 20

// MaxFrameLite is the largest frame that nucleus lite accepts, in bytes: 10,000 after the prelude.
const MaxFrameLite = 10_000 + preludeLen

// Message is one frame. String headers that are empty are not written.
type Message struct {
	Type     MessageType
	Flags    Flags
	StreamID int32

	Version          string // :version
	ContentType      string // :content-type
	Token            string // svcuid, in the CONNECT_ACK of nucleus lite to a connection by name
	Operation        string // operation, on the first message of a stream
	ServiceModelType string // service-model-type: the shape of the payload

	Payload []byte
}

// Errors that a Decoder returns, wrapped. Each means that the connection cannot go on.
var (
	ErrFrameTooLarge = errors.New("frame exceeds the limit")
	ErrMalformed     = errors.New("malformed frame")
)

const (
	preludeLen = 12
	trailerLen = 4
	overhead   = preludeLen + trailerLen

	headerInt32  = 4
	headerString = 7
)
