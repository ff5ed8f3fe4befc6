package localcore

import (
	"strings"
	"testing"

	"edgepdm/test/localcore/classic"
)

const (
	grantsA = `{n: 5, accessControl: {
	aws.greengrass.ipc.pubsub: {one: {operations: ["aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"], resources: ["ok/*", "things/{iot:thingName}/*"]}},
	aws.greengrass.ipc.mqttproxy: {two: {operations: ["aws.greengrass#PublishToIoTCore"], resources: ["cloud/+/x", "odd/*"]},
	                                three: {operations: ["*"], resources: ["cloud/sub/#"]}}}}`
	unsupportedText = `"_service":"aws.greengrass#GreengrassCoreIPC"`
)

// Each conversation is a list of frames: `A>` is sent on connection A, `A<` is expected there. `A connect` shakes hands
// as the component of that name; $A and $B are the tokens.
var conversations = []conversation{
	{"connect", `
		A> 4 0 0 version=0.1.0 | {"authToken":"$A"}
		A< 5 1 0`},
	{"connect ignores unknown members", `
		A> 4 0 0 version=0.1.0 | {"authToken":"$A","componentName":"x"}
		A< 5 1 0`},
	{"connect with a bad token", `
		A> 4 0 0 version=0.1.0 | {"authToken":"AAAAAAAAAAAAAAAA"}
		A< 5 0 0
		A< closed`},
	{"connect with a member of another case", `
		A> 4 0 0 version=0.1.0 | {"AuthToken":"$A"}
		A< 5 0 0
		A< closed`},
	{"connect with the wrong version", `
		A> 4 0 0 version=0.2.0 | {"authToken":"$A"}
		A< 5 0 0
		A< closed`},
	{"connect without a version", `
		A> 4 0 0 | {"authToken":"$A"}
		A< 5 0 0
		A< closed`},
	{"connect without a payload", `
		A> 4 0 0 version=0.1.0
		A< 5 0 0
		A< closed`},
	{"request before connect", `
		A> 0 0 1 op=PublishToTopic | {}
		A< 6 0 0 | ` + classic.NotConnected + `
		A< closed`},
	{"connect twice", `
		A connect
		A> 4 0 0 version=0.1.0 | {"authToken":"$A"}
		A< 6 0 0 | ` + classic.NotConnected + `
		A< closed`},
	{"ping", `
		A connect
		A> 2 0 0 rawop=echoed | hello
		A< 3 0 0 rawop=echoed (content type ) | hello
		A> 3 0 0
		A> 0 0 1 op=UpdateState | {"state":5}
		A< 1 2 1 ct=text/plain | InternalServerError`},
	{"application message on stream 0", `
		A connect
		A> 0 0 0 op=GetConfiguration | {}
		A< 6 0 0 | ` + classic.BadMessage + `
		A< closed`},
	{"unknown message type", `
		A connect
		A> 9 0 0
		A< 6 0 0 | ` + classic.BadMessage + `
		A< closed`},
	{"negative stream", `
		A connect
		A> 0 0 -1 op=GetConfiguration | {}
		A< 6 0 0 | ` + classic.BadStreamID + `
		A< closed`},
	{"stream ids start at 1", `
		A connect
		A> 0 0 2 op=GetConfiguration | {}
		A< 6 0 0 | ` + classic.BadStreamID + `
		A< closed`},
	{"stream ids go up by one", `
		A connect
		A> 0 0 1 op=GetConfiguration | {"keyPath":["n"]}
		A< 0 2 1 model=GetConfigurationResponse | {"componentName":"com.test.A","value":{"n":5}}
		A> 0 0 3 op=GetConfiguration | {}
		A< 6 0 0 | ` + classic.BadStreamID + `
		A< closed`},
	{"reuse of a finished id", `
		A connect
		A> 0 0 1 op=GetConfiguration | {"keyPath":["n"]}
		A< 0 2 1 model=GetConfigurationResponse | {"componentName":"com.test.A","value":{"n":5}}
		A> 0 2 1
		A> 0 0 1 op=GetConfiguration | {"keyPath":["n"]}
		A< 6 0 0 | ` + classic.BadStreamID + `
		A< closed`},
	{"first message that hangs up", `
		A connect
		A> 0 2 1 op=GetConfiguration | {}
		A> 0 0 2 op=GetConfiguration | {"keyPath":["n"]}
		A< 0 2 2 model=GetConfigurationResponse | {"componentName":"com.test.A","value":{"n":5}}`},
	{"unknown operation", `
		A connect
		A> 0 0 1 op=NoSuchOperation | {}
		A< 1 2 1 | { "error": "Unsupported Operation", "message": "aws.greengrass#NoSuchOperation is an unsupported operation." }
		A> 0 0 2 op=SubscribeToIoTCoreConnectionStatus | {}
		A< 1 2 2 | { "error": "Unsupported Operation", "message": "aws.greengrass#SubscribeToIoTCoreConnectionStatus is an unsupported operation." }`},
	{"operation that no plugin provides", `
		A connect
		A> 0 0 1 op=GetThingShadow | {"thingName":"x"}
		A< 1 2 1 model=ServiceError | {"message":"Operation aws.greengrass#GetThingShadow is not supported by Greengrass",` + unsupportedText + `,"_message":"Operation aws.greengrass#GetThingShadow is not supported by Greengrass","_errorCode":"ServiceError"}`},
	{"requests that do not parse", `
		A connect
		A> 0 0 1 op=PublishToTopic | {"topic":
		A< 1 2 1 ct=text/plain | InternalServerError
		A> 0 0 2 op=PublishToTopic | {"topic":"ok/x","publishMessage":{"jsonMessage":{"message":[1]}}}
		A< 1 2 2 ct=text/plain | InternalServerError
		A> 0 0 3 op=PublishToTopic | {"topic":"ok/x","publishMessage":{"binaryMessage":{"message":"!"}}}
		A< 1 2 3 ct=text/plain | InternalServerError
		A> 0 0 4 op=PublishToTopic | {"topic":"ok/x","publishMessage":{"binaryMessage":{"message":"MQ=="},"jsonMessage":{"message":{}}}}
		A< 1 2 4 ct=text/plain | InternalServerError
		A> 0 0 5 op=PublishToTopic
		A< 1 2 5 model=ServiceError | {` + unsupportedText + `,"_errorCode":"ServiceError"}
		A> 0 0 6 op=GetConfiguration | {"keyPath":"n"}
		A< 1 2 6 ct=text/plain | InternalServerError`},
	{"publish and subscribe", `
		A connect
		B connect
		B> 0 0 1 op=SubscribeToTopic | {"topic":"ok/+"}
		B< 0 0 1 model=SubscribeToTopicResponse | {}
		A> 0 0 1 op=PublishToTopic | {"topic":"ok/x","publishMessage":{"jsonMessage":{"message":{"z":1,"a":[1.5,1e7,-0.0005,0],"s":"ü=<'>\n","b":true,"o":{"n":null}},"context":{"topic":"ignored"}}}}
		A< 0 2 1 model=PublishToTopicResponse | {}
		B< 0 0 1 model=SubscriptionResponseMessage | {"jsonMessage":{"message":{"z":1.0,"a":[1.5,1.0E7,-5.0E-4,0.0],"s":"ü\u003d\u003c\u0027\u003e\n","b":true,"o":{"n":null}},"context":{"topic":"ok/x"}}}
		A> 0 0 2 op=PublishToTopic | {"topic":"ok/y","publishMessage":{"binaryMessage":{"message":"AAFiaW4="}}}
		A< 0 2 2 model=PublishToTopicResponse | {}
		B< 0 0 1 model=SubscriptionResponseMessage | {"binaryMessage":{"message":"AAFiaW4\u003d","context":{"topic":"ok/y"}}}`},
	{"client ends a subscription", `
		A connect
		A> 0 0 1 op=SubscribeToTopic | {"topic":"ok/x"}
		A< 0 0 1 model=SubscribeToTopicResponse | {}
		A> 0 2 1
		A> 0 0 2 op=PublishToTopic | {"topic":"ok/x","publishMessage":{"binaryMessage":{"message":"MQ=="}}}
		A< 0 2 2 model=PublishToTopicResponse | {}
		A> 0 0 3 op=PublishToTopic | {"topic":"ok/x","publishMessage":{"binaryMessage":{"message":"MQ=="}}}
		A< 0 2 3 model=PublishToTopicResponse | {}`},
	{"one event for each subscription, in order of subscription", `
		A connect
		A> 0 0 1 op=SubscribeToTopic | {"topic":"ok/x","receiveMode":"RECEIVE_ALL_MESSAGES"}
		A< 0 0 1 model=SubscribeToTopicResponse | {}
		A> 0 0 2 op=SubscribeToTopic | {"topic":"ok/x"}
		A< 0 0 2 model=SubscribeToTopicResponse | {}
		A> 0 0 3 op=PublishToTopic | {"topic":"ok/x","publishMessage":{"binaryMessage":{"message":"MQ=="}}}
		A< 0 0 1 model=SubscriptionResponseMessage | {"binaryMessage":{"message":"MQ\u003d\u003d","context":{"topic":"ok/x"}}}
		A< 0 0 2 model=SubscriptionResponseMessage | {"binaryMessage":{"message":"MQ\u003d\u003d","context":{"topic":"ok/x"}}}
		A< 0 2 3 model=PublishToTopicResponse | {}`},
	{"own messages: receive mode and its default", `
		A connect
		A> 0 0 1 op=SubscribeToTopic | {"topic":"ok/x","receiveMode":"RECEIVE_MESSAGES_FROM_OTHERS"}
		A< 0 0 1 model=SubscribeToTopicResponse | {}
		A> 0 0 2 op=SubscribeToTopic | {"topic":"ok/#"}
		A< 0 0 2 model=SubscribeToTopicResponse | {}
		A> 0 0 3 op=SubscribeToTopic | {"topic":"ok/#","receiveMode":"RECEIVE_ALL_MESSAGES"}
		A< 0 0 3 model=SubscribeToTopicResponse | {}
		A> 0 0 4 op=PublishToTopic | {"topic":"ok/x","publishMessage":{"binaryMessage":{"message":"MQ=="}}}
		A< 0 0 3 model=SubscriptionResponseMessage | {"binaryMessage":{"message":"MQ\u003d\u003d","context":{"topic":"ok/x"}}}
		A< 0 2 4 model=PublishToTopicResponse | {}`},
	{"publish errors", `
		A connect
		A> 0 0 1 op=PublishToTopic | {"topic":"no/x","publishMessage":{"binaryMessage":{"message":"MQ=="}}}
		A< 1 2 1 model=UnauthorizedError | {"message":"Principal com.test.A is not authorized to perform aws.greengrass.ipc.pubsub:aws.greengrass#PublishToTopic on resource no/x",` + unsupportedText + `,"_message":"Principal com.test.A is not authorized to perform aws.greengrass.ipc.pubsub:aws.greengrass#PublishToTopic on resource no/x","_errorCode":"UnauthorizedError"}
		A> 0 0 2 op=PublishToTopic | {"topic":"ok/+","publishMessage":{"binaryMessage":{"message":"MQ=="}}}
		A< 1 2 2 model=InvalidArgumentsError | {"message":"Publish topic must not contain a wildcard.",` + unsupportedText + `,"_message":"Publish topic must not contain a wildcard.","_errorCode":"InvalidArgumentsError"}
		A> 0 0 3 op=PublishToTopic | {"topic":"ok/*","publishMessage":{"binaryMessage":{"message":"MQ=="}}}
		A< 1 2 3 model=InvalidArgumentsError | {"message":"Publish topic must not contain a wildcard.",` + unsupportedText + `,"_message":"Publish topic must not contain a wildcard.","_errorCode":"InvalidArgumentsError"}
		A> 0 0 4 op=PublishToTopic | {"publishMessage":{"binaryMessage":{"message":"MQ=="}}}
		A< 1 2 4 model=InvalidArgumentsError | {"message":"Publish topic must not be null",` + unsupportedText + `,"_message":"Publish topic must not be null","_errorCode":"InvalidArgumentsError"}
		A> 0 0 5 op=PublishToTopic | {"topic":"","publishMessage":{"binaryMessage":{"message":"MQ=="}}}
		A< 1 2 5 model=UnauthorizedError | {"message":"Resource cannot be empty",` + unsupportedText + `,"_message":"Resource cannot be empty","_errorCode":"UnauthorizedError"}
		A> 0 0 6 op=PublishToTopic | {"topic":"ok/x"}
		A< 1 2 6 model=ServiceError | {` + unsupportedText + `,"_errorCode":"ServiceError"}
		A> 0 0 7 op=PublishToTopic | {"topic":"ok/x","publishMessage":{"jsonMessage":{"message":null}}}
		A< 1 2 7 model=ServiceError | {` + unsupportedText + `,"_errorCode":"ServiceError"}
		A> 0 0 8 op=PublishToTopic | {"Topic":"ok/x","publishMessage":{"binaryMessage":{"message":"MQ=="}}}
		A< 1 2 8 model=InvalidArgumentsError | {"message":"Publish topic must not be null",` + unsupportedText + `,"_message":"Publish topic must not be null","_errorCode":"InvalidArgumentsError"}`},
	{"subscribe errors", `
		A connect
		A> 0 0 1 op=SubscribeToTopic | {"topic":"ok"}
		A< 1 2 1 model=UnauthorizedError | {"message":"Principal com.test.A is not authorized to perform aws.greengrass.ipc.pubsub:aws.greengrass#SubscribeToTopic on resource ok",` + unsupportedText + `,"_message":"Principal com.test.A is not authorized to perform aws.greengrass.ipc.pubsub:aws.greengrass#SubscribeToTopic on resource ok","_errorCode":"UnauthorizedError"}
		A> 0 0 2 op=SubscribeToTopic | {}
		A< 1 2 2 model=InvalidArgumentsError | {"message":"Subscribe topic must not be empty",` + unsupportedText + `,"_message":"Subscribe topic must not be empty","_errorCode":"InvalidArgumentsError"}`},
	{"publish to IoT Core: arguments", `
		A connect
		A> 0 0 1 op=PublishToIoTCore | {"qos":"0","payload":"MQ=="}
		A< 1 2 1 model=InvalidArgumentsError | {"message":"Topic is required",` + unsupportedText + `,"_message":"Topic is required","_errorCode":"InvalidArgumentsError"}
		A> 0 0 2 op=PublishToIoTCore | {"topicName":"other","qos":"0","payload":"MQ=="}
		A< 1 2 2 model=UnauthorizedError | {"message":"Not Authorized",` + unsupportedText + `,"_message":"Not Authorized","_errorCode":"UnauthorizedError"}
		A> 0 0 3 op=PublishToIoTCore | {"topicName":"cloud/1/x","qos":"0"}
		A< 1 2 3 model=InvalidArgumentsError | {"message":"Payload is required",` + unsupportedText + `,"_message":"Payload is required","_errorCode":"InvalidArgumentsError"}
		A> 0 0 4 op=PublishToIoTCore | {"topicName":"cloud/1/x","payload":"MQ=="}
		A< 1 2 4 model=InvalidArgumentsError | {"message":"QoS is required",` + unsupportedText + `,"_message":"QoS is required","_errorCode":"InvalidArgumentsError"}
		A> 0 0 5 op=PublishToIoTCore | {"topicName":"cloud/1/x","qos":"2","payload":"MQ=="}
		A< 1 2 5 model=InvalidArgumentsError | {"message":"Invalid QoS value: 2",` + unsupportedText + `,"_message":"Invalid QoS value: 2","_errorCode":"InvalidArgumentsError"}
		A> 0 0 6 op=PublishToIoTCore | {"topicName":"cloud/1/x","qos":1,"payload":"MQ=="}
		A< 1 2 6 ct=text/plain | InternalServerError
		A> 0 0 7 op=PublishToIoTCore | {"topicName":"odd/+","qos":"1","payload":"MQ=="}
		A< 1 2 7 model=ServiceError | {"message":"Publish to topic odd/+ failed: Publish topics must not contain wildcard characters of \u0027#\u0027 or \u0027+\u0027",` + unsupportedText + `,"_message":"Publish to topic odd/+ failed: Publish topics must not contain wildcard characters of \u0027#\u0027 or \u0027+\u0027","_errorCode":"ServiceError"}
		A> 0 0 8 op=PublishToIoTCore | {"topicName":"odd/1/2/3/4/5/6/7/8","qos":"1","payload":"MQ=="}
		A< 1 2 8 model=ServiceError | {"message":"Publish to topic odd/1/2/3/4/5/6/7/8 failed: The request topic must have no more than 7 forward slashes (/)",` + unsupportedText + `,"_message":"Publish to topic odd/1/2/3/4/5/6/7/8 failed: The request topic must have no more than 7 forward slashes (/)","_errorCode":"ServiceError"}
		A> 0 0 9 op=SubscribeToIoTCore | {"topicName":"cloud/sub/+","qos":1}
		A< 1 2 9 ct=text/plain | InternalServerError`},
	{"IoT Core round trip", `
		A connect
		B connect
		A> 0 0 1 op=SubscribeToIoTCore | {"topicName":"cloud/sub/+","qos":"1"}
		A< 0 0 1 model=SubscribeToIoTCoreResponse | {}
		B> 0 0 1 op=PublishToIoTCore | {"topicName":"cloud/sub/a","qos":"1","payload":"MQ==","retain":false,"userProperties":[{"key":"k","value":"v"}],"messageExpiryIntervalSeconds":60,"correlationData":"Mg==","responseTopic":"r/t","payloadFormat":"1","contentType":"lost"}
		B< 0 2 1 model=PublishToIoTCoreResponse | {}
		A< 0 0 1 model=IoTCoreMessage | {"message":{"topicName":"cloud/sub/a","payload":"MQ\u003d\u003d","retain":false,"userProperties":[{"key":"k","value":"v"}],"messageExpiryIntervalSeconds":60,"correlationData":"Mg\u003d\u003d","responseTopic":"r/t","payloadFormat":"1"}}
		B> 0 0 2 op=PublishToIoTCore | {"topicName":"cloud/sub/b","qos":"0","payload":""}
		B< 0 2 2 model=PublishToIoTCoreResponse | {}
		A< 0 0 1 model=IoTCoreMessage | {"message":{"topicName":"cloud/sub/b","payload":"","retain":false,"payloadFormat":"0"}}
		A> 0 2 1
		A> 0 0 2 op=PublishToIoTCore | {"topicName":"cloud/sub/c","qos":"0","payload":"MQ=="}
		A< 0 2 2 model=PublishToIoTCoreResponse | {}`},
	{"state of an external", `
		A connect
		A> 0 0 1 op=UpdateState | {"state":"RUNNING"}
		A< 1 2 1 model=ResourceNotFoundError | {"message":"Component with given name not found","resourceType":"Component","resourceName":"com.test.A",` + unsupportedText + `,"_message":"","_errorCode":"ResourceNotFoundError"}`},
}

func TestConversations(t *testing.T) { converse(t, Classic, conversations) }

type conversation struct{ name, talk string }

func converse(t *testing.T, mode Mode, conversations []conversation) {
	for _, c := range conversations {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, func(o *Options) { o.Mode = mode })
			tokens := map[string]string{"A": f.external("com.test.A", grantsA), "B": f.external("com.test.B", allowAll)}
			fill := strings.NewReplacer("$A", tokens["A"], "$B", tokens["B"])
			clients := make(map[string]*client)
			for line := range strings.Lines(strings.TrimSpace(c.talk)) {
				line = strings.TrimSpace(line)
				name, rest := line[:1], strings.TrimSpace(line[2:])
				if rest == "connect" {
					clients[name] = f.connect(tokens[name])
					continue
				}
				if clients[name] == nil {
					clients[name] = f.dial()
				}
				switch line[1] {
				case '>':
					clients[name].send(fill.Replace(rest))
				case '<':
					if got := clients[name].recv(); got != rest {
						t.Fatalf("after %s\ngot  %s\nwant %s", c.name, got, rest)
					}
				}
			}
		})
	}
}
