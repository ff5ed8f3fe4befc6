package alarms

import (
	"context"
	"strings"
	"sync"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

// teller publishes what is told as well as possible, in a goroutine of its own: events of alarms, the list, labels and figures. What
// nobody takes for too long is dropped, and counted.
type teller struct {
	rt       *component.Runtime
	messages chan message
	cancel   context.CancelFunc
	work     sync.WaitGroup
}

type message struct {
	topic   string
	payload []byte
	cloud   bool // to AWS IoT Core
}

const (
	maxTold     = 2000 // messages that wait
	tellTimeout = 5 * time.Second
)

func startTeller(ctx context.Context, rt *component.Runtime) *teller {
	ctx, cancel := context.WithCancel(ctx)
	t := &teller{rt: rt, messages: make(chan message, maxTold), cancel: cancel}
	t.work.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case m := <-t.messages:
				t.publish(ctx, m)
			}
		}
	})
	return t
}

func (t *teller) publish(ctx context.Context, m message) {
	within, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	if m.cloud {
		err := t.rt.IPC().PublishToIoTCore(within, ipc.PublishToIoTCoreRequest{TopicName: m.topic, Payload: m.payload, QoS: ipc.AtLeastOnce})
		if err != nil && ctx.Err() == nil {
			t.drop()
			t.rt.Log.Warn("an answer is not published in the cloud", "topic", m.topic, "error", err)
		}
		return
	}
	err := t.rt.IPC().Publish(within, m.topic, m.payload)
	if ctx.Err() == nil {
		t.rt.Publication(placeOf(m.topic)).Answered(err)
	}
}

// placeOf is the filter by which a condition names a topic.
func placeOf(topic string) string {
	if strings.HasPrefix(topic, event.LabelTopic("")) {
		return event.FilterLabel
	}
	return topic
}

func (t *teller) stop() {
	t.cancel()
	t.work.Wait()
}

// tell publishes a message.
func (t *teller) tell(topic string, m any) {
	payload, err := event.Encode(m)
	if err != nil {
		t.drop()
		return
	}
	t.send(topic, payload)
}

func (t *teller) send(topic string, payload []byte) { t.put(message{topic, payload, false}) }

// toCloud publishes a message in AWS IoT Core.
func (t *teller) toCloud(topic string, payload []byte) { t.put(message{topic, payload, true}) }

func (t *teller) put(m message) {
	select {
	case t.messages <- m:
	default:
		t.drop()
	}
}

func (t *teller) drop() { t.rt.Counter(CounterUntold).Add(1) }
