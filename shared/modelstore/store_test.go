package modelstore

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"edgepdm/shared/archive"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/modelstore/internal/disk"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
)

// bench is a store with an inbox in front of it.
type bench struct {
	t       testing.TB
	key     ed25519.PrivateKey
	inbox   inbox.Inbox
	dir     string
	options Options
	store   *Store
	log     bytes.Buffer
	count   int
}

func newBench(t testing.TB) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{t: t, key: modeltest.Key(t, 1), inbox: inbox.Inbox{Dir: filepath.Join(dir, "inbox")}, dir: filepath.Join(dir, "store")}
	b.options = Options{
		Keys: []ed25519.PublicKey{modeltest.PublicOf(b.key)}, Release: "1.0.0", Now: modeltest.Now, Log: slog.New(slog.NewTextHandler(&b.log, nil)),
	}
	b.open()
	t.Cleanup(func() { _ = b.store.Close() })
	return b
}

// open opens the store, again if it is open.
func (b *bench) open() {
	b.t.Helper()
	if b.store != nil {
		must.OK(b.t, b.store.Close())
	}
	var err error
	if b.store, err = OpenStore(b.dir, b.options); err != nil {
		b.t.Fatal(err)
	}
}

// deliver puts a delivery into the inbox; a manifest that is nil makes it unsigned.
func (b *bench) deliver(m *envelope.Manifest, archive []byte) inbox.Delivery {
	b.t.Helper()
	var envelope []byte
	if m != nil {
		payload := must.JSON(b.t, m)
		envelope = modeltest.Sign(b.t, payload, b.key)
	}
	return b.deliverRaw(envelope, archive)
}

func (b *bench) deliverRaw(sealed, archive []byte) inbox.Delivery {
	b.t.Helper()
	b.count++
	d, err := b.inbox.Begin(fmt.Sprintf("d%d", b.count))
	must.OK(b.t, err)
	if sealed != nil {
		modeltest.Write(b.t, filepath.Dir(d.Path(envelope.EnvelopeFile)), envelope.EnvelopeFile, sealed)
	}
	modeltest.Write(b.t, filepath.Dir(d.Path(inbox.ArchiveFile)), inbox.ArchiveFile, archive)
	must.OK(b.t, d.Commit())
	return *d
}

// install makes a version of the tiny model active.
func (b *bench) install(version string) Installed {
	b.t.Helper()
	p := modeltest.Publish(b.t, modeltest.TinyModel, version)
	c, err := b.store.Take(b.deliver(&p.Manifest, p.Archive))
	must.OK(b.t, err)
	must.OK(b.t, b.store.Activate(c))
	return c.Installed
}

// active checks which versions are active and previous, now and after the store was opened again, and that they load.
func (b *bench) active(current, previous string) {
	b.t.Helper()
	for range 2 {
		b.t.Helper()
		i, ok := b.store.Current()
		j, okToo := b.store.Previous()
		if ok != (current != "") || okToo != (previous != "") || i.Manifest.Version != current || j.Manifest.Version != previous {
			b.t.Fatalf("active %q, previous %q; want %q, %q", i.Manifest.Version, j.Manifest.Version, current, previous)
		}
		var want []string
		for _, i := range []Installed{i, j} {
			if i.ID == "" {
				continue
			}
			want = append(want, i.ID)
			if _, err := i.Load(); err != nil {
				b.t.Fatal(err)
			}
		}
		have, err := os.ReadDir(filepath.Join(b.dir, versionsDir))
		if err != nil && !disk.Missing(err) {
			b.t.Fatal(err)
		}
		for _, e := range have {
			if !slices.Contains(want, e.Name()) {
				b.t.Errorf("versions has %s too", e.Name())
			}
		}
		b.open()
	}
}

// refused checks that a delivery is refused, and that the quarantine says so, now and after the store was opened again.
func (b *bench) refused(d inbox.Delivery, reason Reason, kind error, says string) RefusedError {
	b.t.Helper()
	_, err := b.store.Take(d)
	modeltest.Wants(b.t, err, kind, says)
	var r *RefusedError
	if !errors.As(err, &r) || r.Reason != reason {
		b.t.Fatalf("%#v, want a RefusedError for %s", err, reason)
	}
	for range 2 {
		i := slices.IndexFunc(b.store.Quarantined(), func(e Entry) bool { return e.Source == r.Source })
		if i < 0 {
			b.t.Fatal("not in quarantine")
		}
		if e := b.store.Quarantined()[i]; e.Reason != reason || e.Final != r.Final || e.Version != r.Version || !e.Since.Equal(modeltest.Time) {
			b.t.Fatalf("in quarantine as %+v, refused as %+v", e, r)
		}
		b.open()
	}
	for _, left := range []string{stagingDir, attemptFile} {
		if _, err := os.Lstat(filepath.Join(b.dir, left)); !disk.Missing(err) {
			b.t.Errorf("%s was left behind", left)
		}
	}
	return *r
}

func TestTakeAndActivate(t *testing.T) {
	b := newBench(t)
	b.active("", "")
	p := modeltest.Publish(t, modeltest.TinyModel, "1.2.0")
	d := b.deliver(&p.Manifest, p.Archive)
	c, err := b.store.Take(d)
	must.OK(t, err)
	if c.Origin != OriginSigned || c.Key != envelope.KeyID(modeltest.PublicOf(b.key)) || !c.Accepted.Equal(modeltest.Time) || c.Ref().Version != "1.2.0" || c.Ref().SHA256 != envelope.HashOf([]byte(modeltest.TinyModel)) {
		t.Errorf("%+v", c)
	}
	if _, ok := b.store.Current(); ok {
		t.Error("active before it was activated")
	}
	for range 2 { // twice is once
		must.OK(t, b.store.Activate(c))
	}
	b.active("1.2.0", "")
	i, _ := b.store.Current()
	kept, err := os.ReadFile(filepath.Join(i.dir, envelope.EnvelopeFile))
	if err != nil || envelope.HashOf(kept) != i.Source {
		t.Errorf("envelope kept: %v", err)
	}
	_, err = b.store.Take(d)
	var r *RefusedError
	if modeltest.Wants(t, err, ErrActive, ""); !errors.As(err, &r) || r.Reason != ReasonActive || r.Version != "1.2.0" || len(b.store.Quarantined()) != 0 {
		t.Errorf("taken again: %+v", err)
	}
	b.install("1.10.0")
	b.active("1.10.0", "1.2.0")
	b.install("2.0.0")
	b.active("2.0.0", "1.10.0")
	if b.log.Len() > 0 {
		t.Errorf("log: %s", &b.log)
	}
}

// TestQuarantineLifted gives a refused version a new manifest, and then the program a new release.
func TestQuarantineLifted(t *testing.T) {
	b := newBench(t)
	good := modeltest.Publish(t, modeltest.TinyModel, "1.2.0")
	bad := good.Manifest
	bad.Golden = []envelope.GoldenRow{{Values: bad.Golden[0].Values, Margin: 7}}
	refused := b.deliver(&bad, good.Archive)
	_ = b.refused(refused, ReasonGolden, envelope.ErrGolden, "row 1")
	_, err := b.store.Take(refused)
	modeltest.Wants(t, err, ErrQuarantined, "since 2026-11-23 12:00: golden row mismatch")

	t.Run("new manifest", func(t *testing.T) {
		b.install("1.2.0")
		b.active("1.2.0", "")
		if n := len(b.store.Quarantined()); n != 1 {
			t.Errorf("%d entries: the old manifest is bad for ever", n)
		}
	})
	t.Run("new release", func(t *testing.T) {
		b.options.Release, b.options.AllowDowngrade = "1.1.0", true
		b.open()
		if _, err = b.store.Take(refused); errors.Is(err, ErrQuarantined) {
			t.Fatal("not tried again")
		}
		modeltest.Wants(t, err, envelope.ErrGolden, "row 1")
		_, err = b.store.Take(refused)
		modeltest.Wants(t, err, ErrQuarantined, "")
	})
	t.Run("key and unsigned allowed", func(t *testing.T) {
		b := newBench(t)
		signed := b.deliverRaw(modeltest.Sign(t, must.JSON(t, good.Manifest), modeltest.Key(t, 9)), good.Archive)
		_ = b.refused(signed, ReasonUntrusted, envelope.ErrUntrusted, "")
		b.options.Keys = append(b.options.Keys, modeltest.PublicOf(modeltest.Key(t, 9)))
		b.open()
		c, err := b.store.Take(signed)
		must.OK(t, err)
		must.OK(t, b.store.Activate(c))
		b.active("1.2.0", "")
		if q := b.store.Quarantined(); len(q) != 0 {
			t.Errorf("quarantine %+v", q)
		}
	})
}

func TestDowngradeAllowed(t *testing.T) {
	b := newBench(t)
	old := modeltest.Publish(t, modeltest.TinyModel, "1.0.0")
	d := b.deliver(&old.Manifest, old.Archive)
	c, err := b.store.Take(d)
	must.OK(t, err)
	must.OK(t, b.store.Activate(c))
	b.install("1.2.0")
	b.options.AllowDowngrade = true
	b.options.Now = func() time.Time { return modeltest.Time.AddDate(1, 0, 0) }
	b.open()
	b.active("1.2.0", "1.0.0")
	if c, err = b.store.Take(d); err != nil { // it is the previous one: its folder is replaced
		t.Fatal(err)
	}
	b.store.mu.Lock()
	if b.store.previous == nil || b.store.previous.ID != c.ID {
		t.Error("not the previous one")
	}
	b.store.mu.Unlock()
	must.OK(t, b.store.Activate(c))
	b.active("1.0.0", "1.2.0")
}

// TestActiveModelOutlivesItsManifest opens a store long after the manifest expired, and without the key.
func TestActiveModelOutlivesItsManifest(t *testing.T) {
	b := newBench(t)
	b.install("1.2.0")
	b.options.Keys, b.options.Now = nil, func() time.Time { return modeltest.Time.AddDate(10, 0, 0) }
	b.open()
	b.active("1.2.0", "")
}

func TestRollback(t *testing.T) {
	b := newBench(t)
	if _, err := b.store.Rollback("no reason"); !errors.Is(err, ErrNoPrevious) {
		t.Fatalf("empty store: %v", err)
	}
	b.install("1.0.0")
	if _, err := b.store.Rollback("no reason"); !errors.Is(err, ErrNoPrevious) || len(b.store.Quarantined()) != 0 {
		t.Fatalf("without a previous one: %v, %v", err, b.store.Quarantined())
	}
	b.active("1.0.0", "")
	bad := modeltest.Publish(t, modeltest.TinyModel, "1.2.0")
	d := b.deliver(&bad.Manifest, bad.Archive)
	c, err := b.store.Take(d)
	must.OK(t, err)
	must.OK(t, b.store.Activate(c))
	b.active("1.2.0", "1.0.0")
	if got, err := b.store.Rollback("latency of 80 ms"); err != nil || got.Manifest.Version != "1.0.0" {
		t.Fatalf("%s, %v", got.Manifest.Version, err)
	}
	b.active("1.0.0", "")
	if _, err := b.store.Rollback("again"); !errors.Is(err, ErrNoPrevious) {
		t.Fatalf("second rollback: %v", err)
	}
	b.active("1.0.0", "")
	b.options.Release = "2.0.0" // no release makes it good
	b.open()
	_, err = b.store.Take(d)
	modeltest.Wants(t, err, ErrQuarantined, "latency of 80 ms")
	modeltest.Wants(t, err, ErrRolledBack, "")
	b.active("1.0.0", "")
	bad.Manifest.Created = bad.Manifest.Created.Add(time.Second)
	bad.Manifest.Threshold = 0.75
	_, err = b.store.Take(b.deliver(&bad.Manifest, bad.Archive))
	modeltest.Wants(t, err, ErrRolledBack, "") // the version is taken
	corrected := modeltest.Publish(t, must.Replace(t, modeltest.TinyModel, "4E0", "4E0 "), "1.2.0")
	_, err = b.store.Take(b.deliver(&corrected.Manifest, corrected.Archive))
	modeltest.Wants(t, err, ErrRolledBack, "")
	b.install("1.2.1")
	b.active("1.2.1", "1.0.0")
}

func TestUnsigned(t *testing.T) {
	b := newBench(t)
	b.options.AllowUnsigned = true
	b.open()
	take := func(archive []byte) (Candidate, error) { return b.store.Take(b.deliver(nil, archive)) }
	nameless := must.Replace(t, modeltest.TinyModel, `"feature_names":["a","b"]`, `"feature_names":[]`, `"edgepdm.name":"tiny","edgepdm.threshold":"0.25"`, ``)
	c, err := take(modeltest.ArchiveOf(t, special(tar.TypeDir, "./", ""), modeltest.File("./xgboost-model", nameless), modeltest.File("./metrics.json", "{}")))
	must.OK(t, err)
	m := c.Manifest
	if c.Origin != OriginUnsigned || m.Version != m.Model.SHA256[:12] || m.Threshold != 0.5 || m.Name != "unsigned" || len(m.Features) != 0 || m.Schema != "" {
		t.Errorf("%+v", c)
	}
	must.OK(t, b.store.Activate(c))
	b.active(m.Version, "")
	second, err := take(modeltest.ArchiveOf(t, modeltest.File("model.json", modeltest.TinyModel)))
	must.OK(t, err)
	if m := second.Manifest; m.Threshold != 0.25 || m.Name != "tiny" || len(m.Features) != 2 {
		t.Errorf("%+v", m)
	}
	must.OK(t, b.store.Activate(second))
	b.active(second.Manifest.Version, m.Version)
	b.install("0.0.1") // a signed one has a version, and that is above none
	b.active("0.0.1", second.Manifest.Version)

	b.refused(b.deliver(nil, modeltest.ArchiveOf(t, modeltest.File("xgboost-model", "binf and so on"))), ReasonModel, envelope.ErrModel, "legacy binary")
	b.refused(b.deliver(nil, modeltest.ArchiveOf(t, modeltest.File("ä.json", modeltest.TinyModel))), ReasonArchive, archive.ErrInvalid, "odd name")
	b.refused(b.deliver(nil, modeltest.ArchiveOf(t, modeltest.File("model.json", must.Replace(t, modeltest.TinyModel, `["a","b"]`, `["a","b\u0007"]`)))), ReasonModel, envelope.ErrModel, "features")
	r := b.refused(b.deliver(nil, []byte("hello")), ReasonArchive, archive.ErrInvalid, "gzip")
	if r.Source != envelope.HashOf([]byte("hello")) || !r.Final {
		t.Errorf("%+v", r)
	}
	b.active("0.0.1", second.Manifest.Version)
}
