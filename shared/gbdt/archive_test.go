package gbdt

import (
	"archive/tar"
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/must"
)

// archiveOf packs files given as pairs of name and content.
func archiveOf(t testing.TB, pairs ...string) []byte {
	t.Helper()
	var packed bytes.Buffer
	archive := tar.NewWriter(&packed)
	for i := 0; i < len(pairs); i += 2 {
		header := tar.Header{Name: pairs[i], Mode: 0o644, Size: int64(len(pairs[i+1])), Typeflag: tar.TypeReg}
		if strings.HasSuffix(pairs[i], "@") { // a link
			header = tar.Header{Name: strings.TrimSuffix(pairs[i], "@"), Linkname: pairs[i+1], Typeflag: tar.TypeSymlink}
		}
		must.OK(t, archive.WriteHeader(&header))
		if header.Typeflag == tar.TypeReg {
			if _, err := archive.Write([]byte(pairs[i+1])); err != nil {
				t.Fatal(err)
			}
		}
	}
	must.OK(t, archive.Close())
	return packed.Bytes()
}

// TestArchive has archives in which one file, or several of a k-fold training, are the model. The margin of the tiny model
// for a = 2, b = 0 is 2.5; of its other form, 3.5.
func TestArchive(t *testing.T) {
	other := must.Replace(t, tiny, `[5E-1]`, `[1.5E0]`)
	linear := must.Read(t, "testdata/3.0.5-gblinear_multi/model.json")
	for name, c := range map[string]struct {
		files []string
		want  []float32
	}{
		"SageMaker's":        {[]string{"xgboost-model", tiny}, []float32{2.5}},
		"with a dot":         {[]string{"./xgboost-model", tiny}, []float32{2.5}},
		"others beside it":   {[]string{"model.json", other, "._xgboost-model", "x", "code/inference.py", "import", "notes", "x", "xgboost-model", tiny}, []float32{2.5}},
		"another name":       {[]string{"DEMO-local", tiny, "readme.txt", "my model", ".DS_Store", other}, []float32{2.5}},
		"k-fold":             {[]string{"xgboost-model-1", other, "xgboost-model-0", tiny}, []float32{2.5, 3.5}},
		"k-fold and a whole": {[]string{"xgboost-model-0", other, "xgboost-model", tiny}, []float32{2.5}},
		"a fold alone":       {[]string{"xgboost-model-0", tiny}, []float32{2.5}},
		"a link is ignored":  {[]string{"xgboost-model@", "/etc/passwd", "mine", tiny}, []float32{2.5}},
		"JSON beside it":     {[]string{"metadata.json", `{"learner":"xgboost","learner_model":{}}`, "model.json", tiny, "report.json", `{"auc":0.9}`}, []float32{2.5}},
		"packed beside it":   {[]string{"sourcedir.tar.gz", string(zipped(archiveOf(t, "a.json", tiny))), "model.json", tiny}, []float32{2.5}},
		"in a folder":        {[]string{"1/model.json", tiny, "1/metadata.json", `{}`, "__MACOSX/1/model.json", other, ".cache/model.json", other}, []float32{2.5}},
		"named in a folder":  {[]string{"readme.txt", "x", "export/xgboost-model", tiny, "export/old.json", other}, []float32{2.5}},
		"k-fold in a folder": {[]string{"out/xgboost-model-1", other, "out/xgboost-model-0", tiny}, []float32{2.5, 3.5}},
		"gblinear too":       {[]string{"xgboost-model", tiny, "linear", string(linear)}, []float32{2.5}},
	} {
		t.Run(name, func(t *testing.T) {
			packed := archiveOf(t, c.files...)
			for _, data := range [][]byte{packed, zipped(packed)} {
				m, err := Parse(data)
				must.OK(t, err)
				if want := map[bool]string{true: "tar+json", false: "tar.gz+json"}[&data[0] == &packed[0]]; m.Format != want {
					t.Errorf("format %s, want %s", m.Format, want)
				}
				margin, err := NewScorer(m).Margin(nil, []float32{2, 0})
				if err != nil || !slices.Equal(margin, c.want) || m.Outputs != len(c.want) || m.Predictions != 1 {
					t.Errorf("margins %v of %d outputs, %v; want %v", margin, m.Outputs, err, c.want)
				}
			}
		})
	}
}

func TestArchiveRefuses(t *testing.T) {
	packed := archiveOf(t, "xgboost-model", tiny)
	damaged := zipped(packed)
	damaged[len(damaged)-6] ^= 1 // the checksum
	var many []string
	for i := range maxMembers + 1 {
		many = append(many, "f"+itoa(i), "")
	}
	var folds []string
	for i := range MaxFolds + 1 {
		folds = append(folds, "xgboost-model-"+itoa(i), tiny)
	}
	regression := must.Replace(t, tiny, "binary:logistic", "reg:squarederror")
	for name, c := range map[string]struct {
		data []byte
		want error
		text string
	}{
		"nothing in it":        {zipped(archiveOf(t)), ErrFormat, "no file that is a model"},
		"no model":             {archiveOf(t, "a", "hello", "b/c.txt", "hello", "c.json", `{"a":1}`), ErrFormat, "no file that is a model"},
		"two in folders":       {archiveOf(t, "a/xgboost-model", tiny, "b/xgboost-model", tiny), ErrFormat, `("a/xgboost-model", "b/xgboost-model"`},
		"folds in two folders": {archiveOf(t, "a/xgboost-model-0", tiny, "b/xgboost-model-1", tiny), ErrInvalid, `"b/xgboost-model-1"`},
		"a scaler beside it":   {archiveOf(t, "model.json", tiny, "scaler.pkl", "\x80\x04csklearn.preprocessing._data\nStandardScaler\n)\x81."), ErrFormat, `2 files in it could be the model ("model.json", "scaler.pkl"`},
		"two models":           {archiveOf(t, "a.json", tiny, "b.json", tiny), ErrFormat, `2 files in it could be the model ("a.json", "b.json"`},
		"no fold 0":            {archiveOf(t, "xgboost-model-1", tiny), ErrInvalid, `"xgboost-model-1" is not one of the 1`},
		"a fold lacks":         {archiveOf(t, "xgboost-model-0", tiny, "xgboost-model-2", tiny), ErrInvalid, "xgboost-model-2"},
		"odd fold":             {archiveOf(t, "xgboost-model-0", tiny, "xgboost-model-01", tiny), ErrInvalid, "xgboost-model-01"},
		"folds differ":         {archiveOf(t, "xgboost-model-0", tiny, "xgboost-model-1", regression), ErrInvalid, "fold 1 is of another kind"},
		"a fold is damaged":    {archiveOf(t, "xgboost-model-0", tiny, "xgboost-model-1", tiny[:100]), ErrInvalid, "xgboost-model-1"},
		"too many folds":       {archiveOf(t, folds...), ErrLimit, "101 models"},
		"too many members":     {archiveOf(t, many...), ErrLimit, "1024 members"},
		"twice":                {archiveOf(t, "xgboost-model", tiny, "./xgboost-model", tiny), ErrInvalid, "twice"},
		"archive in archive":   {archiveOf(t, "xgboost-model", string(zipped(packed))), ErrFormat, "packed itself"},
		"LightGBM":             {archiveOf(t, "xgboost-model", "tree\nversion=v3\n"), ErrUnsupported, "leaves"},
		"a script":             {archiveOf(t, "xgboost-model", "import xgboost"), ErrFormat, "starts with"},
		"cut short":            {zipped(packed[:len(packed)/3]), ErrInvalid, "damaged"},
		"gzip cut short":       {zipped(packed)[:200], ErrInvalid, "damaged"},
		"checksum":             {damaged, ErrInvalid, "checksum"},
		"gzip of gzip":         {zipped(zipped([]byte(tiny))), ErrFormat, "packed once more"},
		"gzip of text":         {zipped([]byte("hello")), ErrFormat, "gzip: it starts with"},
		"R's saveRDS":          {zipped([]byte("X\n\x00\x00\x00\x03")), ErrFormat, "R's saveRDS; save the model with xgb.save"},
		"a checksum":           {append(zipped([]byte(tiny))[:len(zipped([]byte(tiny)))-8], "12345678"...), ErrInvalid, "checksum"},
		"gzip's magic only":    {[]byte{0x1f, 0x8b}, ErrInvalid, "gzip"},
		"something behind it":  {append(zipped(packed), "more"...), ErrInvalid, "damaged"},
		"header without files": {packed[:512], ErrInvalid, "damaged"},
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, c.data, c.want, c.text) })
	}
	small := DefaultLimits()
	small.Trees = 3
	if _, err := small.Parse(archiveOf(t, "xgboost-model-0", tiny, "xgboost-model-1", tiny)); !errors.Is(err, ErrLimit) {
		t.Errorf("four trees in two folds: %v", err)
	}
	small = DefaultLimits()
	small.Outputs = 1
	if _, err := small.Parse(archiveOf(t, "xgboost-model-0", tiny, "xgboost-model-1", tiny)); !errors.Is(err, ErrLimit) {
		t.Errorf("two outputs in two folds: %v", err)
	}
}

// TestArchiveBomb has files of nothing but zeros, which gzip shrinks to a thousandth.
func TestArchiveBomb(t *testing.T) {
	for name, files := range map[string][]string{
		"the model":   {"xgboost-model", strings.Repeat("\x00", 4<<20)},
		"beside it":   {"xgboost-model", tiny, "notes", strings.Repeat("\x00", 4<<20)},
		"in a folder": {"xgboost-model", tiny, "code/data", strings.Repeat("\x00", 4<<20)},
	} {
		data := zipped(archiveOf(t, files...))
		before := allocated()
		m, err := Parse(data)
		used := allocated() - before
		if m != nil || !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "unpacks to more") {
			t.Errorf("%s: %v, %v", name, m, err)
		}
		if used > 6<<20 { // 1.3 MB may be unpacked; io.ReadAll grows its buffer by quarters
			t.Errorf("%s: %d bytes allocated for an archive of %d", name, used, len(data))
		}
	}
}

// TestFoldsVote has three folds whose classes are counted; of two that come equally often the smaller wins.
func TestFoldsVote(t *testing.T) {
	fold := parseTiny(t, `binary:logistic`, `multi:softmax`, `"num_class":"0"`, `"num_class":"3"`, `"tree_info":[0,0]`, `"tree_info":[0,1]`)
	m, err := newFolds([]*Model{fold, fold, fold, fold}, DefaultLimits())
	must.OK(t, err)
	for _, c := range []struct {
		classes [4]int
		want    float32
	}{{[4]int{2, 2, 1, 0}, 2}, {[4]int{2, 1, 2, 1}, 1}, {[4]int{2, 1, 0, 1}, 1}, {[4]int{2, 2, 0, 0}, 0}, {[4]int{0, 1, 2, 2}, 2}} {
		margin := make([]float32, m.Outputs)
		for i, class := range c.classes {
			margin[3*i+class] = 1
		}
		if got := NewScorer(m).Predict(nil, margin); !slices.Equal(got, []float32{c.want}) {
			t.Errorf("votes for %v: %v, want %v", c.classes, got, c.want)
		}
	}
}

// TestPacked has what people deliver instead of a model alone: read, or refused by what it is. The scores of the same model
// are the same whatever packs it.
func TestPacked(t *testing.T) {
	first := func(t *testing.T, file string) (string, float32, error) {
		t.Helper()
		m, err := readModel(filepath.Join("testdata", "packed", file))
		if err != nil {
			return "", 0, err
		}
		margin, err := NewScorer(m).Margin(nil, make([]float32, m.NumFeature))
		must.OK(t, err)
		return m.Format, margin[0], nil
	}
	_, want, err := first(t, "plainclf.pkl")
	must.OK(t, err)
	for file, format := range map[string]string{
		"plain-3.joblib": "zlib+pickle+snapshot+ubjson", "plain-gzip.joblib": "gzip+pickle+snapshot+ubjson", "plain-bz2.joblib": "bzip2+pickle+snapshot+ubjson",
	} {
		if got, margin, err := first(t, file); err != nil || got != format || margin != want {
			t.Errorf("%s: %s, %v, %v; want %s, %v", file, got, margin, err, format, want)
		}
	}
	for file, format := range map[string]string{"alone.ubj.gz": "gzip+ubjson", "nested.tar.gz": "tar.gz+ubjson", "side.tar.gz": "tar.gz+ubjson"} {
		if got, _, err := first(t, file); err != nil || got != format {
			t.Errorf("%s: %s, %v; want %s", file, got, err, format)
		}
	}
	for file, text := range map[string]string{
		"lfs.pkl": "a Git LFS pointer", "plain-xz.joblib": "compressed by xz", "plain-lzma.joblib": "compressed by lzma",
		"XGBoostClassificationModel": "XGBoost4J-Spark's file",
	} {
		if _, _, err := first(t, file); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %q", file, err, text)
		}
	}
}

// TestSignatures wants files that are no models refused by what they are.
func TestSignatures(t *testing.T) {
	for _, s := range signatures {
		wantRefusal(t, []byte(s.prefix+"and more"), ErrFormat, "it looks like "+s.looks)
	}
}
