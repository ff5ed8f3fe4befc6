package lite

import (
	"encoding/base64"
	"fmt"
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

// arg reads a member of a request. One of another type, or one that is missing though needed, makes the request bad.
func arg[T any](r *request, in map[string]any, name string, needed bool) T {
	value, has := in[name]
	v, ok := value.(T)
	r.bad = r.bad || has && !ok || !has && needed
	return v
}

// keyPath reads a list of strings that may be absent.
func (r *request) keyPath() (path []string) {
	for _, e := range arg[[]any](r, r.args, "keyPath", false) {
		key, isText := e.(string)
		path, r.bad = append(path, key), r.bad || !isText
	}
	return path
}

func (d *dialect) mayUse(r *request, service, topic string) *nucleus.Error {
	switch {
	case r.bad:
		return badParameters(nucleus.ServiceError)
	case topic != "" && nucleus.ValidResource(topic) != nil || d.n.Authz.Check(r.Name, service, r.Operation, topic) != nil:
		return errorf(nucleus.Unauthorized, "IPC Operation not authorized.")
	}
	return nil
}

func (d *dialect) publishToTopic(r *request) ([]byte, *nucleus.Error) {
	topic := arg[string](r, r.args, "topic", true)
	publish := arg[map[string]any](r, r.args, "publishMessage", true)
	inJSON := arg[map[string]any](r, publish, "jsonMessage", false)
	kind, in := "jsonMessage", inJSON
	if inBinary := arg[map[string]any](r, publish, "binaryMessage", inJSON == nil); inBinary != nil {
		r.bad = r.bad || inJSON != nil
		kind, in = "binaryMessage", inBinary
		arg[string](r, in, "message", true)
	}
	message := arg[any](r, in, "message", true)
	if err := d.mayUse(r, nucleus.PubSubService, topic); err != nil {
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
	topic := arg[string](r, r.args, "topic", true)
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
func (r *request) qoS() (byte, *nucleus.Error) {
	v, has := r.args["qos"]
	if !has {
		return 0, nil
	}
	n, err := strconv.ParseUint(fmt.Sprint(v), 10, 8)
	if err != nil || n > 2 {
		return 0, errorf(nucleus.ServiceError, "'qos' not a valid value.")
	}
	return byte(n), nil
}

func (d *dialect) publishToIoTCore(r *request) ([]byte, *nucleus.Error) {
	topic := arg[string](r, r.args, "topicName", true)
	payload, err := base64.StdEncoding.DecodeString(arg[string](r, r.args, "payload", false))
	r.bad = r.bad || err != nil
	qos, failed := r.qoS()
	if failed == nil {
		failed = d.mayUse(r, nucleus.MQTTProxyService, topic)
	}
	if failed != nil {
		return nil, failed
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
	topic := arg[string](r, r.args, "topicName", true)
	if _, err := r.qoS(); err != nil {
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
func (d *dialect) key(r *request) (component, stored string, path []string) {
	component = arg[string](r, r.args, "componentName", false)
	if _, named := r.args["componentName"]; !named {
		component = r.Name
	}
	stored = component
	if component == "aws.greengrass.Nucleus" && d.n.NucleusAlias {
		stored = Name
	}
	return component, stored, r.keyPath()
}

func (d *dialect) getConfiguration(r *request) ([]byte, *nucleus.Error) {
	component, stored, path := d.key(r)
	if r.bad {
		return nil, badParameters(nucleus.ServiceError)
	}
	value, found := d.n.Store.Get(stored, path)
	if !found {
		return nil, errorf(nucleus.ResourceNotFound, "Key not found.")
	}
	return appendLite(nil, object{"componentName", component, "value", value}), nil
}

func (d *dialect) updateConfiguration(r *request) ([]byte, *nucleus.Error) {
	path := r.keyPath()
	seconds := arg[float64](r, r.args, "timestamp", true) // an integer is none
	value, hasValue := r.args["valueToMerge"]
	if r.bad || !hasValue {
		return nil, badParameters(nucleus.InvalidArguments)
	}
	values, _ := value.(map[string]any)
	if _, inValue := values["accessControl"]; inValue && len(path) == 0 || len(path) > 0 && path[0] == "accessControl" {
		return nil, errorf(nucleus.InvalidArguments, "Config update is not allowed for following field [accessControl]")
	}
	if checkLeaves("", value) != nil || !d.n.Store.Merge(r.Name, path, value, int64(seconds*1000)) {
		return nil, errorf(nucleus.ServiceError, "Failed to update the configuration.")
	}
	return nucleus.Empty, nil
}

func (d *dialect) subscribeToConfigurationUpdate(r *request) ([]byte, *nucleus.Error) {
	component, stored, path := d.key(r)
	if r.bad {
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
	state := arg[string](r, r.args, "state", true)
	if r.bad {
		return nil, badParameters(nucleus.ServiceError)
	}
	known := []string{"NEW", "INSTALLED", "STARTING", "RUNNING", "ERRORED", "BROKEN", "STOPPING", "FINISHED"}
	if r.Process == nil || !slices.Contains(known, state) {
		return nil, errorf(nucleus.ServiceError, "Failed to update the lifecycle state.")
	}
	return nucleus.Empty, nil
}
