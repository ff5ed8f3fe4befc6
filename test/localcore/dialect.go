package localcore

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"edgepdm/shared/ipc/eventstream"
	"edgepdm/shared/recipe"
)

// dialect is what the two nuclei do differently, as far as a component sees it. What is not here is the same on both.
// classic.go and lite.go each make one.
type dialect struct {
	nucleus  string // the component that it is; its configuration tells a client which nucleus it speaks to
	runtime  string // as a recipe's Platform names it
	version  string // of the nucleus
	endpoint string // iotDataEndpoint in the nucleus's configuration

	// The wire.
	maxFrame       int               // of a client, in bytes
	maxAnswer      int               // of a frame to a client, in bytes
	maxConnections int               // of all clients
	unary          eventstream.Flags // on the response of an operation without events
	checkHeaders   func(headers []byte) bool
	handle         func(c *conn, m *eventstream.Message) bool // one frame; false: the connection is to be closed
	malformed      func(c *conn)                              // a whole frame whose headers cannot be read
	failure        func(err *opError) eventstream.Message     // without its stream
	appendJSON     func(b []byte, v any) []byte
	operations     map[string]operation

	// Publish and subscribe.
	levels     func(topic string) []string
	matches    func(filter, topic []string) bool
	othersOnly func(mode string, filter []string) bool // a subscription does not get its own component's messages

	// Authorisation.
	tooManyPolicies func(policies map[string]any) bool
	resource        func(pattern string) (string, error) // of a policy, as it is compared
	checkResource   func(resource string) error          // of a request

	// Configuration.
	exactKeys   bool // they are case-sensitive
	textScalars bool // a YAML recipe's scalars are strings
	// checkConfiguration refuses what the nucleus cannot store.
	checkConfiguration func(values map[string]any) error

	// What a component gets.
	environment  func(env map[string]string, s *spec)
	fill         func(text string, inScript bool, lookup func(namespace, key string) (string, bool)) (string, error)
	variableText func(v any) string // of a configuration value that is not a string, as a recipe variable
	pathEnd      string             // of a recipe variable that is a path
	needsRuntime bool               // a manifest without a runtime in its Platform is passed over

	// The lifecycle.
	fixedWindow bool // errors count from the first one on, not from the last one
	change      func(comp *component, next *spec, named, merged bool) actionKind

	// Deployments.
	resolve       func(p *plan) error
	fetchTree     func(stage string) error // copies all artifacts of a tree; nil: fetch copies those that are needed
	fetch         func(stage string, r *recipe.Recipe, m *recipe.Manifest) error
	unlock        func(s *spec) error // gives a component its artifacts when it starts; nil: it has them
	mergesAll     bool                // configuration of a component that is no root, too
	hot           bool                // only a merge by the cloud restarts, after a while
	keepsPrevious bool                // of each component the version before, too

	ipcEndsFirst  bool // when the core stops, IPC ends before the components do
	policiesFirst bool // when a component is removed, its policies go before its process
}

var errHeaderType = errors.New("a header of a type that IPC does not use")

// frameReader passes whole frames on, each only when all of it has arrived: a peer that announces a large frame makes
// nobody allocate for it. Of a frame that is not acceptable it passes the prelude on, which the decoder then refuses.
type frameReader struct {
	in      *bufio.Reader
	max     int
	check   func(headers []byte) bool
	frame   bytes.Buffer
	prelude [12]byte
}

func newFrameReader(r io.Reader, d *dialect) *frameReader {
	return &frameReader{in: bufio.NewReaderSize(r, 16<<10), max: d.maxFrame, check: d.checkHeaders}
}

func (f *frameReader) Read(p []byte) (int, error) {
	if f.frame.Len() == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	return f.frame.Read(p)
}

// next reads one frame.
func (f *frameReader) next() error {
	const smallest = len(f.prelude) + crc32.Size
	if f.frame.Cap() > 1<<20 { // a rare large frame must not hold its memory for ever
		f.frame = bytes.Buffer{}
	}
	f.frame.Reset()
	if _, err := io.ReadFull(f.in, f.prelude[:]); err != nil {
		return err
	}
	f.frame.Write(f.prelude[:])
	total, headers := binary.BigEndian.Uint32(f.prelude[:]), binary.BigEndian.Uint32(f.prelude[4:])
	if binary.BigEndian.Uint32(f.prelude[8:]) != crc32.ChecksumIEEE(f.prelude[:8]) ||
		int64(total) > int64(f.max) || total < uint32(smallest) || headers > total-uint32(smallest) {
		return nil
	}
	if _, err := io.CopyN(&f.frame, f.in, int64(total)-int64(len(f.prelude))); errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	} else if err != nil {
		return err
	}
	if !f.check(f.frame.Bytes()[len(f.prelude):][:headers]) {
		return errHeaderType
	}
	return nil
}
