package modelnews

import (
	"context"
	"log/slog"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

const (
	publishTimeout = 5 * time.Second
	republishMin   = 15 * time.Second
	republishMax   = time.Minute
)

// Courier publishes the events of an outbox.
type Courier struct {
	Outbox  *Outbox
	Publish func(ctx context.Context, topic string, payload []byte) error
	Acks    <-chan ipc.TopicMessage // nil: nobody acknowledges
	Log     *slog.Logger
	// Republish is the time after which what was not acknowledged is published again: it doubles up to a minute.
	Republish time.Duration
}

// Start starts the courier of a component; stop ends it and waits for it.
func Start(ctx context.Context, rt *component.Runtime, o *Outbox) (stop func(), err error) {
	acks, err := rt.Subscribe(ctx, event.TopicAckModel)
	if err != nil {
		return nil, err
	}
	publication := rt.Publication(event.FilterModel)
	c := Courier{
		Outbox: o, Acks: acks.Events(), Log: rt.Log, Republish: republishMin,
		Publish: func(ctx context.Context, topic string, payload []byte) error {
			err := rt.IPC().Publish(ctx, topic, payload)
			if ctx.Err() == nil {
				publication.Answered(err)
			}
			return err
		},
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}, nil
}

// Run publishes until ctx or the acknowledgements end.
func (c Courier) Run(ctx context.Context) {
	wait := c.Republish
	again := time.NewTimer(wait) // for what the last run left
	defer again.Stop()
	for {
		all := false
		select {
		case <-ctx.Done():
			return
		case m, open := <-c.Acks:
			if !open {
				return
			}
			if !c.acknowledged(m.Payload) {
				continue
			}
			all, wait = wait > c.Republish, c.Republish // somebody listens again: the others need not wait
		case <-again.C:
			all, wait = true, min(2*wait, republishMax)
		case <-c.Outbox.wake:
		}
		for _, e := range c.Outbox.Waiting() {
			if e.Replayed && !all {
				continue
			}
			payload, err := event.Encode(e)
			if err != nil { // it never can be, and the others do not wait for it
				c.Log.Error("an event of a model cannot be sent, and is dropped", "event", e.Event, "error", err)
				_, _ = c.Outbox.Ack([]string{e.ID}) // the file is written again below
				continue
			}
			if err := c.publish(ctx, e, payload); err != nil {
				if ctx.Err() == nil {
					c.Log.Warn("an event of a model is not published; it will be tried again", "event", e.Event, "error", err)
				}
				break
			}
			c.Outbox.published(e.ID)
		}
		again.Stop()
		if written := c.Outbox.rewrite(); !written || len(c.Outbox.Waiting()) > 0 {
			again.Reset(wait)
		}
	}
}

func (c Courier) publish(ctx context.Context, e event.ModelEvent, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return c.Publish(ctx, event.ModelTopic(e.Event), payload)
}

// acknowledged takes an acknowledgement, and says whether it was for an event that waited.
func (c Courier) acknowledged(payload []byte) bool {
	a, err := event.DecodeAck(payload)
	if err != nil {
		c.Log.Debug("an acknowledgement is not understood", "error", err)
		return false
	}
	removed, err := c.Outbox.Ack(a.IDs)
	if err != nil {
		c.Log.Warn("events of models are not written; they are kept in memory", "error", err)
	}
	return removed > 0
}
