package classic

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"

	"edgepdm/test/localcore/nucleus"
)

// maxCloudPayload is the nucleus's default for one message, in bytes.
const maxCloudPayload = 128 << 10

func (d *dialect) publishToIoTCore(r *request) ([]byte, *nucleus.Error) {
	topic, hasTopic := r.text(r.fields, "topicName")
	qos, hasQoS := r.text(r.fields, "qos")
	payload, hasPayload := r.blob(r.fields, "payload")
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish}, TopicName: topic, Payload: payload}
	pk.FixedHeader.Retain, _ = get[bool](r, r.fields, "retain")
	p := &pk.Properties // its ContentType stays empty: the nucleus does not forward it
	p.CorrelationData, _ = r.blob(r.fields, "correlationData")
	p.ResponseTopic, _ = r.text(r.fields, "responseTopic")
	p.MessageExpiryInterval, _ = get[uint32](r, r.fields, "messageExpiryIntervalSeconds")
	format, _ := r.text(r.fields, "payloadFormat")
	p.PayloadFormatFlag = true
	if format == "1" {
		p.PayloadFormat = 1
	}
	properties, _ := get[[]members](r, r.fields, "userProperties")
	for _, property := range properties {
		key, _ := r.text(property, "key")
		value, _ := r.text(property, "value")
		p.User = append(p.User, packets.UserProperty{Key: key, Val: value})
	}
	if err := d.mayUseCloudTopic(r, topic, hasTopic); err != nil {
		return nil, err
	}
	if !hasPayload {
		return nil, errorf(nucleus.InvalidArguments, "Payload is required")
	}
	var err *nucleus.Error
	if pk.FixedHeader.Qos, err = parseQoS(qos, hasQoS); err != nil {
		return nil, err
	}
	pk.PacketID = uint16(pk.FixedHeader.Qos) // any number will do, but there must be one with QoS 1
	var failed error
	if d.n.Offline {
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
		failed = d.n.Broker.Publish(pk)
	}
	if failed != nil {
		return nil, errorf(nucleus.ServiceError, "Publish to topic %s failed: %s", topic, failed)
	}
	return nucleus.Empty, nil
}

func (d *dialect) subscribeToIoTCore(r *request) ([]byte, *nucleus.Error) {
	topic, hasTopic := r.text(r.fields, "topicName")
	qos, hasQoS := r.text(r.fields, "qos")
	if err := d.mayUseCloudTopic(r, topic, hasTopic); err != nil {
		return nil, err
	}
	if _, err := parseQoS(qos, hasQoS); err != nil {
		return nil, err
	}
	failed := validCloudTopic(topic, false)
	if d.n.Offline {
		failed = errors.New("Device is not configured to connect to AWS")
	}
	if failed != nil {
		return nil, errorf(nucleus.ServiceError, "Subscribe to topic %s failed with error "+
			"com.aws.greengrass.mqttclient.MqttRequestException: %s", topic, failed)
	}
	return d.n.SubscribeToCloud(r.Stream, topic, cloudMessage, func(err error) string {
		return fmt.Sprintf("Subscribe to topic %s failed with error %s", topic, err)
	})
}

// mayUseCloudTopic is what both operations check first.
func (d *dialect) mayUseCloudTopic(r *request, topic string, has bool) *nucleus.Error {
	switch {
	case r.err != nil:
		return r.err
	case !has:
		return errorf(nucleus.InvalidArguments, "Topic is required")
	case topic == "" || d.n.Authz.Check(r.Name, nucleus.MQTTProxyService, r.Operation, topic) != nil:
		return errorf(nucleus.Unauthorized, "Not Authorized")
	}
	return nil
}

func parseQoS(qos string, has bool) (byte, *nucleus.Error) {
	switch {
	case !has:
		return 0, errorf(nucleus.InvalidArguments, "QoS is required")
	case qos == "0":
		return 0, nil
	case qos == "1":
		return 1, nil
	}
	return 0, errorf(nucleus.InvalidArguments, "Invalid QoS value: %s", qos)
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
	m := object{"topicName", pk.TopicName, "payload", pk.Payload, "retain", pk.FixedHeader.Retain}
	if len(p.User) > 0 {
		list := make([]any, len(p.User))
		for i, u := range p.User {
			list[i] = object{"key", u.Key, "value", u.Val}
		}
		m = append(m, "userProperties", list)
	}
	if p.MessageExpiryInterval > 0 {
		m = append(m, "messageExpiryIntervalSeconds", int64(p.MessageExpiryInterval))
	}
	if p.CorrelationData != nil {
		m = append(m, "correlationData", p.CorrelationData)
	}
	if p.ResponseTopic != "" {
		m = append(m, "responseTopic", p.ResponseTopic)
	}
	format := "0"
	if p.PayloadFormatFlag && p.PayloadFormat == 1 {
		format = "1"
	}
	m = append(m, "payloadFormat", format)
	if p.ContentType != "" {
		m = append(m, "contentType", p.ContentType)
	}
	return appendGson(nil, object{"message", m})
}
