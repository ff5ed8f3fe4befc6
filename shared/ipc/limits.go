package ipc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"edgepdm/shared/ipc/eventstream"
)

// Limits of nucleus lite that it does not tell of: beyond them it closes the connection, ends the receiver's
// subscription without a word, delivers other data, or loses the message. A Client refuses such requests.
const (
	// LiteMaxFrame is the longest frame, in bytes; a binaryMessage of some 7,200 bytes fits.
	LiteMaxFrame = eventstream.MaxFrameLite
	// LiteMaxValues is how many values a jsonMessage may hold at any depth: members of objects and elements of arrays.
	LiteMaxValues = 45
	// LiteMaxInteger is how many characters an integer may have in a document, its sign counted.
	LiteMaxInteger = 18
	// LiteMaxPacket is the longest MQTT packet to AWS IoT Core, in bytes.
	LiteMaxPacket = 5000
)

// mqttOverhead is what a PUBLISH packet has beside topic and payload, in bytes: type, length, length of the topic, packet
// identifier, no properties (MQTT 5, section 3.3), rounded up.
const mqttOverhead = 16

// ErrTooLarge means that the nucleus at hand cannot carry the request: nothing was sent.
var ErrTooLarge = errors.New("more than the nucleus can carry")

// checkFrame refuses a frame of n bytes that the nucleus would close the connection for. It is called for frames over
// lite's limit only: smaller ones need no question.
func (c *Client) checkFrame(ctx context.Context, n int) error {
	return c.unlessClassic(ctx, fmt.Errorf("%w: frame of %d bytes, nucleus lite takes %d", ErrTooLarge, n, LiteMaxFrame))
}

// checkRequest refuses a request that the nucleus would accept and not carry out as it stands.
func (c *Client) checkRequest(ctx context.Context, request any) error {
	var problem error
	switch r := request.(type) {
	case PublishToTopicRequest:
		if m := r.PublishMessage.JSONMessage; m != nil {
			problem = checkDocument("publishMessage.jsonMessage.message", m.Message, LiteMaxValues)
		}
	case UpdateConfigurationRequest:
		problem = checkDocument("valueToMerge", r.ValueToMerge, len(r.ValueToMerge))
	case PublishToIoTCoreRequest:
		if n := len(r.TopicName) + len(r.Payload) + mqttOverhead; n > LiteMaxPacket {
			problem = fmt.Errorf("%w: payload: MQTT packet of %d bytes, nucleus lite loses those over %d", ErrTooLarge, n, LiteMaxPacket)
		}
	}
	if problem == nil {
		return nil
	}
	return c.unlessClassic(ctx, problem)
}

// unlessClassic returns the problem that nucleus lite would have.
func (c *Client) unlessClassic(ctx context.Context, problem error) error {
	switch runtime, err := c.Runtime(ctx); {
	case err != nil:
		return err
	case runtime == Classic:
		return nil
	default:
		return problem
	}
}

// checkDocument looks for what nucleus lite cannot carry. A document that is not JSON is left to the encoder.
func checkDocument(field string, d Document, maxValues int) error {
	decoder := json.NewDecoder(bytes.NewReader(d))
	decoder.UseNumber()
	values := -1 // the document itself does not count
	var inObject []bool
	key := false // the next string is a member's name
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil
		}
		if _, name := token.(string); name && key {
			key = false
			continue
		}
		switch t := token.(type) {
		case json.Delim:
			if t == '}' || t == ']' {
				inObject = inObject[:len(inObject)-1]
				key = len(inObject) > 0 && inObject[len(inObject)-1]
				continue
			}
			inObject = append(inObject, t == '{')
		case json.Number:
			if text := t.String(); len(text) > LiteMaxInteger && !strings.ContainsAny(text, ".eE") {
				return fmt.Errorf("%w: %s: nucleus lite corrupts integers of more than %d characters, such as %s", ErrTooLarge, field, LiteMaxInteger, text)
			}
		}
		if values++; values > maxValues {
			return fmt.Errorf("%w: %s: more than %d values, which ends subscriptions on nucleus lite", ErrTooLarge, field, maxValues)
		}
		key = len(inObject) > 0 && inObject[len(inObject)-1]
	}
}
