package event

import (
	"fmt"
	"strings"
)

// Transport is a way that a message takes.
type Transport int

// The transports, with the size of the largest message, in bytes, that each carries without loss.
const (
	Local        Transport = iota // local publish/subscribe over IPC: nucleus lite's frame is 10,000 bytes, base64 takes 4/3
	IoTCoreIPC                    // AWS IoT Core through the nucleus: nucleus lite silently loses packets over 5,000 bytes
	IoTCoreHTTPS                  // AWS IoT Core's HTTPS data plane
	Shadow                        // a device shadow document, at the service's default quota
)

var limits = [...]struct {
	name  string
	bytes int
}{
	Local:        {"local publish/subscribe", 6_000},
	IoTCoreIPC:   {"AWS IoT Core over IPC", 4_500},
	IoTCoreHTTPS: {"AWS IoT Core over HTTPS", 128 << 10},
	Shadow:       {"device shadow", 8 << 10},
}

func (t Transport) String() string { return limits[t].name }

// Limit returns the size of the largest message that the transport carries, in bytes.
func (t Transport) Limit() int { return limits[t].bytes }

// Check returns an InvalidError with ReasonOversized for a message that the transport cannot carry.
func (t Transport) Check(payload []byte) error {
	if len(payload) <= t.Limit() {
		return nil
	}
	return &InvalidError{ReasonOversized, fmt.Sprintf("message of %d bytes, %v carries %d", len(payload), t, t.Limit())}
}

// MaxDetail is the longest text for a person in a message, in bytes: with what JSON escapes of it, it fits into a local one.
const MaxDetail = 600

// Cut shortens a text to so many bytes, whole characters of UTF-8.
func Cut(text string, size int) string {
	return strings.ToValidUTF8(text[:min(len(text), size)], "")
}
