package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"edgepdm/components/operator-console/access"
	"edgepdm/components/operator-console/web"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/random"
	"edgepdm/shared/request"
)

// answerWithin is how long a component may take to answer a command.
const answerWithin = 10 * time.Second

// desk gives commands and waits for their outcome.
type desk struct {
	mu      sync.Mutex
	waiting map[string]chan event.Reply // by the command's id
}

// topicOf returns where a command goes: operators and engineers have topics of their own, and who may publish there is the grant's word.
func topicOf(c web.Command) (string, error) {
	switch c.To {
	case web.ToAlarms:
		if c.Role == web.Engineer {
			return event.TopicEngineerAlarm, nil
		}
		return event.TopicOperatorAlarm, nil
	case web.ToModels:
		if c.Role != web.Engineer {
			return "", errors.New("only an engineer may decide on models")
		}
		return event.TopicEngineerModel, nil
	case web.ToTest:
		return event.TopicTestAlarm, nil
	case web.ToFetch:
		return event.TopicModelFetch, nil
	case web.ToPlant:
		return event.TopicDemoFault, nil
	case web.ToDemo:
		return event.TopicDemoAct, nil
	case web.ToReplay: // goes another way
	}
	return "", fmt.Errorf("to: %.40q is none of %v", c.To, web.Destinations())
}

// command gives a command in somebody's name, and returns what came of it. It is recorded, whatever comes of it.
func (l *listener) command(ctx context.Context, c web.Command) (text string, err error) {
	l.rt.Counter(CounterCommands).Add(1)
	text, err = l.obey(ctx, c)
	e := access.Entry{TS: l.now(), By: c.By, Role: c.Role, From: c.From, Do: string(c.To), Outcome: text}
	if e.Message, _ = json.Marshal(c.Message); err != nil { // it was decoded from JSON
		e.Outcome = "failed: " + err.Error()
	}
	l.audit.Note(e)
	return text, err
}

func (l *listener) obey(ctx context.Context, c web.Command) (text string, err error) {
	if c.To == web.ToReplay {
		return l.replay(ctx, c)
	}
	if (c.To == web.ToPlant || c.To == web.ToDemo) && l.config.Demo == "" {
		return "", errors.New("this is no demo")
	}
	topic, err := topicOf(c)
	if err != nil {
		return "", err
	}
	message := make(map[string]json.RawMessage, len(c.Message)+3)
	for name, value := range c.Message {
		if !slices.Contains([]string{"v", "id", "by"}, name) {
			message[name] = value
		}
	}
	id := "console-" + random.ID() + random.ID()
	for name, value := range map[string]any{"v": event.Version, "id": id, "by": c.By} {
		if message[name], err = json.Marshal(value); err != nil {
			return "", fmt.Errorf("encode a command: %w", err)
		}
	}
	payload, err := event.Encode(message)
	if err != nil {
		return "", err
	}
	reply := l.desk.expect(id)
	defer l.desk.forget(id)
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := l.rt.IPC().Publish(ctx, topic, payload); err != nil {
		return "", fmt.Errorf("give the command: %w", err)
	}
	select {
	case r := <-reply:
		if !r.OK {
			return "", errors.New(r.Text)
		}
		return r.Text, nil
	case <-ctx.Done():
		return "", fmt.Errorf("no answer on %s: the component does not run, or the command may still be done", event.ReplyTopic(topic))
	}
}

// replayWithin is how long the cloud forwarder may take until it says how far it is.
const replayWithin = 30 * time.Second

// replay has the cloud forwarder send its dead letters again. It takes that command in its work directory only.
func (l *listener) replay(ctx context.Context, c web.Command) (string, error) {
	if c.Role != web.Engineer {
		return "", errors.New("only an engineer may send dead letters again")
	}
	call := request.Call{Component: event.CloudForwarder, Command: event.CommandReplay, WorkDir: l.inWorkDir(l.config.Forwarder), Timeout: replayWithin}
	return call.Do(ctx)
}

func (d *desk) expect(id string) <-chan event.Reply {
	d.mu.Lock()
	defer d.mu.Unlock()
	reply := make(chan event.Reply, 1)
	d.waiting[id] = reply
	return reply
}

func (d *desk) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.waiting, id)
}

// reply takes the outcome of a command.
func (l *listener) reply(m ipc.TopicMessage) error {
	var r event.Reply
	if err := event.Unmarshal(m.Payload, &r); err != nil {
		return fmt.Errorf("reply: %w", err)
	}
	l.desk.mu.Lock()
	defer l.desk.mu.Unlock()
	if reply, ours := l.desk.waiting[r.ID]; ours {
		select {
		case reply <- r:
		default: // it came twice
		}
	}
	return nil
}
