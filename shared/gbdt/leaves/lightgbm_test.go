package leaves

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"edgepdm/shared/gbdt"
	"edgepdm/test/must"
)

// lightModels returns the LightGBM model files that stand in the repository.
func lightModels(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*", "model.txt"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d models, %v", len(files), err)
	}
	return files
}

// TestLightGBM holds every model against the LightGBM that wrote it: margins to the last bit of float32, predictions as
// near as a float32 margin allows.
func TestLightGBM(t *testing.T) {
	rows := readTable(t, filepath.Join("testdata", "X.csv"))
	for _, file := range lightModels(t) {
		folder := filepath.Dir(file)
		name := filepath.Base(folder)
		t.Run(name, func(t *testing.T) {
			data, err := gbdt.ReadFile(file)
			must.OK(t, err)
			m, err := ParseLightGBM(data, gbdt.DefaultLimits())
			if reason, refused := refusedKinds[kindOf(name)]; refused {
				if !errors.Is(err, gbdt.ErrUnsupported) || !strings.Contains(err.Error(), reason) {
					t.Fatalf("%v, want %q", err, reason)
				}
				return
			}
			must.OK(t, err)
			margins, predictions := readTable(t, filepath.Join(folder, "margin.csv")), readTable(t, filepath.Join(folder, "pred.csv"))
			scorer := m.NewScorer()
			for i, row := range rows {
				margin, err := scorer.Margin(nil, toFloat32(row))
				must.OK(t, err)
				prediction := scorer.Predict(nil, margin)
				if len(margin) != len(margins[i]) || len(prediction) != len(predictions[i]) {
					t.Fatalf("row %d: margins %v, predictions %v", i, margin, prediction)
				}
				for k, want := range margins[i] {
					if kindOf(name) == "rf" {
						want /= float64(m.NumTrees)
					}
					if margin[k] != float32(want) {
						t.Errorf("row %d: margin %v, LightGBM gives %v", i, margin, margins[i])
					}
					if want := predictions[i][k]; math.Abs(float64(prediction[k])-want) > 1e-6*math.Abs(want) {
						t.Errorf("row %d: prediction %v, LightGBM gives %v", i, prediction, predictions[i])
					}
				}
			}
		})
	}
}

// refusedKinds are the cases that are sound and refused.
var refusedKinds = map[string]string{
	"categorical": "tree 0: unsupported model for leaves: it has categorical splits",
	"linear":      "tree 0: unsupported model for leaves: it is a linear tree",
}

// kindOf returns the case of a folder, which is named after the release and it.
func kindOf(folder string) string {
	_, kind, _ := strings.Cut(folder, "-")
	return kind
}

// TestLightGBMFacts wants what the file says.
func TestLightGBMFacts(t *testing.T) {
	m := parseFile(t, "4.7.0-binary")
	m.ensembles = nil
	want := Model{
		Format: "lightgbm-v4", Objective: "binary sigmoid:1", NumFeature: 4, FeatureNames: []string{"pressure", "flow", "load", "speed"},
		Outputs: 1, Predictions: 1, Probability: true, NumTrees: 5, NumNodes: 55, MaxDepth: m.MaxDepth, divisor: 1, transform: transform{sigmoid, 1},
	}
	if fmt.Sprint(*m) != fmt.Sprint(want) || m.MaxDepth < 3 || m.MaxDepth > 5 {
		t.Errorf("got %+v\nwant %+v", *m, want)
	}
	if m := parseFile(t, "2.2.3-multiclass"); m.Format != "lightgbm-v2" || m.FeatureNames != nil || m.Outputs != 3 || m.Predictions != 3 || m.Probability {
		t.Errorf("%+v", m)
	}
	if m := parseFile(t, "4.7.0-poisson"); m.Probability {
		t.Error("poisson is no probability")
	}
}

func parseFile(t testing.TB, name string) *Model {
	t.Helper()
	data, err := gbdt.ReadFile(filepath.Join("testdata", name, "model.txt"))
	must.OK(t, err)
	m, err := ParseLightGBM(data, gbdt.DefaultLimits())
	must.OK(t, err)
	return m
}

// tinyTree is a tree over two features; NaN is missing, right at the first split and left at the second:
//
//	0: x0 <= 1.5 ? (1: x1 <= 0.25 ? leaf 0 : leaf 1) : leaf 2
const tinyTree = `num_leaves=3
num_cat=0
split_feature=0 1
split_gain=2 1
threshold=1.5 0.25
decision_type=8 10
left_child=1 -1
right_child=-3 -2
leaf_value=-1 2 4
leaf_count=3 3 3
is_linear=0
shrinkage=1
`

// lightText makes a file of trees, whose sizes it writes to the header. Parts are replaced, given as pairs of old and new.
func lightText(t testing.TB, trees []string, pairs ...string) []byte {
	t.Helper()
	var body, sizes strings.Builder
	for i, tree := range trees {
		text := "Tree=" + strconv.Itoa(i) + "\n" + tree + "\n\n"
		body.WriteString(text)
		fmt.Fprintf(&sizes, " %d", len(text))
	}
	text := "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\nobjective=binary sigmoid:1\n" +
		"feature_names=a b\nfeature_infos=[0:1] [0:1]\ntree_sizes=" + strings.TrimSpace(sizes.String()) + "\n\n" + body.String() + "end of trees\n\nparameters:\n"
	return []byte(must.Replace(t, text, pairs...))
}

// edited returns the tiny tree with a part replaced.
func edited(before, after string) []string {
	return []string{strings.Replace(tinyTree, before, after, 1)}
}

// TestMissing sends NaN and 0 where the decision type says.
func TestMissing(t *testing.T) {
	nan := math.NaN()
	for decision, want := range map[string]map[float64]float32{ // at the first split: left gives -1, right 4
		"0": {nan: -1, 0: -1, 1.5: -1, 2: 4, -9: -1}, "2": {nan: -1, 0: -1, 2: 4},
		"4": {nan: 4, 0: 4, 1.5: -1, 2: 4}, "6": {nan: -1, 0: -1, 2: 4},
		"8": {nan: 4, 0: -1, 2: 4}, "10": {nan: -1, 0: -1, 2: 4},
	} {
		m, err := ParseLightGBM(lightText(t, edited("decision_type=8", "decision_type="+decision)), gbdt.DefaultLimits())
		must.OK(t, err)
		scorer := m.NewScorer()
		for v, w := range want {
			if got, err := scorer.Margin(nil, []float32{float32(v), -1}); err != nil || got[0] != w {
				t.Errorf("decision %s, value %v: margin %v, %v, want %v", decision, v, got, err, w)
			}
		}
	}
}

// TestInfiniteThreshold scores a split that parts what is missing from all else.
func TestInfiniteThreshold(t *testing.T) {
	for text, want := range map[string]float32{"inf": -1, "-inf": 4} {
		m, err := ParseLightGBM(lightText(t, edited("threshold=1.5", "threshold="+text)), gbdt.DefaultLimits())
		must.OK(t, err)
		scorer := m.NewScorer()
		for _, v := range []float32{-math.MaxFloat32, 0, math.MaxFloat32} {
			if got, err := scorer.Margin(nil, []float32{v, 0}); err != nil || got[0] != want {
				t.Errorf("threshold %s, value %v: margin %v, %v, want %v", text, v, got, err, want)
			}
		}
		if got, err := scorer.Margin(nil, []float32{float32(math.NaN()), 0}); err != nil || got[0] != 4 {
			t.Errorf("threshold %s, missing: margin %v, %v, want 4", text, got, err)
		}
	}
}

// TestLightGBMRefused wants a sentence for each file that is not sound.
func TestLightGBMRefused(t *testing.T) {
	one := []string{tinyTree}
	ringTree := strings.Replace(tinyTree, "left_child=1 -1", "left_child=1 0", 1)
	for name, c := range map[string]struct {
		data []byte
		kind error
		text string
	}{
		"another format":       {[]byte("{}"), gbdt.ErrFormat, "not a model that LightGBM saved"},
		"JSON dump":            {[]byte(`{"name":"tree","version":"v4"}`), gbdt.ErrFormat, "not a model that LightGBM saved"},
		"only a header":        {[]byte("tree\nversion=v4\nnum_class=1\n"), gbdt.ErrInvalid, "ends in its header"},
		"version":              {lightText(t, one, "version=v4", "version=v5"), gbdt.ErrUnsupported, `"v5"`},
		"no classes":           {lightText(t, one, "num_class=1\n", ""), gbdt.ErrInvalid, "num_class"},
		"classes":              {lightText(t, one, "num_class=1", "num_class=2"), gbdt.ErrInvalid, "1 trees an iteration and 2 classes"},
		"negative":             {lightText(t, one, "max_feature_idx=1", "max_feature_idx=-1"), gbdt.ErrInvalid, "max_feature_idx"},
		"names":                {lightText(t, one, "feature_names=a b", "feature_names=a b c"), gbdt.ErrInvalid, "3 feature names for 2 features"},
		"empty name":           {lightText(t, one, "feature_names=a b", "feature_names=a "), gbdt.ErrInvalid, "feature 1 has no name"},
		"unknown key":          {lightText(t, one, "label_index=0", "magic=0"), gbdt.ErrInvalid, `no line "magic=0"`},
		"key twice":            {lightText(t, one, "label_index=0", "num_class=1"), gbdt.ErrInvalid, "num_class is there twice"},
		"objective":            {lightText(t, one, "binary sigmoid:1", "poison"), gbdt.ErrUnsupported, `objective "poison"`},
		"objective, unnamed":   {lightText(t, one, "binary sigmoid:1", "binary"), gbdt.ErrInvalid, "does not have the parameters"},
		"objective, parameter": {lightText(t, one, "sigmoid:1", "sigmund:1"), gbdt.ErrInvalid, "a parameter that LightGBM does not write"},
		"objective, sigmoid":   {lightText(t, one, "sigmoid:1", "sigmoid:-1"), gbdt.ErrInvalid, "no positive sigmoid"},
		"objective, classes":   {lightText(t, one, "binary sigmoid:1", "multiclass num_class:3"), gbdt.ErrInvalid, "with 1 outputs"},
		"objective, outputs": {
			lightText(t, []string{tinyTree, tinyTree}, "num_class=1", "num_class=2", "tree_per_iteration=1", "tree_per_iteration=2"),
			gbdt.ErrInvalid, "with 2 outputs",
		},
		"odd trees": {
			lightText(t, one, "num_class=1", "num_class=2", "tree_per_iteration=1", "tree_per_iteration=2", "binary sigmoid:1", "multiclass num_class:2"),
			gbdt.ErrInvalid, "1 trees for 2 outputs",
		},
		"no trees":       {lightText(t, nil), gbdt.ErrInvalid, "no trees"},
		"tree_sizes":     {lightText(t, one, "tree_sizes=", "tree_sizes=1"), gbdt.ErrInvalid, "tree_sizes has"},
		"tree too small": {lightText(t, one, "tree_sizes=", "tree_sizes=3 "), gbdt.ErrInvalid, "tree_sizes has"},
		"tree edited":    {lightText(t, one, "leaf_count=3 3 3\n", ""), gbdt.ErrInvalid, "does not end where"},
		"tree shifted":   {lightText(t, one, "Tree=0", "Tree=1"), gbdt.ErrInvalid, "does not stand where"},
		"tree too long":  {lightText(t, one, "leaf_count=3 3 3", "leaf_count=33 3 3"), gbdt.ErrInvalid, "does not end where"},
		"no end":         {lightText(t, one, "end of trees", "and of trees"), gbdt.ErrInvalid, "does not end after 1 trees"},

		"leaves":           {lightText(t, edited("num_leaves=3", "num_leaves=0")), gbdt.ErrInvalid, `num_leaves is "0"`},
		"many leaves":      {lightText(t, edited("num_leaves=3", "num_leaves=2000000000")), gbdt.ErrLimit, "2000000000 leaves"},
		"fewer leaves":     {lightText(t, edited("num_leaves=3", "num_leaves=2")), gbdt.ErrInvalid, "leaf_value holds 3 values, not 2"},
		"no leaves":        {lightText(t, edited("leaf_value=-1 2 4\n", "")), gbdt.ErrInvalid, "it has no leaf_value"},
		"NaN leaf":         {lightText(t, edited("leaf_value=-1", "leaf_value=nan")), gbdt.ErrInvalid, `leaf_value has "nan"`},
		"infinite leaf":    {lightText(t, edited("leaf_value=-1", "leaf_value=1e999")), gbdt.ErrInvalid, `leaf_value has "1e999"`},
		"hexadecimal leaf": {lightText(t, edited("leaf_value=-1", "leaf_value=0x1p2")), gbdt.ErrInvalid, `leaf_value has "0x1p2"`},
		"no threshold":     {lightText(t, edited("threshold=1.5 0.25", "threshold=1.5 ")), gbdt.ErrInvalid, `threshold has ""`},
		"NaN threshold":    {lightText(t, edited("threshold=1.5", "threshold=nan")), gbdt.ErrInvalid, `threshold has "nan"`},
		"feature":          {lightText(t, edited("split_feature=0 1", "split_feature=0 2")), gbdt.ErrInvalid, `split_feature has "2"`},
		"missing type 3":   {lightText(t, edited("decision_type=8", "decision_type=12")), gbdt.ErrInvalid, `decision_type has "12"`},
		"hidden category":  {lightText(t, edited("decision_type=8", "decision_type=9")), gbdt.ErrInvalid, "split 0 is categorical, and num_cat is 0"},
		"categories":       {lightText(t, edited("num_cat=0", "num_cat=1")), gbdt.ErrUnsupported, "categorical splits"},
		"odd categories":   {lightText(t, edited("num_cat=0", "num_cat=x")), gbdt.ErrInvalid, `num_cat is "x"`},
		"linear":           {lightText(t, edited("is_linear=0", "is_linear=1")), gbdt.ErrUnsupported, "linear tree"},
		"cycle":            {lightText(t, []string{ringTree}), gbdt.ErrInvalid, "split 1 has the child 0, which can be reached in another way"},
		"split twice":      {lightText(t, edited("right_child=-3", "right_child=1")), gbdt.ErrInvalid, "the child 1, which can be reached"},
		"leaf twice":       {lightText(t, edited("right_child=-3 -2", "right_child=-3 -1")), gbdt.ErrInvalid, "the child -1, which can be reached"},
		"leaf unreached":   {lightText(t, edited("left_child=1", "left_child=-1")), gbdt.ErrInvalid, "2 of 3 leaves can be reached"},
		"child too far":    {lightText(t, edited("left_child=1", "left_child=2")), gbdt.ErrInvalid, `left_child has "2"`},
		"leaf too far":     {lightText(t, edited("right_child=-3", "right_child=-4")), gbdt.ErrInvalid, `right_child has "-4"`},
		"unknown tree key": {lightText(t, edited("shrinkage=1", "magic=1")), gbdt.ErrInvalid, `no line "magic=1"`},
		"blank line":       {lightText(t, edited("is_linear=0\n", "is_linear=0\n\n")), gbdt.ErrInvalid, `no line ""`},
	} {
		m, err := ParseLightGBM(c.data, gbdt.DefaultLimits())
		if m != nil || !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, %v, want %q", name, m, err, c.text)
		}
	}
}

// TestLightGBMLimits holds each limit: the tiny model passes at it and is refused one below.
func TestLightGBMLimits(t *testing.T) {
	data := lightText(t, []string{tinyTree, tinyTree})
	tight := gbdt.Limits{FileSize: int64(len(data)), Trees: 2, Nodes: 10, Depth: 2, Features: 2, Outputs: 1}
	if _, err := ParseLightGBM(data, tight); err != nil {
		t.Fatal(err)
	}
	for name, lower := range map[string]func(l *gbdt.Limits){
		"bytes":    func(l *gbdt.Limits) { l.FileSize-- },
		"trees":    func(l *gbdt.Limits) { l.Trees-- },
		"nodes":    func(l *gbdt.Limits) { l.Nodes-- },
		"deeper":   func(l *gbdt.Limits) { l.Depth-- },
		"features": func(l *gbdt.Limits) { l.Features-- },
		"outputs":  func(l *gbdt.Limits) { l.Outputs-- },
	} {
		limits := tight
		lower(&limits)
		if _, err := ParseLightGBM(data, limits); !errors.Is(err, gbdt.ErrLimit) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTruncated refuses a file that is cut anywhere before the end of its trees.
func TestTruncated(t *testing.T) {
	data := must.Read(t, filepath.Join("testdata", "4.7.0-rank", "model.txt"))
	end := bytes.Index(data, []byte("end of trees\n")) + len("end of trees\n")
	for n := range end {
		if _, err := ParseLightGBM(data[:n], gbdt.DefaultLimits()); err == nil {
			t.Fatalf("%d of %d bytes are read", n, end)
		}
	}
	if _, err := ParseLightGBM(data[:end], gbdt.DefaultLimits()); err != nil {
		t.Error(err)
	}
}
