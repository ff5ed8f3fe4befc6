package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"edgepdm/shared/ipc"
)

// The operations of local topics.
const (
	publishToTopic   = "PublishToTopic"
	subscribeToTopic = "SubscribeToTopic"
)

// publishJSON publishes an object as a jsonMessage.
func publishJSON(ctx context.Context, s *session, topic string, object map[string]any) error {
	document, err := ipc.NewDocument(object)
	if err != nil {
		return err
	}
	return s.client.PublishToTopic(ctx, ipc.PublishToTopicRequest{
		Topic: topic, PublishMessage: ipc.PublishMessage{JSONMessage: &ipc.JSONMessage{Message: document}},
	})
}

// echo publishes and returns the message that comes back.
func echo(ctx context.Context, s *session, topic string, publish func() error) (ipc.TopicMessage, error) {
	events, err := s.client.Subscribe(ctx, topic, ipc.ReceiveAll)
	if err != nil {
		return ipc.TopicMessage{}, err
	}
	if err := publish(); err != nil {
		return ipc.TopicMessage{}, err
	}
	return next(ctx, s, events)
}

// echoBytes is a case of a binaryMessage.
func echoBytes(topic string, payload []byte) func(context.Context, *session) (string, error) {
	return func(ctx context.Context, s *session) (string, error) {
		topic := s.topic(topic)
		got, err := echo(ctx, s, topic, func() error { return s.client.Publish(ctx, topic, payload) })
		switch {
		case err != nil:
			return "", err
		case got.JSON || got.Topic != topic || !bytes.Equal(got.Payload, payload):
			return "another message", nil
		}
		return equal, nil
	}
}

// echoJSON is a case of a jsonMessage: numbers are compared by value.
func echoJSON(name string, object map[string]any) func(context.Context, *session) (string, error) {
	return func(ctx context.Context, s *session) (string, error) {
		topic := s.topic("json/" + name)
		got, err := echo(ctx, s, topic, func() error { return publishJSON(ctx, s, topic, object) })
		if err != nil {
			return "", err
		}
		var seen map[string]any
		if err := json.Unmarshal(got.Payload, &seen); err != nil || !got.JSON || !reflect.DeepEqual(seen, object) {
			return string(got.Payload), nil //nolint:nilerr // the answer is what came
		}
		return equal, nil
	}
}

// filtered is a case of a filter: it names the topics whose messages come, out of those published in order. The last topic
// must match.
func filtered(filter string, topics ...string) func(context.Context, *session) (string, error) {
	return func(ctx context.Context, s *session) (string, error) {
		events, err := s.client.Subscribe(ctx, s.topic(filter), ipc.ReceiveAll)
		if err != nil {
			return "", err
		}
		for _, topic := range topics {
			if err := s.client.Publish(ctx, s.topic(topic), nil); err != nil {
				return "", err
			}
		}
		var seen []string
		for len(seen) == 0 || seen[len(seen)-1] != topics[len(topics)-1] {
			event, err := next(ctx, s, events)
			if err != nil {
				return "", err
			}
			seen = append(seen, strings.TrimPrefix(event.Topic, s.topic("")))
		}
		return strings.Join(seen, " "), nil
	}
}

// ownMessages is a case of a receive mode: whether the caller's own message comes.
func ownMessages(filter, topic string, mode ipc.ReceiveMode) func(context.Context, *session) (string, error) {
	return func(ctx context.Context, s *session) (string, error) {
		asked, err := s.client.Subscribe(ctx, s.topic(filter), mode)
		if err != nil {
			return "", err
		}
		all, err := s.client.Subscribe(ctx, s.topic(topic), ipc.ReceiveAll) // is served after the other
		if err != nil {
			return "", err
		}
		// Of the second message the first copy tells that every copy of the first message has come.
		for range 2 {
			if err := s.client.Publish(ctx, s.topic(topic), nil); err != nil {
				return "", err
			}
			if _, err := next(ctx, s, all); err != nil {
				return "", err
			}
		}
		if len(asked.Events()) == 0 {
			return "not delivered", nil
		}
		return delivered, nil
	}
}

func topicCases() []testCase {
	octets := make([]byte, 256)
	for i := range octets {
		octets[i] = byte(i)
	}
	const publish, subscribe = publishToTopic, subscribeToTopic
	return []testCase{
		{publish, "binaryMessage of every byte", equal, equal, echoBytes("bytes", octets)},
		{publish, "binaryMessage without a byte", equal, equal, echoBytes("empty", []byte{})},
		{publish, "binaryMessage of 6,000 bytes", equal, equal, echoBytes("6000", bytes.Repeat(octets, 24)[:6000])},
		{publish, "binaryMessage of 100,000 bytes", equal, "too large", echoBytes("large", bytes.Repeat(octets, 400)[:100_000])},
		{publish, "topic in other letters", equal, equal, echoBytes("Grüße/世界", []byte("x"))},
		{publish, "jsonMessage", equal, equal, echoJSON("full", map[string]any{"text": "Grüße, 世界 🚀 \"\\\n\u0001", "whole": 42.0, "ratio": -1.5e-3,
			"list": []any{1.0, "two", true}, "object": map[string]any{"a": map[string]any{}}})},
		{publish, "jsonMessage, empty object", equal, equal, echoJSON("empty", map[string]any{})},
		{publish, "topic with #", "InvalidArgumentsError", accepted, func(ctx context.Context, s *session) (string, error) {
			return accepted, s.client.Publish(ctx, s.topic("#"), nil)
		}},
		{publish, "topic that no grant should cover", "UnauthorizedError", "UnauthorizedError", func(ctx context.Context, s *session) (string, error) {
			if err := s.client.Publish(ctx, "edgepdm-conformance-forbidden/"+s.options.ID, nil); err != nil {
				return "", err
			}
			return "", skipf("the caller may publish everywhere")
		}},
		{publish, "100 messages, 32 in flight, in order", "100", "100", inOrder},
		{subscribe, "filter with +", "a/x c/x", "a/x c/x", filtered("+/x", "a/x", "b/y", "a/b/x", "c/x")},
		{subscribe, "filter with #", "f/a f/b/c", "f/a f/b/c", filtered("f/#", "f/a", "g/a", "f/b/c")},
		{subscribe, "filter p/# and topic p", "p/a", "p p/a", filtered("p/#", "p", "p/a")},
		{subscribe, "own message, mode ALL", delivered, delivered, ownMessages("all", "all", ipc.ReceiveAll)},
		{subscribe, "own message, mode FROM_OTHERS", "not delivered", delivered, ownMessages("others", "others", ipc.ReceiveFromOthers)},
		{subscribe, "own message, no mode", delivered, delivered, ownMessages("default", "default", "")},
		{subscribe, "own message, no mode, wildcard", "not delivered", delivered, ownMessages("wild/+", "wild/a", "")},
		{subscribe, "same filter twice", "2", "2", twice},
		{subscribe, "closed, the other goes on", "closed", "closed", closeOne},
		{subscribe, "filter that no grant should cover", "UnauthorizedError", "UnauthorizedError", func(ctx context.Context, s *session) (string, error) {
			if _, err := s.client.Subscribe(ctx, "edgepdm-conformance-forbidden/"+s.options.ID, ""); err != nil {
				return "", err
			}
			return "", skipf("the caller may subscribe everywhere")
		}},
	}
}

// inOrder counts messages that arrive in the order in which they were sent.
func inOrder(ctx context.Context, s *session) (string, error) {
	const count, window = 100, 32
	events, err := s.client.Subscribe(ctx, s.topic("order"), ipc.ReceiveAll)
	if err != nil {
		return "", err
	}
	var calls []*ipc.Call
	for i := range count {
		if i >= window {
			if err := calls[i-window].Wait(ctx); err != nil {
				return "", err
			}
		}
		call, err := s.client.StartPublish(ctx, s.topic("order"), fmt.Append(nil, i))
		if err != nil {
			return "", err
		}
		calls = append(calls, call)
	}
	for _, call := range calls[count-window:] {
		if err := call.Wait(ctx); err != nil {
			return "", err
		}
	}
	for i := range count {
		event, err := next(ctx, s, events)
		if err != nil {
			return "", err
		}
		if string(event.Payload) != fmt.Sprint(i) {
			return fmt.Sprintf("message %s in place of %d", event.Payload, i), nil
		}
	}
	return fmt.Sprint(count), nil
}

// twice counts the copies of a message that two subscriptions with one filter get.
func twice(ctx context.Context, s *session) (string, error) {
	topic := s.topic("twice")
	var copies int
	var lists []*ipc.Subscription[ipc.TopicMessage]
	for range 2 {
		events, err := s.client.Subscribe(ctx, topic, ipc.ReceiveAll)
		if err != nil {
			return "", err
		}
		lists = append(lists, events)
	}
	if err := s.client.Publish(ctx, topic, nil); err != nil {
		return "", err
	}
	for _, events := range lists {
		if _, err := next(ctx, s, events); err != nil {
			return "", err
		}
		copies++
	}
	return fmt.Sprint(copies), nil
}

// closeOne closes one of two subscriptions.
func closeOne(ctx context.Context, s *session) (string, error) {
	topic := s.topic("close")
	first, err := s.client.Subscribe(ctx, topic, ipc.ReceiveAll)
	if err != nil {
		return "", err
	}
	second, err := s.client.Subscribe(ctx, topic, ipc.ReceiveAll)
	if err != nil {
		return "", err
	}
	if err := first.Close(); err != nil {
		return "", err
	}
	if err := s.client.Publish(ctx, topic, nil); err != nil {
		return "", err
	}
	if _, err := next(ctx, s, second); err != nil {
		return "", err
	}
	if _, open := <-first.Events(); open {
		return delivered, nil
	}
	return closed, nil
}
