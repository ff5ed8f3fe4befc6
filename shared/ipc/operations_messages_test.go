package ipc_test

import (
	"time"

	"edgepdm/shared/ipc"
)

func messageCases() []operationCase {
	expiry := int64(0)
	topicContext := &ipc.MessageContext{Topic: "a/b"}
	return []operationCase{
		done((*ipc.Client).PublishToTopic, ipc.PublishToTopicRequest{Topic: "a", PublishMessage: ipc.PublishMessage{BinaryMessage: &ipc.BinaryMessage{}}},
			`{"topic":"a","publishMessage":{"binaryMessage":{"message":""}}}`, `{}`),
		done((*ipc.Client).PublishToTopic, ipc.PublishToTopicRequest{Topic: "a/b", PublishMessage: ipc.PublishMessage{
			JSONMessage: &ipc.JSONMessage{Message: ipc.Document(`{ "a": [1, null] }`), Context: topicContext}}},
			`{"topic":"a/b","publishMessage":{"jsonMessage":{"message":{"a":[1,null]},"context":{"topic":"a/b"}}}}`, ``),
		stream((*ipc.Client).SubscribeToTopic, ipc.SubscribeToTopicRequest{Topic: "a/b"}, `{"topic":"a/b"}`,
			`{"binaryMessage":{"message":"AAH/","context":{"topic":"a/b","later":1}},"jsonMessage":null}`,
			ipc.SubscriptionResponseMessage{BinaryMessage: &ipc.BinaryMessage{Message: ipc.Blob{0, 1, 255}, Context: topicContext}}),
		stream((*ipc.Client).SubscribeToTopic, ipc.SubscribeToTopicRequest{Topic: "a/#", ReceiveMode: ipc.ReceiveFromOthers},
			`{"topic":"a/#","receiveMode":"RECEIVE_MESSAGES_FROM_OTHERS"}`, `{"jsonMessage":{"message":{"x":1.0},"context":{"topic":"a/b"}}}`,
			ipc.SubscriptionResponseMessage{JSONMessage: &ipc.JSONMessage{Message: ipc.Document(`{"x":1.0}`), Context: topicContext}}),

		done((*ipc.Client).PublishToIoTCore, ipc.PublishToIoTCoreRequest{TopicName: "t", QoS: ipc.AtMostOnce},
			`{"topicName":"t","qos":"0","payload":""}`, `{}`),
		done((*ipc.Client).PublishToIoTCore, ipc.PublishToIoTCoreRequest{
			TopicName: "t", QoS: ipc.AtLeastOnce, Payload: ipc.Blob("x"), Retain: true, UserProperties: []ipc.UserProperty{{Key: "k", Value: "v"}},
			MessageExpiryIntervalSeconds: &expiry, CorrelationData: ipc.Blob{}, ResponseTopic: "r", PayloadFormat: ipc.PayloadUTF8, ContentType: "text/plain",
		}, `{"topicName":"t","qos":"1","payload":"eA==","retain":true,"userProperties":[{"key":"k","value":"v"}],"messageExpiryIntervalSeconds":0,`+
			`"correlationData":"","responseTopic":"r","payloadFormat":"1","contentType":"text/plain"}`, `{}`),
		stream((*ipc.Client).SubscribeToIoTCore, ipc.SubscribeToIoTCoreRequest{TopicName: "t/+", QoS: ipc.AtLeastOnce},
			`{"topicName":"t/+","qos":"1"}`, `{"message":{"topicName":"t/1","payload":"eA=="}}`,
			ipc.IoTCoreMessage{Message: &ipc.MQTTMessage{TopicName: "t/1", Payload: ipc.Blob("x")}}),
		stream((*ipc.Client).SubscribeToIoTCore, ipc.SubscribeToIoTCoreRequest{TopicName: "#", QoS: ipc.AtMostOnce}, `{"topicName":"#","qos":"0"}`,
			`{"message":{"topicName":"t","payload":"","retain":true,"userProperties":[{"key":"k","value":"v"}],"messageExpiryIntervalSeconds":0,`+
				`"correlationData":"eQ==","responseTopic":"r","payloadFormat":"0","contentType":"c"}}`,
			ipc.IoTCoreMessage{Message: &ipc.MQTTMessage{
				TopicName: "t", Payload: ipc.Blob{}, Retain: true, UserProperties: []ipc.UserProperty{{Key: "k", Value: "v"}},
				MessageExpiryIntervalSeconds: &expiry, CorrelationData: ipc.Blob("y"), ResponseTopic: "r", PayloadFormat: ipc.PayloadBytes, ContentType: "c",
			}}),
		stream((*ipc.Client).SubscribeToIoTCoreConnectionStatus, ipc.SubscribeToIoTCoreConnectionStatusRequest{}, `{}`,
			`{"connectionStatusEvent":{"status":"CONNECTED"}}`,
			ipc.IoTCoreConnectionStatusEvent{ConnectionStatusEvent: &ipc.ConnectionStatusEvent{Status: ipc.Connected}}),
	}
}

func configurationCases() []operationCase {
	whole := ipc.Timestamp{Time: time.Unix(1795448155, 0)}
	return []operationCase{
		unary((*ipc.Client).GetConfiguration, ipc.GetConfigurationRequest{}, `{"keyPath":[]}`,
			`{"componentName":"me","value":{"a":{"b":1.0}}}`,
			ipc.GetConfigurationResponse{ComponentName: "me", Value: ipc.Document(`{"a":{"b":1.0}}`)}),
		unary((*ipc.Client).GetConfiguration, ipc.GetConfigurationRequest{ComponentName: "N", KeyPath: []string{"a", "b"}},
			`{"componentName":"N","keyPath":["a","b"]}`, `{"componentName":null}`, ipc.GetConfigurationResponse{}),
		done((*ipc.Client).UpdateConfiguration, ipc.UpdateConfigurationRequest{Timestamp: whole, ValueToMerge: ipc.Document(`{}`)},
			`{"timestamp":1795448155.0,"valueToMerge":{}}`, `{}`),
		done((*ipc.Client).UpdateConfiguration, ipc.UpdateConfigurationRequest{
			KeyPath: []string{"a"}, Timestamp: ipc.Timestamp{Time: time.Unix(1795448155, 250_000_000)}, ValueToMerge: ipc.Document(`{"b":null}`)},
			`{"keyPath":["a"],"timestamp":1795448155.25,"valueToMerge":{"b":null}}`, `{}`),
		stream((*ipc.Client).SubscribeToConfigurationUpdate, ipc.SubscribeToConfigurationUpdateRequest{}, `{"keyPath":[]}`,
			`{"configurationUpdateEvent":{"componentName":"me","keyPath":["a","b"]}}`,
			ipc.ConfigurationUpdateEvents{ConfigurationUpdateEvent: &ipc.ConfigurationUpdateEvent{ComponentName: "me", KeyPath: []string{"a", "b"}}}),
		stream((*ipc.Client).SubscribeToConfigurationUpdate, ipc.SubscribeToConfigurationUpdateRequest{ComponentName: "N", KeyPath: []string{"a"}},
			`{"componentName":"N","keyPath":["a"]}`, `{"configurationUpdateEvent":{"componentName":"N","keyPath":["a"]}}`,
			ipc.ConfigurationUpdateEvents{ConfigurationUpdateEvent: &ipc.ConfigurationUpdateEvent{ComponentName: "N", KeyPath: []string{"a"}}}),
		stream((*ipc.Client).SubscribeToValidateConfigurationUpdates, ipc.SubscribeToValidateConfigurationUpdatesRequest{}, `{}`,
			`{"validateConfigurationUpdateEvent":{"configuration":{"n":5.0},"deploymentId":"d"}}`,
			ipc.ValidateConfigurationUpdateEvents{ValidateConfigurationUpdateEvent: &ipc.ValidateConfigurationUpdateEvent{
				Configuration: ipc.Document(`{"n":5.0}`), DeploymentID: "d"}}),
		done((*ipc.Client).SendConfigurationValidityReport, ipc.SendConfigurationValidityReportRequest{
			ConfigurationValidityReport: ipc.ConfigurationValidityReport{Status: ipc.ConfigurationAccepted, DeploymentID: "d"}},
			`{"configurationValidityReport":{"status":"ACCEPTED","deploymentId":"d"}}`, `{}`),
		done((*ipc.Client).SendConfigurationValidityReport, ipc.SendConfigurationValidityReportRequest{
			ConfigurationValidityReport: ipc.ConfigurationValidityReport{Status: ipc.ConfigurationRejected, DeploymentID: "d", Message: "no"}},
			`{"configurationValidityReport":{"status":"REJECTED","deploymentId":"d","message":"no"}}`, `{}`),
	}
}
