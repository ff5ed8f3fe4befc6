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
)

// bench is a store with an inbox in front of it.
type bench struct {
	t       testing.TB
	key     ed25519.PrivateKey
	inbox   Inbox
	dir     string
	options Options
	store   *Store
	log     bytes.Buffer
	count   int
}

func newBench(t testing.TB) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{t: t, key: testKey(t, 1), inbox: Inbox{Dir: filepath.Join(dir, "inbox")}, dir: filepath.Join(dir, "store")}
	b.options = Options{
		Keys: []ed25519.PublicKey{publicOf(b.key)}, Release: "1.0.0", Now: testNow, Log: slog.New(slog.NewTextHandler(&b.log, nil)),
	}
	b.open()
	t.Cleanup(func() { _ = b.store.Close() })
	return b
}

// open opens the store, again if it is open.
func (b *bench) open() {
	b.t.Helper()
	if b.store != nil {
		if err := b.store.Close(); err != nil {
			b.t.Fatal(err)
		}
	}
	var err error
	if b.store, err = OpenStore(b.dir, b.options); err != nil {
		b.t.Fatal(err)
	}
}

// deliver puts a delivery into the inbox; a manifest that is nil makes it unsigned.
func (b *bench) deliver(m *Manifest, archive []byte) Delivery {
	b.t.Helper()
	var envelope []byte
	if m != nil {
		payload := encodeJSON(b.t, m)
		envelope = sign(b.t, payload, b.key)
	}
	return b.deliverRaw(envelope, archive)
}

func (b *bench) deliverRaw(envelope, archive []byte) Delivery {
	b.t.Helper()
	b.count++
	return deliver(b.t, b.inbox, fmt.Sprintf("d%d", b.count), envelope, archive)
}

// install makes a version of the tiny model active.
func (b *bench) install(version string) Installed {
	b.t.Helper()
	p := publish(b.t, tinyModel, version)
	c, err := b.store.Take(b.deliver(&p.manifest, p.archive))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.store.Activate(c); err != nil {
		b.t.Fatal(err)
	}
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
		if err != nil && !missing(err) {
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
func (b *bench) refused(d Delivery, reason Reason, kind error, says string) RefusedError {
	b.t.Helper()
	_, err := b.store.Take(d)
	wants(b.t, err, kind, says)
	var r *RefusedError
	if !errors.As(err, &r) || r.Reason != reason {
		b.t.Fatalf("%#v, want a RefusedError for %s", err, reason)
	}
	for range 2 {
		i := slices.IndexFunc(b.store.Quarantined(), func(e Entry) bool { return e.Source == r.Source })
		if i < 0 {
			b.t.Fatal("not in quarantine")
		}
		if e := b.store.Quarantined()[i]; e.Reason != reason || e.Final != r.Final || e.Version != r.Version || !e.Since.Equal(testTime) {
			b.t.Fatalf("in quarantine as %+v, refused as %+v", e, r)
		}
		b.open()
	}
	for _, left := range []string{stagingDir, attemptFile} {
		if _, err := os.Lstat(filepath.Join(b.dir, left)); !missing(err) {
			b.t.Errorf("%s was left behind", left)
		}
	}
	return *r
}

func TestTakeAndActivate(t *testing.T) {
	b := newBench(t)
	b.active("", "")
	p := publish(t, tinyModel, "1.2.0")
	d := b.deliver(&p.manifest, p.archive)
	c, err := b.store.Take(d)
	if err != nil {
		t.Fatal(err)
	}
	if c.Origin != OriginSigned || c.Key != KeyID(publicOf(b.key)) || !c.Accepted.Equal(testTime) || c.Ref().Version != "1.2.0" || c.Ref().SHA256 != hashOf([]byte(tinyModel)) {
		t.Errorf("%+v", c)
	}
	if _, ok := b.store.Current(); ok {
		t.Error("active before it was activated")
	}
	for range 2 { // twice is once
		if err := b.store.Activate(c); err != nil {
			t.Fatal(err)
		}
	}
	b.active("1.2.0", "")
	i, _ := b.store.Current()
	kept, err := os.ReadFile(filepath.Join(i.dir, EnvelopeFile))
	if err != nil || hashOf(kept) != i.Source {
		t.Errorf("envelope kept: %v", err)
	}
	_, err = b.store.Take(d)
	var r *RefusedError
	if wants(t, err, ErrActive, ""); !errors.As(err, &r) || r.Reason != ReasonActive || r.Version != "1.2.0" || len(b.store.Quarantined()) != 0 {
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
	good := publish(t, tinyModel, "1.2.0")
	bad := good.manifest
	bad.Golden = []GoldenRow{{Values: bad.Golden[0].Values, Margin: 7}}
	refused := b.deliver(&bad, good.archive)
	_ = b.refused(refused, ReasonGolden, ErrGolden, "row 1")
	_, err := b.store.Take(refused)
	wants(t, err, ErrQuarantined, "since 2026-11-23 12:00: golden row mismatch")

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
		wants(t, err, ErrGolden, "row 1")
		_, err = b.store.Take(refused)
		wants(t, err, ErrQuarantined, "")
	})
	t.Run("key and unsigned allowed", func(t *testing.T) {
		b := newBench(t)
		signed := b.deliverRaw(sign(t, encodeJSON(t, good.manifest), testKey(t, 9)), good.archive)
		_ = b.refused(signed, ReasonUntrusted, ErrUntrusted, "")
		b.options.Keys = append(b.options.Keys, publicOf(testKey(t, 9)))
		b.open()
		c, err := b.store.Take(signed)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.store.Activate(c); err != nil {
			t.Fatal(err)
		}
		b.active("1.2.0", "")
		if q := b.store.Quarantined(); len(q) != 0 {
			t.Errorf("quarantine %+v", q)
		}
	})
}

func TestDowngradeAllowed(t *testing.T) {
	b := newBench(t)
	old := publish(t, tinyModel, "1.0.0")
	d := b.deliver(&old.manifest, old.archive)
	c, err := b.store.Take(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.store.Activate(c); err != nil {
		t.Fatal(err)
	}
	b.install("1.2.0")
	b.options.AllowDowngrade = true
	b.options.Now = func() time.Time { return testTime.AddDate(1, 0, 0) }
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
	if err := b.store.Activate(c); err != nil {
		t.Fatal(err)
	}
	b.active("1.0.0", "1.2.0")
}

// TestActiveModelOutlivesItsManifest opens a store long after the manifest expired, and without the key.
func TestActiveModelOutlivesItsManifest(t *testing.T) {
	b := newBench(t)
	b.install("1.2.0")
	b.options.Keys, b.options.Now = nil, func() time.Time { return testTime.AddDate(10, 0, 0) }
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
	bad := publish(t, tinyModel, "1.2.0")
	d := b.deliver(&bad.manifest, bad.archive)
	c, err := b.store.Take(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.store.Activate(c); err != nil {
		t.Fatal(err)
	}
	b.active("1.2.0", "1.0.0")
	if got, err := b.store.Rollback("latency of 80 ms"); err != nil || got.Manifest.Version != "1.0.0" {
		t.Fatalf("%s, %v", got.Manifest.Version, err)
	}
	b.active("1.0.0", "")
	if _, err := b.store.Rollback("again"); !errors.Is(err, ErrNoPrevious) {
		t.Fatalf("second roll-back: %v", err)
	}
	b.active("1.0.0", "")
	b.options.Release = "2.0.0" // no release makes it good
	b.open()
	_, err = b.store.Take(d)
	wants(t, err, ErrQuarantined, "latency of 80 ms")
	wants(t, err, ErrRolledBack, "")
	b.active("1.0.0", "")
	bad.manifest.Created = bad.manifest.Created.Add(time.Second)
	bad.manifest.Threshold = 0.75
	_, err = b.store.Take(b.deliver(&bad.manifest, bad.archive))
	wants(t, err, ErrRolledBack, "") // the version is taken
	corrected := publish(t, edit(t, tinyModel, "4E0", "4E0 "), "1.2.0")
	_, err = b.store.Take(b.deliver(&corrected.manifest, corrected.archive))
	wants(t, err, ErrRolledBack, "")
	b.install("1.2.1")
	b.active("1.2.1", "1.0.0")
}

func TestUnsigned(t *testing.T) {
	b := newBench(t)
	b.options.AllowUnsigned = true
	b.open()
	take := func(archive []byte) (Candidate, error) { return b.store.Take(b.deliver(nil, archive)) }
	nameless := edit(t, tinyModel, `"feature_names":["a","b"]`, `"feature_names":[]`, `"edgepdm.name":"tiny","edgepdm.threshold":"0.25"`, ``)
	c, err := take(archiveOf(t, special(tar.TypeDir, "./", ""), file("./xgboost-model", nameless), file("./metrics.json", "{}")))
	if err != nil {
		t.Fatal(err)
	}
	m := c.Manifest
	if c.Origin != OriginUnsigned || m.Version != m.Model.SHA256[:12] || m.Threshold != 0.5 || m.Name != "unsigned" || len(m.Features) != 0 || m.Schema != "" {
		t.Errorf("%+v", c)
	}
	if err := b.store.Activate(c); err != nil {
		t.Fatal(err)
	}
	b.active(m.Version, "")
	second, err := take(archiveOf(t, file("model.json", tinyModel)))
	if err != nil {
		t.Fatal(err)
	}
	if m := second.Manifest; m.Threshold != 0.25 || m.Name != "tiny" || len(m.Features) != 2 {
		t.Errorf("%+v", m)
	}
	if err := b.store.Activate(second); err != nil {
		t.Fatal(err)
	}
	b.active(second.Manifest.Version, m.Version)
	b.install("0.0.1") // a signed one has a version, and that is above none
	b.active("0.0.1", second.Manifest.Version)

	b.refused(b.deliver(nil, archiveOf(t, file("xgboost-model", "binf and so on"))), ReasonModel, ErrModel, "legacy binary")
	b.refused(b.deliver(nil, archiveOf(t, file("ä.json", tinyModel))), ReasonArchive, ErrArchive, "odd name")
	b.refused(b.deliver(nil, archiveOf(t, file("model.json", edit(t, tinyModel, `["a","b"]`, `["a","b\u0007"]`)))), ReasonModel, ErrModel, "features")
	r := b.refused(b.deliver(nil, []byte("hello")), ReasonArchive, ErrArchive, "gzip")
	if r.Source != hashOf([]byte("hello")) || !r.Final {
		t.Errorf("%+v", r)
	}
	b.active("0.0.1", second.Manifest.Version)
}
