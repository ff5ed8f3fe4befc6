package mqttsource

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
)

// packet is one of MQTT's, with as many bytes after its header.
func packet(kind byte, length int) string {
	b := []byte{kind << 4}
	for n := length; ; {
		digit := byte(n & 0x7f)
		if n >>= 7; n > 0 {
			digit |= 0x80
		}
		b = append(b, digit)
		if n == 0 {
			return string(b) + strings.Repeat("x", length)
		}
	}
}

func TestPacketsThatAreTooLargeArePassedOver(t *testing.T) {
	const connack, pingresp = 2, 13
	kept := packet(connack, 2) + packet(packetPublish, 200) + packet(packetPublish, maxMessage) + packet(pingresp, 0)
	sent := packet(connack, 2) + packet(packetPublish, 200) + packet(packetPublish, maxMessage+1) + packet(packetPublish, maxMessage) +
		packet(packetPublish, 5*maxMessage) + packet(pingresp, 0)
	for _, in := range []io.Reader{strings.NewReader(sent), iotest.HalfReader(strings.NewReader(sent))} {
		count := 0
		c := &boundedConn{in: bufio.NewReader(in), oversized: func() { count++ }}
		got, err := io.ReadAll(c)
		if err != nil || count != 2 || string(got) != kept {
			t.Errorf("%d bytes of %d, %v; %d passed over", len(got), len(kept), err, count)
		}
	}
}

func TestWhatIsNoMQTTEndsTheConnection(t *testing.T) {
	for in, want := range map[string]string{
		"\x30\xff\xff\xff\xff\x01": "does not end",
		"\x90\xff\xff\xff\x7f":     "no message",
	} {
		c := &boundedConn{in: bufio.NewReader(strings.NewReader(in)), oversized: func() {}}
		if _, err := io.ReadAll(c); !contains(err, want) {
			t.Errorf("%x: %v", in, err)
		}
	}
}

func FuzzPackets(f *testing.F) {
	f.Add([]byte(packet(2, 2) + packet(3, 300)))
	f.Add([]byte("\x30\xff\xff\xff\x7fx"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var c net.Conn = &boundedConn{in: bufio.NewReader(bytes.NewReader(in)), oversized: func() {}}
		out, _ := io.ReadAll(iotest.OneByteReader(c))
		if !bytes.HasPrefix(in, out) && len(in) <= maxMessage {
			t.Errorf("%x became %x", in, out)
		}
	})
}
