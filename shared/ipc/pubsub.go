package ipc

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
)

// TopicMessage is a message of local publish/subscribe. Payloads share larger pieces of memory: copy a small part of one
// that is to be kept for long.
type TopicMessage struct {
	Topic   string
	Payload []byte // the bytes of a binaryMessage, or the JSON text of a jsonMessage; the receiver's own
	JSON    bool   // it was a jsonMessage
}

// StartPublish sends payload as a binaryMessage to the local topic and returns without waiting for the response: call
// Wait for that. Messages of one goroutine arrive in the order in which they were started. payload is not kept. ctx counts
// until it returns: nothing is sent when it has ended, and the first payload of more than some 7 kB waits for the nucleus
// to say which NucleusKind it is, if nobody has asked before.
func (c *Client) StartPublish(ctx context.Context, topic string, payload []byte) (*Call, error) {
	return c.StartPublishTold(ctx, topic, payload, nil)
}

// StartPublishTold is StartPublish for who waits for many responses at once: told gets a value for each, unless it is full. Then
// Answered says of which Calls they are.
func (c *Client) StartPublishTold(ctx context.Context, topic string, payload []byte, told chan<- struct{}) (*Call, error) {
	op := operationName{"PublishToTopic", modelPrefix + "PublishToTopic", modelPrefix + "PublishToTopicRequest"}
	return c.start(ctx, op, false, nil, told, func(b []byte) []byte {
		b = append(b, `{"topic":`...)
		b = appendString(b, topic)
		b = append(b, `,"publishMessage":{"binaryMessage":{"message":"`...)
		b = base64.StdEncoding.AppendEncode(b, payload)
		return append(b, `"}}}`...)
	})
}

// Publish sends payload as a binaryMessage to the local topic. Nothing tells whether anybody receives it.
func (c *Client) Publish(ctx context.Context, topic string, payload []byte) error {
	k, err := c.StartPublish(ctx, topic, payload)
	if err != nil {
		return err
	}
	return k.Wait(ctx)
}

// Subscribe subscribes to the local topics that match filter (MQTT wildcards + and #). An empty mode leaves the choice to
// the nucleus: a classic one delivers a component's own messages unless the filter has a wildcard, nucleus lite always does.
func (c *Client) Subscribe(ctx context.Context, filter string, mode ReceiveMode) (*Subscription[TopicMessage], error) {
	request := SubscribeToTopicRequest{Topic: filter, ReceiveMode: mode}
	return subscribe(ctx, c, "SubscribeToTopic", request, (&topicDecoder{slab: &c.slab}).decode)
}

// appendString appends s as a JSON string.
func appendString(b []byte, s string) []byte {
	if !plain(s) {
		text, _ := json.Marshal(s) // there is no string that it cannot encode
		return append(b, text...)
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// plain reports whether s stands in JSON as it is: printable ASCII without quote and backslash.
func plain[S string | []byte](s S) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == '"' || s[i] == '\\' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// topicDecoder decodes the events of one subscription. The reader alone uses it.
type topicDecoder struct {
	slab  *slab
	topic string // of the last event: it repeats, so decoding need not allocate
}

func (d *topicDecoder) decode(payload []byte) (TopicMessage, error) {
	message, topic, ok := scanBinaryMessage(payload)
	if !ok {
		return decodeTopicMessage(payload)
	}
	if string(topic) != d.topic {
		d.topic = string(topic)
	}
	decoded := d.slab.take(base64.RawStdEncoding.DecodedLen(len(message)))
	n, err := base64.RawStdEncoding.Decode(decoded, message)
	if err == nil && n != len(decoded) { // the decoder skips line breaks; no JSON string has one
		err = errors.New("line break in base64")
	}
	return TopicMessage{Topic: d.topic, Payload: decoded}, err
}

// decodeTopicMessage decodes any spelling of a SubscriptionResponseMessage.
func decodeTopicMessage(payload []byte) (TopicMessage, error) {
	var e SubscriptionResponseMessage
	if err := json.Unmarshal(payload, &e); err != nil {
		return TopicMessage{}, err
	}
	switch {
	case e.BinaryMessage != nil:
		m := TopicMessage{Payload: e.BinaryMessage.Message}
		if e.BinaryMessage.Context != nil {
			m.Topic = e.BinaryMessage.Context.Topic
		}
		return m, nil
	case e.JSONMessage != nil:
		m := TopicMessage{Payload: e.JSONMessage.Message, JSON: true}
		if e.JSONMessage.Context != nil {
			m.Topic = e.JSONMessage.Context.Topic
		}
		return m, nil
	default:
		return TopicMessage{}, errors.New("it is neither a binaryMessage nor a jsonMessage")
	}
}

// scanBinaryMessage finds the parts of {"binaryMessage":{"message":"…","context":{"topic":"…"}}}, members in any order; the
// message without its base64 padding. It is not ok for any other spelling: an escape, white space, another member.
func scanBinaryMessage(p []byte) (message, topic []byte, ok bool) {
	p, ok = bytes.CutPrefix(p, []byte(`{"binaryMessage":{`))
	for i := 0; i < 2 && ok; i++ {
		if i > 0 {
			if p, ok = bytes.CutPrefix(p, []byte(",")); !ok {
				break
			}
		}
		if rest, is := bytes.CutPrefix(p, []byte(`"message":"`)); is && message == nil {
			message, p, ok = scanBase64(rest)
		} else if rest, is := bytes.CutPrefix(p, []byte(`"context":{"topic":"`)); is && topic == nil {
			topic, p, ok = scanPlain(rest)
			if ok {
				p, ok = bytes.CutPrefix(p, []byte("}"))
			}
		} else {
			ok = false
		}
	}
	return message, topic, ok && string(p) == "}}"
}

// scanPlain splits p at the end of the string without escapes that it begins inside of.
func scanPlain(p []byte) (text, rest []byte, ok bool) {
	end := bytes.IndexByte(p, '"')
	if end < 0 || !plain(p[:end]) {
		return nil, nil, false
	}
	return p[:end], p[end+1:], true
}

// scanBase64 is scanPlain for base64, which it gives without padding. A classic nucleus writes = as \u003d.
func scanBase64(p []byte) (text, rest []byte, ok bool) {
	end := bytes.IndexByte(p, '"')
	if end < 0 {
		return nil, nil, false
	}
	text, rest = p[:end], p[end+1:]
	padding := 0
	for _, pad := range [...]string{`\u003d`, "="} {
		for padding < 2 && bytes.HasSuffix(text, []byte(pad)) {
			text = text[:len(text)-len(pad)]
			padding++
		}
	}
	return text, rest, (len(text)+padding)%4 == 0 && bytes.IndexByte(text, '\\') < 0
}
