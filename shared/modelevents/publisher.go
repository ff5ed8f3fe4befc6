package modelevents

import (
	"context"
	"errors"
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

// Publisher publishes the events of an outbox.
type Publisher struct {
	Outbox  *Outbox
	Publish func(ctx context.Context, topic string, payload []byte) error
	Acks    <-chan ipc.TopicMessage // nil: nobody acknowledges
	Log     *slog.Logger
	// Republish is the time after which what was not acknowledged is published again: it doubles up to a minute.
	Republish time.Duration
}

// Start starts the publisher of a component; stop ends it and waits for it.
func Start(ctx context.Context, rt *component.Runtime, o *Outbox) (stop func(), err error) {
	acks, err := rt.Subscribe(ctx, event.TopicAckModel)
	if err != nil {
		return nil, err
	}
	models, drifts := rt.Publication(event.FilterModel), rt.Publication(event.FilterDrift)
	p := Publisher{
		Outbox: o, Acks: acks.Events(), Log: rt.Log, Republish: republishMin,
		Publish: func(ctx context.Context, topic string, payload []byte) error {
			err := rt.IPC().Publish(ctx, topic, payload)
			switch {
			case ctx.Err() != nil:
			case event.IsDrift(topic):
				drifts.Answered(err)
			default:
				models.Answered(err)
			}
			return err
		},
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}, nil
}

// Run publishes until ctx or the acknowledgements end.
func (p Publisher) Run(ctx context.Context) {
	wait := p.Republish
	again := time.NewTimer(wait) // for what the last run left
	defer again.Stop()
	for {
		all := false
		select {
		case <-ctx.Done():
			return
		case m, open := <-p.Acks:
			if !open {
				return
			}
			if !p.acknowledged(m.Payload) {
				continue
			}
			all, wait = wait > p.Republish, p.Republish // somebody listens again: the others need not wait
		case <-again.C:
			all, wait = true, min(2*wait, republishMax)
		case <-p.Outbox.wake:
		}
		for _, e := range p.Outbox.waiting() {
			if *e.replayed() && !all {
				continue
			}
			payload, err := e.encode()
			if err != nil { // it never can be, and the others do not wait for it
				p.Log.Error("an event of a model cannot be sent, and is dropped", "topic", e.topic(), "error", err)
				_, _ = p.Outbox.Ack([]string{e.id()}) // the file is written again below
				continue
			}
			if err := p.publish(ctx, e.topic(), payload); err != nil {
				if ctx.Err() == nil {
					p.Log.Warn("an event of a model is not published; it will be tried again", "topic", e.topic(), "error", err)
				}
				if _, refused := errors.AsType[*ipc.UnauthorizedError](err); refused { // the others may be granted
					continue
				}
				break
			}
			p.Outbox.published(e.id())
		}
		again.Stop()
		if written := p.Outbox.rewrite(); !written || len(p.Outbox.waiting()) > 0 {
			again.Reset(wait)
		}
	}
}

func (p Publisher) publish(ctx context.Context, topic string, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return p.Publish(ctx, topic, payload)
}

// acknowledged takes an acknowledgement, and says whether it was for an event that waited.
func (p Publisher) acknowledged(payload []byte) bool {
	a, err := event.DecodeAck(payload)
	if err != nil {
		p.Log.Debug("an acknowledgement is not understood", "error", err)
		return false
	}
	removed, err := p.Outbox.Ack(a.IDs)
	if err != nil {
		p.Log.Warn("events of models are not written; they are kept in memory", "error", err)
	}
	return removed > 0
}
