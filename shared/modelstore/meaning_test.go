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

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
)

// disguises are other envelopes with the same manifest, all of which verify.
func disguises(t *testing.T, m envelope.Manifest, key ed25519.PrivateKey) map[string][]byte {
	t.Helper()
	payload := must.JSON(t, m)
	plain := modeltest.Sign(t, payload, key)
	var spread bytes.Buffer
	must.OK(t, json.Indent(&spread, plain, "", "\t"))
	var sorted map[string]any // writes its members in alphabetical order
	must.OK(t, json.Unmarshal(payload, &sorted))
	var e modeltest.DSSE
	must.OK(t, json.Unmarshal(plain, &e))
	url := e
	url.Payload = base64.URLEncoding.EncodeToString(payload)
	url.Signatures = []modeltest.DSSESignature{{Sig: strings.NewReplacer("+", "-", "/", "_").Replace(e.Signatures[0].Sig)}}
	swapped := []byte(`{"signatures":` + string(must.JSON(t, e.Signatures)) + `,"payload":"` + e.Payload + `","payloadType":"` + envelope.PayloadType + `"}`)
	sorted["note"] = "not known to this release"
	renewed := m
	renewed.Created, renewed.Expires = m.Created.Add(time.Second), m.Expires.Add(time.Hour)
	return map[string][]byte{
		"a space":           append(bytes.Clone(plain), ' '),
		"indented":          spread.Bytes(),
		"members swapped":   swapped,
		"URL-safe":          must.JSON(t, url),
		"second signature":  modeltest.Sign(t, payload, modeltest.Key(t, 9), key),
		"manifest sorted":   modeltest.Sign(t, must.JSON(t, sorted), key),
		"manifest indented": modeltest.Sign(t, append([]byte("\n"), payload...), key),
		"other times":       modeltest.Sign(t, must.JSON(t, renewed), key),
	}
}

// M8: what was refused or rolled back does not come back in another envelope, also not after a restart.
func TestBadManifestInAnotherEnvelope(t *testing.T) {
	refusals := map[string]struct {
		bad func(t *testing.T, b *bench) modeltest.Published
		why error
	}{
		"rolled back": {func(t *testing.T, b *bench) modeltest.Published {
			b.install("1.2.0")
			if _, err := b.store.Rollback("too slow"); err != nil {
				t.Fatal(err)
			}
			return modeltest.Publish(t, modeltest.TinyModel, "1.2.0")
		}, ErrRolledBack},
		"golden row": {func(t *testing.T, b *bench) modeltest.Published {
			p := modeltest.Publish(t, modeltest.TinyModel, "1.2.0")
			p.Manifest.Golden[0].Margin = 7
			_ = b.refused(b.deliver(&p.Manifest, p.Archive), ReasonGolden, envelope.ErrGolden, "row 1")
			return p
		}, envelope.ErrGolden},
		"broken rule": {func(t *testing.T, b *bench) modeltest.Published {
			p := modeltest.Publish(t, modeltest.TinyModel, "1.2.0")
			p.Manifest.Threshold = -1
			_ = b.refused(b.deliver(&p.Manifest, p.Archive), ReasonManifest, envelope.ErrManifest, "threshold")
			return p
		}, envelope.ErrManifest},
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
				for how, sealed := range disguises(t, p.Manifest, b.key) {
					if _, err := envelope.VerifySigned(sealed, b.options.Keys); err != nil && !errors.Is(err, envelope.ErrManifest) {
						t.Fatalf("%s: %v", how, err)
					}
					_, err := b.store.Take(b.deliverRaw(sealed, p.Archive))
					if modeltest.Wants(t, err, refusal.why, ""); !errors.Is(err, ErrQuarantined) {
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
	m := modeltest.Tiny(t)
	seen := map[string]string{m.Content(): "as it was"}
	for name, change := range map[string]func(m *envelope.Manifest){
		"name": func(m *envelope.Manifest) { m.Name = "press" }, "version": func(m *envelope.Manifest) { m.Version = "1.2.1" },
		"model": func(m *envelope.Manifest) { m.Model.SHA256 = strings.Repeat("0", 64) }, "threshold": func(m *envelope.Manifest) { m.Threshold = 0.3 },
		"golden":  func(m *envelope.Manifest) { m.Golden = m.Golden[1:] },
		"archive": func(m *envelope.Manifest) { m.Archive.Size++ },
	} {
		other := m
		change(&other)
		if as, twice := seen[other.Content()]; twice {
			t.Errorf("with another %s it is %s", name, as)
		}
		seen[other.Content()] = name
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
	key := modeltest.Key(t, 9)
	b.options.Keys = []ed25519.PublicKey{modeltest.PublicOf(key)}
	b.open()
	b.active("999999999.0.0", "") // it scores on, for there is no other
	if fast, _ = b.store.Current(); b.store.Trusted(fast) {
		t.Error("trusted")
	}
	p := modeltest.Publish(t, modeltest.TinyModel, "1.1.0")
	c, err := b.store.Take(b.deliverRaw(modeltest.Sign(t, must.JSON(t, p.Manifest), key), p.Archive))
	must.OK(t, err)
	must.OK(t, b.store.Activate(c))
	if now, _ := b.store.Current(); now.Manifest.Version != "1.1.0" || !b.store.Trusted(now) {
		t.Errorf("active is %+v", now)
	}
	lower := modeltest.Publish(t, modeltest.TinyModel, "1.0.9")
	_, err = b.store.Take(b.deliverRaw(modeltest.Sign(t, must.JSON(t, lower.Manifest), key), lower.Archive))
	modeltest.Wants(t, err, ErrVersion, "1.0.9 is not above 1.1.0")
}
