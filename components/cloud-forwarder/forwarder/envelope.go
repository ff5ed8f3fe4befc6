package forwarder

import (
	"bytes"
	"encoding/json"
	"strings"

	"edgepdm/shared/ipc"
)

// envelope is what the queue keeps of a message.
type envelope struct {
	Topic   string          `json:"topic"`
	Message json.RawMessage `json:"message"`
}

// encodeEnvelope is encode for the envelope of a message that was decoded, and so is valid JSON: to the byte the same.
func encodeEnvelope(m ipc.TopicMessage) ([]byte, error) {
	special := func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }
	if len(m.Payload) == 0 || strings.ContainsFunc(m.Topic, special) {
		return encode(envelope{m.Topic, m.Payload})
	}
	b := make([]byte, 0, len(`{"topic":"","message":}`)+len(m.Topic)+len(m.Payload))
	b = append(append(append(b, `{"topic":"`...), m.Topic...), `","message":`...)
	return append(appendCompact(b, m.Payload), '}'), nil
}

// decode reads an envelope. One that put has written is not decoded member by member.
func (e *envelope) decode(b []byte) error {
	rest, own := bytes.CutPrefix(b, []byte(`{"topic":"`))
	topic, rest, cut := bytes.Cut(rest, []byte(`","message":`))
	message, whole := bytes.CutSuffix(rest, []byte("}"))
	if own && cut && whole && !bytes.ContainsAny(topic, "\"\\") && json.Valid(message) {
		e.Topic, e.Message = string(topic), message
		return nil
	}
	return json.Unmarshal(b, e)
}

// appendCompact appends a JSON text without the white space between its parts.
func appendCompact(b, text []byte) []byte {
	for len(text) > 0 {
		quote := bytes.IndexByte(text, '"')
		if quote < 0 {
			quote = len(text)
		}
		for _, c := range text[:quote] {
			if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
				b = append(b, c)
			}
		}
		end := quote + stringLen(text[quote:])
		b, text = append(b, text[quote:end]...), text[end:]
	}
	return b
}

// stringLen is the length of the string that a JSON text begins with, its quotes included.
func stringLen(text []byte) int {
	for at := 1; at < len(text); {
		end := bytes.IndexByte(text[at:], '"')
		if end < 0 {
			break
		}
		escape := bytes.IndexByte(text[at:at+end], '\\')
		if escape < 0 {
			return at + end + 1
		}
		at += escape + len(`\"`)
	}
	return len(text)
}
