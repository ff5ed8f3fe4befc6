package component

import (
	"context"
	"errors"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

var errUngranted = errors.New("the nucleus does not grant it: the recipe's accessControl is overridden")

// Publication is what the nucleus says to messages on a topic. For several goroutines.
type Publication struct {
	rt    *Runtime
	place string
}

// Publication begins to watch a topic, or those that a filter stands for.
func (rt *Runtime) Publication(filter string) *Publication {
	return &Publication{rt: rt, place: event.PlacePublish(filter)}
}

// Answered takes the nucleus's answer to a message. While it takes none, the component is DEGRADED, and the condition names
// the operation and the topic. Each message that is taken clears it, also one that came before the work was entered again, and
// one whose answer overtook another. Errors of the connection, and of the message, are not the nucleus's answers.
func (p *Publication) Answered(err error) {
	_, refused := errors.AsType[*ipc.UnauthorizedError](err)
	_, answer := errors.AsType[*ipc.OperationError](err)
	switch {
	case refused:
		p.set(errUngranted, nil)
	case answer || errors.Is(err, ipc.ErrTimeout):
		p.set(nil, err)
	case err == nil:
		p.set(nil, nil)
	}
}

// Send publishes a message without waiting for the answer, which is taken when it comes.
func (p *Publication) Send(topic string, payload []byte) error {
	call, err := p.rt.IPC().StartPublish(context.Background(), topic, payload)
	if err != nil {
		return err
	}
	p.rt.inFlight.Go(func() { p.Answered(call.Wait(context.Background())) })
	return nil
}

func (p *Publication) set(refused, failed error) {
	p.rt.conditions.Set(event.CodeNotAuthorized, p.place, refused)
	p.rt.conditions.Set(event.CodePubSubDeaf, p.place, failed)
}
