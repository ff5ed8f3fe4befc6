package envelope_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
)

// TestPAE checks the example of the specification,
// https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md#test-vectors
func TestPAE(t *testing.T) {
	const want = "DSSEv1 29 http://example.com/HelloWorld 11 hello world"
	if got := string(envelope.Pae("http://example.com/HelloWorld", []byte("hello world"))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := string(envelope.Pae("", nil)), "DSSEv1 0  0 "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// Lengths are in bytes, not characters.
	if got, want := string(envelope.Pae("é", []byte("ö"))), "DSSEv1 2 é 2 ö"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSign(t *testing.T) {
	key := modeltest.Key(t, 1)
	m := modeltest.Tiny(t)
	data, err := envelope.Sign(m, key)
	must.OK(t, err)
	again, err := envelope.Sign(m, key)
	if err != nil || !bytes.Equal(data, again) {
		t.Fatal("the same manifest gives another envelope")
	}
	signed, err := envelope.VerifySigned(data, []ed25519.PublicKey{modeltest.PublicOf(key)})
	if err != nil || signed.Manifest.Version != m.Version || signed.Key != envelope.KeyID(modeltest.PublicOf(key)) {
		t.Fatalf("got %+v, %v", signed, err)
	}
	m.Threshold = 2
	_, err = envelope.Sign(m, key)
	modeltest.Wants(t, err, envelope.ErrManifest, "threshold")
	_, err = envelope.Sign(modeltest.Tiny(t), nil)
	modeltest.Wants(t, err, envelope.ErrKey, "0 bytes")
}

func TestVerify(t *testing.T) {
	ours, others := modeltest.Key(t, 1), modeltest.Key(t, 2)
	trusted := []ed25519.PublicKey{modeltest.PublicOf(ours)}
	payload := must.JSON(t, modeltest.Tiny(t))
	good := modeltest.Sign(t, payload, ours)
	// with changes the good envelope.
	with := func(change func(e *modeltest.DSSE)) []byte {
		var e modeltest.DSSE
		must.OK(t, json.Unmarshal(good, &e))
		change(&e)
		return must.JSON(t, e)
	}
	changedByte := func(s string) string {
		raw, err := base64.StdEncoding.DecodeString(s)
		must.OK(t, err)
		raw[len(raw)/2] ^= 1
		return base64.StdEncoding.EncodeToString(raw)
	}
	tests := []struct {
		name string
		data []byte
		kind error
		says string
	}{
		{"good", good, nil, ""},
		{"two signatures, ours second", modeltest.Sign(t, payload, others, ours), nil, ""},
		{"two signatures, one of them wrong", with(func(e *modeltest.DSSE) {
			e.Signatures = append([]modeltest.DSSESignature{{KeyID: envelope.KeyID(modeltest.PublicOf(others)), Sig: changedByte(e.Signatures[0].Sig)}}, e.Signatures...)
		}), nil, ""},
		{"no key id", with(func(e *modeltest.DSSE) { e.Signatures[0].KeyID = "" }), nil, ""},
		{"wrong key id", with(func(e *modeltest.DSSE) { e.Signatures[0].KeyID = envelope.KeyID(modeltest.PublicOf(others)) }), nil, ""},
		{"URL alphabet", with(func(e *modeltest.DSSE) {
			e.Signatures[0].Sig = strings.NewReplacer("+", "-", "/", "_").Replace(e.Signatures[0].Sig)
		}), nil, ""},
		{"unknown member", []byte(must.Replace(t, string(good), `"payloadType"`, `"note":1,"payloadType"`)), nil, ""},

		{"other key", modeltest.Sign(t, payload, others), envelope.ErrUntrusted, envelope.KeyID(modeltest.PublicOf(others))},
		{"two other keys", modeltest.Sign(t, payload, others, modeltest.Key(t, 3)), envelope.ErrUntrusted, "1 keys are trusted"},
		{"tampered payload", with(func(e *modeltest.DSSE) { e.Payload = changedByte(e.Payload) }), envelope.ErrSignature, "does not fit"},
		{"tampered signature", with(func(e *modeltest.DSSE) { e.Signatures[0].Sig = changedByte(e.Signatures[0].Sig) }), envelope.ErrSignature, "does not fit"},
		{"signature cut short", with(func(e *modeltest.DSSE) { e.Signatures[0].Sig = "AAAA" }), envelope.ErrSignature, "does not fit"},
		{"no signature", with(func(e *modeltest.DSSE) { e.Signatures = nil }), envelope.ErrSignature, "0 signatures"},
		{"17 signatures", with(func(e *modeltest.DSSE) {
			for range 16 {
				e.Signatures = append(e.Signatures, e.Signatures[0])
			}
		}), envelope.ErrSignature, "17 signatures"},
		{"signature is not base64", with(func(e *modeltest.DSSE) { e.Signatures[0].Sig = "?" }), envelope.ErrSignature, "base64"},
		{"payload is not base64", with(func(e *modeltest.DSSE) { e.Payload = "?" }), envelope.ErrSignature, "base64"},
		{"other payload type", with(func(e *modeltest.DSSE) { e.PayloadType = "application/vnd.in-toto+json" }), envelope.ErrSignature, "in-toto"},
		{"payload type in capitals", with(func(e *modeltest.DSSE) { e.PayloadType = strings.ToUpper(envelope.PayloadType) }), envelope.ErrSignature, "payload type"},
		{"payload twice", []byte(must.Replace(t, string(good), `"payload":`, `"payload":"e30=","payload":`)), envelope.ErrSignature, "twice"},
		{"payload twice, other case", []byte(must.Replace(t, string(good), `"payload":`, `"Payload":"e30=","payload":`)), envelope.ErrSignature, "twice"},
		{"trailing data", append(bytes.Clone(good), "{}"...), envelope.ErrSignature, "one JSON document"},
		{"cut short", good[:len(good)-1], envelope.ErrSignature, "one JSON document"},
		{"empty", nil, envelope.ErrSignature, "one JSON document"},
		{"too long", append(bytes.Clone(good), bytes.Repeat([]byte(" "), envelope.MaxEnvelope)...), envelope.ErrSignature, "bytes"},
		{"an array", []byte("[]"), envelope.ErrSignature, "envelope"},

		{"signed, but no manifest", modeltest.Sign(t, []byte("hello"), ours), envelope.ErrManifest, "one JSON document"},
		{"signed, but not valid", modeltest.Sign(t, []byte(must.Replace(t, string(payload), `"threshold":0.25`, `"threshold":7`)), ours), envelope.ErrManifest, "threshold"},
		{"signed, in a newer format", modeltest.Sign(t, []byte(`{"format":4}`), ours), envelope.ErrFormat, "it is 4"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := envelope.Verify(test.data, trusted)
			if test.kind == nil {
				if err != nil || m.Name != "tiny" {
					t.Fatalf("%+v, %v", m, err)
				}
				return
			}
			modeltest.Wants(t, err, test.kind, test.says)
		})
	}
	t.Run("no key is trusted", func(t *testing.T) {
		_, err := envelope.Verify(good, nil)
		modeltest.Wants(t, err, envelope.ErrUntrusted, "0 keys")
	})
	t.Run("a trusted key that is none", func(t *testing.T) {
		_, err := envelope.Verify(good, []ed25519.PublicKey{nil, {1, 2, 3}})
		modeltest.Wants(t, err, envelope.ErrUntrusted, "2 keys")
	})
	t.Run("a signature over the bare payload", func(t *testing.T) {
		_, err := envelope.Verify(with(func(e *modeltest.DSSE) {
			e.Signatures[0].Sig = modeltest.EncodeBase64(ed25519.Sign(ours, payload))
		}), trusted)
		modeltest.Wants(t, err, envelope.ErrSignature, "does not fit")
	})
}

// FuzzVerify gives Verify envelopes, and the payload of one signed: what it accepts must be valid and the same again.
func FuzzVerify(f *testing.F) {
	key := modeltest.Key(f, 1)
	trusted := []ed25519.PublicKey{modeltest.PublicOf(key)}
	payload := must.JSON(f, modeltest.Tiny(f))
	good := modeltest.Sign(f, payload, key)
	f.Add(good, false)
	f.Add(modeltest.Sign(f, payload, modeltest.Key(f, 2), key), false)
	f.Add([]byte(`{"payloadType":"`+envelope.PayloadType+`","payload":"e30=","signatures":[{"sig":"AAAA"}]}`), false)
	f.Add(payload, true)
	f.Add([]byte(`{"format":1,"features":[],"golden":[{"values":[null],"margin":0}],"baseline":{}}`), true)
	f.Add([]byte(`{"format":9}`), true)
	f.Fuzz(func(t *testing.T, data []byte, signed bool) {
		if signed {
			data = modeltest.Sign(t, data, key)
		}
		m, err := envelope.Verify(data, trusted)
		if err != nil {
			for _, kind := range []error{envelope.ErrSignature, envelope.ErrUntrusted, envelope.ErrManifest, envelope.ErrFormat} {
				if errors.Is(err, kind) {
					return
				}
			}
			t.Fatalf("error of no kind: %v", err)
		}
		must.OK(t, m.Validate())
		again, err := envelope.Sign(m, key)
		if err != nil && !strings.Contains(err.Error(), "bytes, more than") { // escapes can make it longer
			t.Fatal(err)
		}
		if err == nil {
			if _, err := envelope.Verify(again, trusted); err != nil {
				t.Fatal(err)
			}
		}
	})
}
