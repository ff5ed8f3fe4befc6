package localcore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/shared/ipc/eventstream"
	"edgepdm/test/localcore/nucleus"
	"edgepdm/test/must"
)

// patience bounds every wait of a test; none is expected to come near it.
const patience = time.Minute

// fixture is a core on a temporary root with a temporary stage.
type fixture struct {
	t     *testing.T
	ctx   context.Context
	core  *Core
	root  string
	stage string
	log   *logBuffer
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// newFixture starts a core and closes it when the test ends, checking that nothing of it is left.
func newFixture(t *testing.T, set func(*Options)) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	f := &fixture{t: t, ctx: ctx, root: t.TempDir(), stage: t.TempDir(), log: &logBuffer{}}
	opts := Options{Root: f.root, Stage: f.stage, StopTimeout: 2 * time.Second,
		Logger: slog.New(slog.NewTextHandler(f.log, nil))}
	if set != nil {
		set(&opts)
	}
	f.root = opts.Root
	core, err := New(opts)
	must.OK(t, err)
	f.core = core
	t.Cleanup(f.close)
	must.OK(t, core.Start(ctx))
	return f
}

func (f *fixture) close() {
	if err := f.core.Close(f.ctx); err != nil {
		f.t.Errorf("close core: %v", err)
	}
	eventually(f.t, "every goroutine of the core ends", func() bool {
		var stacks bytes.Buffer
		must.OK(f.t, pprof.Lookup("goroutine").WriteTo(&stacks, 1))
		for _, kind := range []string{"localcore.(*component)", "localcore.(*process)", "nucleus.(*Conn)", "nucleus.(*Server)"} {
			if strings.Contains(stacks.String(), kind) {
				return false
			}
		}
		return true
	})
	if f.t.Failed() {
		f.t.Logf("the core's log:\n%s", f.log)
	}
}

// eventually waits for what ends on its own, such as a goroutine that has said it is done.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// staged is one component of a stage. Config, deps and lifecycle are YAML in flow style.
type staged struct {
	name, version, config, deps, lifecycle, artifacts string
	files                                             map[string]string
}

func (s staged) recipe() string {
	def := func(v, d string) string {
		if v == "" {
			return d
		}
		return v
	}
	return fmt.Sprintf(`RecipeFormatVersion: '2020-01-25'
ComponentName: %s
ComponentVersion: %s
ComponentConfiguration: {DefaultConfiguration: %s}
ComponentDependencies: %s
Manifests:
  - Platform: {os: linux, runtime: "*"}
    Lifecycle: %s
    Artifacts: %s
`, s.name, def(s.version, "1.0.0"), def(s.config, "{}"), def(s.deps, "{}"), def(s.lifecycle, "{run: exec sleep 1000}"), def(s.artifacts, "[]"))
}

func (f *fixture) write(path, text string) {
	f.t.Helper()
	must.OK(f.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must.OK(f.t, os.WriteFile(path, []byte(text), 0o644))
}

// put stages a component.
func (f *fixture) put(s staged) {
	f.t.Helper()
	if s.version == "" {
		s.version = "1.0.0"
	}
	f.write(filepath.Join(f.stage, "recipes", s.name+"-"+s.version+".yaml"), s.recipe())
	for name, text := range s.files {
		f.write(filepath.Join(f.stage, "artifacts", s.name, s.version, name), text)
	}
}

// deploy stages components and deploys them, and fails the test when that fails.
func (f *fixture) deploy(components ...staged) {
	f.t.Helper()
	must.OK(f.t, f.tryDeploy(components...))
}

func (f *fixture) tryDeploy(components ...staged) error {
	f.t.Helper()
	d := Deployment{Components: make(map[string]string)}
	for _, s := range components {
		f.put(s)
		d.Components[s.name] = s.version
		if s.version == "" {
			d.Components[s.name] = "1.0.0"
		}
	}
	return f.core.Deploy(f.ctx, d)
}

// update merges configuration.
func (f *fixture) update(name string, change map[string]any) {
	f.t.Helper()
	must.OK(f.t, f.core.Deploy(f.ctx, Deployment{ConfigurationUpdate: map[string]any{name: change}}))
}

func (f *fixture) status(name string) Status {
	f.t.Helper()
	for _, s := range f.core.Components() {
		if s.Name == name {
			return s
		}
	}
	f.t.Fatalf("there is no component %s", name)
	return Status{}
}

func (f *fixture) waitState(name string, s State) {
	f.t.Helper()
	must.OK(f.t, f.core.WaitState(f.ctx, name, s))
}

// external admits a principal with the given default configuration and returns its token.
func (f *fixture) external(name, config string) string {
	f.t.Helper()
	file := filepath.Join(f.t.TempDir(), "recipe.yaml")
	f.write(file, staged{name: name, config: config}.recipe())
	env, err := f.core.AddExternal(name, file)
	must.OK(f.t, err)
	return env["SVCUID"]
}

// allowAll is a configuration that grants everything.
const allowAll = `{accessControl: {
	aws.greengrass.ipc.pubsub: {all: {operations: ["*"], resources: ["*"]}},
	aws.greengrass.ipc.mqttproxy: {all: {operations: ["*"], resources: ["*"]}}}}`

// client is a raw IPC client.
type client struct {
	t   *testing.T
	nc  net.Conn
	dec *eventstream.Decoder
}

func (f *fixture) dial() *client {
	f.t.Helper()
	nc, err := net.Dial("unix", f.core.SocketPath())
	must.OK(f.t, err)
	f.t.Cleanup(func() { nc.Close() })
	must.OK(f.t, nc.SetDeadline(time.Now().Add(patience)))
	return &client{t: f.t, nc: nc, dec: eventstream.NewDecoder(nc, eventstream.MaxFrame)}
}

// connect dials and shakes hands.
func (f *fixture) connect(token string) *client {
	f.t.Helper()
	c := f.dial()
	c.send(`4 0 0 version=0.1.0 | {"authToken":"` + token + `"}`)
	c.expect(`5 1 0`)
	return c
}

// send sends a frame: `type flags stream [version=V] [op=Operation] [ct=ContentType] [| payload]`.
func (c *client) send(text string) {
	c.t.Helper()
	head, payload, _ := strings.Cut(text, " | ")
	f := strings.Fields(head)
	n := make([]int, 3)
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(f[i]); err != nil {
			c.t.Fatalf("frame %q: %v", text, err)
		}
	}
	m := &eventstream.Message{Type: eventstream.MessageType(n[0]), Flags: eventstream.Flags(n[1]), StreamID: int32(n[2]),
		Payload: []byte(payload)}
	for _, h := range f[3:] {
		switch name, v, _ := strings.Cut(h, "="); name {
		case "version":
			m.Version = v
		case "op":
			m.Operation = nucleus.OperationPrefix + v
			m.ServiceModelType = nucleus.OperationPrefix + v + "Request"
			m.ContentType = eventstream.ContentTypeJSON
		case "rawop":
			m.Operation = v
		default:
			c.t.Fatalf("frame %q: header %q", text, h)
		}
	}
	c.sendMessage(m)
}

func (c *client) sendMessage(m *eventstream.Message) {
	c.t.Helper()
	frame, err := eventstream.Append(nil, m)
	must.OK(c.t, err)
	c.write(frame)
}

func (c *client) write(b []byte) {
	c.t.Helper()
	if _, err := c.nc.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// recv returns the next frame as text, "closed", or "cut off" when the connection ended inside a frame.
func (c *client) recv() string {
	c.t.Helper()
	var m eventstream.Message
	err := c.dec.Decode(&m)
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || err != nil && strings.Contains(err.Error(), "reset by peer") {
		return "closed"
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "cut off"
	}
	if err != nil {
		c.t.Fatalf("receive: %v", err)
	}
	text := fmt.Sprintf("%d %d %d", m.Type, m.Flags, m.StreamID)
	for _, h := range [][2]string{{"version", m.Version}, {"rawop", m.Operation}, {"ct", m.ContentType},
		{"model", strings.TrimPrefix(m.ServiceModelType, nucleus.OperationPrefix)}} {
		if h[1] != "" && h != [2]string{"ct", eventstream.ContentTypeJSON} {
			text += " " + h[0] + "=" + h[1]
		}
	}
	if (m.ContentType == "") != (len(m.Payload) == 0) {
		text += " (content type " + m.ContentType + ")"
	}
	if len(m.Payload) > 0 {
		text += " | " + string(m.Payload)
	}
	return text
}

func (c *client) expect(want string) {
	c.t.Helper()
	if got := c.recv(); got != want {
		c.t.Fatalf("got  %s\nwant %s", got, want)
	}
}

// call sends a request on stream id and returns the answer.
func (c *client) call(id int, op, payload string) string {
	c.t.Helper()
	c.send(fmt.Sprintf("0 0 %d op=%s | %s", id, op, payload))
	return c.recv()
}

// subscribe calls and expects success.
func (c *client) subscribe(id int, op, payload string) {
	c.t.Helper()
	if got, want := c.call(id, op, payload), fmt.Sprintf("0 0 %d model=%sResponse | {}", id, op); got != want {
		c.t.Fatalf("got  %s\nwant %s", got, want)
	}
}
