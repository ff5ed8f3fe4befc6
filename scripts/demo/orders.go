package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edgepdm/shared/event"
)

// maxOrders is how many orders of the console's page wait at most.
const maxOrders = 16

// takeOrders does what the console's page orders, until ctx ends.
func (d *demo) takeOrders(ctx context.Context) {
	for number := 1; ; {
		select {
		case <-ctx.Done():
			return
		case payload := <-d.observer.orders:
			o, err := event.DecodeDemoOrder(payload)
			var what string
			if err == nil {
				what, err = d.obey(ctx, o.Do, number)
			}
			if err == nil && o.Do == event.DemoPublish {
				number++
			}
			d.did("the page: "+what, errors.Join(err, d.reply(ctx, o.ID, what, err)))
		}
	}
}

// obey does what is ordered and says what that was.
func (d *demo) obey(ctx context.Context, do event.DemoDo, number int) (what string, err error) {
	switch do {
	case event.DemoCut:
		return "uplink cut", d.setUplink(false)
	case event.DemoRestore:
		return "uplink back", d.setUplink(true)
	case event.DemoPublish:
		if d.options.model != "" || d.options.drift {
			return "no model published", errors.New("this run has models of its own")
		}
		version := fmt.Sprintf("2.%d.0", number) // newer than those of the story
		return "model " + version + " published", d.publisher.publish(ctx, secondModel, version, nil, nil)
	}
	return "", fmt.Errorf("do: %.40q is unknown", do)
}

func (d *demo) reply(ctx context.Context, id, what string, problem error) error {
	r := event.Reply{V: event.Version, ID: id, OK: problem == nil, Text: what, TS: time.Now().UTC()}
	if problem != nil {
		r.Text = problem.Error()
	}
	payload, err := event.Encode(r)
	if err != nil {
		return err
	}
	return d.client.Publish(ctx, event.ReplyTopic(event.TopicDemoAct), payload)
}
