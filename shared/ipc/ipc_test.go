package ipc_test

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

	"edgepdm/shared/ipc"
	"edgepdm/shared/ipc/eventstream"
	"edgepdm/test/must"
)

// peer is a nucleus that a test scripts: it accepts CONNECT and hands every further message to handle.
type peer struct {
	t      *testing.T
	conn   net.Conn
	mu     sync.Mutex
	handle func(p *peer, m *eventstream.Message)
}

func (p *peer) send(m eventstream.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	frame, err := eventstream.Append(nil, &m)
	if err != nil {
		p.t.Errorf("peer: %v", err)
	}
	_, _ = p.conn.Write(frame) // a client that has gone shows in the test itself
}

func (p *peer) respond(m *eventstream.Message, payload string, flags eventstream.Flags) {
	p.send(eventstream.Message{
		StreamID: m.StreamID, Flags: flags, ServiceModelType: strings.TrimSuffix(m.Operation, "Request") + "Response",
		ContentType: eventstream.ContentTypeJSON, Payload: []byte(payload),
	})
}

func (p *peer) event(id int32, payload string) {
	p.send(eventstream.Message{StreamID: id, ContentType: eventstream.ContentTypeJSON, Payload: []byte(payload)})
}

// listen starts a peer for one connection and returns how to reach it.
func listen(t *testing.T, accept bool, handle func(p *peer, m *eventstream.Message)) ipc.Options {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	must.OK(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { _ = listener.Close(); <-done })
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		p := &peer{t: t, conn: conn, handle: handle}
		d := eventstream.NewDecoder(conn, eventstream.MaxFrame)
		var m eventstream.Message
		if err := d.Decode(&m); err != nil {
			return
		}
		var hello struct{ AuthToken string }
		if err := json.Unmarshal(m.Payload, &hello); err != nil || m.Type != eventstream.Connect || m.Version != "0.1.0" || hello.AuthToken != "token" {
			t.Errorf("first message %+v, payload %s", m, m.Payload)
		}
		if !accept {
			p.send(eventstream.Message{Type: eventstream.ConnectAck})
			return
		}
		p.send(eventstream.Message{Type: eventstream.ConnectAck, Flags: eventstream.ConnectionAccepted})
		for d.Decode(&m) == nil {
			handle(p, &m)
		}
	}()
	return ipc.Options{Socket: socket, AuthToken: "token"}
}

func dial(t *testing.T, o ipc.Options) *ipc.Client {
	t.Helper()
	c, err := ipc.Dial(t.Context(), o)
	must.OK(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestDialRefused(t *testing.T) {
	o := listen(t, false, nil)
	if _, err := ipc.Dial(t.Context(), o); !errors.Is(err, ipc.ErrRefused) {
		t.Errorf("%v, want ErrRefused", err)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket) // accepts, and never answers
	must.OK(t, err)
	defer func() { _ = listener.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := ipc.Dial(ctx, ipc.Options{Socket: socket}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want DeadlineExceeded", err)
	}
}

func TestFromEnvironmentNamesTheVariable(t *testing.T) {
	env := map[string]string{ipc.EnvSocket: "/s"}
	_, err := ipc.FromEnvironment(func(n string) string { return env[n] })
	if err == nil || !strings.Contains(err.Error(), ipc.EnvAuthToken) {
		t.Errorf("%v", err)
	}
	env[ipc.EnvAuthToken] = "t"
	if o, err := ipc.FromEnvironment(func(n string) string { return env[n] }); err != nil || o.Socket != "/s" || o.AuthToken != "t" {
		t.Errorf("%+v, %v", o, err)
	}
}

// A classic nucleus demands stream ids 1, 2, 3… in the order of arrival, whoever sends.
func TestStreamIDsAreSequentialUnderConcurrency(t *testing.T) {
	var next int32
	o := listen(t, true, func(p *peer, m *eventstream.Message) {
		next++
		if m.StreamID != next {
			t.Errorf("stream id %d, want %d", m.StreamID, next)
		}
		p.respond(m, "{}", eventstream.TerminateStream)
	})
	c := dial(t, o)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				if err := c.Publish(t.Context(), "t", []byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func TestRequestsOnTheWire(t *testing.T) {
	type call func(*ipc.Client) error
	subscribed := func(_ any, err error) error { return err }
	for _, c := range []struct {
		operation, payload string
		call               call
	}{
		{"PublishToTopic", `{"topic":"a/b","publishMessage":{"binaryMessage":{"message":"AAH/"}}}`, func(c *ipc.Client) error {
			return c.Publish(t.Context(), "a/b", []byte{0, 1, 255})
		}},
		{"SubscribeToTopic", `{"topic":"a/#","receiveMode":"RECEIVE_MESSAGES_FROM_OTHERS"}`, func(c *ipc.Client) error {
			return subscribed(c.Subscribe(t.Context(), "a/#", ipc.ReceiveFromOthers))
		}},
		{"SubscribeToTopic", `{"topic":"a"}`, func(c *ipc.Client) error { return subscribed(c.Subscribe(t.Context(), "a", "")) }},
		{"PublishToIoTCore", `{"topicName":"a","qos":"1","payload":""}`, func(c *ipc.Client) error {
			return c.PublishToIoTCore(t.Context(), ipc.PublishToIoTCoreRequest{TopicName: "a", QoS: ipc.AtLeastOnce})
		}},
		{"PublishToIoTCore", `{"topicName":"a","qos":"0","payload":"eA==","retain":true}`, func(c *ipc.Client) error {
			return c.PublishToIoTCore(t.Context(), ipc.PublishToIoTCoreRequest{TopicName: "a", Payload: []byte("x"), QoS: ipc.AtMostOnce, Retain: true})
		}},
		{"SubscribeToIoTCore", `{"topicName":"a/+","qos":"1"}`, func(c *ipc.Client) error {
			return subscribed(c.SubscribeToIoTCore(t.Context(), ipc.SubscribeToIoTCoreRequest{TopicName: "a/+", QoS: ipc.AtLeastOnce}))
		}},
		{"GetConfiguration", `{"keyPath":[]}`, func(c *ipc.Client) error { return subscribed(c.Configuration(t.Context())) }},
		{"GetConfiguration", `{"componentName":"N","keyPath":["a","b"]}`, func(c *ipc.Client) error {
			return subscribed(c.ComponentConfiguration(t.Context(), "N", "a", "b"))
		}},
		{"SubscribeToConfigurationUpdate", `{"keyPath":[]}`, func(c *ipc.Client) error {
			return subscribed(c.SubscribeToConfigurationUpdate(t.Context(), ipc.SubscribeToConfigurationUpdateRequest{}))
		}},
		{"UpdateState", `{"state":"RUNNING"}`, func(c *ipc.Client) error {
			return c.UpdateState(t.Context(), ipc.UpdateStateRequest{State: ipc.StateRunning})
		}},
	} {
		t.Run(c.operation, func(t *testing.T) {
			var got eventstream.Message
			client := dial(t, listen(t, true, func(p *peer, m *eventstream.Message) {
				if m.Operation != "" {
					got = *m
					got.Payload = append([]byte(nil), m.Payload...)
					p.respond(m, `{"value":{}}`, 0)
				}
			}))
			must.OK(t, c.call(client))
			if got.Operation != "aws.greengrass#"+c.operation || got.ServiceModelType != got.Operation+"Request" ||
				got.ContentType != "application/json" || got.Flags != 0 || got.Type != eventstream.ApplicationMessage {
				t.Errorf("message %+v", got)
			}
			if string(got.Payload) != c.payload {
				t.Errorf("payload %s\nwant    %s", got.Payload, c.payload)
			}
		})
	}
}

func TestErrorsOfBothNuclei(t *testing.T) {
	for _, c := range []struct {
		name, modelType, payload, code, message string
	}{
		{"classic", "aws.greengrass#UnauthorizedError", `{"message":"Principal X is not authorized","_service":"aws.greengrass#GreengrassCoreIPC","_message":"","_errorCode":"UnauthorizedError"}`, "UnauthorizedError", "Principal X is not authorized"},
		{"lite", "aws.greengrass#ResourceNotFoundError", `{"_message":"Key not found","_errorCode":"ResourceNotFoundError"}`, "ResourceNotFoundError", "Key not found"},
		{"lite, no text", "aws.greengrass#ServiceError", `{"_message":"","_errorCode":"ServiceError"}`, "ServiceError", ""},
		{"no model type", "", `{"_message":"no","_errorCode":"InvalidArgumentsError"}`, "InvalidArgumentsError", "no"},
		{"classic, unexpected exception", "", "InternalServerError", "", "InternalServerError"},
		{"classic, unknown operation", "", `{ "error": "Unsupported Operation", "message": "X is an unsupported operation." }`, "", "X is an unsupported operation."},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := dial(t, listen(t, true, func(p *peer, m *eventstream.Message) {
				p.send(eventstream.Message{
					Type: eventstream.ApplicationError, Flags: eventstream.TerminateStream, StreamID: m.StreamID,
					ServiceModelType: c.modelType, Payload: []byte(c.payload),
				})
			}))
			for _, err := range []error{
				client.Publish(t.Context(), "t", nil),
				func() error { _, err := client.Subscribe(t.Context(), "t", ""); return err }(),
			} {
				e, ok := errors.AsType[*ipc.OperationError](err)
				if !ok || e.Code != c.code || e.Message != c.message {
					t.Errorf("%#v", err)
				}
			}
		})
	}
}

func TestSubscriptionDeliversInOrderAndCloses(t *testing.T) {
	closed := make(chan int32, 1)
	client := dial(t, listen(t, true, func(p *peer, m *eventstream.Message) {
		if m.Flags == eventstream.TerminateStream {
			closed <- m.StreamID
			return
		}
		p.respond(m, "{}", 0)
		p.event(m.StreamID, `{"binaryMessage":{"message":"AQI=","context":{"topic":"a/b"}}}`)
		p.event(m.StreamID, `{"jsonMessage":{"message":{"x":1.0},"context":{"topic":"a/c"}}}`)
		p.event(99, `{}`) // of a stream that nobody has
	}))
	sub, err := client.Subscribe(t.Context(), "a/+", "")
	must.OK(t, err)
	first, second := <-sub.Events(), <-sub.Events()
	if first.Topic != "a/b" || string(first.Payload) != "\x01\x02" || first.JSON {
		t.Errorf("first event %+v", first)
	}
	if second.Topic != "a/c" || string(second.Payload) != `{"x":1.0}` || !second.JSON {
		t.Errorf("second event %+v", second)
	}
	must.OK(t, sub.Close())
	if id := <-closed; id != 1 {
		t.Errorf("closed stream %d", id)
	}
	if _, open := <-sub.Events(); open || !errors.Is(sub.Err(), ipc.ErrClosed) {
		t.Errorf("open %v, %v", open, sub.Err())
	}
	if err := sub.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// A slow reader loses its oldest events, which are counted; the connection and other calls go on.
func TestSlowSubscriberDropsItsOldest(t *testing.T) {
	const sent, queue = 10, 4
	o := listen(t, true, func(p *peer, m *eventstream.Message) {
		p.respond(m, "{}", 0)
		if m.Operation == "aws.greengrass#SubscribeToTopic" {
			for i := range sent {
				p.event(m.StreamID, fmt.Sprintf(`{"binaryMessage":{"message":"","context":{"topic":"%d"}}}`, i))
			}
		}
	})
	o.Queue = queue
	var drops []ipc.Drop
	var log strings.Builder
	o.OnDrop = func(d ipc.Drop) { drops = append(drops, d) }
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	client := dial(t, o)
	sub, err := client.Subscribe(t.Context(), "+", "")
	must.OK(t, err)
	must.OK(t, client.Publish(t.Context(), "t", nil)) // its answer comes after all events
	if n := sub.Dropped(); n != sent-queue || len(drops) != sent-queue {
		t.Fatalf("dropped %d, told of %d, want %d", n, len(drops), sent-queue)
	}
	for _, d := range drops {
		if d.Operation != "SubscribeToTopic" || d.Request != (ipc.SubscribeToTopicRequest{Topic: "+"}) || !errors.Is(d.Err, ipc.ErrSlowReader) {
			t.Errorf("drop %+v", d)
		}
	}
	if lines := strings.Count(log.String(), `msg="event dropped" operation=SubscribeToTopic request="{Topic:+ ReceiveMode:}"`); lines != 3 {
		t.Errorf("%d lines of the 1st, 2nd and 4th event in\n%s", lines, &log)
	}
	for i := range queue {
		if m := <-sub.Events(); m.Topic != fmt.Sprint(sent-queue+i) {
			t.Errorf("event %d is %s", i, m.Topic)
		}
	}
}

func TestConnectionLossEndsEverything(t *testing.T) {
	for name, end := range map[string]func(p *peer){
		"closed": func(p *peer) { _ = p.conn.Close() },
		"protocol error": func(p *peer) {
			p.send(eventstream.Message{Type: eventstream.ProtocolError, Payload: []byte(`{ "message": "bad"; }`)})
		},
		"garbage": func(p *peer) { _, _ = p.conn.Write([]byte(strings.Repeat("x", 64))) },
	} {
		t.Run(name, func(t *testing.T) {
			client := dial(t, listen(t, true, func(p *peer, m *eventstream.Message) {
				if m.Operation == "aws.greengrass#UpdateState" {
					end(p)
					return
				}
				p.respond(m, "{}", 0)
			}))
			sub, err := client.Subscribe(t.Context(), "+", "")
			must.OK(t, err)
			if err := client.UpdateState(t.Context(), ipc.UpdateStateRequest{State: ipc.StateRunning}); !errors.Is(err, ipc.ErrConnectionLost) {
				t.Errorf("pending call: %v", err)
			}
			if _, open := <-sub.Events(); open || !errors.Is(sub.Err(), ipc.ErrConnectionLost) {
				t.Errorf("subscription: open %v, %v", open, sub.Err())
			}
			<-client.Done()
			if err := client.Publish(t.Context(), "t", nil); !errors.Is(err, ipc.ErrConnectionLost) {
				t.Errorf("later call: %v", err)
			}
		})
	}
}

func TestCallEndsWithItsContextAndTheConnectionGoesOn(t *testing.T) {
	client := dial(t, listen(t, true, func(p *peer, m *eventstream.Message) {
		if m.Operation != "aws.greengrass#UpdateState" { // which is never answered
			p.respond(m, "{}", 0)
		}
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := client.UpdateState(ctx, ipc.UpdateStateRequest{State: ipc.StateRunning}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if err := client.Publish(t.Context(), "t", nil); err != nil {
		t.Error(err)
	}
}

// A nucleus that stops reading must not hang the component.
func TestWriteTimeoutEndsTheConnection(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	o := listen(t, true, func(*peer, *eventstream.Message) { <-release })
	o.WriteTimeout = 50 * time.Millisecond
	client := dial(t, o)
	var err error
	for err == nil { // until the socket's buffers are full
		_, err = client.StartPublish(t.Context(), "t", make([]byte, 4<<10))
	}
	if !errors.Is(err, ipc.ErrConnectionLost) {
		t.Errorf("%v", err)
	}
	<-client.Done()
}

func TestPingIsAnswered(t *testing.T) {
	answered := make(chan string, 1)
	client := dial(t, listen(t, true, func(p *peer, m *eventstream.Message) {
		if m.Type == eventstream.PingResponse {
			answered <- string(m.Payload)
			return
		}
		p.send(eventstream.Message{Type: eventstream.Ping, Payload: []byte("hello")})
		p.respond(m, "{}", 0)
	}))
	must.OK(t, client.Publish(t.Context(), "t", nil))
	if got := <-answered; got != "hello" {
		t.Errorf("ping answered with %q", got)
	}
}

func TestCloseEndsCallsWithErrClosed(t *testing.T) {
	client := dial(t, listen(t, true, func(*peer, *eventstream.Message) {}))
	call, err := client.StartPublish(t.Context(), "t", nil)
	must.OK(t, err)
	must.OK(t, client.Close())
	if err := call.Wait(t.Context()); !errors.Is(err, ipc.ErrClosed) {
		t.Errorf("%v", err)
	}
}

// What a nucleus passes on damaged is counted, and the subscription goes on.
func TestAGarbledEventDoesNotEndTheSubscription(t *testing.T) {
	o := listen(t, true, func(p *peer, m *eventstream.Message) {
		p.respond(m, "{}", 0)
		p.event(m.StreamID, `{"binaryMessage":{"message":"%%%","context":{"topic":"a"}}}`)
		p.event(m.StreamID, "{\"jsonMessage\":{\"message\":17\x00,\"context\":{\"topic\":\"a\"}}}")
		p.event(m.StreamID, `{"binaryMessage":{"message":"eA==","context":{"topic":"a"}}}`)
	})
	var drops []ipc.Drop
	o.OnDrop = func(d ipc.Drop) { drops = append(drops, d) }
	client := dial(t, o)
	sub, err := client.Subscribe(t.Context(), "a", "")
	must.OK(t, err)
	if m := <-sub.Events(); string(m.Payload) != "x" || sub.Garbled() != 2 {
		t.Errorf("received %+v after %d garbled events", m, sub.Garbled())
	}
	if len(drops) != 2 || drops[0].Err == nil || drops[0].Request != (ipc.SubscribeToTopicRequest{Topic: "a"}) {
		t.Errorf("told of %+v", drops)
	}
}
