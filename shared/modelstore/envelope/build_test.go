package envelope_test

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
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/disk"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

func TestBuildManifest(t *testing.T) {
	unnamed := []string{`"feature_names":["a","b"]`, `"feature_names":[]`}
	tests := []struct {
		name   string
		model  []string // changes of tinyModel
		golden string
		build  func(b *envelope.Build)
		kind   error
		says   string
	}{
		{name: "good", golden: modeltest.TinyGolden},
		{name: "own name and trainer", golden: modeltest.TinyGolden, build: func(b *envelope.Build) { b.Name, b.Trainer = "press", "xgboost 9" }},
		{name: "model without names", model: unnamed, golden: modeltest.TinyGolden},
		{name: "model without names, given", model: unnamed, golden: modeltest.TinyGolden, build: func(b *envelope.Build) { b.Features = []string{"a", "b"} }},
		{name: "given names differ", golden: modeltest.TinyGolden, build: func(b *envelope.Build) { b.Features = []string{"a", "c"} }, kind: envelope.ErrManifest, says: `column 3`},
		{name: "columns swapped", golden: must.Replace(t, modeltest.TinyGolden, "a,b", "b,a"), kind: envelope.ErrModel, says: "feature 1"},
		{name: "column missing", golden: "margin,a\n-0.5,1\n", kind: envelope.ErrModel, says: "2 features"},
		{name: "no margin column", golden: "a,b\n1,0\n", kind: envelope.ErrManifest, says: `first column`},
		{name: "no column", golden: "margin\n1\n", kind: envelope.ErrManifest, says: `first column`},
		{name: "no row", golden: "margin,a,b\n", kind: envelope.ErrManifest, says: "golden: 0 rows"},
		{name: "257 rows", golden: "margin,a,b\n" + strings.Repeat("-0.5,1,0\n", 257), kind: envelope.ErrManifest, says: "more than 256"},
		{name: "margin differs in the last bit", golden: must.Replace(t, modeltest.TinyGolden, "2.5,", "2.5000002,"), kind: envelope.ErrGolden, says: "row 3"},
		{name: "margin missing", golden: must.Replace(t, modeltest.TinyGolden, "2.5,", ","), kind: envelope.ErrManifest, says: "row 3"},
		{name: "infinite value", golden: must.Replace(t, modeltest.TinyGolden, "2.5,2", "2.5,inf"), kind: envelope.ErrManifest, says: "row 3"},
		{name: "too large a value", golden: must.Replace(t, modeltest.TinyGolden, "2.5,2", "2.5,1e39"), kind: envelope.ErrManifest, says: "row 3"},
		{name: "no name", model: []string{"edgepdm.name", "edgepdm.note"}, golden: modeltest.TinyGolden, kind: envelope.ErrManifest, says: "name"},
		{name: "threshold is text", model: []string{`"0.25"`, `"high"`}, golden: modeltest.TinyGolden, kind: envelope.ErrModel, says: "edgepdm.threshold"},
		{name: "bad version", golden: modeltest.TinyGolden, build: func(b *envelope.Build) { b.Version = "1" }, kind: envelope.ErrManifest, says: "version"},
		{name: "no archive", golden: modeltest.TinyGolden, build: func(b *envelope.Build) { b.Archive = envelope.Archive{} }, kind: envelope.ErrManifest, says: "archive"},
		{name: "no model", model: []string{"{", "?"}, golden: modeltest.TinyGolden, kind: envelope.ErrModel, says: "unsupported"},
		{name: "two outputs", model: []string{`"num_target":"1"`, `"num_target":"2"`, "binary:logistic", "reg:squarederror"}, golden: modeltest.TinyGolden, kind: envelope.ErrModel, says: "2 predictions a row"},
		{name: "regression", model: []string{"binary:logistic", "reg:squarederror"}, golden: modeltest.TinyGolden, kind: envelope.ErrModel, says: "reg:squarederror: a device wants the probability"},
		{name: "margins of folds", golden: must.Replace(t, modeltest.TinyGolden, "margin,a,b", "margin-0,a,b"), kind: nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir, b := t.TempDir(), modeltest.AnyBuild()
			if test.build != nil {
				test.build(&b)
			}
			m, err := envelope.BuildManifest(modeltest.Write(t, dir, "model.json", []byte(must.Replace(t, modeltest.TinyModel, test.model...))), modeltest.Write(t, dir, "golden.csv", []byte(test.golden)), b)
			if test.kind != nil {
				modeltest.Wants(t, err, test.kind, test.says)
				return
			}
			must.OK(t, err)
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
	row, err := envelope.ReadGoldenRow([]string{"0.5", "1.0000000596046448", "-8388608.5000000001"}, 1)
	if err != nil || row.Values[0] != 1 || row.Values[1] != -8388608 {
		t.Errorf("%v, %v", row, err)
	}
}

func TestBuildManifestOfShippedModel(t *testing.T) {
	model, golden := modeltest.Shipped(need.Root(t))
	m, err := envelope.BuildManifest(model, golden, modeltest.AnyBuild())
	must.OK(t, err)
	if m.Name != "simulated-compressor" || len(m.Features) != 168 || len(m.Golden) < 2 {
		t.Errorf("%s, %d features, %d golden rows", m.Name, len(m.Features), len(m.Golden))
	}
	data, err := envelope.Sign(m, modeltest.Key(t, 1))
	must.OK(t, err)
	if len(data) > 256<<10 {
		t.Errorf("envelope of %d bytes", len(data))
	}
}

func TestBuildManifestWithoutFiles(t *testing.T) {
	dir := t.TempDir()
	model := modeltest.Write(t, dir, "model.json", []byte(modeltest.TinyModel))
	if _, err := envelope.BuildManifest(filepath.Join(dir, "none"), model, modeltest.AnyBuild()); !disk.Missing(err) {
		t.Errorf("no model: %v", err)
	}
	if _, err := envelope.BuildManifest(model, filepath.Join(dir, "none"), modeltest.AnyBuild()); !disk.Missing(err) {
		t.Errorf("no golden rows: %v", err)
	}
	must.OK(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	if _, err := envelope.BuildManifest(model, filepath.Join(dir, "folder"), modeltest.AnyBuild()); err == nil {
		t.Error("a folder as golden rows")
	}
}

func TestPack(t *testing.T) {
	dir := t.TempDir()
	model, report := modeltest.Write(t, dir, "model.ubj", []byte("model")), modeltest.Write(t, dir, "report.md", []byte("fine"))
	var a, b bytes.Buffer
	packed, err := envelope.Pack(&a, model, report)
	must.OK(t, err)
	elsewhere := t.TempDir()
	must.OK(t, os.Chmod(modeltest.Write(t, elsewhere, "model.ubj", []byte("model")), 0o400))
	if _, err := envelope.Pack(&b, filepath.Join(elsewhere, "model.ubj"), report); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the same files give other bytes")
	}
	if packed.Archive.SHA256 != envelope.HashOf(a.Bytes()) || packed.Archive.Size != int64(a.Len()) {
		t.Errorf("%+v is not the archive", packed.Archive)
	}
	unzip, err := gzip.NewReader(&a)
	must.OK(t, err)
	var files []string
	err = archive.Walk(unzip, archive.Limits{Entries: 2, Bytes: 100, Strict: true}, func(m archive.Member) error {
		content, err := io.ReadAll(m)
		files = append(files, m.Name+" "+string(content))
		return err
	})
	if err != nil || !slices.Equal(files, []string{"model.ubj model", "report.md fine"}) || packed.Model != (envelope.ModelFile{"model.ubj", envelope.HashOf([]byte("model")), 5}) {
		t.Errorf("packed %q, %v, as %+v", files, err, packed.Model)
	}

	_, err = envelope.Pack(io.Discard, model, model)
	modeltest.Wants(t, err, archive.ErrInvalid, "twice")
	_, err = envelope.Pack(io.Discard, modeltest.Write(t, dir, ".model", nil))
	modeltest.Wants(t, err, archive.ErrInvalid, "plain file name")
	if _, err := envelope.Pack(io.Discard, filepath.Join(dir, "none")); !disk.Missing(err) {
		t.Errorf("no model: %v", err)
	}
	if _, err := envelope.Pack(io.Discard, dir); err == nil {
		t.Error("a folder was packed")
	}
}
