package modelstore

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/shared/archive"
	"edgepdm/shared/event"
)

func TestBuildManifest(t *testing.T) {
	unnamed := []string{`"feature_names":["a","b"]`, `"feature_names":[]`}
	tests := []struct {
		name   string
		model  []string // changes of tinyModel
		golden string
		build  func(b *Build)
		kind   error
		says   string
	}{
		{name: "good", golden: tinyGolden},
		{name: "own name and trainer", golden: tinyGolden, build: func(b *Build) { b.Name, b.Trainer = "press", "xgboost 9" }},
		{name: "model without names", model: unnamed, golden: tinyGolden},
		{name: "model without names, given", model: unnamed, golden: tinyGolden, build: func(b *Build) { b.Features = []string{"a", "b"} }},
		{name: "given names differ", golden: tinyGolden, build: func(b *Build) { b.Features = []string{"a", "c"} }, kind: ErrManifest, says: `column 3`},
		{name: "columns swapped", golden: edit(t, tinyGolden, "a,b", "b,a"), kind: ErrModel, says: "feature 1"},
		{name: "column missing", golden: "margin,a\n-0.5,1\n", kind: ErrModel, says: "2 features"},
		{name: "no margin column", golden: "a,b\n1,0\n", kind: ErrManifest, says: `first column`},
		{name: "no column", golden: "margin\n1\n", kind: ErrManifest, says: `first column`},
		{name: "no row", golden: "margin,a,b\n", kind: ErrManifest, says: "golden: 0 rows"},
		{name: "257 rows", golden: "margin,a,b\n" + strings.Repeat("-0.5,1,0\n", 257), kind: ErrManifest, says: "more than 256"},
		{name: "margin differs in the last bit", golden: edit(t, tinyGolden, "2.5,", "2.5000002,"), kind: ErrGolden, says: "row 3"},
		{name: "margin missing", golden: edit(t, tinyGolden, "2.5,", ","), kind: ErrManifest, says: "row 3"},
		{name: "infinite value", golden: edit(t, tinyGolden, "2.5,2", "2.5,inf"), kind: ErrManifest, says: "row 3"},
		{name: "too large a value", golden: edit(t, tinyGolden, "2.5,2", "2.5,1e39"), kind: ErrManifest, says: "row 3"},
		{name: "no name", model: []string{"edgepdm.name", "edgepdm.note"}, golden: tinyGolden, kind: ErrManifest, says: "name"},
		{name: "threshold is text", model: []string{`"0.25"`, `"high"`}, golden: tinyGolden, kind: ErrModel, says: "edgepdm.threshold"},
		{name: "bad version", golden: tinyGolden, build: func(b *Build) { b.Version = "1" }, kind: ErrManifest, says: "version"},
		{name: "no archive", golden: tinyGolden, build: func(b *Build) { b.Archive = Archive{} }, kind: ErrManifest, says: "archive"},
		{name: "no model", model: []string{"{", "?"}, golden: tinyGolden, kind: ErrModel, says: "unsupported"},
		{name: "two outputs", model: []string{`"num_target":"1"`, `"num_target":"2"`, "binary:logistic", "reg:squarederror"}, golden: tinyGolden, kind: ErrModel, says: "2 predictions a row"},
		{name: "regression", model: []string{"binary:logistic", "reg:squarederror"}, golden: tinyGolden, kind: ErrModel, says: "reg:squarederror: a device wants the probability"},
		{name: "margins of folds", golden: edit(t, tinyGolden, "margin,a,b", "margin-0,a,b"), kind: nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir, b := t.TempDir(), anyBuild()
			if test.build != nil {
				test.build(&b)
			}
			m, err := BuildManifest(write(t, dir, "model.json", []byte(edit(t, tinyModel, test.model...))), write(t, dir, "golden.csv", []byte(test.golden)), b)
			if test.kind != nil {
				wants(t, err, test.kind, test.says)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if b.Name == "" {
				b.Name, b.Trainer = "tiny", "xgboost 3.0.5"
			}
			if m.Name != b.Name || m.Trainer != b.Trainer || m.Threshold != 0.25 || m.Objective != "binary:logistic" || m.Model.File != "model.json" ||
				!slices.Equal(m.Features, []string{"a", "b"}) || m.Schema != event.SchemaOf(m.Features) || len(m.Golden) != 4 {
				t.Errorf("%+v", m)
			}
		})
	}
}

// TestBuildManifestOfShippedModel uses what scripts/train wrote.
// TestGoldenRowIsRoundedTwice wants numpy's float32(float("…")), which is what the golden margin was computed from.
func TestGoldenRowIsRoundedTwice(t *testing.T) {
	row, err := goldenRow([]string{"0.5", "1.0000000596046448", "-8388608.5000000001"}, 1)
	if err != nil || row.Values[0] != 1 || row.Values[1] != -8388608 {
		t.Errorf("%v, %v", row, err)
	}
}

func TestBuildManifestOfShippedModel(t *testing.T) {
	model, golden := shipped(t)
	m, err := BuildManifest(model, golden, anyBuild())
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "simulated-compressor" || len(m.Features) != 168 || len(m.Golden) < 2 {
		t.Errorf("%s, %d features, %d golden rows", m.Name, len(m.Features), len(m.Golden))
	}
	data, err := Sign(m, testKey(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 256<<10 {
		t.Errorf("envelope of %d bytes", len(data))
	}
}

func TestBuildManifestWithoutFiles(t *testing.T) {
	dir := t.TempDir()
	model := write(t, dir, "model.json", []byte(tinyModel))
	if _, err := BuildManifest(filepath.Join(dir, "none"), model, anyBuild()); !missing(err) {
		t.Errorf("no model: %v", err)
	}
	if _, err := BuildManifest(model, filepath.Join(dir, "none"), anyBuild()); !missing(err) {
		t.Errorf("no golden rows: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := BuildManifest(model, filepath.Join(dir, "folder"), anyBuild()); err == nil {
		t.Error("a folder as golden rows")
	}
}

func TestPack(t *testing.T) {
	dir := t.TempDir()
	model, report := write(t, dir, "model.ubj", []byte("model")), write(t, dir, "report.md", []byte("fine"))
	var a, b bytes.Buffer
	packed, err := Pack(&a, model, report)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	if err := os.Chmod(write(t, elsewhere, "model.ubj", []byte("model")), 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := Pack(&b, filepath.Join(elsewhere, "model.ubj"), report); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the same files give other bytes")
	}
	if packed.Archive.SHA256 != hashOf(a.Bytes()) || packed.Archive.Size != int64(a.Len()) {
		t.Errorf("%+v is not the archive", packed.Archive)
	}
	unzip, err := gzip.NewReader(&a)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	err = archive.Walk(unzip, archive.Limits{Entries: 2, Bytes: 100, Strict: true}, func(m archive.Member) error {
		content, err := io.ReadAll(m)
		files = append(files, m.Name+" "+string(content))
		return err
	})
	if err != nil || !slices.Equal(files, []string{"model.ubj model", "report.md fine"}) || packed.Model != (ModelFile{"model.ubj", hashOf([]byte("model")), 5}) {
		t.Errorf("packed %q, %v, as %+v", files, err, packed.Model)
	}

	_, err = Pack(io.Discard, model, model)
	wants(t, err, archive.ErrInvalid, "twice")
	_, err = Pack(io.Discard, write(t, dir, ".model", nil))
	wants(t, err, archive.ErrInvalid, "plain file name")
	if _, err := Pack(io.Discard, filepath.Join(dir, "none")); !missing(err) {
		t.Errorf("no model: %v", err)
	}
	if _, err := Pack(io.Discard, dir); err == nil {
		t.Error("a folder was packed")
	}
}
