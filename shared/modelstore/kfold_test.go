package modelstore

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
)

// foldGolden are the rows of tinyGolden with the margins of tinyModel and of one whose second tree gives half more.
const foldGolden = "margin-0,margin-1,a,b\n-0.5,0,1,0\n-0.5,0,nan,0\n2.5,3,2,0\n4.5,5,2,\n"

func foldArchive(t *testing.T) []byte {
	t.Helper()
	return modeltest.ArchiveOf(t, modeltest.File("xgboost-model-0", modeltest.TinyModel), modeltest.File("xgboost-model-1", must.Replace(t, modeltest.TinyModel, "[5E-1]", "[1E0]")))
}

// The archive of a k-fold training is one model: unsigned, with a manifest beside it, and packed once more.
func TestKFoldArchives(t *testing.T) {
	archive := foldArchive(t)
	build := modeltest.AnyBuild()
	build.Name = "folds"
	golden := modeltest.Write(t, t.TempDir(), "golden.csv", []byte(foldGolden))
	path := modeltest.Write(t, t.TempDir(), inbox.ArchiveFile, archive)
	var again bytes.Buffer
	packed, err := envelope.Pack(&again, path)
	must.OK(t, err)
	for name, c := range map[string]struct {
		archive []byte
		is      *envelope.Archive
	}{
		"unsigned": {archive, nil},
		"signed":   {archive, &envelope.Archive{SHA256: envelope.HashOf(archive), Size: int64(len(archive))}},
		"packed":   {again.Bytes(), &packed.Archive},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.options.AllowUnsigned = true
			b.open()
			var manifest *envelope.Manifest
			if c.is != nil {
				build.Archive = *c.is
				m, err := envelope.BuildManifest(path, golden, build)
				must.OK(t, err)
				manifest = &m
			}
			taken, err := b.store.Take(b.deliver(manifest, c.archive))
			must.OK(t, err)
			must.OK(t, b.store.Activate(taken))
			b.open()
			current, _ := b.store.Current()
			model, err := current.Load()
			if err != nil || len(model.Folds) != 2 || model.Outputs != 2 {
				t.Fatalf("%+v, %v", model, err)
			}
			entries, err := os.ReadDir(filepath.Dir(current.ModelPath()))
			want := 3 // the model, its record and its envelope
			if c.is == nil {
				want = 2
			}
			if err != nil || len(entries) != want {
				t.Errorf("%d files, %v, want %d", len(entries), err, want)
			}
		})
	}
}

// Each model of a k-fold training has to give its own margin.
func TestKFoldGoldenRows(t *testing.T) {
	path, build := modeltest.Write(t, t.TempDir(), inbox.ArchiveFile, foldArchive(t)), modeltest.AnyBuild()
	build.Name = "folds"
	for name, c := range map[string]struct {
		golden, says string
		kind         error
	}{
		"second margin wrong":    {must.Replace(t, foldGolden, "2.5,3,", "2.5,3.5,"), "row 3: margin 3, the training XGBoost gave 3.5", envelope.ErrGolden},
		"one margin":             {modeltest.TinyGolden, "row 1 has 1 margins, the model gives 2", envelope.ErrGolden},
		"second margin missing":  {must.Replace(t, foldGolden, "2.5,3,", "2.5,,"), "row 3", envelope.ErrManifest},
		"margins and no feature": {"margin-0,margin-1\n1,2\n", "first column", envelope.ErrManifest},
	} {
		_, err := envelope.BuildManifest(path, modeltest.Write(t, t.TempDir(), "golden.csv", []byte(c.golden)), build)
		t.Run(name, func(t *testing.T) { modeltest.Wants(t, err, c.kind, c.says) })
	}
}

// A rehearsal says what a device does.
func TestRehearse(t *testing.T) {
	p := modeltest.Publish(t, modeltest.TinyModel, "1.0.0")
	archive := modeltest.Write(t, t.TempDir(), "packed.tar.gz", p.Archive)
	if err := Rehearse(archive, p.Manifest); err != nil {
		t.Error(err)
	}
	p.Manifest.Golden[1].Margin++
	modeltest.Wants(t, Rehearse(archive, p.Manifest), envelope.ErrGolden, "row 2")
	p.Manifest.Golden[1].Margin--
	p.Manifest.Expires = p.Manifest.Created.AddDate(-60, 0, 0)
	modeltest.Wants(t, Rehearse(archive, p.Manifest), envelope.ErrManifest, "expires")
}
