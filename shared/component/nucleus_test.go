package component_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/ipc/eventstream"
	"edgepdm/shared/wait"
	"edgepdm/test/must"
)

// nucleus is one that misbehaves as a test wants it to, which the embedded core does not.
type nucleus struct {
	health  chan event.Health // what the component reports
	verdict chan string       // on configurations
	renewed chan string       // subscribing operations

	mu     sync.Mutex // guards what follows
	conn   net.Conn
	config string // the component's; empty: reading it fails
	subs   map[string]int32
}

func startNucleus(t *testing.T) (*nucleus, component.Environment) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	must.OK(t, err)
	n := &nucleus{
		health: make(chan event.Health, 1000), verdict: make(chan string, 10), renewed: make(chan string, 100),
		config: `{"things":3}`, subs: make(map[string]int32),
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { n.serve(t, conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		n.hangUp()
		serving.Wait()
	})
	return n, component.Environment{
		Getenv:  func(k string) string { return map[string]string{ipc.EnvSocket: socket, ipc.EnvAuthToken: "t"}[k] },
		WorkDir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Level: new(slog.LevelVar),
		Settle: 10 * time.Millisecond, Backoff: wait.Backoff{Min: time.Millisecond, Max: 10 * time.Millisecond},
	}
}

func (n *nucleus) serve(t *testing.T, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	d := eventstream.NewDecoder(conn, eventstream.MaxFrame)
	var m eventstream.Message
	for d.Decode(&m) == nil {
		n.mu.Lock()
		n.conn = conn
		n.handle(t, &m)
		n.mu.Unlock()
	}
}

// handle answers a message. It is called with mu held.
func (n *nucleus) handle(t *testing.T, m *eventstream.Message) {
	operation := strings.TrimPrefix(m.Operation, "aws.greengrass#")
	answer := eventstream.Message{StreamID: m.StreamID, Payload: []byte("{}")}
	switch {
	case m.Type == eventstream.Connect:
		answer = eventstream.Message{Type: eventstream.ConnectAck, Flags: eventstream.ConnectionAccepted}
	case operation == "": // the end of a stream
		return
	case operation == "GetConfiguration" && n.config == "":
		answer.Type, answer.Flags, answer.ServiceModelType = eventstream.ApplicationError, eventstream.TerminateStream, "aws.greengrass#ServiceError"
	case operation == "GetConfiguration":
		answer.Payload = []byte(`{"value":` + n.config + `}`)
	case strings.HasPrefix(operation, "Subscribe"):
		n.subs[operation] = m.StreamID
		n.renewed <- operation
	case operation == "PublishToTopic":
		var r ipc.PublishToTopicRequest
		if err := json.Unmarshal(m.Payload, &r); err != nil {
			t.Error(err)
		} else if h, err := event.DecodeHealth(r.PublishMessage.BinaryMessage.Message); err == nil {
			n.health <- h
		}
	case operation == "SendConfigurationValidityReport":
		n.verdict <- string(m.Payload)
	}
	n.send(answer)
}

func (n *nucleus) send(m eventstream.Message) {
	if frame, err := eventstream.Append(nil, &m); err == nil {
		_, _ = n.conn.Write(frame) // a component that has gone shows in the test itself
	}
}

func (n *nucleus) hangUp() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn != nil {
		_ = n.conn.Close()
	}
}

// event sends an event of the newest subscription of that operation, or ends it if there is no payload.
func (n *nucleus) event(operation, payload string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := eventstream.Message{StreamID: n.subs[operation], Payload: []byte(payload)}
	if payload == "" {
		m.Flags = eventstream.TerminateStream
	}
	n.send(m)
}

// configure sets the configuration without a word.
func (n *nucleus) configure(config string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.config = config
}

func (n *nucleus) changed() {
	n.event("SubscribeToConfigurationUpdate", `{"configurationUpdateEvent":{"componentName":"x","keyPath":["things"]}}`)
}

// until waits for a health message that is as wanted.
func (n *nucleus) until(t *testing.T, what string, is func(h event.Health) bool) {
	t.Helper()
	patience := time.After(time.Minute)
	for {
		select {
		case h := <-n.health:
			if is(h) {
				return
			}
		case <-patience:
			t.Fatalf("never: %s", what)
		}
	}
}

// telling is work that tells with which configuration it is entered.
func telling(entered chan<- int) func(context.Context, *component.Runtime, config) error {
	return func(ctx context.Context, rt *component.Runtime, c config) error {
		rt.SetState(event.StateOK, "")
		entered <- c.Things
		<-ctx.Done()
		return nil
	}
}

func TestAGoodConfigurationAfterAReconnectEndsBadConfig(t *testing.T) {
	n, env := startNucleus(t)
	entered := make(chan int, 10)
	start(t, env, telling(entered))
	<-entered
	n.configure(`{"things":500}`)
	n.changed()
	n.until(t, "BAD_CONFIG", func(h event.Health) bool { return h.State == event.StateBadConfig })
	n.configure(`{"things":4}`)
	n.hangUp()
	if got := <-entered; got != 4 {
		t.Errorf("entered with %d", got)
	}
	n.until(t, "OK", func(h event.Health) bool { return h.State == event.StateOK })
}

func TestTheLastHealthMessageHasTheLastCounters(t *testing.T) {
	n, env := startNucleus(t)
	entered := make(chan bool, 1)
	stop := start(t, env, func(ctx context.Context, rt *component.Runtime, _ config) error {
		entered <- true
		<-ctx.Done()
		rt.Counter("written").Store(7)
		return nil
	})
	<-entered
	must.OK(t, stop())
	n.until(t, "written is 7", func(h event.Health) bool { return h.Counters["written"] == 7 })
}

// A nucleus that cannot say the configuration for a moment does not end the work.
func TestAFailedReadOfTheConfigurationIsTriedAgain(t *testing.T) {
	n, env := startNucleus(t)
	entered := make(chan int, 10)
	n.configure("")
	start(t, env, telling(entered))
	n.until(t, "a session without a configuration", func(event.Health) bool { return true })
	n.configure(`{"things":3}`)
	if got := <-entered; got != 3 {
		t.Errorf("entered with %d", got)
	}
	n.configure("")
	n.changed()
	n.configure(`{"things":4}`)
	if got := <-entered; got != 4 {
		t.Errorf("entered with %d", got)
	}
}

func TestAnEndedSubscriptionIsNotHandedOutAgain(t *testing.T) {
	n, env := startNucleus(t)
	entered := make(chan *ipc.Subscription[ipc.TopicMessage], 10)
	start(t, env, func(ctx context.Context, rt *component.Runtime, _ config) error {
		sub, err := rt.Subscribe(ctx, "a/b")
		if err != nil {
			return err
		}
		entered <- sub
		<-ctx.Done()
		return nil
	})
	first := <-entered
	n.event("SubscribeToTopic", "")
	if _, open := <-first.Events(); open || !errors.Is(first.Err(), ipc.ErrEnded) {
		t.Fatalf("open %v, %v", open, first.Err())
	}
	n.configure(`{"things":4}`)
	n.changed()
	if second := <-entered; second == first || second.Err() != nil {
		t.Errorf("%v", second.Err())
	}
}

// Events without a pause do not hold up the change, nor a Run that has failed.
func TestEventsWithoutAPause(t *testing.T) {
	n, env := startNucleus(t)
	env.Settle = 50 * time.Millisecond
	entered, fail := make(chan int, 10), make(chan bool)
	done := make(chan error, 1)
	go func() {
		done <- component.Run(t.Context(), component.Spec[config]{
			Name: name, Default: func() config { return config{} },
			Run: func(ctx context.Context, _ *component.Runtime, c config) error {
				entered <- c.Things
				select {
				case <-fail:
					return errors.New("broken")
				case <-ctx.Done():
					return nil
				}
			},
		}, env)
	}()
	<-entered
	n.configure(`{"things":4}`)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for was := 0; was == 0; {
		select {
		case <-ticker.C:
			n.changed()
		case was = <-entered:
		}
	}
	close(fail)
	for {
		select {
		case <-ticker.C:
			n.changed()
		case err := <-done:
			if err == nil || err.Error() != "broken" {
				t.Errorf("%v", err)
			}
			return
		}
	}
}

func TestTheNucleusIsAnsweredAboutConfigurations(t *testing.T) {
	const operation = "SubscribeToValidateConfigurationUpdates"
	n, env := startNucleus(t)
	entered := make(chan int, 10)
	start(t, env, telling(entered))
	<-entered
	for <-n.renewed != operation {
	}
	n.event(operation, "") // the nucleus ends it
	for <-n.renewed != operation {
	}
	for configuration, want := range map[string]string{
		``:                                  "ACCEPTED", // the defaults
		`"configuration":null,`:             "ACCEPTED",
		`"configuration":{"things":5},`:     "ACCEPTED",
		`"configuration":{"things":500},`:   "things: 500 is above 100",
		`"configuration":{"things":"one"},`: "REJECTED",
	} {
		n.event(operation, fmt.Sprintf(`{"validateConfigurationUpdateEvent":{%s"deploymentId":"d"}}`, configuration))
		if got := <-n.verdict; !strings.Contains(got, want) || !strings.Contains(got, `"deploymentId":"d"`) {
			t.Errorf("%s: %s", configuration, got)
		}
	}
}

func TestAnErrorAtTheEndIsReturned(t *testing.T) {
	_, env := startNucleus(t)
	entered := make(chan bool, 1)
	stop := start(t, env, func(ctx context.Context, _ *component.Runtime, _ config) error {
		entered <- true
		<-ctx.Done()
		return errors.New("the spool could not be written")
	})
	<-entered
	if err := stop(); err == nil || !strings.Contains(err.Error(), "spool") {
		t.Errorf("%v", err)
	}
}
