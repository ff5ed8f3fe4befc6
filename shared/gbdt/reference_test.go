package gbdt

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/need"
)

var update = flag.Bool("update", false, "write the table of README.md")

// reference is a model file with known answers.
type reference struct {
	files    []string // several of a k-fold training that is not in an archive
	expected string   // the folder of X.csv and the answers
	release  string   // the XGBoost that gave them
}

// expectedOf are the answers of files that do not stand beside them.
var expectedOf = map[string]string{
	"test_resources_abalone_models_libsvm_pickled_xgboost-model": "abalone-expected",
	"test_resources_models_pickled_model_xgboost-model":          "pickled-expected",
	"test_resources_models_saved_booster_xgboost-model":          "saved-expected",
	"byoc-xgboost-model":                "byoc-expected",
	"fil_xgboost.json":                  "fil-expected",
	"rest_xgb.model":                    "rest-expected",
	"abalone-callback-model.tar.gz":     "abalone-callback-model/expected",
	"async-demo-xgboost-model.tar.gz":   "async-demo-xgboost-model/expected",
	"xgb-churn-prediction-model.tar.gz": "xgb-churn-prediction-model/expected", "xgb-churn-prediction-model2.tar.gz": "xgb-churn-prediction-model2/expected",
}

// TestReference scores every model of the reference data, and wants README.md to say what came of it.
func TestReference(t *testing.T) {
	root := need.Shared(t, "models")
	type result struct {
		format, release  string
		cases            map[string]bool
		files, identical int
		rows             int
	}
	results := make(map[string]*result)
	for _, r := range references(t, root) {
		m, err := r.read()
		if err != nil {
			t.Errorf("%s: %v", r.files, err)
			continue
		}
		key := m.Format + " " + r.release
		row, ok := results[key]
		if !ok {
			row = &result{format: m.Format, release: r.release, cases: map[string]bool{}}
			results[key] = row
		}
		row.cases[r.expected] = true
		row.files += len(r.files)
		row.rows += len(readTable(t, filepath.Join(r.expected, "X.csv")))
		if differences := compare(t, m, r.expected); len(differences) > 0 {
			t.Errorf("%s (%s):\n%s", r.files, m.Format, strings.Join(differences, "\n"))
			continue
		}
		row.identical += len(r.files)
	}
	rows := make([]*result, 0, len(results))
	for _, row := range results {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b *result) int {
		return cmp.Or(cmp.Compare(a.format, b.format), slices.Compare(numbers(a.release), numbers(b.release)))
	})
	table := []string{"| format | XGBoost | cases | files | rows scored | files bit-identical |", "|---|---|---|---|---|---|"}
	total := result{cases: map[string]bool{}}
	for _, row := range rows {
		table = append(table, fmt.Sprintf("| `%s` | %s | %d | %d | %d | %d |", row.format, row.release, len(row.cases), row.files, row.rows, row.identical))
		total.files, total.rows, total.identical = total.files+row.files, total.rows+row.rows, total.identical+row.identical
		for c := range row.cases {
			total.cases[c] = true
		}
	}
	table = append(table, fmt.Sprintf("| **all** | | %d | %d | %d | %d |", len(total.cases), total.files, total.rows, total.identical))
	checkTable(t, strings.Join(table, "\n"))
}

// read reads the model, or the models of a k-fold training as one.
func (r reference) read() (*Model, error) {
	var models []*Model
	for _, file := range r.files {
		m, err := readModel(file)
		if err != nil {
			return nil, err
		}
		models = append(models, m)
	}
	if len(models) == 1 {
		return models[0], nil
	}
	return newFolds(models, DefaultLimits())
}

// checkTable compares or, with -update, writes the table that stands between two comments of README.md.
func checkTable(t *testing.T, table string) {
	t.Helper()
	const begin, end = "-update -->\n", "\n<!-- end -->"
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(data), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatal("README.md has no place for the table")
	}
	if *update {
		if err := os.WriteFile("README.md", []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if old != table {
		t.Errorf("README.md has another table; run this test with -update:\n%s", table)
	}
}

// references finds the model files below root: every file that is not known to be something else.
func references(t *testing.T, root string) []reference {
	t.Helper()
	var found []reference
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name, dir := entry.Name(), filepath.Dir(path)
		switch {
		case err != nil:
			return err
		case entry.IsDir(), filepath.Ext(name) == ".csv", name == "meta.json", name == "README.md", name == "xgboost-version.txt":
			return nil
		case strings.HasPrefix(name, "xgboost-model-") && name != "xgboost-model-0": // found with the first
			return nil
		}
		r := reference{files: []string{path}, expected: dir}
		if name == "xgboost-model-0" {
			if r.files, err = filepath.Glob(filepath.Join(dir, "xgboost-model-*")); err != nil {
				return err
			}
		}
		if folder, ok := expectedOf[name]; ok {
			r.expected = filepath.Join(dir, folder)
		} else if _, err := os.Stat(filepath.Join(dir, "expected")); err == nil {
			r.expected = filepath.Join(dir, "expected")
		}
		r.release = releaseOf(t, r.expected)
		found = append(found, r)
		return nil
	})
	if err != nil || len(found) < 600 {
		t.Fatalf("%d models in %s, %v", len(found), root, err)
	}
	return found
}

// releaseOf returns the XGBoost release that gave the answers in a folder.
func releaseOf(t *testing.T, expected string) string {
	t.Helper()
	if text, err := os.ReadFile(filepath.Join(expected, "xgboost-version.txt")); err == nil {
		return strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile(filepath.Join(expected, "meta.json")); err == nil {
		var meta struct {
			XGBoost string `json:"xgboost"`
		}
		if err := json.Unmarshal(text, &meta); err != nil {
			t.Fatal(err)
		}
		return meta.XGBoost
	}
	for folder := expected; folder != filepath.Dir(folder); folder = filepath.Dir(folder) {
		name := filepath.Base(folder)
		if release, ok := strings.CutPrefix(name, "xgboost-"); ok {
			return release
		}
		if container, ok := strings.CutPrefix(name, "sagemaker-"); ok {
			return map[string]string{"1.7-1-kfold3": "1.7.4", "3.0-5-kfold3": "3.0.5"}[container]
		}
	}
	t.Fatalf("the release of %s is not known", expected)
	return ""
}

// numbers takes a release apart, for sorting.
func numbers(release string) []int {
	var parts []int
	for text := range strings.SplitSeq(release, ".") {
		n := 0
		for _, c := range text {
			n = 10*n + int(c-'0')
		}
		parts = append(parts, n)
	}
	return parts
}
