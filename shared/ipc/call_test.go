package ipc_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/shared/ipc/eventstream"
	"edgepdm/test/must"
)

// A call that is never answered ends by itself, and does not disturb those that come after it.
func TestCallTimeout(t *testing.T) {
	var held *eventstream.Message
	o := listen(t, true, func(p *peer, m *eventstream.Message) {
		if held == nil {
			first := *m
			held = &first
			return
		}
		p.respond(held, "{}", 0) // too late
		p.respond(m, "{}", 0)
	})
	o.CallTimeout = 300 * time.Millisecond // also for Dial
	client := dial(t, o)
	if err := client.Publish(t.Context(), "t", nil); !errors.Is(err, ipc.ErrTimeout) {
		t.Fatalf("%v, want ErrTimeout", err)
	}
	if err := client.Err(); err != nil {
		t.Fatalf("the connection ended: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a deadline of the caller's takes the place of the client's
	defer cancel()
	for range 3 {
		if err := client.Publish(ctx, "t", nil); err != nil {
			t.Error(err)
		}
	}
}

func TestASubscriptionThatIsNotAnsweredIsTerminated(t *testing.T) {
	terminated := make(chan int32, 1)
	o := listen(t, true, func(_ *peer, m *eventstream.Message) {
		if m.Flags&eventstream.TerminateStream != 0 {
			terminated <- m.StreamID
		}
	})
	o.CallTimeout = 300 * time.Millisecond // also for Dial
	if _, err := dial(t, o).Subscribe(t.Context(), "t", ""); !errors.Is(err, ipc.ErrTimeout) {
		t.Fatalf("%v, want ErrTimeout", err)
	}
	if id := <-terminated; id != 1 {
		t.Errorf("stream %d was terminated", id)
	}
}

// Wait after Wait gives the same answer and takes nobody else's.
func TestWaitTwice(t *testing.T) {
	client := dial(t, listen(t, true, func(p *peer, m *eventstream.Message) {
		if m.StreamID == 1 {
			p.send(eventstream.Message{Type: eventstream.ApplicationError, Flags: eventstream.TerminateStream, StreamID: 1,
				ServiceModelType: "aws.greengrass#UnauthorizedError", ContentType: eventstream.ContentTypeJSON, Payload: []byte(`{}`)})
			return
		}
		p.respond(m, "{}", 0)
	}))
	call, err := client.StartPublish(t.Context(), "t", nil)
	must.OK(t, err)
	for range 2 {
		if _, is := errors.AsType[*ipc.UnauthorizedError](call.Wait(t.Context())); !is {
			t.Errorf("%v", err)
		}
		if err := client.Publish(t.Context(), "t", nil); err != nil {
			t.Error(err)
		}
	}
}

func TestRedial(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	attempts := 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := ipc.Redial(ctx, ipc.Options{Socket: socket}, func(_ context.Context, attempt int, err error) {
		if attempts++; attempt != attempts || err == nil {
			t.Errorf("attempt %d: %v", attempt, err)
		}
		if attempt == 3 {
			cancel()
		}
	})
	if attempts != 3 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d attempts, %v", attempts, err)
	}

	refused := listen(t, false, nil)
	_, err = ipc.Redial(t.Context(), refused, func(context.Context, int, error) { t.Error("tried again with a refused token") })
	if !errors.Is(err, ipc.ErrRefused) {
		t.Errorf("%v, want ErrRefused", err)
	}

	o := listen(t, true, nil)
	there := o.Socket
	o.Socket = socket // nobody listens there at first
	client, err := ipc.Redial(t.Context(), o, func(context.Context, int, error) {
		if err := os.Symlink(there, socket); err != nil {
			t.Error(err)
		}
	})
	must.OK(t, err)
	_ = client.Close()
}

// The end of a subscriber's context and the nucleus's answer may come at the same moment.
func TestSubscribeThatIsGivenUpWhenItIsAnswered(t *testing.T) {
	client := dial(t, listen(t, true, func(p *peer, m *eventstream.Message) {
		if m.Flags&eventstream.TerminateStream == 0 {
			p.respond(m, `{"value":{"a":1}}`, 0)
		}
	}))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 300 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration((i*7+g*13)%300)*time.Microsecond)
				if sub, err := client.Subscribe(ctx, "t", ""); err == nil {
					_ = sub.Close()
				}
				cancel()
				if v, err := client.Configuration(t.Context()); err != nil || len(v) != 1 {
					t.Errorf("another call: %v, %v", v, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestDialEndsByItself(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket) // accepts, and never answers
	must.OK(t, err)
	defer func() { _ = l.Close() }()
	if _, err := ipc.Dial(t.Context(), ipc.Options{Socket: socket, CallTimeout: 10 * time.Millisecond}); !errors.Is(err, ipc.ErrTimeout) {
		t.Errorf("%v, want ErrTimeout", err)
	}
}

func TestNothingIsSentForAContextThatHasEnded(t *testing.T) {
	client, sent := nucleus(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := client.Publish(ctx, "t", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := client.Publish(t.Context(), "t", nil); err != nil || sent.Load() != 1 {
		t.Errorf("%v, sent %d", err, sent.Load())
	}
}
