package engine

import (
	"context"
	"fmt"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

// CounterOrdersInvalid counts commands over IPC that cannot be read.
const CounterOrdersInvalid = "command.invalid"

// maxOrders bounds the ids of commands that are remembered, and the commands that wait.
const maxOrders = 64

// orders are commands for the models over local publish/subscribe. It outlives a change of the configuration: a command that comes
// again is not obeyed again, but answered.
type orders struct {
	messages <-chan ipc.TopicMessage
	rt       *component.Runtime
	replies  *component.Publication
	obeyed   []obeyed // the oldest first
	warned   time.Time
}

// obeyed is a command with an id.
type obeyed struct {
	id      string
	waiting bool
	text    string
	err     error
}

func (o *orders) subscribe(ctx context.Context, rt *component.Runtime) error {
	sub, err := rt.Subscribe(ctx, event.TopicEngineerModel)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", event.TopicEngineerModel, err)
	}
	o.rt, o.messages, o.replies = rt, sub.Events(), rt.Publication(event.ReplyTopic(event.TopicEngineerModel))
	return nil
}

// take takes a message; open is false when there will be none any more.
func (o *orders) take(m ipc.TopicMessage, open bool, k *keeper) {
	if !open {
		o.messages = nil
		return
	}
	c, err := event.DecodeModelCommand(m.Payload)
	if err != nil {
		total := o.rt.Counter(CounterOrdersInvalid).Add(1)
		if now := k.now(); now.Sub(o.warned).Abs() >= logEvery {
			o.warned = now
			o.rt.Log.Warn("the command is not valid", "topic", m.Topic, "error", err, "total", total)
		}
		o.reply(c.ID, "", err, k.now())
		return
	}
	if c.Do == event.CommandStatus {
		o.reply(c.ID, k.status(), nil, k.now())
		return
	}
	if at := o.find(c.ID); at >= 0 {
		if again := o.obeyed[at]; !again.waiting {
			o.reply(again.id, again.text, again.err, k.now())
		}
		return
	}
	if len(k.waiting) >= maxOrders {
		o.reply(c.ID, "", fmt.Errorf("%s failed: %d commands wait already", c.Do, len(k.waiting)), k.now())
		return
	}
	by := c.By
	if by == "" {
		by = "an engineer"
	}
	o.rt.Log.Info("a command for the models", "do", c.Do, "by", by, "reason", c.Reason, "id", c.ID)
	o.remember(c.ID)
	one := order{do: c.Do, reason: c.Reason, by: by, answer: func(text string, err error) {
		if at := o.find(c.ID); at >= 0 {
			o.obeyed[at] = obeyed{c.ID, false, text, err}
		}
		o.reply(c.ID, text, err, k.now())
	}}
	role := c.Role
	if c.Do != event.CommandRollback {
		role = event.RoleFault
	}
	if err := k.add(one, role); err != nil {
		one.answer("", err)
	}
	k.obey()
}

// find returns where a command is that came before; -1: it did not, or has no id.
func (o *orders) find(id string) int {
	for i := range o.obeyed {
		if id != "" && o.obeyed[i].id == id {
			return i
		}
	}
	return -1
}

func (o *orders) remember(id string) {
	if id == "" {
		return
	}
	if len(o.obeyed) == maxOrders {
		o.obeyed = append(o.obeyed[:0], o.obeyed[1:]...)
	}
	o.obeyed = append(o.obeyed, obeyed{id: id, waiting: true})
}

func (o *orders) reply(id, text string, err error, now time.Time) {
	payload, err := event.EncodeReply(id, text, err, now)
	if err == nil {
		err = o.replies.Send(event.ReplyTopic(event.TopicEngineerModel), payload)
	}
	if err != nil {
		o.rt.Log.Warn("the reply to a command could not be published", "error", err)
	}
}
