package modelstore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/disk"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

func TestSeed(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	model := modeltest.Write(t, dir, "model.json", []byte(modeltest.TinyModel))
	m := modeltest.Tiny(t)
	m.Model.File = "another-name.json"
	manifest := modeltest.Write(t, dir, "manifest.json", must.JSON(t, m))
	seed := func(model, manifest string) Installed {
		t.Helper()
		i, err := b.store.Seed(model, manifest, nil)
		must.OK(t, err)
		return i
	}
	i := seed(model, manifest)
	if i.Origin != OriginShipped || i.Manifest.Version != "1.2.0" || i.Manifest.Model.File != "model.json" || i.Source != envelope.HashOf([]byte(modeltest.TinyModel)) {
		t.Errorf("%+v", i)
	}
	b.active("1.2.0", "")
	seed(model, manifest) // nothing changes
	b.active("1.2.0", "")

	// The component is updated and ships another model, this time without a manifest.
	newer := must.Replace(t, modeltest.TinyModel, "4E0", "8E0")
	j := seed(modeltest.Write(t, dir, "newer.json", []byte(newer)), "")
	if j.Manifest.Version != envelope.HashOf([]byte(newer))[:12] || j.Manifest.Threshold != 0.25 {
		t.Errorf("%+v", j)
	}
	b.active(j.Manifest.Version, "1.2.0")
	// It is bad; it does not come back at the next start.
	if _, err := b.store.Rollback("too slow"); err != nil {
		t.Fatal(err)
	}
	seed(filepath.Join(dir, "newer.json"), "")
	b.active("1.2.0", "")

	// A shipped model gives way to one of any name, and does not come back.
	p := modeltest.Publish(t, must.Replace(t, modeltest.TinyModel, `"edgepdm.name":"tiny"`, `"edgepdm.name":"press"`), "0.1.0")
	c, err := b.store.Take(b.deliver(&p.Manifest, p.Archive))
	must.OK(t, err)
	must.OK(t, b.store.Activate(c))
	if i := seed(model, manifest); i.Manifest.Name != "press" {
		t.Errorf("%+v", i)
	}
	b.active("0.1.0", "1.2.0")
}

// A release that ships the same model with another manifest, or the first one with any, has that manifest used: in place, so
// that there is nothing to go back to.
func TestSeedTakesANewManifest(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	older := modeltest.Write(t, dir, "older.json", []byte(must.Replace(t, modeltest.TinyModel, "4E0", "8E0")))
	model := modeltest.Write(t, dir, "model.json", []byte(modeltest.TinyModel))
	m := modeltest.Tiny(t)
	seed := func(path string, manifest *envelope.Manifest) Installed {
		t.Helper()
		described := ""
		if manifest != nil {
			described = modeltest.Write(t, t.TempDir(), "manifest.json", must.JSON(t, manifest))
		}
		_, err := b.store.Seed(path, described, nil)
		must.OK(t, err)
		b.open() // what is active is on disk
		i, _ := b.store.Current()
		if _, err := i.Load(); err != nil {
			t.Fatal(err)
		}
		return i
	}
	seed(older, nil)
	bare := seed(model, nil) // as the release before
	m.Display = map[string]envelope.Display{"a": {Name: "oil temperature", Unit: "°C"}}
	described := seed(model, &m)
	if described.Manifest.Display["a"].Name != "oil temperature" || described.Source != bare.Source || described.Ref().SHA256 != bare.Ref().SHA256 {
		t.Errorf("%+v", described)
	}
	if again := seed(model, &m); again.Accepted != described.Accepted || again.ID != described.ID {
		t.Errorf("replaced by itself: %+v", again)
	}
	if again := seed(model, nil); again.ID != described.ID {
		t.Errorf("without its manifest: %+v", again)
	}
	m.Display["a"] = envelope.Display{Name: "Öltemperatur"}
	if i := seed(model, &m); i.Manifest.Display["a"].Name != "Öltemperatur" {
		t.Errorf("%+v", i)
	}
	previous, _ := b.store.Previous()
	folders, err := os.ReadDir(b.store.path(versionsDir))
	if err != nil || len(folders) != 2 || previous.Source != envelope.HashOf(must.Read(t, older)) {
		t.Errorf("%d folders, %v; the one before is %+v", len(folders), err, previous)
	}
	m.Golden[0].Margin = 7 // a manifest that does not fit: what is there stays
	if _, err := b.store.Seed(model, modeltest.Write(t, dir, "bad.json", must.JSON(t, m)), nil); !errors.Is(err, envelope.ErrGolden) {
		t.Error(err)
	}
	if i, _ := b.store.Current(); i.Manifest.Display["a"].Name != "Öltemperatur" {
		t.Errorf("%+v", i)
	}

	// Its version keeps no model out, as before it had one.
	p := modeltest.Publish(t, modeltest.TinyModel, "0.1.0")
	c, err := b.store.Take(b.deliver(&p.Manifest, p.Archive))
	must.OK(t, err)
	must.OK(t, b.store.Activate(c))
	b.active("0.1.0", "1.2.0")
	if i := seed(model, &m); i.Manifest.Version != "0.1.0" {
		t.Errorf("%+v", i)
	}
}

func TestSeedRefuses(t *testing.T) {
	dir := t.TempDir()
	m := modeltest.Tiny(t)
	m.Golden[0].Margin = 7
	bad := modeltest.Write(t, dir, "bad.json", must.JSON(t, m))
	good := modeltest.Write(t, dir, "good.json", must.JSON(t, modeltest.Tiny(t)))
	tests := []struct {
		model, manifest string // model: content
		kind            error
		says            string
	}{
		{modeltest.TinyModel, bad, envelope.ErrGolden, "row 1"},
		{modeltest.TinyModel + " ", good, envelope.ErrModel, "its SHA-256"},
		{"hello", "", envelope.ErrModel, "unsupported"},
		{"hello", good, envelope.ErrModel, "its SHA-256"},
		{modeltest.TinyModel, modeltest.Write(t, dir, "text", []byte("hello")), envelope.ErrManifest, "JSON"},
		{modeltest.TinyModel, filepath.Join(dir, "none"), os.ErrNotExist, "none"},
	}
	for _, test := range tests {
		b := newBench(t)
		_, err := b.store.Seed(modeltest.Write(t, t.TempDir(), "model.json", []byte(test.model)), test.manifest, nil)
		modeltest.Wants(t, err, test.kind, test.says)
		b.active("", "")
		if q := b.store.Quarantined(); len(q) != 0 {
			t.Errorf("quarantine %+v", q)
		}
	}
	b := newBench(t)
	if _, err := b.store.Seed(filepath.Join(dir, "none"), "", nil); !disk.Missing(err) {
		t.Errorf("no model: %v", err)
	}
	// A signed manifest does as well as a bare one; its signature is not looked at.
	envelope := modeltest.Write(t, dir, envelope.EnvelopeFile, modeltest.Sign(t, must.JSON(t, modeltest.Tiny(t)), modeltest.Key(t, 9)))
	if _, err := b.store.Seed(modeltest.Write(t, dir, "model.json", []byte(modeltest.TinyModel)), envelope, nil); err != nil {
		t.Fatal(err)
	}
	b.active("1.2.0", "")
}

// TestShippedModel seeds and delivers the suite's own model, with golden rows that XGBoost scored.
func TestShippedModel(t *testing.T) {
	model, golden := modeltest.Shipped(need.Root(t))
	b := newBench(t)
	if _, err := b.store.Seed(model, "", nil); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	packed, err := envelope.Pack(&archive, model, filepath.Join(filepath.Dir(model), "report.md"))
	must.OK(t, err)
	build := modeltest.AnyBuild()
	build.Archive = packed.Archive
	m, err := envelope.BuildManifest(model, golden, build)
	must.OK(t, err)
	envelope, err := envelope.Sign(m, b.key)
	must.OK(t, err)
	c, err := b.store.Take(b.deliverRaw(envelope, archive.Bytes()))
	must.OK(t, err)
	must.OK(t, b.store.Activate(c))
	shippedVersion := m.Model.SHA256[:12]
	b.active("1.0.0", shippedVersion)
}

// A shipped model that the engine cannot use, as it is configured, does not take the place of the one before.
func TestSeedOfAModelThatCannotBeUsed(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	first, err := b.store.Seed(modeltest.Write(t, dir, "model.json", []byte(modeltest.TinyModel)), "", nil)
	must.OK(t, err)
	useless := errors.New("no best iteration")
	next := modeltest.Write(t, dir, "next.json", []byte(modeltest.TinyModel+"\n"))
	if _, err := b.store.Seed(next, "", func(envelope.Manifest, *gbdt.Model) error { return useless }); !errors.Is(err, useless) {
		t.Errorf("%v", err)
	}
	b.open()
	if current, ok := b.store.Current(); !ok || current.ID != first.ID {
		t.Errorf("active is %+v", current)
	}
}
