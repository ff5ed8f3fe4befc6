package modelstore

import (
	"archive/tar"
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/shared/archive"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
)

// TestTakeRefuses has, for each thing that can be wrong, the reason that is given, and whether it is final.
func TestTakeRefuses(t *testing.T) {
	good := modeltest.Publish(t, modeltest.TinyModel, "1.2.0")
	other := modeltest.Publish(t, must.Replace(t, modeltest.TinyModel, "4E0", "4E0 "), "1.2.0") // another file, the same margins
	// described returns a delivery whose manifest describes the archive, so that only what is in it is wrong.
	described := func(b *bench, archive []byte, change func(m *envelope.Manifest)) inbox.Delivery {
		m := good.Manifest
		m.Archive = envelope.Archive{SHA256: envelope.HashOf(archive), Size: int64(len(archive))}
		if change != nil {
			change(&m)
		}
		return b.deliver(&m, archive)
	}
	manifest := func(change func(m *envelope.Manifest)) func(b *bench) inbox.Delivery {
		return func(b *bench) inbox.Delivery {
			m := good.Manifest
			m.Golden = slices.Clone(m.Golden)
			change(&m)
			return b.deliver(&m, good.Archive)
		}
	}
	withModel := func(name, model string) func(b *bench) inbox.Delivery {
		return func(b *bench) inbox.Delivery {
			return described(b, modeltest.ArchiveOf(t, modeltest.File(name, model)), func(m *envelope.Manifest) {
				m.Model = envelope.ModelFile{File: name, SHA256: envelope.HashOf([]byte(model)), Size: int64(len(model))}
			})
		}
	}
	inside := func(entries ...modeltest.Entry) func(b *bench) inbox.Delivery {
		return func(b *bench) inbox.Delivery { return described(b, modeltest.ArchiveOf(t, entries...), nil) }
	}
	raw := func(archive []byte) func(b *bench) inbox.Delivery {
		return func(b *bench) inbox.Delivery { return described(b, archive, nil) }
	}
	tests := []struct {
		name   string
		make   func(b *bench) inbox.Delivery
		reason Reason
		kind   error
		says   string
		final  bool
	}{
		{"wrong key", func(b *bench) inbox.Delivery {
			return b.deliverRaw(modeltest.Sign(t, must.JSON(t, good.Manifest), modeltest.Key(t, 9)), good.Archive)
		}, ReasonUntrusted, envelope.ErrUntrusted, "1 keys are trusted", false},
		{"tampered payload", func(b *bench) inbox.Delivery {
			envelope := modeltest.Sign(t, must.JSON(t, good.Manifest), b.key)
			at := bytes.Index(envelope, []byte(`"payload":"`)) + 100
			envelope[at] ^= 1
			return b.deliverRaw(envelope, good.Archive)
		}, ReasonSignature, envelope.ErrSignature, "does not fit", false},
		{"envelope is none", func(b *bench) inbox.Delivery { return b.deliverRaw([]byte("hello"), good.Archive) }, ReasonSignature, envelope.ErrSignature, "envelope", false},
		{"envelope is empty", func(b *bench) inbox.Delivery { return b.deliverRaw([]byte{}, good.Archive) }, ReasonSignature, envelope.ErrSignature, "envelope", false},
		{"envelope is too long", func(b *bench) inbox.Delivery {
			return b.deliverRaw(bytes.Repeat([]byte(" "), envelope.MaxEnvelope+100), good.Archive)
		}, ReasonSignature, envelope.ErrSignature, "more than", false},
		{"newer format", manifest(func(m *envelope.Manifest) { m.Format = 4 }), ReasonFormat, envelope.ErrFormat, "it is 4", false},
		{"no envelope", func(b *bench) inbox.Delivery { return b.deliver(nil, good.Archive) }, ReasonUnsigned, ErrUnsigned, "configuration does not allow", false},
		{"expired", manifest(func(m *envelope.Manifest) { m.Expires = modeltest.Time }), ReasonExpired, ErrExpired, "2026-11-23 12:00", false},
		{"lower version", manifest(func(m *envelope.Manifest) { m.Version = "0.9.9" }), ReasonVersion, ErrVersion, "0.9.9 is not above 1.0.0", false},
		{"equal version", manifest(func(m *envelope.Manifest) { m.Version, m.Threshold = "1.0.0", 0.75 }), ReasonVersion, ErrVersion, "1.0.0 is not above 1.0.0", false},
		{"another model", manifest(func(m *envelope.Manifest) { m.Name = "press" }), ReasonVersion, ErrVersion, "the active model is tiny, this one is press", false},
		{"archive cut short", func(b *bench) inbox.Delivery {
			return b.deliver(&good.Manifest, good.Archive[:len(good.Archive)-1])
		}, ReasonDelivery, ErrDelivery, "bytes, the manifest says", false},
		{"archive of another model", func(b *bench) inbox.Delivery {
			m := good.Manifest
			m.Archive.Size = int64(len(other.Archive))
			return b.deliver(&m, other.Archive)
		}, ReasonDelivery, ErrDelivery, "its SHA-256 is", false},
		{"archive is a bit wrong", func(b *bench) inbox.Delivery {
			archive := bytes.Clone(good.Archive)
			archive[len(archive)/2] ^= 4
			return b.deliver(&good.Manifest, archive)
		}, ReasonDelivery, ErrDelivery, "its SHA-256 is", false},

		{"manifest is not valid", manifest(func(m *envelope.Manifest) { m.Threshold = -1 }), ReasonManifest, envelope.ErrManifest, "threshold", true},
		{"model without its file", inside(modeltest.File("other.json", modeltest.TinyModel)), ReasonArchive, archive.ErrInvalid, "it has no model.json", true},
		{"link", inside(special(tar.TypeSymlink, "model.json", "/etc/passwd")), ReasonArchive, archive.ErrInvalid, "link", true},
		{"parent", inside(modeltest.File("../model.json", modeltest.TinyModel)), ReasonArchive, archive.ErrInvalid, "odd name", true},
		{"twice", inside(modeltest.File("model.json", modeltest.TinyModel), modeltest.File("model.json", modeltest.TinyModel)), ReasonArchive, archive.ErrInvalid, "twice", true},
		{"65 entries", inside(append(entries(64), modeltest.File("model.json", modeltest.TinyModel))...), ReasonArchive, archive.ErrInvalid, "64 members", true},
		{"signed archive is cut short", raw(good.Archive[:len(good.Archive)-20]), ReasonArchive, archive.ErrInvalid, "cut short", true},
		{"garbage behind", raw(append(bytes.Clone(good.Archive), 'x')), ReasonArchive, archive.ErrInvalid, "after the end", true},
		{"model is another one", inside(modeltest.File("model.json", modeltest.TinyModel+" ")), ReasonModel, envelope.ErrModel, "the manifest says", true},
		{"model is none", withModel("model.json", "hello"), ReasonModel, envelope.ErrModel, "unsupported model format", true},
		{"model is damaged", withModel("model.json", modeltest.TinyModel[:len(modeltest.TinyModel)-1]), ReasonModel, envelope.ErrModel, "invalid model", true},
		{"features differ", manifest(func(m *envelope.Manifest) { modeltest.WithFeatures(m, []string{"b", "a"}) }), ReasonModel, envelope.ErrModel, "feature 1", true},
		{"number of features differs", manifest(func(m *envelope.Manifest) { modeltest.WithFeatures(m, []string{"a"}) }), ReasonModel, envelope.ErrModel, "2 features", true},
		{"schema differs", manifest(func(m *envelope.Manifest) { m.Schema = strings.Repeat("0", 16) }), ReasonManifest, envelope.ErrManifest, "schema", true},
		{"objective differs", manifest(func(m *envelope.Manifest) { m.Objective = "reg:logistic" }), ReasonModel, envelope.ErrModel, "objective", true},
		{"golden row differs in the last bit", manifest(func(m *envelope.Manifest) { m.Golden[2].Margin = 2.5000002 }), ReasonGolden, envelope.ErrGolden, "row 3: margin 2.5,", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			b.install("1.0.0")
			r := b.refused(test.make(b), test.reason, test.kind, test.says)
			if r.Final != test.final {
				t.Errorf("final is %v", r.Final)
			}
			b.active("1.0.0", "")
			// The same again: what is final is not looked at again, what is not is judged again.
			deliveries, err := b.inbox.Ready()
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.store.Take(deliveries[len(deliveries)-1])
			if modeltest.Wants(t, err, test.kind, test.says); errors.Is(err, ErrQuarantined) != test.final {
				t.Errorf("again: %v", err)
			}
			if n := len(b.store.Quarantined()); n != 1 {
				t.Errorf("%d entries", n)
			}
			b.active("1.0.0", "")
			// And a good one gets through.
			b.install("1.2.0")
			b.active("1.2.0", "1.0.0")
		})
	}
}

// TestMalformedDelivery takes deliveries that Commit did not make.
func TestMalformedDelivery(t *testing.T) {
	b := newBench(t)
	p := modeltest.Publish(t, modeltest.TinyModel, "1.2.0")
	spoil := func(name, content string) inbox.Delivery {
		d := b.deliver(&p.Manifest, p.Archive)
		remove(t, d.Dir, name)
		if content != "" {
			modeltest.Write(t, filepath.Join(d.Dir, name), content, nil)
		}
		return d
	}
	for _, d := range []inbox.Delivery{
		spoil(inbox.ArchiveFile, ""), spoil(inbox.ArchiveFile, "in-a-folder"), spoil(envelope.EnvelopeFile, "in-a-folder"), spoil(".", ""),
	} {
		_, err := b.store.Take(d)
		var r *RefusedError
		if modeltest.Wants(t, err, ErrDelivery, ""); !errors.As(err, &r) || r.Reason != ReasonDelivery || r.Final {
			t.Errorf("%+v", err)
		}
	}
	if q := b.store.Quarantined(); len(q) != 1 { // the one envelope that could be read
		t.Errorf("quarantine %+v", q)
	}
	b.install("1.2.0") // the same manifest, whole
	b.active("1.2.0", "")
	if q := b.store.Quarantined(); len(q) != 0 {
		t.Errorf("quarantine %+v", q)
	}
}

// The active model, signed once more, is what is active: not judged, and not in quarantine.
func TestActiveSignedOnceMore(t *testing.T) {
	b := newBench(t)
	active := b.install("1.0.0")
	p := modeltest.Publish(t, modeltest.TinyModel, "1.0.0")
	p.Manifest.Created = modeltest.Time
	_, err := b.store.Take(b.deliver(&p.Manifest, p.Archive))
	modeltest.Wants(t, err, ErrActive, "already active")
	if current, ok := b.store.Current(); !ok || current.ID != active.ID || len(b.store.Quarantined()) != 0 {
		t.Errorf("active is %+v, in quarantine are %v", current, b.store.Quarantined())
	}
}
