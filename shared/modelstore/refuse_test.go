package modelstore

import (
	"archive/tar"
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTakeRefuses has, for each thing that can be wrong, the reason that is given, and whether it is final.
func TestTakeRefuses(t *testing.T) {
	good := publish(t, tinyModel, "1.2.0")
	other := publish(t, edit(t, tinyModel, "4E0", "4E0 "), "1.2.0") // another file, the same margins
	// described returns a delivery whose manifest describes the archive, so that only what is in it is wrong.
	described := func(b *bench, archive []byte, change func(m *Manifest)) Delivery {
		m := good.manifest
		m.Archive = Archive{hashOf(archive), int64(len(archive))}
		if change != nil {
			change(&m)
		}
		return b.deliver(&m, archive)
	}
	manifest := func(change func(m *Manifest)) func(b *bench) Delivery {
		return func(b *bench) Delivery {
			m := good.manifest
			m.Golden = slices.Clone(m.Golden)
			change(&m)
			return b.deliver(&m, good.archive)
		}
	}
	withModel := func(name, model string) func(b *bench) Delivery {
		return func(b *bench) Delivery {
			return described(b, archiveOf(t, file(name, model)), func(m *Manifest) {
				m.Model = ModelFile{name, hashOf([]byte(model)), int64(len(model))}
			})
		}
	}
	inside := func(entries ...entry) func(b *bench) Delivery {
		return func(b *bench) Delivery { return described(b, archiveOf(t, entries...), nil) }
	}
	raw := func(archive []byte) func(b *bench) Delivery {
		return func(b *bench) Delivery { return described(b, archive, nil) }
	}
	tests := []struct {
		name   string
		make   func(b *bench) Delivery
		reason Reason
		kind   error
		says   string
		final  bool
	}{
		{"wrong key", func(b *bench) Delivery {
			return b.deliverRaw(sign(t, encodeJSON(t, good.manifest), testKey(t, 9)), good.archive)
		}, ReasonUntrusted, ErrUntrusted, "1 keys are trusted", false},
		{"tampered payload", func(b *bench) Delivery {
			envelope := sign(t, encodeJSON(t, good.manifest), b.key)
			at := bytes.Index(envelope, []byte(`"payload":"`)) + 100
			envelope[at] ^= 1
			return b.deliverRaw(envelope, good.archive)
		}, ReasonSignature, ErrSignature, "does not fit", false},
		{"envelope is none", func(b *bench) Delivery { return b.deliverRaw([]byte("hello"), good.archive) }, ReasonSignature, ErrSignature, "envelope", false},
		{"envelope is empty", func(b *bench) Delivery { return b.deliverRaw([]byte{}, good.archive) }, ReasonSignature, ErrSignature, "envelope", false},
		{"envelope is too long", func(b *bench) Delivery {
			return b.deliverRaw(bytes.Repeat([]byte(" "), MaxEnvelope+100), good.archive)
		}, ReasonSignature, ErrSignature, "more than", false},
		{"newer format", manifest(func(m *Manifest) { m.Format = 2 }), ReasonFormat, ErrFormat, "it is 2", false},
		{"no envelope", func(b *bench) Delivery { return b.deliver(nil, good.archive) }, ReasonUnsigned, ErrUnsigned, "configuration does not allow", false},
		{"expired", manifest(func(m *Manifest) { m.Expires = testTime }), ReasonExpired, ErrExpired, "2026-11-23 12:00", false},
		{"lower version", manifest(func(m *Manifest) { m.Version = "0.9.9" }), ReasonVersion, ErrVersion, "0.9.9 is not above 1.0.0", false},
		{"equal version", manifest(func(m *Manifest) { m.Version, m.Threshold = "1.0.0", 0.75 }), ReasonVersion, ErrVersion, "1.0.0 is not above 1.0.0", false},
		{"another model", manifest(func(m *Manifest) { m.Name = "press" }), ReasonVersion, ErrVersion, "the active model is tiny, this one is press", false},
		{"archive cut short", func(b *bench) Delivery {
			return b.deliver(&good.manifest, good.archive[:len(good.archive)-1])
		}, ReasonDelivery, ErrDelivery, "bytes, the manifest says", false},
		{"archive of another model", func(b *bench) Delivery {
			m := good.manifest
			m.Archive.Size = int64(len(other.archive))
			return b.deliver(&m, other.archive)
		}, ReasonDelivery, ErrDelivery, "its SHA-256 is", false},
		{"archive is a bit wrong", func(b *bench) Delivery {
			archive := bytes.Clone(good.archive)
			archive[len(archive)/2] ^= 4
			return b.deliver(&good.manifest, archive)
		}, ReasonDelivery, ErrDelivery, "its SHA-256 is", false},

		{"manifest is not valid", manifest(func(m *Manifest) { m.Threshold = -1 }), ReasonManifest, ErrManifest, "threshold", true},
		{"model without its file", inside(file("other.json", tinyModel)), ReasonArchive, ErrArchive, "it has no model.json", true},
		{"link", inside(special(tar.TypeSymlink, "model.json", "/etc/passwd")), ReasonArchive, ErrArchive, "link", true},
		{"parent", inside(file("../model.json", tinyModel)), ReasonArchive, ErrArchive, "odd name", true},
		{"twice", inside(file("model.json", tinyModel), file("model.json", tinyModel)), ReasonArchive, ErrArchive, "twice", true},
		{"65 entries", inside(append(entries(64), file("model.json", tinyModel))...), ReasonArchive, ErrArchive, "64 entries", true},
		{"signed archive is cut short", raw(good.archive[:len(good.archive)-20]), ReasonArchive, ErrArchive, "cut short", true},
		{"garbage behind", raw(append(bytes.Clone(good.archive), 'x')), ReasonArchive, ErrArchive, "after the end", true},
		{"model is another one", inside(file("model.json", tinyModel+" ")), ReasonModel, ErrModel, "the manifest says", true},
		{"model is none", withModel("model.json", "hello"), ReasonModel, ErrModel, "unsupported model format", true},
		{"model is damaged", withModel("model.json", tinyModel[:len(tinyModel)-1]), ReasonModel, ErrModel, "invalid model", true},
		{"features differ", manifest(func(m *Manifest) { withFeatures(m, []string{"b", "a"}) }), ReasonModel, ErrModel, "feature 1", true},
		{"number of features differs", manifest(func(m *Manifest) { withFeatures(m, []string{"a"}) }), ReasonModel, ErrModel, "2 features", true},
		{"schema differs", manifest(func(m *Manifest) { m.Schema = strings.Repeat("0", 16) }), ReasonManifest, ErrManifest, "schema", true},
		{"objective differs", manifest(func(m *Manifest) { m.Objective = "reg:logistic" }), ReasonModel, ErrModel, "objective", true},
		{"golden row differs in the last bit", manifest(func(m *Manifest) { m.Golden[2].Margin = 2.5000002 }), ReasonGolden, ErrGolden, "row 3: margin 2.5,", true},
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
			if wants(t, err, test.kind, test.says); errors.Is(err, ErrQuarantined) != test.final {
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
	p := publish(t, tinyModel, "1.2.0")
	spoil := func(name, content string) Delivery {
		d := b.deliver(&p.manifest, p.archive)
		remove(t, d.dir, name)
		if content != "" {
			write(t, filepath.Join(d.dir, name), content, nil)
		}
		return d
	}
	for _, d := range []Delivery{
		spoil(ArchiveFile, ""), spoil(ArchiveFile, "in-a-folder"), spoil(EnvelopeFile, "in-a-folder"), spoil(".", ""),
	} {
		_, err := b.store.Take(d)
		var r *RefusedError
		if wants(t, err, ErrDelivery, ""); !errors.As(err, &r) || r.Reason != ReasonDelivery || r.Final {
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
	p := publish(t, tinyModel, "1.0.0")
	p.manifest.Created = testTime
	_, err := b.store.Take(b.deliver(&p.manifest, p.archive))
	wants(t, err, ErrActive, "already active")
	if current, ok := b.store.Current(); !ok || current.ID != active.ID || len(b.store.Quarantined()) != 0 {
		t.Errorf("active is %+v, in quarantine are %v", current, b.store.Quarantined())
	}
}
