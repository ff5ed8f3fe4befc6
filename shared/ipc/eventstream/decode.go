package eventstream

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// Decoder reads frames from a connection. It is for one goroutine.
type Decoder struct {
	r        io.Reader
	maxFrame int
	buf      []byte // buf[start:end] holds what is read and not yet decoded
	start    int
	end      int
	interned map[string]string // header strings seen before: they repeat, so decoding need not allocate
}

const (
	readSize    = 16 << 10
	maxInterned = 64 // strings; a peer that sends ever new ones only makes decoding allocate
)

// NewDecoder returns a Decoder that refuses frames longer than maxFrame bytes before it allocates for them.
func NewDecoder(r io.Reader, maxFrame int) *Decoder {
	return &Decoder{r: r, maxFrame: maxFrame, buf: make([]byte, readSize), interned: make(map[string]string)}
}

// Decode reads the next frame into m. m.Payload is valid until the next call.
// It returns io.EOF when the connection ended between two frames, io.ErrUnexpectedEOF when it ended inside one,
// and an error that wraps ErrMalformed or ErrFrameTooLarge for a frame that is not acceptable.
func (d *Decoder) Decode(m *Message) error {
	if err := d.fill(preludeLen); err != nil {
		return err
	}
	prelude := d.buf[d.start : d.start+preludeLen]
	total := binary.BigEndian.Uint32(prelude)
	headersLen := binary.BigEndian.Uint32(prelude[4:])
	if binary.BigEndian.Uint32(prelude[8:]) != crc32.ChecksumIEEE(prelude[:8]) {
		return fmt.Errorf("check prelude CRC: %w", ErrMalformed)
	}
	if int64(total) > int64(d.maxFrame) {
		return fmt.Errorf("frame of %d bytes, limit %d: %w", total, d.maxFrame, ErrFrameTooLarge)
	}
	if total < overhead || headersLen > total-overhead {
		return fmt.Errorf("frame of %d bytes with %d bytes of headers: %w", total, headersLen, ErrMalformed)
	}
	if err := d.fill(int(total)); err != nil {
		return err
	}
	frame := d.buf[d.start : d.start+int(total)]
	d.start += int(total)
	body := frame[:len(frame)-trailerLen]
	if binary.BigEndian.Uint32(frame[len(body):]) != crc32.ChecksumIEEE(body) {
		return fmt.Errorf("check message CRC: %w", ErrMalformed)
	}
	headersEnd := preludeLen + int(headersLen)
	*m = Message{Payload: body[headersEnd:]}
	return d.headers(body[preludeLen:headersEnd], m)
}

// fill makes d.buf hold at least n undecoded bytes.
func (d *Decoder) fill(n int) error {
	if d.end-d.start >= n {
		return nil
	}
	if d.start > 0 {
		d.end = copy(d.buf, d.buf[d.start:d.end])
		d.start = 0
	}
	switch {
	case n > len(d.buf):
		grown := make([]byte, n)
		copy(grown, d.buf[:d.end])
		d.buf = grown
	case d.end == 0 && len(d.buf) > readSize && n <= readSize:
		d.buf = make([]byte, readSize) // a rare large frame must not hold its memory for ever
	}
	got, err := io.ReadAtLeast(d.r, d.buf[d.end:], n-d.end)
	if err == io.EOF && d.end > 0 {
		err = io.ErrUnexpectedEOF // ended inside a frame, though at the edge of this read
	}
	d.end += got
	if err != nil {
		return err
	}
	return nil
}

// valueSizes are the sizes of header values by type; -1 is a two-byte length followed by that many bytes.
var valueSizes = [...]int{0, 0, 1, 2, headerInt32: 4, 8, -1, headerString: -1, 8, 16}

func (d *Decoder) headers(h []byte, m *Message) error {
	var seen [3]bool // :message-type, :message-flags, :stream-id
	for len(h) > 0 {
		nameLen := int(h[0])
		if nameLen == 0 || len(h) < 1+nameLen+1 {
			return fmt.Errorf("read header name: %w", ErrMalformed)
		}
		name, kind := h[1:1+nameLen], h[1+nameLen]
		h = h[1+nameLen+1:]
		if int(kind) >= len(valueSizes) {
			return fmt.Errorf("header %q has unknown type %d: %w", name, kind, ErrMalformed)
		}
		size := valueSizes[kind]
		if size < 0 {
			if len(h) < 2 {
				return fmt.Errorf("header %q is cut off: %w", name, ErrMalformed)
			}
			size = int(binary.BigEndian.Uint16(h))
			h = h[2:]
		}
		if len(h) < size {
			return fmt.Errorf("header %q is cut off: %w", name, ErrMalformed)
		}
		value := h[:size]
		h = h[size:]

		switch kind {
		case headerInt32:
			v := int32(binary.BigEndian.Uint32(value))
			switch string(name) {
			case ":message-type":
				m.Type, seen[0] = MessageType(v), true
			case ":message-flags":
				m.Flags, seen[1] = Flags(v), true
			case ":stream-id":
				m.StreamID, seen[2] = v, true
			}
		case headerString:
			switch string(name) {
			case ":version":
				m.Version = d.intern(value)
			case ":content-type":
				m.ContentType = d.intern(value)
			case "svcuid":
				m.Token = string(value)
			case "operation":
				m.Operation = d.intern(value)
			case "service-model-type":
				m.ServiceModelType = d.intern(value)
			}
		}
	}
	for i, name := range [...]string{":message-type", ":message-flags", ":stream-id"} {
		if !seen[i] {
			return fmt.Errorf("header %s is missing: %w", name, ErrMalformed)
		}
	}
	return nil
}

func (d *Decoder) intern(b []byte) string {
	if s, ok := d.interned[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(d.interned) < maxInterned {
		d.interned[s] = s
	}
	return s
}
