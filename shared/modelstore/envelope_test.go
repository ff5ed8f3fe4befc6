package modelstore

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// TestPAE checks the example of the specification,
// https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md#test-vectors
func TestPAE(t *testing.T) {
	const want = "DSSEv1 29 http://example.com/HelloWorld 11 hello world"
	if got := string(pae("http://example.com/HelloWorld", []byte("hello world"))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := string(pae("", nil)), "DSSEv1 0  0 "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// Lengths are in bytes, not characters.
	if got, want := string(pae("é", []byte("ö"))), "DSSEv1 2 é 2 ö"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSign(t *testing.T) {
	key := testKey(t, 1)
	m := tiny(t)
	data, err := Sign(m, key)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Sign(m, key)
	if err != nil || !bytes.Equal(data, again) {
		t.Fatal("the same manifest gives another envelope")
	}
	signed, err := VerifySigned(data, []ed25519.PublicKey{publicOf(key)})
	if err != nil || signed.Manifest.Version != m.Version || signed.Key != KeyID(publicOf(key)) {
		t.Fatalf("got %+v, %v", signed, err)
	}
	m.Threshold = 2
	_, err = Sign(m, key)
	wants(t, err, ErrManifest, "threshold")
	_, err = Sign(tiny(t), nil)
	wants(t, err, ErrKey, "0 bytes")
}

func TestVerify(t *testing.T) {
	ours, others := testKey(t, 1), testKey(t, 2)
	trusted := []ed25519.PublicKey{publicOf(ours)}
	payload := encodeJSON(t, tiny(t))
	good := sign(t, payload, ours)
	// with changes the good envelope.
	with := func(change func(e *dsse)) []byte {
		var e dsse
		if err := json.Unmarshal(good, &e); err != nil {
			t.Fatal(err)
		}
		change(&e)
		return encodeJSON(t, e)
	}
	changedByte := func(s string) string {
		raw, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
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
		{"two signatures, ours second", sign(t, payload, others, ours), nil, ""},
		{"two signatures, one of them wrong", with(func(e *dsse) {
			e.Signatures = append([]dsseSignature{{KeyID(publicOf(others)), changedByte(e.Signatures[0].Sig)}}, e.Signatures...)
		}), nil, ""},
		{"no key id", with(func(e *dsse) { e.Signatures[0].KeyID = "" }), nil, ""},
		{"wrong key id", with(func(e *dsse) { e.Signatures[0].KeyID = KeyID(publicOf(others)) }), nil, ""},
		{"URL alphabet", with(func(e *dsse) {
			e.Signatures[0].Sig = strings.NewReplacer("+", "-", "/", "_").Replace(e.Signatures[0].Sig)
		}), nil, ""},
		{"unknown member", []byte(edit(t, string(good), `"payloadType"`, `"note":1,"payloadType"`)), nil, ""},

		{"other key", sign(t, payload, others), ErrUntrusted, KeyID(publicOf(others))},
		{"two other keys", sign(t, payload, others, testKey(t, 3)), ErrUntrusted, "1 keys are trusted"},
		{"tampered payload", with(func(e *dsse) { e.Payload = changedByte(e.Payload) }), ErrSignature, "does not fit"},
		{"tampered signature", with(func(e *dsse) { e.Signatures[0].Sig = changedByte(e.Signatures[0].Sig) }), ErrSignature, "does not fit"},
		{"signature cut short", with(func(e *dsse) { e.Signatures[0].Sig = "AAAA" }), ErrSignature, "does not fit"},
		{"no signature", with(func(e *dsse) { e.Signatures = nil }), ErrSignature, "0 signatures"},
		{"17 signatures", with(func(e *dsse) {
			for range 16 {
				e.Signatures = append(e.Signatures, e.Signatures[0])
			}
		}), ErrSignature, "17 signatures"},
		{"signature is not base64", with(func(e *dsse) { e.Signatures[0].Sig = "?" }), ErrSignature, "base64"},
		{"payload is not base64", with(func(e *dsse) { e.Payload = "?" }), ErrSignature, "base64"},
		{"other payload type", with(func(e *dsse) { e.PayloadType = "application/vnd.in-toto+json" }), ErrSignature, "in-toto"},
		{"payload type in capitals", with(func(e *dsse) { e.PayloadType = strings.ToUpper(PayloadType) }), ErrSignature, "payload type"},
		{"payload twice", []byte(edit(t, string(good), `"payload":`, `"payload":"e30=","payload":`)), ErrSignature, "twice"},
		{"payload twice, other case", []byte(edit(t, string(good), `"payload":`, `"Payload":"e30=","payload":`)), ErrSignature, "twice"},
		{"trailing data", append(bytes.Clone(good), "{}"...), ErrSignature, "one JSON document"},
		{"cut short", good[:len(good)-1], ErrSignature, "one JSON document"},
		{"empty", nil, ErrSignature, "one JSON document"},
		{"too long", append(bytes.Clone(good), bytes.Repeat([]byte(" "), MaxEnvelope)...), ErrSignature, "bytes"},
		{"an array", []byte("[]"), ErrSignature, "envelope"},

		{"signed, but no manifest", sign(t, []byte("hello"), ours), ErrManifest, "one JSON document"},
		{"signed, but not valid", sign(t, []byte(edit(t, string(payload), `"threshold":0.25`, `"threshold":7`)), ours), ErrManifest, "threshold"},
		{"signed, in a newer format", sign(t, []byte(`{"format":2}`), ours), ErrFormat, "it is 2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := Verify(test.data, trusted)
			if test.kind == nil {
				if err != nil || m.Name != "tiny" {
					t.Fatalf("%+v, %v", m, err)
				}
				return
			}
			wants(t, err, test.kind, test.says)
		})
	}
	t.Run("no key is trusted", func(t *testing.T) {
		_, err := Verify(good, nil)
		wants(t, err, ErrUntrusted, "0 keys")
	})
	t.Run("a trusted key that is none", func(t *testing.T) {
		_, err := Verify(good, []ed25519.PublicKey{nil, {1, 2, 3}})
		wants(t, err, ErrUntrusted, "2 keys")
	})
	t.Run("a signature over the bare payload", func(t *testing.T) {
		_, err := Verify(with(func(e *dsse) {
			e.Signatures[0].Sig = encodeBase64(ed25519.Sign(ours, payload))
		}), trusted)
		wants(t, err, ErrSignature, "does not fit")
	})
}

// FuzzVerify gives Verify envelopes, and the payload of one signed: what it accepts must be valid and the same again.
func FuzzVerify(f *testing.F) {
	key := testKey(f, 1)
	trusted := []ed25519.PublicKey{publicOf(key)}
	payload := encodeJSON(f, tiny(f))
	good := sign(f, payload, key)
	f.Add(good, false)
	f.Add(sign(f, payload, testKey(f, 2), key), false)
	f.Add([]byte(`{"payloadType":"`+PayloadType+`","payload":"e30=","signatures":[{"sig":"AAAA"}]}`), false)
	f.Add(payload, true)
	f.Add([]byte(`{"format":1,"features":[],"golden":[{"values":[null],"margin":0}],"baseline":{}}`), true)
	f.Add([]byte(`{"format":9}`), true)
	f.Fuzz(func(t *testing.T, data []byte, signed bool) {
		if signed {
			data = sign(t, data, key)
		}
		m, err := Verify(data, trusted)
		if err != nil {
			for _, kind := range []error{ErrSignature, ErrUntrusted, ErrManifest, ErrFormat} {
				if errors.Is(err, kind) {
					return
				}
			}
			t.Fatalf("error of no kind: %v", err)
		}
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
		again, err := Sign(m, key)
		if err != nil && !strings.Contains(err.Error(), "bytes, more than") { // escapes can make it longer
			t.Fatal(err)
		}
		if err == nil {
			if _, err := Verify(again, trusted); err != nil {
				t.Fatal(err)
			}
		}
	})
}
