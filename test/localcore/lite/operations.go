package lite

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"

	"edgepdm/test/localcore/nucleus"
)

const (
	maxTopic  = 256  // bytes, of local topics and filters
	maxPacket = 5000 // bytes of an MQTT packet; larger ones are lost
)

// operations are the operations that nucleus lite provides and the core serves. Shapes are checked before grants, and
// null is a value of the wrong type.
func (d *dialect) operations() map[string]handler {
	table := map[string]handler{
		"PublishToTopic":                 d.publishToTopic,
		"SubscribeToTopic":               d.subscribeToTopic,
		"PublishToIoTCore":               d.publishToIoTCore,
		"SubscribeToIoTCore":             d.subscribeToIoTCore,
		"GetConfiguration":               d.getConfiguration,
		"UpdateConfiguration":            d.updateConfiguration,
		"SubscribeToConfigurationUpdate": d.subscribeToConfigurationUpdate,
		"UpdateState":                    d.updateState,
		"ValidateAuthorizationToken":     validateToken,
	}
	if d.n.ConnectionStatus {
		table[strings.TrimPrefix(nucleus.ConnectionStatus, nucleus.OperationPrefix)] = func(r *request) ([]byte, *nucleus.Error) {
			return d.n.WatchConnection(r.Stream)
		}
	}
	return table
}

func badParameters(code string) *nucleus.Error { return errorf(code, "Received invalid parameters.") }

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

func (d *dialect) mayUse(r *request, service, topic string) *nucleus.Error {
	if topic != "" && nucleus.ValidResource(topic) != nil || d.n.Authz.Check(r.Name, service, r.Operation, topic) != nil {
		return errorf(nucleus.Unauthorized, "IPC Operation not authorized.")
	}
	return nil
}

// refuseLongInteger keeps what the real nucleus lite would spoil from passing as if all were well.
func refuseLongInteger(v any) *nucleus.Error {
	if text := longInteger(v); text != "" {
		return errorf(nucleus.ServiceError, "the integer %s has more than %d characters: nucleus lite would spoil it", text, integerDigits)
	}
	return nil
}

func (d *dialect) publishToTopic(r *request) ([]byte, *nucleus.Error) {
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
		return nil, badParameters(nucleus.ServiceError)
	}
	if err := d.mayUse(r, nucleus.PubSubService, topic); err != nil {
		return nil, err
	}
	if err := refuseLongInteger(message); err != nil {
		return nil, err
	}
	size, _ := sizes(message)
	switch {
	case len(topic) > maxTopic, size > publishBytes:
		return nil, errorf(nucleus.ServiceError, "Failed to publish the message.")
	case size > eventBytes:
		d.n.Log.Warn("a jsonMessage of too many values ends the subscriptions that it reaches", "topic", topic)
		d.n.PubSub.Silence(topic)
	default:
		d.n.PubSub.Publish(r.Name, topic, appendLite(nil, object{kind, object{"message", message,
			"context", object{"topic", topic}}}))
	}
	return nucleus.Empty, nil
}

func (d *dialect) subscribeToTopic(r *request) ([]byte, *nucleus.Error) {
	topic, ok := r.args["topic"].(string)
	if !ok {
		return nil, badParameters(nucleus.ServiceError)
	}
	if err := d.mayUse(r, nucleus.PubSubService, topic); err != nil {
		return nil, err
	}
	if topic == "" || len(topic) > maxTopic || d.n.PubSub.Count() >= maxSubscriptions {
		return nil, errorf(nucleus.ServiceError, "Failed to bind subscription.")
	}
	d.n.PubSub.Subscribe(r.Name, topic, false, r.Stream) // receiveMode is ignored
	return nucleus.Empty, nil
}

// qoS reads a quality of service, as text or number, 0 by default.
func qoS(args map[string]any) (byte, *nucleus.Error) {
	var qos int64
	switch v := args["qos"].(type) {
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return 0, errorf(nucleus.ServiceError, "Failed to parse 'qos' string value.")
		}
		qos = n
	case int64:
		qos = v
	default:
		if _, has := args["qos"]; has {
			return 0, errorf(nucleus.ServiceError, "Key qos of invalid type.")
		}
	}
	if qos < 0 || qos > 2 {
		return 0, errorf(nucleus.ServiceError, "'qos' not a valid value.")
	}
	return byte(qos), nil
}

func (d *dialect) publishToIoTCore(r *request) ([]byte, *nucleus.Error) {
	topic, hasTopic := r.args["topicName"].(string)
	encoded, ok := optional[string](r.args, "payload")
	if !hasTopic || !ok {
		return nil, badParameters(nucleus.ServiceError)
	}
	qos, failed := qoS(r.args)
	if failed != nil {
		return nil, failed
	}
	payload, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errorf(nucleus.ServiceError, "'payload' is not valid base64.")
	}
	if err := d.mayUse(r, nucleus.MQTTProxyService, topic); err != nil {
		return nil, err
	}
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos}, TopicName: topic,
		Payload: payload, PacketID: uint16(qos)} // any number will do, but there must be one with QoS 1 and 2
	if packetTooLarge(pk) {
		d.n.Log.Warn("a message to IoT Core is too large for nucleus lite, and is lost", "topic", topic, "bytes", len(payload))
		return nucleus.Empty, nil
	}
	if strings.ContainsAny(topic, "#+") || topic == "" || !d.n.Broker.PublishOnline(pk) {
		return nil, errorf(nucleus.ServiceError, "Failed to publish the message.")
	}
	return nucleus.Empty, nil
}

// packetTooLarge tells whether a PUBLISH packet of MQTT 3.1.1 is larger than the buffer of nucleus lite's MQTT client.
func packetTooLarge(pk packets.Packet) bool {
	const fixedHeader, topicLength, packetID = 3, 2, 2 // bytes, of a packet of this size
	return fixedHeader+topicLength+len(pk.TopicName)+packetID+len(pk.Payload) > maxPacket
}

func (d *dialect) subscribeToIoTCore(r *request) ([]byte, *nucleus.Error) {
	topic, ok := r.args["topicName"].(string)
	if !ok {
		return nil, badParameters(nucleus.ServiceError)
	}
	if _, err := qoS(r.args); err != nil {
		return nil, err
	}
	if err := d.mayUse(r, nucleus.MQTTProxyService, topic); err != nil {
		return nil, err
	}
	return d.n.SubscribeToCloud(r.Stream, topic, func(pk packets.Packet) []byte {
		if packetTooLarge(pk) {
			return nil
		}
		return appendLite(nil, object{"message", object{"topicName", pk.TopicName, "payload", pk.Payload}})
	}, func(error) string { return "Failed to bind the subscription." })
}

// key reads which component's which key a request means, and where the nucleus keeps it.
func (d *dialect) key(r *request) (component, stored string, path []string, ok bool) {
	component, nameOK := optional[string](r.args, "componentName")
	path, pathOK := optionalPath(r.args, "keyPath")
	if _, named := r.args["componentName"]; !named {
		component = r.Name
	}
	stored = component
	if component == "aws.greengrass.Nucleus" && d.n.NucleusAlias {
		stored = Name
	}
	return component, stored, path, nameOK && pathOK
}

func (d *dialect) getConfiguration(r *request) ([]byte, *nucleus.Error) {
	component, stored, path, ok := d.key(r)
	if !ok {
		return nil, badParameters(nucleus.ServiceError)
	}
	value, found := d.n.Store.Get(stored, path)
	if !found {
		return nil, errorf(nucleus.ResourceNotFound, "Key not found.")
	}
	return appendLite(nil, object{"componentName", component, "value", value}), nil
}

func (d *dialect) updateConfiguration(r *request) ([]byte, *nucleus.Error) {
	path, pathOK := optionalPath(r.args, "keyPath")
	seconds, hasTime := r.args["timestamp"].(float64) // an integer is none
	value, hasValue := r.args["valueToMerge"]
	if !pathOK || !hasTime || !hasValue {
		return nil, badParameters(nucleus.InvalidArguments)
	}
	values, _ := value.(map[string]any)
	if _, inValue := values["accessControl"]; inValue && len(path) == 0 || len(path) > 0 && path[0] == "accessControl" {
		return nil, errorf(nucleus.InvalidArguments, "Config update is not allowed for following field [accessControl]")
	}
	if err := refuseLongInteger(value); err != nil {
		return nil, err
	}
	if checkLeaves("", value) != nil || !d.n.Store.Merge(r.Name, path, value, int64(seconds*1000)) {
		return nil, errorf(nucleus.ServiceError, "Failed to update the configuration.")
	}
	return nucleus.Empty, nil
}

func (d *dialect) subscribeToConfigurationUpdate(r *request) ([]byte, *nucleus.Error) {
	component, stored, path, ok := d.key(r)
	if !ok {
		return nil, badParameters(nucleus.ServiceError)
	}
	return d.n.WatchConfiguration(r.Stream, component, stored, path)
}

// validateToken refuses everyone: only aws.greengrass.StreamManager may ask, which the core does not run.
func validateToken(*request) ([]byte, *nucleus.Error) {
	return nil, errorf(nucleus.Unauthorized, "Component does not have access to token verification IPC command.")
}

// updateState does nothing for a component that systemd runs: with Type=exec it is RUNNING from its start.
func (d *dialect) updateState(r *request) ([]byte, *nucleus.Error) {
	state, ok := r.args["state"].(string)
	if !ok {
		return nil, badParameters(nucleus.ServiceError)
	}
	known := []string{"NEW", "INSTALLED", "STARTING", "RUNNING", "ERRORED", "BROKEN", "STOPPING", "FINISHED"}
	if r.Process == nil || !slices.Contains(known, state) {
		return nil, errorf(nucleus.ServiceError, "Failed to update the lifecycle state.")
	}
	return nucleus.Empty, nil
}
