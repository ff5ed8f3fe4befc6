package forwarder

import (
	"bytes"
	"encoding/json"
	"testing"

	"edgepdm/shared/ipc"
)

// The envelope of a message is to the byte what encoding/json makes of it.
func FuzzEnvelope(f *testing.F) {
	for _, payload := range []string{
		`{"a":"b \" c \\","d":[1, 2 ,{"e" : "<f> & \u2028 \u0022"}]}`, " \t{ \"a\"\r\n:\n1 } ", `"\\"`, `""`, "7", "null", "{\"a\":\"\u2028 \xff\"}", "[ ]", `"\\\""`,
	} {
		f.Add("pdm/v1/prediction/press-1", []byte(payload))
	}
	for _, topic := range []string{"", `"`, `\`, "ü", "\x7f", "<&>", "\t"} {
		f.Add(topic, []byte(`{"v":1}`))
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		if !json.Valid(payload) {
			return
		}
		want, err := encode(envelope{topic, payload})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := encodeEnvelope(ipc.TopicMessage{Topic: topic, Payload: payload}); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	})
}

// Whatever a text is, all of it is looked at once.
func FuzzAppendCompact(f *testing.F) {
	for _, text := range []string{`"`, `"\`, `"\"`, `a"b" "`, `\"`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if got := appendCompact(nil, text); len(got) > len(text) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
