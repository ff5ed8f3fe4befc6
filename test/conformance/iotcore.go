package conformance

import (
	"bytes"
	"context"
	"errors"

	"edgepdm/shared/ipc"
)

// offline skips a case when the core has no connection to AWS IoT Core.
func offline(err error) error {
	_, failed := errors.AsType[*ipc.ServiceError](err)
	if failed || describe(err) == noAnswer {
		return skipf("no connection to AWS IoT Core: %v", err)
	}
	return err
}

// throughIoTCore is a case of a message that comes back from AWS IoT Core. Each has a topic of its own: the nucleus gives
// the subscription of the case before up while the next one subscribes.
func throughIoTCore(topic string, request ipc.PublishToIoTCoreRequest, see func(m *ipc.MQTTMessage) string) func(context.Context, *session) (string, error) {
	return func(ctx context.Context, s *session) (string, error) {
		request.TopicName = s.topic("cloud/" + topic)
		events, err := s.client.SubscribeToIoTCore(ctx, ipc.SubscribeToIoTCoreRequest{TopicName: request.TopicName, QoS: ipc.AtLeastOnce})
		if err != nil {
			return "", offline(err)
		}
		if err := s.client.PublishToIoTCore(ctx, request); err != nil {
			return "", offline(err)
		}
		event, err := next(ctx, s, events)
		switch {
		case err != nil:
			return "", offline(err)
		case event.Message == nil:
			return "another event", nil
		case event.Message.TopicName != request.TopicName || !bytes.Equal(event.Message.Payload, request.Payload):
			return "another message", nil
		}
		return see(event.Message), nil
	}
}

func iotCoreCases() []testCase {
	const publish, subscribe = "PublishToIoTCore", "SubscribeToIoTCore"
	same := func(*ipc.MQTTMessage) string { return equal }
	octets := []byte{0, 1, 127, 128, 254, 255}
	return []testCase{
		{publish, "QoS 1, bytes", equal, equal, throughIoTCore("bytes", ipc.PublishToIoTCoreRequest{QoS: ipc.AtLeastOnce, Payload: octets}, same)},
		{publish, "QoS 0, 4,000 bytes", equal, equal,
			throughIoTCore("4000", ipc.PublishToIoTCoreRequest{QoS: ipc.AtMostOnce, Payload: bytes.Repeat([]byte{0xff}, 4000)}, same)},
		{publish, "user properties, response topic", "both", "none", throughIoTCore("properties",
			ipc.PublishToIoTCoreRequest{QoS: ipc.AtLeastOnce, Payload: octets, ResponseTopic: "answer",
				UserProperties: []ipc.UserProperty{{Key: "a", Value: "b"}}},
			func(m *ipc.MQTTMessage) string {
				switch {
				case len(m.UserProperties) == 1 && m.ResponseTopic == "answer":
					return "both"
				case len(m.UserProperties) == 0 && m.ResponseTopic == "":
					return "none"
				}
				return "one of them"
			})},
		{publish, "6,000 bytes", "", "too large",
			throughIoTCore("6000", ipc.PublishToIoTCoreRequest{QoS: ipc.AtLeastOnce, Payload: make([]byte, 6000)}, same)},
		{publish, "qos 7", "InvalidArgumentsError", "ServiceError", asked(publish, `{"topicName":"TOPIC","qos":"7","payload":"eA=="}`)},
		{publish, "no payload", "InvalidArgumentsError", accepted, asked(publish, `{"topicName":"TOPIC","qos":"1"}`)},
		{subscribe, "qos 7", "InvalidArgumentsError", "ServiceError", asked(subscribe, `{"topicName":"TOPIC","qos":"7"}`)},
	}
}
