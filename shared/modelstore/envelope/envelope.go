// Package envelope says what a model is, and who says so.
//
// A Manifest has the model's hashes, its features, its threshold, and golden rows with the margins that the training XGBoost
// gave them. Sign puts it into a DSSE envelope with an Ed25519 signature, and Verify takes it out again. BuildManifest and
// Pack are for publishers: a manifest from a model file and golden rows, a model.tar.gz of the files.
package envelope

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
)

// PayloadType is the DSSE payload type of a manifest. It is under the signature, so that nothing else that the key signs
// can be passed off as a manifest.
const PayloadType = "application/vnd.edgepdm.model-manifest+json"

const (
	// MaxEnvelope bounds an envelope, in bytes: a manifest of MaxManifest in base64, and its signatures.
	MaxEnvelope = MaxManifest*4/3 + 64<<10

	maxSignatures = 16
)

// envelope is a DSSE envelope, https://github.com/secure-systems-lab/dsse/blob/v1.0.0/envelope.md
//
// It is read here and not by github.com/secure-systems-lab/go-securesystemslib: that accepts both base64 alphabets, too, but
// leaves the bounds, the payload type and repeated JSON keys to the caller, and its base64 is not strict, so that one
// signature has several spellings. It also passes over a key whose id is not the signature's keyid, an unsigned hint, and
// brings golang.org/x/crypto/ssh into the programs.
type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"` // base64
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"` // a hint, not under the signature
	Sig   string `json:"sig"`   // base64
}

// pae is DSSE's pre-authentication encoding, the bytes that are signed,
// https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md
func pae(payloadType string, payload []byte) []byte {
	b := make([]byte, 0, len(payloadType)+len(payload)+48)
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(payloadType)), 10)
	b = append(b, ' ')
	b = append(b, payloadType...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	b = append(b, ' ')
	return append(b, payload...)
}

// Sign returns the manifest in a DSSE envelope with one signature (promise M2). The manifest must be valid.
func Sign(m Manifest, key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, refuse(ErrKey, "private key has %d bytes", len(key))
	}
	payload, err := m.encode()
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope{
		PayloadType: PayloadType,
		Payload:     base64.StdEncoding.EncodeToString(payload),
		Signatures: []signature{{
			KeyID: KeyID(key.Public().(ed25519.PublicKey)),
			Sig:   base64.StdEncoding.EncodeToString(ed25519.Sign(key, pae(PayloadType, payload))),
		}},
	})
}

// Payload returns what an envelope holds, read as a device reads it. Nothing in it is verified.
func Payload(envelope []byte) ([]byte, error) {
	_, payload, err := openEnvelope(envelope)
	return payload, err
}

// Verify returns the manifest in an envelope that has a signature by one of the trusted keys; further signatures, which
// make it possible to change keys, do no harm. The error wraps ErrSignature, ErrUntrusted, ErrManifest (the signature is
// right, what was signed is not) or ErrFormat.
func Verify(data []byte, trusted []ed25519.PublicKey) (Manifest, error) {
	s, err := VerifySigned(data, trusted)
	return s.Manifest, err
}

// Signed is a manifest that a trusted key vouches for.
type Signed struct {
	Manifest Manifest
	Key      string // id of the key
	// Content is the same for two manifests that say the same of the model, whatever their envelopes, signatures, times and
	// cores are, and however their JSON is written.
	Content string
}

// VerifySigned is Verify, and tells more. With an error that wraps ErrManifest or ErrFormat, Key and Content are known.
func VerifySigned(data []byte, trusted []ed25519.PublicKey) (s Signed, err error) {
	e, payload, err := openEnvelope(data)
	if err != nil {
		return Signed{}, err
	}
	if s.Key, err = e.signer(payload, trusted); err != nil {
		return Signed{}, err
	}
	s.Manifest, err = DecodeManifest(payload)
	if s.Content = s.Manifest.Content(); s.Manifest.Format == 0 { // it cannot be read as one
		s.Content = HashOf(payload)
	}
	return s, err
}

// openEnvelope reads an envelope; nothing in it is verified yet.
func openEnvelope(data []byte) (e envelope, payload []byte, err error) {
	if len(data) > MaxEnvelope {
		return e, nil, refuse(ErrSignature, "envelope has %d bytes, more than %d", len(data), MaxEnvelope)
	}
	if err := checkJSON(data); err != nil {
		return e, nil, refuse(ErrSignature, "envelope: %v", err)
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return e, nil, refuse(ErrSignature, "envelope: %v", err)
	}
	if e.PayloadType != PayloadType {
		return e, nil, refuse(ErrSignature, "payload type %.80q, need %s", e.PayloadType, PayloadType)
	}
	if n := len(e.Signatures); n < 1 || n > maxSignatures {
		return e, nil, refuse(ErrSignature, "%d signatures, need 1 to %d", n, maxSignatures)
	}
	if payload, err = decodeBase64(e.Payload); err != nil {
		return e, nil, refuse(ErrSignature, "payload: %v", err)
	}
	return e, payload, nil
}

// signer returns the id of the trusted key that signed the payload.
func (e envelope) signer(payload []byte, trusted []ed25519.PublicKey) (string, error) {
	signed := pae(e.PayloadType, payload)
	for i, s := range e.Signatures {
		sig, err := decodeBase64(s.Sig)
		if err != nil {
			return "", refuse(ErrSignature, "signature %d: %v", i+1, err)
		}
		for _, key := range trusted { // the key id only helps people: it proves nothing
			if len(key) == ed25519.PublicKeySize && ed25519.Verify(key, signed, sig) {
				return KeyID(key), nil
			}
		}
	}
	for _, s := range e.Signatures {
		for _, key := range trusted {
			if s.KeyID == KeyID(key) {
				return "", refuse(ErrSignature, "the signature by key %s does not fit the manifest", s.KeyID)
			}
		}
	}
	return "", fmt.Errorf("%w: signed by key %.32q, %d keys are trusted", ErrUntrusted, e.Signatures[0].KeyID, len(trusted))
}

// decodeBase64 accepts both alphabets, as DSSE asks.
func decodeBase64(s string) ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err == nil {
		return raw, nil
	}
	if raw, err := base64.URLEncoding.Strict().DecodeString(s); err == nil {
		return raw, nil
	}
	return nil, fmt.Errorf("not base64")
}
