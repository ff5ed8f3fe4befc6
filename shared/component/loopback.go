package component

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

// maxMissing is how many health messages in a row the nucleus must have taken and not delivered.
const maxMissing = 3

var errDeaf = errors.New("the nucleus takes local messages and delivers none")

// loopback tells whether the nucleus still delivers local messages, by the component's own health messages. When the
// publish/subscribe daemon of nucleus lite ends, every subscription stays open and is silent for good.
type loopback struct {
	rt     *Runtime
	client *ipc.Client
	after  time.Duration
	deaf   atomic.Bool
	stop   func()

	mu      sync.Mutex
	refused bool      // there is no subscription: nothing can be told
	missing int       // health messages that the nucleus took since the last that came back
	since   time.Time // the first of them was sent
}

// startLoopback begins to receive the component's own health messages. Where that is refused, it is told and tried again now and then.
func (rt *Runtime) startLoopback(ctx context.Context, client *ipc.Client, after, again time.Duration) *loopback {
	ctx, cancel := context.WithCancel(ctx)
	l := &loopback{rt: rt, client: client, after: after, refused: true, stop: cancel}
	rt.loopback.Store(l)
	sub, err := l.subscribe(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		for ctx.Err() == nil && client.Err() == nil {
			if err == nil {
				l.receive(ctx, sub)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(again):
				sub, err = l.subscribe(ctx)
			}
		}
	})
	l.stop = func() {
		cancel()
		work.Wait()
	}
	return l
}

// subscribe subscribes to the component's own health messages.
func (l *loopback) subscribe(ctx context.Context) (*ipc.Subscription[ipc.TopicMessage], error) {
	topic := event.HealthTopic(l.rt.name)
	sub, err := l.client.Subscribe(ctx, topic, ipc.ReceiveAll)
	if ctx.Err() != nil || l.client.Err() != nil {
		return sub, err
	}
	l.rt.conditions.subscribed(topic, err, true)
	l.mu.Lock()
	l.refused, l.missing = err != nil || l.after <= 0, 0
	l.mu.Unlock()
	return sub, err
}

// receive takes them until the subscription or ctx ends.
func (l *loopback) receive(ctx context.Context, sub *ipc.Subscription[ipc.TopicMessage]) {
	defer func() { _ = sub.Close() }()
	for {
		select {
		case <-ctx.Done():
			return
		case m, open := <-sub.Events():
			if !open {
				return
			}
			if own, err := event.DecodeHealth(m.Payload); err == nil && own.Run == l.rt.run {
				l.returned()
			}
		}
	}
}

// Receives reports whether local messages are delivered, as far as the component's own health messages tell: false while more
// than one of those that the nucleus took has not come back.
func (rt *Runtime) Receives() bool {
	l := rt.loopback.Load()
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.missing < 2 || l.refused && !l.deaf.Load()
}

func (l *loopback) returned() {
	l.mu.Lock()
	l.missing = 0
	l.mu.Unlock()
	l.rt.conditions.setDeaf(nil)
}

// sent notes a health message that the nucleus took, or did not. When several in a row have not come back, it ends
// the connection, with which all subscriptions are made again.
func (l *loopback) sent(err error) {
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.rt.now()
	if l.missing++; l.missing == 1 {
		l.since = now
	}
	if l.refused || l.missing <= maxMissing || now.Sub(l.since) < l.after {
		return
	}
	l.refused = true
	l.rt.Counter(event.CounterDeaf).Add(1)
	l.rt.conditions.setDeaf(errDeaf)
	l.deaf.Store(true)
	l.client.Abandon(errDeaf)
}
