package localcore

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"
)

func (c *Core) publishToIoTCore(r *request) ([]byte, *opError) {
	d := &r.decoder
	topic, hasTopic := get[string](d, r.fields, "topicName")
	qos, hasQoS := get[string](d, r.fields, "qos")
	payload, hasPayload := r.blob(r.fields, "payload")
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish}, TopicName: topic, Payload: payload}
	pk.FixedHeader.Retain, _ = get[bool](d, r.fields, "retain")
	p := &pk.Properties // its ContentType stays empty: the nucleus does not forward it
	p.CorrelationData, _ = r.blob(r.fields, "correlationData")
	p.ResponseTopic, _ = get[string](d, r.fields, "responseTopic")
	p.MessageExpiryInterval, _ = get[uint32](d, r.fields, "messageExpiryIntervalSeconds")
	format, _ := get[string](d, r.fields, "payloadFormat")
	p.PayloadFormatFlag = true
	if format == "1" {
		p.PayloadFormat = 1
	}
	properties, _ := get[[]members](d, r.fields, "userProperties")
	for _, property := range properties {
		key, _ := get[string](d, property, "key")
		value, _ := get[string](d, property, "value")
		p.User = append(p.User, packets.UserProperty{Key: key, Val: value})
	}
	if err := c.mayUseCloudTopic(r, topic, hasTopic); err != nil {
		return nil, err
	}
	if !hasPayload {
		return nil, errorf(invalidArguments, "Payload is required")
	}
	var err *opError
	if pk.FixedHeader.Qos, err = parseQoS(qos, hasQoS); err != nil {
		return nil, err
	}
	pk.PacketID = uint16(pk.FixedHeader.Qos) // any number will do, but there must be one with QoS 1
	var failed error
	if c.opts.Offline {
		failed = errors.New("Cannot publish because device is configured to run offline")
	}
	if failed == nil {
		failed = validCloudTopic(topic, true)
	}
	if failed == nil && len(payload) > maxCloudPayload {
		failed = fmt.Errorf("The publishing message size %d bytes exceeds the configured limit of %d bytes",
			len(payload), maxCloudPayload)
	}
	if failed == nil {
		failed = c.broker.publish(pk)
	}
	if failed != nil {
		return nil, errorf(serviceError, "Publish to topic %s failed: %s", topic, failed)
	}
	return emptyResponse, nil
}

func (c *Core) subscribeToIoTCore(r *request) ([]byte, *opError) {
	topic, hasTopic := get[string](&r.decoder, r.fields, "topicName")
	qos, hasQoS := get[string](&r.decoder, r.fields, "qos")
	if err := c.mayUseCloudTopic(r, topic, hasTopic); err != nil {
		return nil, err
	}
	level, err := parseQoS(qos, hasQoS)
	if err != nil {
		return nil, err
	}
	failed := validCloudTopic(topic, false)
	if c.opts.Offline {
		failed = errors.New("Device is not configured to connect to AWS")
	}
	if failed != nil {
		return nil, errorf(serviceError, "Subscribe to topic %s failed with error "+
			"com.aws.greengrass.mqttclient.MqttRequestException: %s", topic, failed)
	}
	ready := func(err error) {
		if err != nil {
			r.stream.fail(errorf(serviceError, "Subscribe to topic %s failed with error %s", topic, err))
			return
		}
		r.stream.respond(emptyResponse)
	}
	r.stream.onClose(c.broker.subscribe(topic, level, ready, func(pk packets.Packet) {
		r.stream.event("IoTCoreMessage", cloudMessage(pk))
	}))
	return nil, nil // ready answers
}

// connectionStatus is the operation of subscribeToConnectionStatus.
const connectionStatus = "SubscribeToIoTCoreConnectionStatus"

// subscribeToConnectionStatus tells whether there is a connection to IoT Core. It needs no grant.
func (c *Core) subscribeToConnectionStatus(r *request) ([]byte, *opError) {
	r.stream.onClose(c.broker.watch(func(online bool) {
		status := "DISCONNECTED"
		if online && !c.opts.Offline {
			status = "CONNECTED"
		}
		r.stream.event("IoTCoreConnectionStatusEvent", []byte(`{"connectionStatusEvent":{"status":"`+status+`"}}`))
	}))
	return emptyResponse, nil
}

// mayUseCloudTopic is what both operations check first.
func (c *Core) mayUseCloudTopic(r *request, topic string, has bool) *opError {
	switch {
	case r.err != nil:
		return r.err
	case !has:
		return errorf(invalidArguments, "Topic is required")
	case c.authz.check(r.principal.name, mqttProxyService, r.operation, topic) != nil:
		return errorf(unauthorized, "Not Authorized")
	}
	return nil
}

func parseQoS(qos string, has bool) (byte, *opError) {
	switch {
	case !has:
		return 0, errorf(invalidArguments, "QoS is required")
	case qos == "0":
		return 0, nil
	case qos == "1":
		return 1, nil
	}
	return 0, errorf(invalidArguments, "Invalid QoS value: %s", qos)
}

// validCloudTopic applies the limits of IoT Core that the nucleus checks.
func validCloudTopic(topic string, publish bool) error {
	const tooLong = "The topic size of request must be no larger than 256 bytes of UTF-8 encoded characters. This " +
		"excludes the first 3 mandatory segments for Basic Ingest topics ($AWS/rules/rule-name/)"
	effective := topic
	if rest, ok := strings.CutPrefix(topic, "$aws/rules/"); ok {
		if _, after, ok := strings.Cut(rest, "/"); ok {
			effective = after
		}
	}
	switch {
	case publish && strings.ContainsAny(topic, "#+"):
		return fmt.Errorf("Publish topics must not contain wildcard characters of '#' or '+'")
	case strings.HasPrefix(effective, "$"):
		return nil // reserved topics are IoT Core's to judge
	case strings.Count(effective, "/") > 7:
		return fmt.Errorf("The request topic must have no more than 7 forward slashes (/)")
	case len(effective) > 256 && publish:
		return fmt.Errorf("%s", tooLong)
	case len(effective) > 256:
		return fmt.Errorf("%s or first 2 mandatory segments for MQTT Shared Subscriptions ($share/share-name/)", tooLong)
	}
	return nil
}

// cloudMessage is an IoTCoreMessage event; absent members are left out.
func cloudMessage(pk packets.Packet) []byte {
	p := pk.Properties
	m := object{{"topicName", pk.TopicName}, {"payload", pk.Payload}, {"retain", pk.FixedHeader.Retain}}
	if len(p.User) > 0 {
		list := make([]any, len(p.User))
		for i, u := range p.User {
			list[i] = object{{"key", u.Key}, {"value", u.Val}}
		}
		m = append(m, member{"userProperties", list})
	}
	if p.MessageExpiryInterval > 0 {
		m = append(m, member{"messageExpiryIntervalSeconds", int64(p.MessageExpiryInterval)})
	}
	if p.CorrelationData != nil {
		m = append(m, member{"correlationData", p.CorrelationData})
	}
	if p.ResponseTopic != "" {
		m = append(m, member{"responseTopic", p.ResponseTopic})
	}
	format := "0"
	if p.PayloadFormatFlag && p.PayloadFormat == 1 {
		format = "1"
	}
	m = append(m, member{"payloadFormat", format})
	if p.ContentType != "" {
		m = append(m, member{"contentType", p.ContentType})
	}
	return appendGson(nil, object{{"message", m}})
}
