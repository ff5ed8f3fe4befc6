package gbdt

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/must"
)

func TestFacts(t *testing.T) {
	for _, format := range []string{"json", "ubj"} {
		m, err := readModel("testdata/3.0.5-names/model." + format)
		must.OK(t, err)
		if want := map[string]string{"json": FormatJSON, "ubj": FormatUBJSON}[format]; m.Format != want {
			t.Errorf("format %q, want %q", m.Format, want)
		}
		if m.Version != [3]int{3, 0, 5} || m.Booster != "gbtree" || m.Objective != "binary:logistic" {
			t.Errorf("%s: version %v, booster %q, objective %q", format, m.Version, m.Booster, m.Objective)
		}
		if names := []string{"temp c", "vib_rms", "pbar", "cur", "rpm", "hum"}; m.NumFeature != 6 || !slices.Equal(m.FeatureNames, names) {
			t.Errorf("%s: %d features %q", format, m.NumFeature, m.FeatureNames)
		}
		if m.Outputs != 1 || m.Predictions != 1 || m.NumTrees != m.Iterations || m.NumTrees == 0 || m.MaxDepth == 0 || m.NumNodes <= m.NumTrees {
			t.Errorf("%s: %d outputs, %d predictions, %d trees, %d iterations, depth %d, %d nodes",
				format, m.Outputs, m.Predictions, m.NumTrees, m.Iterations, m.MaxDepth, m.NumNodes)
		}
		if m.BaseScore != "5.5583334E-1" || len(m.BaseMargin) != 1 || m.BaseMargin[0] < 0.22 || m.BaseMargin[0] > 0.23 {
			t.Errorf("%s: base score %q, margin %v", format, m.BaseScore, m.BaseMargin)
		}
		if _, ok := m.BestIteration(); ok || len(m.Attributes) != 0 {
			t.Errorf("%s: attributes %v", format, m.Attributes)
		}
	}

	m := parseTiny(t)
	if best, ok := m.BestIteration(); best != 0 || !ok || m.NumNodes != 6 || m.MaxDepth != 2 || m.Iterations != 2 {
		t.Errorf("best %d %v, %d nodes, depth %d, %d iterations", best, ok, m.NumNodes, m.MaxDepth, m.Iterations)
	}
	if want := map[string]string{"best_iteration": "0", "note": "x"}; !maps.Equal(m.Attributes, want) {
		t.Errorf("attributes %v, want %v", m.Attributes, want)
	}
	if m := parseTiny(t, `"a","b"`, `"\u00e4 \"1\"","b"`); m.FeatureNames[0] != `ä "1"` {
		t.Errorf("escaped name %q", m.FeatureNames[0])
	}
	if m := parseTiny(t, `binary:logistic`, `multi:softmax`, `"num_class":"0"`, `"num_class":"3"`); m.Outputs != 3 || m.Predictions != 1 {
		t.Errorf("softmax: %d outputs, %d predictions", m.Outputs, m.Predictions)
	}
}

// TestParseRefuses changes one thing about a sound model, or gives what is none, and wants a reason.
func TestParseRefuses(t *testing.T) {
	cases := []struct {
		name  string
		edits []string
		want  error
		text  string // in the message
	}{
		{"no version", []string{`"version":[3,0,5],`, ``}, ErrInvalid, "no version"},
		{"odd version", []string{`[3,0,5]`, `[0]`}, ErrInvalid, "version"},
		{"objective", []string{`binary:logistic`, `my:loss`}, ErrUnsupported, `"my:loss"`},
		{"expectiles", []string{`binary:logistic`, `reg:expectileerror`, `"num_target":"1"`, `"num_target":"2"`}, ErrUnsupported, "several"},
		{"booster", []string{`"name":"gbtree"`, `"name":"forest"`}, ErrUnsupported, `"forest"`},
		{"no trees for gblinear", []string{`"name":"gbtree"`, `"name":"gblinear"`}, ErrInvalid, "0 weights, 3 expected"},
		{"dart without weights", []string{`"name":"gbtree"`, `"name":"dart"`}, ErrInvalid, "weight_drop"},
		{"weight not finite", []string{`"tree_info":[0,0]`, `"tree_info":[0,0],"weight_drop":[1,Infinity]`}, ErrInvalid, "weight"},
		{"no model", []string{`"model":`, `"mode":`}, ErrInvalid, "save_config"},
		{"two learners", []string{`"version":[3,0,5]`, `"learner":{},"version":[3,0,5]`}, ErrInvalid, "twice"},
		{"no features", []string{`"num_feature":"2"`, `"num_feature":"0"`}, ErrInvalid, "num_feature"},
		{"negative count", []string{`"num_feature":"2"`, `"num_feature":"-2"`}, ErrInvalid, `"-2"`},
		{"too many features", []string{`"num_feature":"2"`, `"num_feature":"2000000"`}, ErrLimit, "2000000 features"},
		{"too many classes", []string{`"num_class":"0"`, `"num_class":"5000"`}, ErrLimit, "5000 outputs"},
		{"classes and targets", []string{`"num_class":"0"`, `"num_class":"2"`, `"num_target":"1"`, `"num_target":"2"`}, ErrInvalid, "at once"},
		{"many names", []string{`["a","b"]`, `[` + strings.Repeat(`"",`, 1<<20) + `""]`}, ErrLimit, "strings"},
		{"names", []string{`["a","b"]`, `["a"]`}, ErrInvalid, "1 feature names for 2"},
		{"base score", []string{`"5E-1"`, `"half"`}, ErrInvalid, "base_score"},
		{"base score of NaN", []string{`"5E-1"`, `"NaN"`}, ErrInvalid, "base_score"},
		{"base score out of range", []string{`"5E-1"`, `"1E0"`}, ErrInvalid, "out of range for binary:logistic"},
		{"base scores", []string{`"5E-1"`, `"[5E-1,5E-1]"`}, ErrInvalid, "2 values in base_score"},
		{"feature out of range", []string{`"split_indices":[0,0,1,`, `"split_indices":[0,0,2,`}, ErrInvalid, "feature 2 of 2"},
		{"negative feature", []string{`"split_indices":[0,0,1,`, `"split_indices":[0,0,-1,`}, ErrInvalid, "feature -1"},
		{"feature beyond any", []string{`"split_indices":[0,0,1,`, `"split_indices":[0,0,2147483647,`}, ErrLimit, "2147483647"},
		{"child out of range", []string{`"left_children":[1,-1,3,`, `"left_children":[1,-1,5,`}, ErrInvalid, "tree 0: node 2 has the children 5 and 4 of 5"},
		{"negative child", []string{`"right_children":[2,-1,4,`, `"right_children":[2,-1,-4,`}, ErrInvalid, "-4"},
		{"odd leaf", []string{`"left_children":[1,-1,3,`, `"left_children":[1,-2,3,`}, ErrInvalid, "-2"},
		{"cycle", []string{`"left_children":[1,-1,3,`, `"left_children":[1,-1,0,`}, ErrInvalid, "node 0 can be reached in two ways"},
		{"shared node", []string{`"right_children":[2,-1,4,`, `"right_children":[2,-1,3,`}, ErrInvalid, "node 3 can be reached in two ways"},
		{"NaN threshold", []string{`[1.5E0,`, `[NaN,`}, ErrInvalid, "no threshold"},
		{"infinite leaf", []string{`[5E-1]`, `[-Infinity]`}, ErrInvalid, "tree 1: leaf 0"},
		{"arrays", []string{`"default_left":[1,0,0,0,0]`, `"default_left":[1,0,0,0]`}, ErrInvalid, "differ in length"},
		{"node count", []string{`"num_nodes":"5"`, `"num_nodes":"6"`}, ErrInvalid, "6 nodes declared, 5 there"},
		{"empty tree", []string{`"left_children":[-1]`, `"left_children":[]`}, ErrInvalid, "no nodes"},
		{"tree order", []string{`"id":1`, `"id":0`}, ErrInvalid, "tree 1: id"},
		{"tree count", []string{`"num_trees":"2"`, `"num_trees":"3"`}, ErrInvalid, "3 trees declared, 2 there"},
		{"trees twice", []string{`"tree_info":[0,0],`, `"tree_info":[0,0],"trees":[{"left_children":[-1],"right_children":[-1],
			"split_indices":[0],"split_conditions":[1],"default_left":[0]}],`}, ErrInvalid, "trees stand there twice"},
		{"tree_info short", []string{`"tree_info":[0,0]`, `"tree_info":[0]`}, ErrInvalid, "tree_info"},
		{"tree_info out of range", []string{`"tree_info":[0,0]`, `"tree_info":[0,1]`}, ErrInvalid, "output 1 of 1"},
		{"rounds", []string{`[0,1,2]`, `[0,2,1]`}, ErrInvalid, "does not rise"},
		{"last round", []string{`[0,1,2]`, `[0,1,3]`}, ErrInvalid, "ends at tree 3 of 2"},
		{"category without a set", append(slices.Clone(tinyCategorical), `"categories_nodes":[0]`, `"categories_nodes":[1]`), ErrInvalid, "no categories"},
		{"category range", append(slices.Clone(tinyCategorical), `"categories_sizes":[2]`, `"categories_sizes":[3]`), ErrInvalid, "out of range"},
		{"negative category", append(slices.Clone(tinyCategorical), `"categories":[5,2]`, `"categories":[5,-2]`), ErrInvalid, "category out of range"},
		{"large category", append(slices.Clone(tinyCategorical), `"categories":[5,2]`, `"categories":[5,16777216]`), ErrInvalid, "category out of range"},
		{"vector size", append(slices.Clone(tinyVector), `,10,0,0,2,`, `,10,0,0,`), ErrInvalid, "base_weights"},
		{"vector and targets", append(slices.Clone(tinyVector), `"num_target":"2"`, `"num_target":"3"`, `"[0E0,1E0]"`, `"0"`), ErrInvalid, "2 values for 3 outputs"},
		{"vector leaf id", append(slices.Clone(tinyVector), `"base_weights":[5E-1,50]`, `"leaf_weights":[5E-1,50]`), ErrInvalid, "leaf 0 has no values"},
		{"vector leaf shared", append(slices.Clone(tinyVector), `"base_weights":[0,0,-1,10,0,0,2,20,4,40]`, `"leaf_weights":[0,0]`,
			`"right_children":[2,-1,4,-1,-1]`, `"right_children":[2,0,4,0,0]`), ErrInvalid, "of another"},
		{"wrong type", []string{`"trees":[`, `"trees":{"x":[`, `[0]}]}},`, `[0]}]}}},`}, ErrInvalid, "learner: gradient_booster: model: trees: byte"},
		{"float for an integer", []string{`"left_children":[-1]`, `"left_children":[-1.5]`}, ErrInvalid, "-1.5 is not a 32-bit integer"},
		{"large integer", []string{`"left_children":[-1]`, `"left_children":[4294967295]`}, ErrInvalid, "4294967295 is not"},
		{"large float", []string{`[5E-1]`, `[5E99]`}, ErrInvalid, "5E99"},
		{"bad number", []string{`[5E-1]`, `[5E]`}, ErrInvalid, "expected a digit"},
		{"trailing comma", []string{`["a","b"]`, `["a","b",]`}, ErrInvalid, "expected"},
		{"bad escape", []string{`["a","b"]`, `["\x","b"]`}, ErrInvalid, "bad string"},
		{"control character", []string{`["a","b"]`, "[\"a\n\",\"b\"]"}, ErrInvalid, "control"},
		{"nesting", []string{`"feature_types":[]`, `"feature_types":` + strings.Repeat("[", 100) + strings.Repeat("]", 100)}, ErrInvalid, "nest"},
		{"more after it", []string{`{"version"`, `{"version"`, `"1"}}}}`, `"1"}}}} {}`}, ErrInvalid, "nothing more"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { wantRefusal(t, []byte(must.Replace(t, tiny, c.edits...)), c.want, c.text) })
	}
}

func TestParseRefusesFormats(t *testing.T) {
	for name, c := range map[string]struct {
		data string
		want error
		text string
	}{
		"empty":                {"", ErrFormat, "empty"},
		"zip":                  {"PK\x03\x04", ErrFormat, "zip"},
		"dump_model, JSON":     {"[\n  { \"nodeid\": 0, \"leaf\": 0.5 }\n]", ErrFormat, "dump_model"},
		"dump_model, one tree": {`{ "nodeid": 0, "leaf": 0.5 }`, ErrFormat, "dump_model"},
		"dump_model, text":     {"booster[0]:\n0:leaf=0.5\n", ErrFormat, "dump_model"},
		"dump of a tree":       {"0:[f1<0.5] yes=1,no=2,missing=1\n", ErrFormat, "dump_model"},
		"base64":               {"bs64\tAAAA", ErrFormat, "base64"},
		"LightGBM":             {"tree\nversion=v4\nnum_class=1\n", ErrUnsupported, "it goes through leaves"},
		"text":                 {"hello, world, how are you", ErrFormat, `"hello, world`},
		"a brace":              {"{ ", ErrInvalid, "first brace"},
		"neither":              {"{x", ErrFormat, "neither JSON nor UBJSON"},
		"another JSON":         {`{"a": [1, 2.5, null, true, {"b": "c"}]}`, ErrInvalid, "no learner"},
		"another UBJSON":       {"{U\x01a[$U#L\x00\x00\x00\x00\x00\x00\x00\x02\x01\x02}", ErrInvalid, "no learner"},
		"many numbers":         {"{L\x00\x00\x00\x00\x00\x00\x00\x07version[$U#L\x00\x00\x00\x00\x01\x00\x00\x01" + strings.Repeat("\x00", 1<<24+1), ErrLimit, "16777216 numbers"},
		"snapshot in itself":   {`{"Model":{"Model":{}}}`, ErrInvalid, "no learner"},
		"configuration only":   {`{"learner":{"gradient_booster":{"name":"gbtree"}},"version":[1,7,4]}`, ErrInvalid, "save_config"},
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, []byte(c.data), c.want, c.text) })
	}
}

// TestParseRefusesTruncated cuts a sound file of each format at every byte, or at some 2,000 places.
func TestParseRefusesTruncated(t *testing.T) {
	files := map[string][]byte{"tiny, JSON": []byte(tiny), "tiny, UBJSON": toUBJSON(t, tiny)}
	for _, name := range committedModels(t) {
		data := must.Read(t, name)
		if len(data) < 8<<10 {
			files[name] = data
		}
	}
	for name, data := range files {
		for n := 0; n < len(data); n += 1 + len(data)/2000 {
			m, err := Parse(data[:n])
			if m != nil || !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrFormat) {
				t.Fatalf("%s: the first %d of %d bytes: %v, %v", name, n, len(data), m, err)
			}
		}
	}
}

func TestParseLimits(t *testing.T) {
	for name, limits := range map[string]func(*Limits){
		"file size":         func(l *Limits) { l.FileSize = 100 },
		"trees":             func(l *Limits) { l.Trees = 1 },
		"nodes":             func(l *Limits) { l.Nodes = 5 },
		"depth":             func(l *Limits) { l.Depth = 1 },
		"features":          func(l *Limits) { l.Features = 1 },
		"outputs":           func(l *Limits) { l.Outputs = 0 },
		"nodes of one tree": func(l *Limits) { l.Nodes = 4 },
	} {
		l := DefaultLimits()
		limits(&l)
		if m, err := l.Parse([]byte(tiny)); m != nil || !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	l := DefaultLimits()
	l.Categories = 1
	if m, err := l.Parse([]byte(must.Replace(t, tiny, tinyCategorical...))); m != nil || !errors.Is(err, ErrLimit) {
		t.Errorf("categories: %v, %v", m, err)
	}
	exact := Limits{FileSize: int64(len(tiny)), Trees: 2, Nodes: 6, Depth: 2, Features: 2, Outputs: 1}
	if _, err := exact.Parse([]byte(tiny)); err != nil {
		t.Errorf("a model at every limit: %v", err)
	}
}

// TestParseDeepTree has a tree of a thousand levels, which takes no recursion and no fast layout.
func TestParseDeepTree(t *testing.T) {
	const depth = 1000
	tree := func(each func(i int) string, leaf string) string {
		var parts []string
		for i := range depth {
			parts = append(parts, each(i), leaf)
		}
		return "[" + strings.Join(append(parts, leaf), ",") + "]"
	}
	ids := func(offset int) func(int) string {
		return func(i int) string { return itoa(2*i + offset) }
	}
	m := parseTiny(t,
		`"num_nodes":"1"`, `"num_nodes":"`+itoa(2*depth+1)+`"`,
		`"left_children":[-1]`, `"left_children":`+tree(ids(1), "-1"),
		`"right_children":[-1]`, `"right_children":`+tree(ids(2), "-1"),
		`"split_indices":[0],"split_conditions":[5E-1],"default_left":[0]`,
		`"split_indices":`+tree(func(int) string { return "0" }, "0")+`,"split_conditions":`+tree(itoa, "7E0")+
			`,"default_left":`+tree(func(int) string { return "0" }, "0"))
	if m.MaxDepth != depth || NewScorer(m).perfect != nil {
		t.Fatalf("depth %d", m.MaxDepth)
	}
	got, err := NewScorer(m).Margin(nil, []float32{2000, 0})
	if err != nil || got[0] != 2+7 {
		t.Errorf("margin %v, %v", got, err)
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "model.json")
	must.OK(t, os.WriteFile(file, []byte(tiny), 0o600))
	if data, err := ReadFile(file); err != nil || !bytes.Equal(data, []byte(tiny)) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	small := DefaultLimits()
	small.FileSize = int64(len(tiny)) - 1
	if _, err := small.ReadFile(file); !errors.Is(err, ErrLimit) {
		t.Errorf("a large file: %v", err)
	}
	if _, err := ReadFile(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := ReadFile(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
}

func wantRefusal(t *testing.T, data []byte, want error, text string) {
	t.Helper()
	m, err := Parse(data)
	if m != nil || !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, %v; want %q and %q", m, err, want, text)
	}
}
