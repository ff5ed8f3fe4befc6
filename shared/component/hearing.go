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

// placeLocal is where the condition of local messages is.
const placeLocal = "local messages"

// unheard is how many health messages in a row the nucleus must have taken and not delivered.
const unheard = 3

var errDeaf = errors.New("the nucleus takes local messages and delivers none")

// hearing tells whether the nucleus still delivers local messages, by the component's own health messages. When the
// publish/subscribe daemon of nucleus lite ends, every subscription stays open and is silent for good.
type hearing struct {
	rt     *Runtime
	client *ipc.Client
	after  time.Duration
	deaf   atomic.Bool
	stop   func()

	mu    sync.Mutex
	off   bool // there is nothing to go by
	count int  // health messages that the nucleus took since the last that came back
	since time.Time
}

// listen begins to hear the component's own health messages. Where that is refused, it is told and tried again now and then.
func (rt *Runtime) listen(ctx context.Context, client *ipc.Client, after, again time.Duration) *hearing {
	ctx, cancel := context.WithCancel(ctx)
	h := &hearing{rt: rt, client: client, after: after, off: true, stop: cancel}
	rt.hearing.Store(h)
	sub, err := h.subscribe(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		for ctx.Err() == nil && client.Err() == nil {
			if err == nil {
				h.hear(ctx, sub)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(again):
				sub, err = h.subscribe(ctx)
			}
		}
	})
	h.stop = func() {
		cancel()
		work.Wait()
	}
	return h
}

// subscribe subscribes to the component's own health messages.
func (h *hearing) subscribe(ctx context.Context) (*ipc.Subscription[ipc.TopicMessage], error) {
	topic := event.HealthTopic(h.rt.name)
	sub, err := h.client.Subscribe(ctx, topic, ipc.ReceiveAll)
	if ctx.Err() != nil || h.client.Err() != nil {
		return sub, err
	}
	h.rt.conditions.subscribed(topic, err, true)
	h.mu.Lock()
	h.off, h.count = err != nil || h.after <= 0, 0
	h.mu.Unlock()
	return sub, err
}

// hear takes them until the subscription or ctx ends.
func (h *hearing) hear(ctx context.Context, sub *ipc.Subscription[ipc.TopicMessage]) {
	defer func() { _ = sub.Close() }()
	for {
		select {
		case <-ctx.Done():
			return
		case m, open := <-sub.Events():
			if !open {
				return
			}
			if own, err := event.DecodeHealth(m.Payload); err == nil && own.Run == h.rt.run {
				h.heard()
			}
		}
	}
}

// Hears reports whether local messages are delivered, as far as the component's own health messages tell: false while more
// than one of those that the nucleus took has not come back.
func (rt *Runtime) Hears() bool {
	h := rt.hearing.Load()
	if h == nil {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count < 2 || h.off && !h.deaf.Load()
}

func (h *hearing) heard() {
	h.mu.Lock()
	h.count = 0
	h.mu.Unlock()
	h.rt.conditions.setDeaf(nil)
}

// published notes a health message that the nucleus took, or did not. When several in a row have not come back, it ends
// the connection, with which all subscriptions are made again.
func (h *hearing) published(err error) {
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.rt.now()
	if h.count++; h.count == 1 {
		h.since = now
	}
	if h.off || h.count <= unheard || now.Sub(h.since) < h.after {
		return
	}
	h.off = true
	h.rt.Counter(event.CounterDeaf).Add(1)
	h.rt.conditions.setDeaf(errDeaf)
	h.deaf.Store(true)
	h.client.Abandon(errDeaf)
}
