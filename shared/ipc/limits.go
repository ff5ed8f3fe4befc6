package ipc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"edgepdm/shared/ipc/eventstream"
)

// Limits of nucleus lite that it does not tell of: beyond them it closes the connection, ends the receiver's
// subscription without a word, delivers other data, or loses the message. A Client refuses such requests.
const (
	// liteMaxInteger is how many characters an integer may have in a document, its sign counted.
	liteMaxInteger = 18
	// liteMaxPacket is the longest MQTT packet to AWS IoT Core, in bytes.
	liteMaxPacket = 5000
)

// Nucleus lite decodes an event into a fixed room, of which an array's element takes one piece and an object's member
// another, at any depth (aws-greengrass-lite, modules/core-bus/src/client_subscribe.c): 44 elements, or 23 members.
const (
	liteRoom    = 50*liteElement - 3*liteMember // bytes; three members are the event's own
	liteElement = 11
	liteMember  = 21
)

// mqttOverhead is what a PUBLISH packet has beside topic and payload, in bytes: type, length, length of the topic, packet
// identifier, no properties (MQTT 5, section 3.3), rounded up.
const mqttOverhead = 16

// ErrTooLarge means that the nucleus at hand cannot carry the request: nothing was sent.
var ErrTooLarge = errors.New("more than the nucleus can carry")

// checkFrame refuses a frame of n bytes that the nucleus would close the connection for. It is called for frames over
// lite's limit only: smaller ones need no question.
func (c *Client) checkFrame(ctx context.Context, n int) error {
	return c.unlessClassic(ctx, fmt.Errorf("%w: frame of %d bytes, nucleus lite takes %d", ErrTooLarge, n, eventstream.MaxFrameLite))
}

// checkRequest refuses a request that the nucleus would accept and not carry out as it stands.
func (c *Client) checkRequest(ctx context.Context, request any) error {
	var problem error
	switch r := request.(type) {
	case PublishToTopicRequest:
		if m := r.PublishMessage.JSONMessage; m != nil {
			problem = checkDocument("publishMessage.jsonMessage.message", m.Message, liteRoom)
		}
	case UpdateConfigurationRequest:
		problem = checkDocument("valueToMerge", r.ValueToMerge, math.MaxInt)
	case PublishToIoTCoreRequest:
		if n := len(r.TopicName) + len(r.Payload) + mqttOverhead; n > liteMaxPacket {
			problem = fmt.Errorf("%w: payload: MQTT packet of %d bytes, nucleus lite loses those over %d", ErrTooLarge, n, liteMaxPacket)
		}
	}
	if problem == nil {
		return nil
	}
	return c.unlessClassic(ctx, problem)
}

// unlessClassic returns the problem that nucleus lite would have.
func (c *Client) unlessClassic(ctx context.Context, problem error) error {
	switch kind, err := c.Nucleus(ctx); {
	case err != nil:
		return err
	case kind == Classic:
		return nil
	default:
		return problem
	}
}

// checkDocument looks for what nucleus lite cannot carry: values that take more than room, and long integers. A document
// that is not JSON is left to the encoder.
func checkDocument(field string, d Document, room int) error {
	decoder := json.NewDecoder(bytes.NewReader(d))
	decoder.UseNumber()
	var inObject []bool // of the values that the next one is in
	name := false       // the next string is a member's name
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil //nolint:nilerr // the encoder tells what is wrong with it
		}
		if _, is := token.(string); is && name {
			name = false
			continue
		}
		depth := len(inObject)
		if token == json.Delim('}') || token == json.Delim(']') {
			inObject = inObject[:depth-1]
			name = depth > 1 && inObject[depth-2]
			continue
		}
		switch {
		case depth == 0: // the document itself
		case inObject[depth-1]:
			room -= liteMember
		default:
			room -= liteElement
		}
		if room < 0 {
			return fmt.Errorf("%w: %s: more values than a subscriber on nucleus lite has room for (44 elements of an array, 23 members of an object)", ErrTooLarge, field)
		}
		switch t := token.(type) {
		case json.Delim:
			inObject = append(inObject, t == '{')
		case json.Number:
			if text := t.String(); len(text) > liteMaxInteger && !strings.ContainsAny(text, ".eE") {
				return fmt.Errorf("%w: %s: nucleus lite corrupts integers of more than %d characters, such as %s", ErrTooLarge, field, liteMaxInteger, text)
			}
		}
		name = len(inObject) > 0 && inObject[len(inObject)-1]
	}
}
