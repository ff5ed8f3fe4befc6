package eventstream

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// maxHeaderString is the longest header string that the AWS common runtime accepts, in bytes.
const maxHeaderString = math.MaxInt16

// Append appends the frame of m to dst and returns the longer slice. It fails, leaving dst as it was, when a
// header is longer than 32,767 bytes or the frame would exceed MaxFrame.
func Append(dst []byte, m *Message) ([]byte, error) {
	b, err := Begin(dst, m)
	if err != nil {
		return dst, err
	}
	if len(m.Payload) > MaxFrame {
		return dst, fmt.Errorf("encode payload of %d bytes: %w", len(m.Payload), ErrFrameTooLarge)
	}
	b, err = End(append(b, m.Payload...), len(dst))
	if err != nil {
		return dst, err
	}
	return b, nil
}

// Begin appends a frame of m without its payload: the caller appends that, and then calls End. So a payload can be
// encoded where it is sent from. It fails, leaving dst as it was, when a header is longer than 32,767 bytes.
func Begin(dst []byte, m *Message) ([]byte, error) {
	for _, s := range [...]string{m.Version, m.ContentType, m.Operation, m.ServiceModelType, m.Token} {
		if len(s) > maxHeaderString {
			return dst, fmt.Errorf("encode header of %d bytes: %w", len(s), ErrFrameTooLarge)
		}
	}
	start := len(dst)
	b := append(dst, make([]byte, preludeLen)...)
	b = appendInt32(b, ":message-type", int32(m.Type))
	b = appendInt32(b, ":message-flags", int32(m.Flags))
	b = appendInt32(b, ":stream-id", m.StreamID)
	b = appendString(b, ":version", m.Version)
	b = appendString(b, ":content-type", m.ContentType)
	b = appendString(b, "operation", m.Operation)
	b = appendString(b, "service-model-type", m.ServiceModelType)
	b = appendString(b, "svcuid", m.Token)
	binary.BigEndian.PutUint32(b[start+4:], uint32(len(b)-start-preludeLen))
	return b, nil
}

// End completes the frame that Begin started at b[start] and whose payload is the rest of b. It fails when the frame
// would exceed MaxFrame.
func End(b []byte, start int) ([]byte, error) {
	frame := b[start:]
	total := len(frame) + trailerLen
	if total > MaxFrame {
		return b, fmt.Errorf("encode frame of %d bytes: %w", total, ErrFrameTooLarge)
	}
	binary.BigEndian.PutUint32(frame[0:], uint32(total))
	binary.BigEndian.PutUint32(frame[8:], crc32.ChecksumIEEE(frame[:8]))
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(frame)), nil
}

func appendInt32(b []byte, name string, v int32) []byte {
	b = append(b, byte(len(name)))
	b = append(b, name...)
	b = append(b, headerInt32)
	return binary.BigEndian.AppendUint32(b, uint32(v))
}

func appendString(b []byte, name, v string) []byte {
	if v == "" {
		return b
	}
	b = append(b, byte(len(name)))
	b = append(b, name...)
	b = append(b, headerString)
	b = binary.BigEndian.AppendUint16(b, uint16(len(v)))
	return append(b, v...)
}
