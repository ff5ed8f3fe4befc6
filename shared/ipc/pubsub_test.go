package ipc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"testing"
)

// decodings of events: what the fast decoder takes must be what encoding/json makes of it.
func FuzzTopicMessage(f *testing.F) {
	for _, seed := range []string{
		`{"binaryMessage":{"message":"aGk=","context":{"topic":"a/b"}}}`,
		`{"binaryMessage":{"context":{"topic":"a/b"},"message":"aGk\u003d"}}`,
		`{"binaryMessage":{"message":"aA\u003d\u003d","context":{"topic":"a\/b"}}}`,
		`{"binaryMessage":{"message":"","context":{"topic":""}}}`,
		`{"binaryMessage":{"message":"aGk","context":{"topic":"t"}}}`,
		"{\"binaryMessage\":{\"message\":\"aGkh\naGkh\",\"context\":{\"topic\":\"t\"}}}",
		`{"binaryMessage":{"message":"aGkh","message":"aGkh"}}`,
		`{"jsonMessage":{"message":{"a":1.0},"context":{"topic":"ü"}}}`,
		`{"jsonMessage":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, event []byte) {
		got, err := (&topicDecoder{slab: new(slab)}).decode(event)
		want, wantErr := decodeTopicMessage(event)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, with encoding/json %v", err, wantErr)
		}
		if err == nil && (got.Topic != want.Topic || got.JSON != want.JSON || !bytes.Equal(got.Payload, want.Payload)) {
			t.Errorf("%+v, with encoding/json %+v", got, want)
		}
	})
}

// The spellings of both kinds of nucleus take the fast way.
func TestFastDecoderTakesWhatNucleiSend(t *testing.T) {
	for _, payload := range []string{"", "x", "xy", "xyz"} {
		text := base64.StdEncoding.EncodeToString([]byte(payload))
		lite := `{"binaryMessage":{"message":"` + text + `","context":{"topic":"a/b"}}}`
		classic := `{"binaryMessage":{"message":"` + string(bytes.ReplaceAll([]byte(text), []byte("="), []byte(`\u003d`))) + `","context":{"topic":"a/b"}}}`
		for _, event := range []string{lite, classic} {
			message, topic, ok := scanBinaryMessage([]byte(event))
			if raw, err := base64.RawStdEncoding.DecodeString(string(message)); !ok || err != nil || string(raw) != payload || string(topic) != "a/b" {
				t.Errorf("%s: message %q, topic %q, ok %v", event, message, topic, ok)
			}
		}
	}
}

func TestAppendStringIsJSON(t *testing.T) {
	for _, s := range []string{"", "a/b", `"\`, "ü\n\x7f", "\xff", "<&>"} {
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		if want := string(bytes.ToValidUTF8([]byte(s), []byte("\uFFFD"))); got != want {
			t.Errorf("%q is read as %q", s, got)
		}
	}
}

// A receiver may hold a payload for as long as it likes.
func TestSlabNeverHandsOutMemoryTwice(t *testing.T) {
	var s slab
	pieces := make([][]byte, 500)
	for i := range pieces {
		pieces[i] = s.take(i * 37 % 6000)
		for j := range pieces[i] {
			pieces[i][j] = byte(i)
		}
		if cap(pieces[i]) != len(pieces[i]) {
			t.Fatalf("piece %d can grow into the next", i)
		}
	}
	for i, piece := range pieces {
		for _, b := range piece {
			if b != byte(i) {
				t.Fatalf("piece %d was overwritten", i)
			}
		}
	}
}
