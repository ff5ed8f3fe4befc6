package offline

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"edgepdm/shared/cli"
	"edgepdm/shared/gbdt"
	"edgepdm/test/must"
)

// models are those of the package that reads them, with the margins and predictions that XGBoost printed.
var models = filepath.Join("..", "..", "..", "shared", "gbdt", "testdata")

// oneColumn scores a single column x: x < 1.5 (missing right) ? -1 : 2, after one round, and 3 more after the second.
const oneColumn = `{"version":[3,0,5],"learner":{"attributes":{"best_iteration":"0"},"feature_names":["x"],
"gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_trees":"2"},"iteration_indptr":[0,1,2],"tree_info":[0,0],"trees":[
{"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[0,0,0],"split_conditions":[1.5,-1,2],"default_left":[0,0,0]},
{"left_children":[-1],"right_children":[-1],"split_indices":[0],"split_conditions":[3],"default_left":[0]}]}},
"learner_model_param":{"base_score":"0","num_feature":"1"},"objective":{"name":"reg:squarederror"}}}`

func writeModel(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.json")
	must.OK(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func score(t *testing.T, in io.Reader, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := Score(t.Context(), args, cli.Streams{In: in, Out: &out, Err: io.Discard})
	return out.String(), err
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	data := must.Read(t, filepath.Join(path...))
	return string(data)
}

// TestScoreExact wants, character by character, what XGBoost's margins and predictions were printed as.
func TestScoreExact(t *testing.T) {
	for name, header := range map[string]string{
		"3.0.5-names/model.json":           "margin,prediction",
		"1.2.1-names/model.json":           "margin,prediction",
		"3.0.5-categorical/model.ubj":      "margin,prediction",
		"3.0.5-dart_multi/model.ubj":       "margin_0,margin_1,margin_2,prediction_0,prediction_1,prediction_2",
		"3.0.5-gblinear_multi/model.json":  "margin_0,margin_1,margin_2,prediction_0,prediction_1,prediction_2",
		"3.0.5-multi_target_vec/model.ubj": "margin_0,margin_1,prediction_0,prediction_1",
		"0.72.1-early_rf/model.pkl2":       "margin,prediction",
		"0.90-dart/xgboost-model":          "margin,prediction",
		"1.0.2-count_poisson/model.pkl3":   "margin,prediction",
		"1.2.1-early_rf/model.pkl4":        "margin,prediction",
		"1.5.2-binary_hinge/xgboost-model": "margin,prediction",
		"1.5.2-binary_hinge/model.pkl5":    "margin,prediction",
		"2.1.4-gblinear_multi/model.pkl3":  "margin_0,margin_1,margin_2,prediction",
	} {
		file := filepath.Join(models, name)
		dir := filepath.Dir(file)
		want := header + "\n"
		predictions := strings.Fields(read(t, dir, "pred.csv"))
		for i, margin := range strings.Fields(read(t, dir, "margin.csv")) {
			want += margin + "," + predictions[i] + "\n"
		}
		got, err := score(t, strings.NewReader(read(t, dir, "X.csv")), "-model", file)
		if err != nil || got != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, want)
		}
	}
}

// TestScoreFolds wants the mean prediction of a k-fold archive, or the vote, in the last column.
func TestScoreFolds(t *testing.T) {
	for name, header := range map[string]string{
		"1.5.2-kfold":      "margin_0,margin_1,margin_2,prediction",
		"1.5.2-kfold_vote": "margin_0,margin_1,margin_2,margin_3,margin_4,margin_5,margin_6,margin_7,margin_8,prediction",
	} {
		dir := filepath.Join(models, name)
		out, err := score(t, strings.NewReader(read(t, dir, "X.csv")), "-model", filepath.Join(dir, "model.tar.gz"))
		must.OK(t, err)
		lines, want := strings.Fields(out), strings.Fields(read(t, dir, "pred-mean.csv"))
		if lines[0] != header || len(lines) != len(want)+1 {
			t.Fatalf("%s: header %s, %d lines", name, lines[0], len(lines))
		}
		for i, line := range lines[1:] {
			if got := line[strings.LastIndexByte(line, ',')+1:]; got != want[i] {
				t.Errorf("%s: row %d: %s, want %s", name, i, got, want[i])
			}
		}
	}
}

func TestScoreInput(t *testing.T) {
	one := writeModel(t, oneColumn)
	names := filepath.Join(models, "3.0.5-names", "model.json")
	rows := strings.SplitAfter(read(t, models, "3.0.5-names", "X.csv"), "\n")[:2]
	scored, err := score(t, strings.NewReader(rows[0]+rows[1]), "-model", names)
	must.OK(t, err)
	for name, c := range map[string]struct{ model, in, want string }{
		"nothing":                    {one, "", "margin,prediction\n"},
		"one column":                 {one, "1\n2\n", "margin,prediction\n2,2\n5,5\n"},
		"no newline at the end":      {one, "1\n2", "margin,prediction\n2,2\n5,5\n"},
		"an empty line is a row":     {one, "\n1\n", "margin,prediction\n5,5\n2,2\n"},
		"also at the end":            {one, "1\n\n", "margin,prediction\n2,2\n5,5\n"},
		"spellings":                  {one, " 1 \r\nNaN\nnan\nNAN\n1.5e0\n-0\n", "margin,prediction\n2,2\n5,5\n5,5\n5,5\n5,5\n2,2\n"},
		"empty lines at the end":     {names, rows[0] + rows[1] + "\n\r\n\n", scored},
		"Windows line ends":          {names, strings.ReplaceAll(rows[0]+rows[1], "\n", "\r\n"), scored},
		"spaces around the values":   {names, strings.ReplaceAll(rows[0]+rows[1], ",", " , "), scored},
		"a line as long as may be":   {one, strings.Repeat(" ", 4000) + "1\n", "margin,prediction\n2,2\n"},
		"many rows, in small pieces": {one, strings.Repeat("1\n2\n", 5000), "margin,prediction\n" + strings.Repeat("2,2\n5,5\n", 5000)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := score(t, strings.NewReader(c.in), "-model", c.model)
			if err != nil || got != c.want {
				t.Errorf("%v\n%.400s\nwant\n%.400s", err, got, c.want)
			}
		})
	}
}

func TestScoreMissingSpellings(t *testing.T) {
	names := filepath.Join(models, "3.0.5-names", "model.json")
	want, err := score(t, strings.NewReader("nan,1,nan,2,nan,nan\n"), "-model", names)
	must.OK(t, err)
	for _, row := range []string{",1, ,2,NaN,\n", "na,1,NA,2,null,nan\n"} {
		got, err := score(t, strings.NewReader(row), "-model", names)
		if err != nil || got != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", row, err, got, want)
		}
	}
}

func TestScoreRefusesRows(t *testing.T) {
	one := writeModel(t, oneColumn)
	names := filepath.Join(models, "3.0.5-names", "model.json")
	for name, c := range map[string]struct {
		model, in, text string
		want            error
	}{
		"no number":    {names, "1,2,3,4,5,6\n1,2,3,4,abc,6\n", `line 2: column 5: "abc" is not a number`, nil},
		"too few":      {names, "1,2,3\n", "line 1: wrong number of values: 3 where the model has 6 features", gbdt.ErrRowLength},
		"too many":     {names, "1,2,3,4,5,6,7\n", "line 1: wrong number of values: 7", gbdt.ErrRowLength},
		"two columns":  {one, "1\n1,2\n", "line 2: wrong number of values: 2", gbdt.ErrRowLength},
		"infinite":     {names, "1,2,3,4,5,-Inf\n", `line 1: column 6: infinite value "-Inf"`, gbdt.ErrRowInfinite},
		"out of range": {names, "1,1e39,3,4,5,6\n", `line 1: column 2: "1e39" is out of the range of float32`, nil},
		"empty line":   {names, "1,2,3,4,5,6\n\n\n1,2,3,4,5,6\n", "line 2 is empty", nil},
		"a long line":  {one, "1\n" + strings.Repeat("1", 1<<17), "line 2 is longer than 65600 bytes", nil},
		"a long word":  {one, "1\n" + strings.Repeat("x", 4000), `"` + strings.Repeat("x", 40) + `" is not a number`, nil},
		"a header":     {names, read(t, models, "3.0.5-names", "X.csv") + "a,b,c,d,e,f\n", `line 41: column 1: "a" is not`, nil},
		"only commas":  {one, ",,\n", "line 1: wrong number of values: 3", gbdt.ErrRowLength},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := score(t, strings.NewReader(c.in), "-model", c.model)
			if err == nil || !strings.Contains(err.Error(), c.text) || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %q", err, c.text)
			}
		})
	}
	if out, _ := score(t, strings.NewReader("1,2\n"), "-model", one); out != "" {
		t.Errorf("there is output before the first row is right: %q", out)
	}
	if out, _ := score(t, strings.NewReader("1\nx\n"), "-model", one); out != "margin,prediction\n2,2\n" {
		t.Errorf("the rows before a bad one: %q", out)
	}
}

func TestScoreIterations(t *testing.T) {
	one := writeModel(t, oneColumn)
	var says bytes.Buffer
	if err := Score(t.Context(), []string{one, "-iterations", "best"}, cli.Streams{In: strings.NewReader(""), Out: io.Discard, Err: &says}); err != nil ||
		says.String() != one+": 1 of 2 rounds are used (-iterations best)\n" {
		t.Errorf("%v, it says %q", err, says.String())
	}
	for iterations, want := range map[string]string{"auto": "margin,prediction\n5,5\n", "all": "margin,prediction\n5,5\n", "best": "margin,prediction\n2,2\n"} {
		if got, err := score(t, strings.NewReader("2\n"), "-model", one, "-iterations", iterations); err != nil || got != want {
			t.Errorf("%s: %v\n%s", iterations, err, got)
		}
	}
	names := filepath.Join(models, "3.0.5-names", "model.json")
	if _, err := score(t, strings.NewReader(""), "-model", names, "-iterations", "best"); !errors.Is(err, gbdt.ErrNoBestIteration) {
		t.Errorf("best of a model without: %v", err)
	}
}

// TestScoreClass has an objective that names a class: one prediction for three margins.
func TestScoreClass(t *testing.T) {
	text := strings.NewReplacer(`multi:softprob`, `multi:softmax`).Replace(read(t, models, "3.0.5-gblinear_multi", "model.json"))
	in := read(t, models, "3.0.5-gblinear_multi", "X.csv")
	out, err := score(t, strings.NewReader(in), "-model", writeModel(t, text))
	must.OK(t, err)
	lines := strings.Fields(out)
	if lines[0] != "margin_0,margin_1,margin_2,prediction" {
		t.Errorf("header %q", lines[0])
	}
	for _, line := range lines[1:] {
		fields := strings.Split(line, ",")
		best, top := 0, math.Inf(-1)
		for i, field := range fields[:3] {
			v, err := strconv.ParseFloat(field, 64)
			must.OK(t, err)
			if v > top {
				best, top = i, v
			}
		}
		if len(fields) != 4 || fields[3] != strconv.Itoa(best) {
			t.Errorf("line %q, want class %d", line, best)
		}
	}
}

// TestScoreStreams wants a row's score before the next row is there.
func TestScoreStreams(t *testing.T) {
	in, feed := io.Pipe()
	watch, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := Score(t.Context(), []string{"-model", writeModel(t, oneColumn)}, cli.Streams{In: in, Out: out, Err: io.Discard})
		_ = out.Close()
		done <- err
	}()
	for i, want := range []string{"margin,prediction\n2,2\n", "5,5\n"} {
		if _, err := io.WriteString(feed, strconv.Itoa(i+1)+"\n"); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(watch, got); err != nil || string(got) != want {
			t.Fatalf("row %d: %q, %v", i+1, got, err)
		}
	}
	_ = feed.Close()
	if rest, err := io.ReadAll(watch); err != nil || len(rest) > 0 {
		t.Errorf("at the end: %q, %v", rest, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestScoreStops(t *testing.T) {
	one := writeModel(t, oneColumn)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Score(ctx, []string{"-model", one}, cli.Streams{In: strings.NewReader("1\n"), Out: io.Discard, Err: io.Discard}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	failed := errors.New("disk is full")
	if err := Score(t.Context(), []string{"-model", one}, cli.Streams{In: strings.NewReader("1\n"), Out: failing{failed}, Err: io.Discard}); !errors.Is(err, failed) {
		t.Errorf("an output that fails: %v", err)
	}
	if err := Score(t.Context(), []string{"-model", one}, cli.Streams{In: failing{failed}, Out: io.Discard, Err: io.Discard}); !errors.Is(err, failed) {
		t.Errorf("an input that fails: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
func (f failing) Read([]byte) (int, error)  { return 0, f.err }

func TestUsage(t *testing.T) {
	one := writeModel(t, oneColumn)
	garbage := writeModel(t, "\x80\x03cos\nsystem\n.")
	commands := map[string]func(context.Context, []string, cli.Streams) error{"score": Score, "inspect": Inspect}
	for command, run := range commands {
		for name, c := range map[string]struct {
			args []string
			want error
			text string
		}{
			"no model":   {nil, cli.ErrUsage, "-model"},
			"a word":     {[]string{"-model", one, "more"}, cli.ErrUsage, `"more"`},
			"a flag":     {[]string{"-what"}, cli.ErrUsage, "-what"},
			"help":       {[]string{"-help"}, flag.ErrHelp, ""},
			"no file":    {[]string{"-model", "none.json"}, os.ErrNotExist, "none.json"},
			"no model 2": {[]string{"-model", garbage}, gbdt.ErrFormat, "pickle"},
		} {
			var help bytes.Buffer
			err := run(t.Context(), c.args, cli.Streams{In: strings.NewReader(""), Out: io.Discard, Err: &help})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s, %s: %v, want %v and %q", command, name, err, c.want, c.text)
			}
			if name == "help" && !strings.Contains(help.String(), "Usage: inference-engine "+command+" ") {
				t.Errorf("%s -help prints %q", command, help.String())
			}
		}
	}
	for _, args := range [][]string{{one}, {one, "-iterations", "all"}, {"-iterations", "all", one}} {
		if out, err := score(t, strings.NewReader("1\n"), args...); err != nil || out != "margin,prediction\n2,2\n" {
			t.Errorf("%q: %q, %v", args, out, err)
		}
	}
	if _, err := score(t, strings.NewReader(""), one, "rows.csv"); !errors.Is(err, cli.ErrUsage) || !strings.Contains(err.Error(), "standard input") {
		t.Errorf("a file of rows: %v", err)
	}
	if _, err := score(t, strings.NewReader(""), "-model", one, "-iterations", "some"); !errors.Is(err, cli.ErrUsage) {
		t.Errorf("-iterations some: %v", err)
	}
}

func TestInspect(t *testing.T) {
	path := writeModel(t, oneColumn)
	var out bytes.Buffer
	must.OK(t, Inspect(t.Context(), []string{"-model", path}, cli.Streams{Out: &out, Err: io.Discard}))
	sum := sha256.Sum256([]byte(oneColumn))
	want := `{
  "format": "json",
  "xgboost": "3.0.5",
  "sagemaker_container": "unknown",
  "booster": "gbtree",
  "objective": "reg:squarederror",
  "features": 1,
  "feature_names": [
    "x"
  ],
  "outputs": 1,
  "classes": 0,
  "trees": 2,
  "nodes": 4,
  "max_depth": 1,
  "iterations": 2,
  "best_iteration": 0,
  "iterations_used": 2,
  "base_score": "0",
  "base_margin": [
    0
  ],
  "folds": [],
  "attributes": {
    "best_iteration": "0"
  },
  "size": ` + strconv.Itoa(len(oneColumn)) + `,
  "sha256": "` + hex.EncodeToString(sum[:]) + `"
}
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// TestInspectFormats wants the facts of a model of each kind.
func TestInspectFormats(t *testing.T) {
	for name, want := range map[string]facts{
		"3.0.5-names/model.ubj": {Format: "ubjson", XGBoost: "3.0.5", Container: "3.0-5", Booster: "gbtree", Objective: "binary:logistic",
			Features: 6, Outputs: 1, Classes: 2, Trees: 8, Iterations: 8, IterationsUsed: 8, BaseScore: "5.5583334E-1"},
		"3.0.5-gblinear_multi/model.json": {Format: "json", XGBoost: "3.0.5", Container: "unknown", Booster: "gblinear", Objective: "multi:softprob",
			Features: 12, Outputs: 3, Classes: 3, Iterations: 12, IterationsUsed: 12, BaseScore: "5E-1"},
		"0.72.1-early_rf/model.pkl2": {Format: "pickle+legacy", XGBoost: "unknown", Container: "1, 0.90-1 or 0.90-2", Booster: "gbtree",
			Objective: "binary:logistic", Features: 5, Outputs: 1, Classes: 2, Trees: 18, Iterations: 6, IterationsUsed: 2, BaseScore: "-0"},
		"0.90-dart/xgboost-model": {Format: "legacy", XGBoost: "unknown", Container: "unknown", Booster: "dart", Objective: "binary:logistic",
			Features: 5, Outputs: 1, Classes: 2, Trees: 9, Iterations: 9, IterationsUsed: 9, BaseScore: "-0.53221685"},
		"1.0.2-count_poisson/model.pkl3": {Format: "pickle+config-offset+legacy", XGBoost: "1.0.2", Container: "1.0-1", Booster: "gbtree",
			Objective: "count:poisson", Features: 5, Outputs: 1, Trees: 6, Iterations: 6, IterationsUsed: 6, BaseScore: "0.37"},
		"1.2.1-early_rf/model.pkl4": {Format: "pickle+config-offset+legacy-binf", XGBoost: "1.2.1", Container: "1.2-1 or 1.2-2", Booster: "gbtree",
			Objective: "binary:logistic", Features: 5, Outputs: 1, Classes: 2, Trees: 15, Iterations: 5, IterationsUsed: 1, BaseScore: "0.5"},
		"1.5.2-binary_hinge/xgboost-model": {Format: "legacy-binf", XGBoost: "1.5.x", Container: "1.5-1", Booster: "gbtree", Objective: "binary:hinge",
			Features: 5, Outputs: 1, Classes: 2, Trees: 6, Iterations: 6, IterationsUsed: 6, BaseScore: "0.37"},
		"1.5.2-binary_hinge/model.pkl5": {Format: "pickle+snapshot+json", XGBoost: "1.5.2", Container: "unknown", Booster: "gbtree",
			Objective: "binary:hinge", Features: 5, Outputs: 1, Classes: 2, Trees: 6, Iterations: 6, IterationsUsed: 6, BaseScore: "3.7E-1"},
		"0.90-missing0/model.pkl3": {Format: "pickle+legacy", XGBoost: "unknown", Container: "unknown", Booster: "gbtree", Objective: "binary:logistic",
			Features: 3, Outputs: 1, Classes: 2, Trees: 4, Iterations: 4, IterationsUsed: 4, BaseScore: "-0", Wrapper: "XGBClassifier", Missing: new(float32)},
		"3.0.5-early_wrapper/model.json": {Format: "json", XGBoost: "3.0.5", Container: "unknown", Booster: "gbtree", Objective: "binary:logistic",
			Features: 3, Outputs: 1, Classes: 2, Trees: 5, Iterations: 5, IterationsUsed: 2, BaseScore: "4.6E-1", Wrapper: "scikit-learn"},
		"2.1.4-gblinear_multi/model.pkl3": {Format: "pickle+snapshot+ubjson", XGBoost: "2.1.4", Container: "unknown", Booster: "gblinear",
			Objective: "multi:softmax", Features: 5, Outputs: 3, Classes: 3, Iterations: 6, IterationsUsed: 6, BaseScore: "5E-1"},
		"1.5.2-kfold/model.tar.gz": {Format: "tar.gz+legacy-binf", XGBoost: "1.5.x", Container: "1.5-1", Booster: "gbtree", Objective: "binary:logistic",
			Features: 5, Outputs: 3, Classes: 2, Trees: 12, Iterations: 12, IterationsUsed: 12, BaseScore: "0.5", Folds: make([]foldFacts, 3)},
		"1.5.2-kfold_vote/model.tar.gz": {Format: "tar.gz+legacy-binf", XGBoost: "1.5.x", Container: "1.5-1", Booster: "gbtree", Objective: "multi:softmax",
			Features: 5, Outputs: 9, Classes: 3, Trees: 18, Iterations: 6, IterationsUsed: 6, BaseScore: "0.5", Folds: make([]foldFacts, 3)},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			must.OK(t, Inspect(t.Context(), []string{"-model", filepath.Join(models, name)}, cli.Streams{Out: &out, Err: io.Discard}))
			var got facts
			must.OK(t, json.Unmarshal(out.Bytes(), &got))
			if len(got.BaseMargin) != want.Outputs || len(got.SHA256) != 64 || got.Size == 0 || got.Attributes == nil ||
				got.BestIteration == nil && got.IterationsUsed != got.Iterations || got.Booster == "gbtree" && (got.MaxDepth == 0 || got.Nodes < got.Trees) {
				t.Errorf("%+v", got)
			}
			for i, fold := range got.Folds {
				if fold.Trees*len(got.Folds) != got.Trees || fold.Iterations*len(got.Folds) != got.Iterations || fold.BaseScore != got.BaseScore {
					t.Errorf("fold %d: %+v", i, fold)
				}
			}
			if len(got.Folds) != len(want.Folds) {
				t.Errorf("%d folds, want %d", len(got.Folds), len(want.Folds))
			}
			got.FeatureNames, got.BaseMargin, got.Attributes, got.BestIteration, got.Folds = nil, nil, nil, nil, nil
			got.Nodes, got.MaxDepth, got.Size, got.SHA256, want.Folds = 0, 0, 0, "", nil
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
			if strings.Contains(out.String(), `": null`) && strings.Count(out.String(), `": null`) != strings.Count(out.String(), `"best_iteration": null`) {
				t.Errorf("a list is null: %s", out.String())
			}
		})
	}
}
