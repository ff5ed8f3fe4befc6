package modelstore

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// foldGolden are the rows of tinyGolden with the margins of tinyModel and of one whose second tree gives half more.
const foldGolden = "margin-0,margin-1,a,b\n-0.5,0,1,0\n-0.5,0,nan,0\n2.5,3,2,0\n4.5,5,2,\n"

func foldArchive(t *testing.T) []byte {
	t.Helper()
	return archiveOf(t, file("xgboost-model-0", tinyModel), file("xgboost-model-1", edit(t, tinyModel, "[5E-1]", "[1E0]")))
}

// The archive of a k-fold training is one model: unsigned, with a manifest beside it, and packed once more.
func TestKFoldArchives(t *testing.T) {
	archive := foldArchive(t)
	build := anyBuild()
	build.Name = "folds"
	golden := write(t, t.TempDir(), "golden.csv", []byte(foldGolden))
	path := write(t, t.TempDir(), ArchiveFile, archive)
	var again bytes.Buffer
	packed, err := Pack(&again, path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		archive []byte
		is      *Archive
	}{
		"unsigned": {archive, nil},
		"signed":   {archive, &Archive{hashOf(archive), int64(len(archive))}},
		"packed":   {again.Bytes(), &packed.Archive},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.options.AllowUnsigned = true
			b.open()
			var manifest *Manifest
			if c.is != nil {
				build.Archive = *c.is
				m, err := BuildManifest(path, golden, build)
				if err != nil {
					t.Fatal(err)
				}
				manifest = &m
			}
			taken, err := b.store.Take(b.deliver(manifest, c.archive))
			if err != nil {
				t.Fatal(err)
			}
			if err := b.store.Activate(taken); err != nil {
				t.Fatal(err)
			}
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
	path, build := write(t, t.TempDir(), ArchiveFile, foldArchive(t)), anyBuild()
	build.Name = "folds"
	for name, c := range map[string]struct {
		golden, says string
		kind         error
	}{
		"second margin wrong":    {edit(t, foldGolden, "2.5,3,", "2.5,3.5,"), "row 3: margin 3, the training XGBoost gave 3.5", ErrGolden},
		"one margin":             {tinyGolden, "row 1 has 1 margins, the model gives 2", ErrGolden},
		"second margin missing":  {edit(t, foldGolden, "2.5,3,", "2.5,,"), "row 3", ErrManifest},
		"margins and no feature": {"margin-0,margin-1\n1,2\n", "first column", ErrManifest},
	} {
		_, err := BuildManifest(path, write(t, t.TempDir(), "golden.csv", []byte(c.golden)), build)
		t.Run(name, func(t *testing.T) { wants(t, err, c.kind, c.says) })
	}
}

// A rehearsal says what a device does.
func TestRehearse(t *testing.T) {
	p := publish(t, tinyModel, "1.0.0")
	archive := write(t, t.TempDir(), "packed.tar.gz", p.archive)
	if err := Rehearse(archive, p.manifest); err != nil {
		t.Error(err)
	}
	p.manifest.Golden[1].Margin++
	wants(t, Rehearse(archive, p.manifest), ErrGolden, "row 2")
	p.manifest.Golden[1].Margin--
	p.manifest.Expires = p.manifest.Created.AddDate(-60, 0, 0)
	wants(t, Rehearse(archive, p.manifest), ErrManifest, "expires")
}
