package localcore

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	liteMaxTopic  = 256  // bytes, of local topics and filters
	liteMaxPacket = 5000 // bytes of an MQTT packet; larger ones are lost
)

// liteOperations are the operations that nucleus lite provides and the core serves. Shapes are checked before grants, and
// null is a value of the wrong type.
func (c *Core) liteOperations() map[string]operation {
	table := make(map[string]operation)
	for name, handle := range map[string]func(*request) ([]byte, *opError){
		"PublishToTopic":                 c.litePublishToTopic,
		"SubscribeToTopic":               c.liteSubscribeToTopic,
		"PublishToIoTCore":               c.litePublishToIoTCore,
		"SubscribeToIoTCore":             c.liteSubscribeToIoTCore,
		"GetConfiguration":               c.liteGetConfiguration,
		"UpdateConfiguration":            c.liteUpdateConfiguration,
		"SubscribeToConfigurationUpdate": c.liteSubscribeToConfigurationUpdate,
		"UpdateState":                    c.liteUpdateState,
		"ValidateAuthorizationToken":     liteValidateToken,
	} {
		table[operationPrefix+name] = operation{handle: handle}
	}
	if c.opts.ConnectionStatus {
		table[operationPrefix+connectionStatus] = operation{handle: c.subscribeToConnectionStatus}
	}
	return table
}

func badParameters(code string) *opError { return errorf(code, "Received invalid parameters.") }

// optional reads a member that may be absent; ok is false when it is there with another type.
func optional[T any](args map[string]any, name string) (v T, ok bool) {
	value, has := args[name]
	if !has {
		return v, true
	}
	v, ok = value.(T)
	return v, ok
}

// optionalPath reads a list of strings that may be absent.
func optionalPath(args map[string]any, name string) (path []string, ok bool) {
	list, ok := optional[[]any](args, name)
	for _, e := range list {
		key, isText := e.(string)
		path, ok = append(path, key), ok && isText
	}
	return path, ok
}

func (c *Core) liteMayUse(r *request, service, topic string) *opError {
	if c.authz.check(r.principal.name, service, r.operation, topic) != nil {
		return errorf(unauthorized, "IPC Operation not authorized.")
	}
	return nil
}

// refuseLongInteger keeps what the real nucleus lite would spoil from passing as if all were well.
func refuseLongInteger(v any) *opError {
	if text := longInteger(v); text != "" {
		return errorf(serviceError, "the integer %s has more than %d characters: nucleus lite would spoil it", text, liteIntegerDigits)
	}
	return nil
}

func (c *Core) litePublishToTopic(r *request) ([]byte, *opError) {
	topic, hasTopic := r.args["topic"].(string)
	publish, hasPublish := r.args["publishMessage"].(map[string]any)
	inJSON, jsonOK := optional[map[string]any](publish, "jsonMessage")
	inBinary, binaryOK := optional[map[string]any](publish, "binaryMessage")
	kind, in := "jsonMessage", inJSON
	if inBinary != nil {
		kind, in = "binaryMessage", inBinary
	}
	message, hasMessage := in["message"]
	_, isText := message.(string)
	if !hasTopic || !hasPublish || !jsonOK || !binaryOK || (inJSON == nil) == (inBinary == nil) || !hasMessage ||
		inBinary != nil && !isText {
		return nil, badParameters(serviceError)
	}
	if err := c.liteMayUse(r, pubsubService, topic); err != nil {
		return nil, err
	}
	if err := refuseLongInteger(message); err != nil {
		return nil, err
	}
	size, _ := liteBytes(message)
	switch {
	case len(topic) > liteMaxTopic, size > litePublishBytes:
		return nil, errorf(serviceError, "Failed to publish the message.")
	case size > liteEventBytes:
		c.log.Warn("a jsonMessage of too many values ends the subscriptions that it reaches", "topic", topic)
		c.pubsub.silence(topic)
	default:
		c.pubsub.publish(r.principal.name, topic, appendLite(nil, object{{kind, object{{"message", message},
			{"context", object{{"topic", topic}}}}}}))
	}
	return emptyResponse, nil
}

func (c *Core) liteSubscribeToTopic(r *request) ([]byte, *opError) {
	topic, ok := r.args["topic"].(string)
	if !ok {
		return nil, badParameters(serviceError)
	}
	if err := c.liteMayUse(r, pubsubService, topic); err != nil {
		return nil, err
	}
	if topic == "" || len(topic) > liteMaxTopic || c.pubsub.count() >= liteMaxSubscriptions {
		return nil, errorf(serviceError, "Failed to bind subscription.")
	}
	c.pubsub.subscribe(r.principal.name, topic, "", r.stream)
	return emptyResponse, nil
}

// liteQoS reads a quality of service, as text or number, 0 by default.
func liteQoS(args map[string]any) (byte, *opError) {
	var qos int64
	switch v := args["qos"].(type) {
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return 0, errorf(serviceError, "Failed to parse 'qos' string value.")
		}
		qos = n
	case int64:
		qos = v
	default:
		if _, has := args["qos"]; has {
			return 0, errorf(serviceError, "Key qos of invalid type.")
		}
	}
	if qos < 0 || qos > 2 {
		return 0, errorf(serviceError, "'qos' not a valid value.")
	}
	return byte(qos), nil
}

func (c *Core) litePublishToIoTCore(r *request) ([]byte, *opError) {
	topic, hasTopic := r.args["topicName"].(string)
	encoded, ok := optional[string](r.args, "payload")
	if !hasTopic || !ok {
		return nil, badParameters(serviceError)
	}
	qos, failed := liteQoS(r.args)
	if failed != nil {
		return nil, failed
	}
	payload, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errorf(serviceError, "'payload' is not valid base64.")
	}
	if err := c.liteMayUse(r, mqttProxyService, topic); err != nil {
		return nil, err
	}
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos}, TopicName: topic,
		Payload: payload, PacketID: uint16(qos)} // any number will do, but there must be one with QoS 1 and 2
	if packetTooLarge(pk) {
		c.log.Warn("a message to IoT Core is too large for nucleus lite, and is lost", "topic", topic, "bytes", len(payload))
		return emptyResponse, nil
	}
	if strings.ContainsAny(topic, "#+") || topic == "" || !c.broker.publishOnline(pk) {
		return nil, errorf(serviceError, "Failed to publish the message.")
	}
	return emptyResponse, nil
}

// packetTooLarge tells whether a PUBLISH packet of MQTT 3.1.1 is larger than the buffer of nucleus lite's MQTT client.
func packetTooLarge(pk packets.Packet) bool {
	const fixedHeader, topicLength, packetID = 3, 2, 2 // bytes, of a packet of this size
	return fixedHeader+topicLength+len(pk.TopicName)+packetID+len(pk.Payload) > liteMaxPacket
}

func (c *Core) liteSubscribeToIoTCore(r *request) ([]byte, *opError) {
	topic, ok := r.args["topicName"].(string)
	if !ok {
		return nil, badParameters(serviceError)
	}
	qos, failed := liteQoS(r.args)
	if failed != nil {
		return nil, failed
	}
	if err := c.liteMayUse(r, mqttProxyService, topic); err != nil {
		return nil, err
	}
	ready := func(err error) {
		if err != nil {
			r.stream.fail(errorf(serviceError, "Failed to bind the subscription."))
			return
		}
		r.stream.respond(emptyResponse)
	}
	r.stream.onClose(c.broker.subscribe(topic, qos, ready, func(pk packets.Packet) {
		if packetTooLarge(pk) {
			return
		}
		r.stream.event("IoTCoreMessage", appendLite(nil, object{{"message", object{{"topicName", pk.TopicName},
			{"payload", pk.Payload}}}}))
	}))
	return nil, nil // ready answers
}

// liteKey reads which component's which key a request means, and where the nucleus keeps it.
func (c *Core) liteKey(r *request) (component, stored string, path []string, ok bool) {
	component, nameOK := optional[string](r.args, "componentName")
	path, pathOK := optionalPath(r.args, "keyPath")
	if _, named := r.args["componentName"]; !named {
		component = r.principal.name
	}
	stored = component
	if component == classicNucleus && c.opts.NucleusAlias {
		stored = liteNucleus
	}
	return component, stored, path, nameOK && pathOK
}

func (c *Core) liteGetConfiguration(r *request) ([]byte, *opError) {
	component, stored, path, ok := c.liteKey(r)
	if !ok {
		return nil, badParameters(serviceError)
	}
	value, found := c.store.get(stored, path)
	if !found {
		return nil, errorf(resourceNotFound, "Key not found.")
	}
	return appendLite(nil, object{{"componentName", component}, {"value", value}}), nil
}

func (c *Core) liteUpdateConfiguration(r *request) ([]byte, *opError) {
	path, pathOK := optionalPath(r.args, "keyPath")
	seconds, hasTime := r.args["timestamp"].(float64) // an integer is none
	value, hasValue := r.args["valueToMerge"]
	if !pathOK || !hasTime || !hasValue {
		return nil, badParameters(invalidArguments)
	}
	values, _ := value.(map[string]any)
	if _, inValue := values["accessControl"]; inValue && len(path) == 0 || len(path) > 0 && path[0] == "accessControl" {
		return nil, errorf(invalidArguments, "Config update is not allowed for following field [accessControl]")
	}
	if err := refuseLongInteger(value); err != nil {
		return nil, err
	}
	if checkLeaves("", value) != nil || !c.store.merge(r.principal.name, path, value, int64(seconds*1000)) {
		return nil, errorf(serviceError, "Failed to update the configuration.")
	}
	return emptyResponse, nil
}

func (c *Core) liteSubscribeToConfigurationUpdate(r *request) ([]byte, *opError) {
	component, stored, path, ok := c.liteKey(r)
	if !ok {
		return nil, badParameters(serviceError)
	}
	return c.watchConfiguration(r, component, stored, path)
}

// liteValidateToken refuses everyone: only aws.greengrass.StreamManager may ask, which the core does not run.
func liteValidateToken(*request) ([]byte, *opError) {
	return nil, errorf(unauthorized, "Component does not have access to token verification IPC command.")
}

// liteUpdateState does nothing for a component that systemd runs: with Type=exec it is RUNNING from its start.
func (c *Core) liteUpdateState(r *request) ([]byte, *opError) {
	state, ok := r.args["state"].(string)
	if !ok {
		return nil, badParameters(serviceError)
	}
	known := []State{StateNew, StateInstalled, StateStarting, StateRunning, StateErrored, StateBroken, StateStopping, StateFinished}
	if r.principal.comp == nil || !slices.Contains(known, State(state)) {
		return nil, errorf(serviceError, "Failed to update the lifecycle state.")
	}
	return emptyResponse, nil
}
