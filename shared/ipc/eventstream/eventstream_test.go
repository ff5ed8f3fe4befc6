package eventstream_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	aws "github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"edgepdm/shared/ipc/eventstream"
)

var examples = []eventstream.Message{
	{Type: eventstream.Connect, Version: eventstream.Version, ContentType: eventstream.ContentTypeJSON, Payload: []byte(`{"authToken":"A"}`)},
	{Type: eventstream.ConnectAck, Flags: eventstream.ConnectionAccepted},
	{
		StreamID: 1, Operation: "aws.greengrass#PublishToTopic", ServiceModelType: "aws.greengrass#PublishToTopicRequest",
		ContentType: eventstream.ContentTypeJSON, Payload: []byte(`{"topic":"t"}`),
	},
	{Type: eventstream.ApplicationError, Flags: eventstream.TerminateStream, StreamID: 1<<31 - 1, ContentType: "text/plain", Payload: []byte("InternalServerError")},
	{StreamID: 7, Payload: bytes.Repeat([]byte{0, 255, '"'}, 40_000)},
}

func encode(t testing.TB, m eventstream.Message) []byte {
	t.Helper()
	frame, err := eventstream.Append(nil, &m)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return frame
}

func equal(a, b eventstream.Message) bool {
	payload := bytes.Equal(a.Payload, b.Payload)
	a.Payload, b.Payload = nil, nil
	return payload && a.Type == b.Type && a.Flags == b.Flags && a.StreamID == b.StreamID && a.Version == b.Version &&
		a.ContentType == b.ContentType && a.Operation == b.Operation && a.ServiceModelType == b.ServiceModelType
}

// The AWS SDK's own codec must read what we write.
func TestAppendIsReadByTheAWSCodec(t *testing.T) {
	for _, m := range examples {
		got, err := aws.NewDecoder().Decode(bytes.NewReader(encode(t, m)), nil)
		if err != nil {
			t.Fatalf("%v: AWS decoder: %v", m.Type, err)
		}
		if !bytes.Equal(got.Payload, m.Payload) {
			t.Errorf("%v: payload differs", m.Type)
		}
		for name, want := range map[string]any{
			":message-type": int32(m.Type), ":message-flags": int32(m.Flags), ":stream-id": m.StreamID,
			":version": m.Version, ":content-type": m.ContentType, "operation": m.Operation, "service-model-type": m.ServiceModelType,
		} {
			v := got.Headers.Get(name)
			switch {
			case want == "" && v != nil:
				t.Errorf("%v: header %s is there though empty", m.Type, name)
			case want != "" && (v == nil || v.Get() != want):
				t.Errorf("%v: header %s is %v, want %v", m.Type, name, v, want)
			}
		}
	}
}

// What the AWS SDK's codec writes, with headers of every type among ours, we must read.
func TestDecodeReadsTheAWSCodec(t *testing.T) {
	var buf bytes.Buffer
	encoder := aws.NewEncoder()
	for _, m := range examples {
		var headers aws.Headers
		headers.Set("x-bool", aws.BoolValue(true))
		headers.Set("x-byte", aws.Int8Value(3))
		headers.Set(":message-type", aws.Int32Value(m.Type))
		headers.Set("x-short", aws.Int16Value(3))
		headers.Set(":message-flags", aws.Int32Value(m.Flags))
		headers.Set("x-bytes", aws.BytesValue([]byte{1, 2}))
		headers.Set(":stream-id", aws.Int32Value(m.StreamID))
		headers.Set("x-uuid", aws.UUIDValue([16]byte{1}))
		headers.Set("operation", aws.StringValue(m.Operation))
		headers.Set("service-model-type", aws.StringValue(m.ServiceModelType))
		headers.Set(":content-type", aws.StringValue(m.ContentType))
		headers.Set(":version", aws.StringValue(m.Version))
		if err := encoder.Encode(&buf, aws.Message{Headers: headers, Payload: m.Payload}); err != nil {
			t.Fatalf("AWS encoder: %v", err)
		}
	}
	// One byte at a time: a frame may arrive in any pieces.
	d := eventstream.NewDecoder(iotest.OneByteReader(&buf), eventstream.MaxFrame)
	var got eventstream.Message
	for i, want := range examples {
		if err := d.Decode(&got); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if !equal(got, want) {
			t.Errorf("message %d is %+v, want %+v", i, got, want)
		}
	}
	if err := d.Decode(&got); !errors.Is(err, io.EOF) {
		t.Errorf("after the last frame: %v, want io.EOF", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := encode(t, examples[2])
	// rebuilt changes a frame and makes its CRCs right again.
	rebuilt := func(change func(b []byte) []byte) []byte {
		b := change(bytes.Clone(good))
		binary.BigEndian.PutUint32(b[8:], crc32.ChecksumIEEE(b[:8]))
		binary.BigEndian.PutUint32(b[len(b)-4:], crc32.ChecksumIEEE(b[:len(b)-4]))
		return b
	}
	prelude := func(total, headers uint32) []byte {
		b := binary.BigEndian.AppendUint32(nil, total)
		b = binary.BigEndian.AppendUint32(b, headers)
		return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	}
	flip := func(at int) []byte { b := bytes.Clone(good); b[at] ^= 1; return b }
	for _, c := range []struct {
		name  string
		frame []byte
		want  error
	}{
		{"cut in the prelude", good[:5], io.ErrUnexpectedEOF},
		{"cut after the prelude", good[:12], io.ErrUnexpectedEOF},
		{"cut in the payload", good[:len(good)-5], io.ErrUnexpectedEOF},
		{"bad prelude CRC", flip(9), eventstream.ErrMalformed},
		{"bad message CRC", flip(len(good) - 1), eventstream.ErrMalformed},
		{"changed payload", flip(len(good) - 6), eventstream.ErrMalformed},
		{"too short", prelude(15, 0), eventstream.ErrMalformed},
		{"headers longer than the frame", prelude(20, 5), eventstream.ErrMalformed},
		{"too large", prelude(70_000, 0), eventstream.ErrFrameTooLarge},
		{"4 GiB", prelude(1<<32-1, 0), eventstream.ErrFrameTooLarge},
		{"unknown header type", rebuilt(func(b []byte) []byte { b[12+1+13] = 10; return b }), eventstream.ErrMalformed},
		{"mandatory header of another name", rebuilt(func(b []byte) []byte { b[14] = 'X'; return b }), eventstream.ErrMalformed},
		{"header without a name", rebuilt(func(b []byte) []byte { b[12] = 0; return b }), eventstream.ErrMalformed},
		{"header name beyond the headers", rebuilt(func(b []byte) []byte { b[12] = 255; return b }), eventstream.ErrMalformed},
	} {
		var m eventstream.Message
		err := eventstream.NewDecoder(bytes.NewReader(c.frame), 64<<10).Decode(&m)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestAppendRefusesWhatNoPeerAccepts(t *testing.T) {
	for name, m := range map[string]eventstream.Message{
		"header": {Operation: strings.Repeat("x", 1<<15)},
		"frame":  {Payload: make([]byte, eventstream.MaxFrame-20)},
	} {
		if b, err := eventstream.Append([]byte("kept"), &m); !errors.Is(err, eventstream.ErrFrameTooLarge) || string(b) != "kept" {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}

func TestCodecDoesNotAllocateInSteadyState(t *testing.T) {
	frame := encode(t, examples[2])
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { _, _ = eventstream.Append(buf, &examples[2]) }); n != 0 {
		t.Errorf("Append allocates %v times a frame", n)
	}
	r := &loop{data: frame}
	d := eventstream.NewDecoder(r, eventstream.MaxFrame)
	var m eventstream.Message
	if n := testing.AllocsPerRun(1000, func() {
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Decode allocates %v times a frame", n)
	}
}

// loop is a reader that repeats data for ever.
type loop struct {
	data []byte
	at   int
}

func (l *loop) Read(p []byte) (int, error) {
	n := copy(p, l.data[l.at:])
	l.at = (l.at + n) % len(l.data)
	return n, nil
}

// FuzzDecode holds our decoder against the AWS one: what we accept it accepts too, with the same payload, and
// what we accept survives an encode and decode.
func FuzzDecode(f *testing.F) {
	for _, m := range examples[:4] {
		f.Add(encode(f, m))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m eventstream.Message
		if eventstream.NewDecoder(bytes.NewReader(data), 1<<20).Decode(&m) != nil {
			return
		}
		want, err := aws.NewDecoder().Decode(bytes.NewReader(data), nil)
		if err != nil {
			t.Fatalf("we accept what the AWS codec refuses: %v", err)
		}
		if !bytes.Equal(m.Payload, want.Payload) {
			t.Fatal("payload differs from the AWS codec's")
		}
		if len(m.Version) > 1<<15-1 || len(m.ContentType) > 1<<15-1 || len(m.Operation) > 1<<15-1 || len(m.ServiceModelType) > 1<<15-1 {
			return // readable, yet not ours to write
		}
		var again eventstream.Message
		if err := eventstream.NewDecoder(bytes.NewReader(encode(t, m)), eventstream.MaxFrame).Decode(&again); err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
		if !equal(m, again) {
			t.Fatalf("%+v became %+v", m, again)
		}
	})
}
