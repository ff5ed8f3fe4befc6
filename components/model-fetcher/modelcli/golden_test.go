package modelcli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/cli"
	"edgepdm/test/lifemodel"
	"edgepdm/test/need"
	"edgepdm/test/tools"
)

// fraction is a model of one tree over the feature a; other objectives take the place of binary:logistic.
const fraction = `{"version":[3,0,5],"learner":{"attributes":{},"feature_names":["a"],"feature_types":["float"],
"gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_parallel_tree":"1","num_trees":"1"},"iteration_indptr":[0,1],"tree_info":[0],"trees":[
{"id":0,"tree_param":{"num_nodes":"3","size_leaf_vector":"1"},"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[0,0,0],
"split_conditions":[1.5,-0.5,0.25],"default_left":[0,0,0]}]}},
"learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"1","num_target":"1"},
"objective":{"name":"binary:logistic","reg_loss_param":{"scale_pos_weight":"1"}}}}`

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// What every device refuses is not packed, and the flag that is to blame is named.
func TestPackRefusesWhatDevicesRefuse(t *testing.T) {
	golden := file(t, "golden.csv", "margin,a\n-0.5,1\n0.25,2\n")
	regression := file(t, "model.json", strings.Replace(fraction, "binary:logistic", "reg:squarederror", 1))
	classes := file(t, "model.json", strings.NewReplacer("binary:logistic", "multi:softprob", "reg_loss_param", "softmax_multiclass_param",
		`"scale_pos_weight":"1"`, `"num_class":"3"`, `"num_class":"0"`, `"num_class":"3"`).Replace(fraction))
	good := file(t, "model.json", fraction)
	for name, c := range map[string]struct {
		code                         int
		model, golden, named, reason string
	}{
		"regression":     {cli.ExitFailed, regression, golden, "press", "-model: bad model: its objective is reg:squarederror: a device wants the probability"},
		"classes":        {cli.ExitFailed, classes, golden, "press", "-model: bad model: its objective is multi:softprob with 3 predictions a row: it tells classes"},
		"no name":        {cli.ExitUsage, good, golden, "", "-name: required"},
		"bad name":       {cli.ExitUsage, good, golden, "line 7", "-name: invalid manifest: name: \"line 7\""},
		"no golden rows": {cli.ExitFailed, good, file(t, "golden.csv", "margin,a\n"), "press", "-golden: invalid manifest: golden: 0 rows"},
		"other margins":  {cli.ExitFailed, good, file(t, "golden.csv", "margin,a\n-0.25,1\n"), "press", "-golden: golden row mismatch"},
		"no margins":     {cli.ExitFailed, good, file(t, "golden.csv", "a,b\n1,1\n"), "press", "-golden: invalid manifest"},
		"no file":        {cli.ExitFailed, good, "nowhere.csv", "press", "-golden: "},
	} {
		out := t.TempDir()
		args := []string{"pack", "-model", c.model, "-golden", c.golden, "-version", "1.0.0", "-out", out}
		if c.named != "" {
			args = append(args, "-name", c.named)
		}
		fails(t, c.code, c.reason, args...)
		if left, err := os.ReadDir(out); len(left) > 0 || err != nil {
			t.Errorf("%s: left are %v, %v", name, left, err)
		}
	}
	do(t, "2 golden rows agree", "pack", "-model", good, "-golden", golden, "-name", "press", "-version", "1.0.0", "-out", t.TempDir())
}

// The rows go to Python in the order of the model's features, and what XGBoost gave stands before them.
func TestGoldenRows(t *testing.T) {
	model := file(t, "model.json", fraction)
	rows := file(t, "rows.csv", "\ufefftime,a,b\n10:00,1,x\n10:01,2,y\n10:02,NA,z\n")
	python := file(t, "python", "#!/bin/sh\nwhile read -r line; do echo \"0.$line\" | tr -d n | sed 's/0.aa*$/0.5/'; done\n")
	out := filepath.Join(t.TempDir(), "golden.csv")
	do(t, "3 golden rows of 1 features", "golden", "-model", model, "-rows", rows, "-out", out, "-python", python)
	if got, err := os.ReadFile(out); err != nil || string(got) != "margin,a\n0.1,1\n0.2,2\n0.5,nan\n" {
		t.Errorf("%q, %v", got, err)
	}
	classes := file(t, "model.json", strings.Replace(fraction, "binary:logistic", "reg:squarederror", 1))
	more := func(model, rows string, more ...string) []string {
		return append([]string{"golden", "-model", model, "-rows", rows, "-out", out, "-python", python}, more...)
	}
	fails(t, cli.ExitFailed, "-model: bad model: its objective", more(classes, rows)...)
	fails(t, cli.ExitFailed, "-rows: no column is named \"a\"", more(model, file(t, "rows.csv", "b\n1\n"))...)
	fails(t, cli.ExitFailed, "-rows: row 2: \"a\" is \"x\"", more(model, file(t, "rows.csv", "a\n1\nx\n"))...)
	fails(t, cli.ExitFailed, "-rows: there are no rows", more(model, file(t, "rows.csv", "a\n"))...)
	fails(t, cli.ExitUsage, "-most: 0", more(model, rows, "-most", "0")...)
	broken := file(t, "python", "#!/bin/sh\necho \"python: No module named 'xgboost'\" >&2\nexit 1\n")
	fails(t, cli.ExitFailed, "No module named 'xgboost': the margins have to come from XGBoost itself: pip install xgboost", more(model, rows, "-python", broken)...)
	fails(t, cli.ExitFailed, "-python: XGBoost gave 1 margins for 3 rows", more(model, rows, "-python", file(t, "python", "#!/bin/sh\necho 1\n"))...)
}

// Where there is an XGBoost, its golden rows are those of make train, and what is packed with them agrees.
func TestGoldenRowsOfXGBoost(t *testing.T) {
	python := filepath.Join(need.Installed(t, tools.XGBoost), "bin", "python")
	for name, model := range map[string]string{
		"names":  "components/inference-engine/model/model.ubj",
		"k-fold": "shared/gbdt/testdata/1.5.2-kfold/model.tar.gz",
		"life":   "test/lifemodel/model.ubj",
	} {
		t.Run(name, func(t *testing.T) {
			model := filepath.Join(need.Root(t), model)
			_, rows := shipped(t) // its first column is no feature
			var more []string
			switch name {
			case "life":
				rows = filepath.Join(lifemodel.Folder(), "golden.csv")
				more = []string{"-life", file(t, "life.json", `{"unit":"hours","cap":100,"coverage":0.9,"margin":1.5}`)}
			case "k-fold":
				rows = file(t, "rows.csv", "f1,f2,f3,f4,f5\n1.69000006,-0.469999999,0.0299999993,0.409999996,-0.790000021\n0,-0,-1.75,1.01999998,\n")
			}
			dir := t.TempDir()
			golden := filepath.Join(dir, "golden.csv")
			do(t, "golden rows of", "golden", "-model", model, "-rows", rows, "-out", golden, "-python", python)
			do(t, "golden rows agree", append([]string{"pack", "-model", model, "-golden", golden, "-name", "press", "-version", "1.0.0", "-out", dir}, more...)...)
		})
	}
}
