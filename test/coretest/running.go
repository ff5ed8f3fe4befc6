package coretest

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// Patience is how long a test waits for what must come.
const Patience = time.Minute

// Subscribe subscribes for the rest of the test.
func Subscribe(t testing.TB, client *ipc.Client, filter string) *ipc.Subscription[ipc.TopicMessage] {
	t.Helper()
	sub, err := client.Subscribe(t.Context(), filter, "")
	must.OK(t, err)
	return sub
}

// Health is what a test hears of a component's health.
type Health struct {
	t     testing.TB
	sub   *ipc.Subscription[ipc.TopicMessage]
	run   string          // of the message heard last
	ended map[string]bool // runs that are over
}

// HealthOf listens to a component's health messages.
func HealthOf(t testing.TB, client *ipc.Client, name string) *Health {
	t.Helper()
	return &Health{t: t, sub: Subscribe(t, client, event.HealthTopic(name)), ended: make(map[string]bool)}
}

// Await reads health messages until one is as wanted. Those of a run that is over are passed over.
func (h *Health) Await(what string, wanted func(event.Health) bool) event.Health {
	h.t.Helper()
	timeout := time.After(Patience)
	var last event.Health
	for {
		select {
		case m, open := <-h.sub.Events():
			if !open {
				h.t.Fatalf("no more health messages, none with %s", what)
			}
			got, err := event.DecodeHealth(m.Payload)
			must.OK(h.t, err)
			if h.ended[got.Run] { // sent before, received now
				continue
			}
			if last, h.run = got, got.Run; wanted(got) {
				return got
			}
		case <-timeout:
			h.t.Fatalf("no health message with %s; the last is %+v", what, last)
		}
	}
}

// Ended says that the run heard last is over.
func (h *Health) Ended() { h.ended[h.run] = true }

// Run runs a component until stop is called or the test ends; it must end without an error. Then the run that health heard is
// over.
func Run[C any](t testing.TB, env component.Environment, spec component.Spec[C], health *Health) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- component.Run(ctx, spec, env) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s ended with %v", spec.Name, err)
		}
		health.Ended()
	})
	t.Cleanup(stop)
	return stop
}

// Build builds the program whose source is in a folder, this one by default, as it is released: without cgo, with which each thread's stack counts
// against a limit of memory.
func Build(t testing.TB, folder ...string) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "program")
	c := exec.Command(need.Tool(t, "go", "https://go.dev/dl"), "build", "-o", program, cmp.Or(append(folder, ".")...))
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// StartProgram starts a program as a nucleus starts the component, with more environment variables; the end of the test kills it.
func StartProgram(t testing.TB, env component.Environment, more []string, line ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(line[0], line[1:]...)
	c.Dir, c.Stderr, c.Env = env.WorkDir, os.Stderr, more
	for _, name := range []string{ipc.EnvSocket, ipc.EnvAuthToken} {
		c.Env = append(c.Env, name+"="+env.Getenv(name))
	}
	must.OK(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait() // it was killed
	})
	return c
}

// Setenv lays variables over those of the component's environment; a test may change them.
func Setenv(env *component.Environment, vars map[string]string) {
	below := env.Getenv
	env.Getenv = func(name string) string {
		if value, ok := vars[name]; ok {
			return value
		}
		return below(name)
	}
}

// LogFile is where a component's log goes; a test that fails prints its end.
func LogFile(t testing.TB) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	must.OK(t, err)
	t.Cleanup(func() {
		if text, err := os.ReadFile(f.Name()); err == nil && t.Failed() {
			t.Logf("log of the component:\n%s", text[max(0, len(text)-8000):])
		}
		_ = f.Close()
	})
	return f
}

// Lines is a log that a test can read while it is written.
type Lines struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{} // closed at the next line; nil: nobody waits
}

func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
	return l.text.Write(p)
}

func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Await waits until a line with text was logged.
func (l *Lines) Await(t testing.TB, text string) {
	t.Helper()
	late := time.After(Patience)
	for {
		l.mu.Lock()
		logged := strings.Contains(l.text.String(), text)
		if l.more == nil {
			l.more = make(chan struct{})
		}
		more := l.more
		l.mu.Unlock()
		if logged {
			return
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("never logged: %s", text)
		}
	}
}
