package modelstore

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// disguises are other envelopes with the same manifest, all of which verify.
func disguises(t *testing.T, m Manifest, key ed25519.PrivateKey) map[string][]byte {
	t.Helper()
	payload := encodeJSON(t, m)
	plain := sign(t, payload, key)
	var spread bytes.Buffer
	if err := json.Indent(&spread, plain, "", "\t"); err != nil {
		t.Fatal(err)
	}
	var sorted map[string]any // writes its members in alphabetical order
	if err := json.Unmarshal(payload, &sorted); err != nil {
		t.Fatal(err)
	}
	var e envelope
	if err := json.Unmarshal(plain, &e); err != nil {
		t.Fatal(err)
	}
	url := e
	url.Payload = base64.URLEncoding.EncodeToString(payload)
	url.Signatures = []signature{{Sig: strings.NewReplacer("+", "-", "/", "_").Replace(e.Signatures[0].Sig)}}
	swapped := []byte(`{"signatures":` + string(encodeJSON(t, e.Signatures)) + `,"payload":"` + e.Payload + `","payloadType":"` + PayloadType + `"}`)
	sorted["note"] = "not known to this release"
	renewed := m
	renewed.Created, renewed.Expires = m.Created.Add(time.Second), m.Expires.Add(time.Hour)
	return map[string][]byte{
		"a space":           append(bytes.Clone(plain), ' '),
		"indented":          spread.Bytes(),
		"members swapped":   swapped,
		"URL-safe":          encodeJSON(t, url),
		"second signature":  sign(t, payload, testKey(t, 9), key),
		"manifest sorted":   sign(t, encodeJSON(t, sorted), key),
		"manifest indented": sign(t, append([]byte("\n"), payload...), key),
		"other times":       sign(t, encodeJSON(t, renewed), key),
	}
}

// M8: what was refused or rolled back does not come back in another envelope, also not after a restart.
func TestBadManifestInAnotherEnvelope(t *testing.T) {
	refusals := map[string]struct {
		bad func(t *testing.T, b *bench) published
		why error
	}{
		"rolled back": {func(t *testing.T, b *bench) published {
			b.install("1.2.0")
			if _, err := b.store.Rollback("too slow"); err != nil {
				t.Fatal(err)
			}
			return publish(t, tinyModel, "1.2.0")
		}, ErrRolledBack},
		"golden row": {func(t *testing.T, b *bench) published {
			p := publish(t, tinyModel, "1.2.0")
			p.manifest.Golden[0].Margin = 7
			_ = b.refused(b.deliver(&p.manifest, p.archive), ReasonGolden, ErrGolden, "row 1")
			return p
		}, ErrGolden},
		"broken rule": {func(t *testing.T, b *bench) published {
			p := publish(t, tinyModel, "1.2.0")
			p.manifest.Threshold = -1
			_ = b.refused(b.deliver(&p.manifest, p.archive), ReasonManifest, ErrManifest, "threshold")
			return p
		}, ErrManifest},
	}
	for name, refusal := range refusals {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.install("1.0.0")
			p := refusal.bad(t, b)
			for _, restarted := range []bool{false, true} {
				if restarted {
					b.open()
				}
				for how, envelope := range disguises(t, p.manifest, b.key) {
					if _, err := VerifySigned(envelope, b.options.Keys); err != nil && !errors.Is(err, ErrManifest) {
						t.Fatalf("%s: %v", how, err)
					}
					_, err := b.store.Take(b.deliverRaw(envelope, p.archive))
					if wants(t, err, refusal.why, ""); !errors.Is(err, ErrQuarantined) {
						t.Errorf("%s is tried: %v", how, err)
					}
				}
			}
			if n := len(b.store.Quarantined()); n != 1 {
				t.Errorf("%d entries", n)
			}
			b.active("1.0.0", "")
			b.install("1.3.0") // the same model under a higher version is the publisher's word against it
			b.active("1.3.0", "1.0.0")
		})
	}
}

// A manifest that says something else is another one.
func TestContentTellsManifestsApart(t *testing.T) {
	m := tiny(t)
	seen := map[string]string{m.content(): "as it was"}
	for name, change := range map[string]func(m *Manifest){
		"name": func(m *Manifest) { m.Name = "press" }, "version": func(m *Manifest) { m.Version = "1.2.1" },
		"model": func(m *Manifest) { m.Model.SHA256 = strings.Repeat("0", 64) }, "threshold": func(m *Manifest) { m.Threshold = 0.3 },
		"golden":  func(m *Manifest) { m.Golden = m.Golden[1:] },
		"archive": func(m *Manifest) { m.Archive.Size++ },
	} {
		other := m
		change(&other)
		if as, twice := seen[other.content()]; twice {
			t.Errorf("with another %s it is %s", name, as)
		}
		seen[other.content()] = name
	}
}

// A version that a lost key signed bounds nothing that a trusted key signs, and is told to be trusted no more.
func TestAModelWhoseKeyIsTrustedNoMore(t *testing.T) {
	b := newBench(t)
	b.install("999999999.0.0")
	fast, _ := b.store.Current()
	if !b.store.Trusted(fast) {
		t.Error("not trusted")
	}
	key := testKey(t, 9)
	b.options.Keys = []ed25519.PublicKey{publicOf(key)}
	b.open()
	b.active("999999999.0.0", "") // it scores on, for there is no other
	if fast, _ = b.store.Current(); b.store.Trusted(fast) {
		t.Error("trusted")
	}
	p := publish(t, tinyModel, "1.1.0")
	c, err := b.store.Take(b.deliverRaw(sign(t, encodeJSON(t, p.manifest), key), p.archive))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.store.Activate(c); err != nil {
		t.Fatal(err)
	}
	if now, _ := b.store.Current(); now.Manifest.Version != "1.1.0" || !b.store.Trusted(now) {
		t.Errorf("active is %+v", now)
	}
	lower := publish(t, tinyModel, "1.0.9")
	_, err = b.store.Take(b.deliverRaw(sign(t, encodeJSON(t, lower.manifest), key), lower.archive))
	wants(t, err, ErrVersion, "1.0.9 is not above 1.1.0")
}
