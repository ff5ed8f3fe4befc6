package gbdt

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/must"
	"edgepdm/test/need"
)

var update = flag.Bool("update", false, "write the tables of README.md and testdata/README.md")

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

// ownReference is the part of the reference data that stands in the repository: each format of each release.
var ownReference = filepath.Join("testdata", "reference")

// TestReference scores every model of the repository's own reference data, made by testdata/reference/generate.py with real
// releases, and wants its README.md to say what came of it.
func TestReference(t *testing.T) {
	results := scoreAll(t, ownReference, 300)
	table := tableOf(results)
	t.Logf("margins and predictions are compared by their bits:\n%s", table)
	checkTable(t, filepath.Join("testdata", "README.md"), table)

	own := make(map[string]bool)
	for _, r := range results {
		own[r.format+" "+r.release] = true
	}
	for _, file := range committedModels(t) { // of TestExact
		m, err := readModel(file)
		must.OK(t, err)
		release, _, _ := strings.Cut(filepath.Base(filepath.Dir(file)), "-")
		own[m.Format+" "+release] = true
	}
	text := must.Read(t, "README.md")
	claims := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([0-9.]+) \\|").FindAllStringSubmatch(string(text), -1)
	if len(claims) < 20 {
		t.Fatalf("README.md claims %d kinds of files", len(claims))
	}
	for _, claim := range claims {
		if !own[claim[1]+" "+claim[2]] {
			t.Errorf("README.md claims %s of XGBoost %s, of which testdata has no file", claim[1], claim[2])
		}
	}
}

// TestWholeReference scores every model of the whole reference data, and wants README.md to say what came of it.
func TestWholeReference(t *testing.T) {
	table := tableOf(scoreAll(t, need.Shared(t, "models"), 600))
	t.Logf("margins and predictions are compared by their bits:\n%s", table)
	checkTable(t, "README.md", table)
}

// result is what came of the files of one format and release.
type result struct {
	format, release  string
	cases            map[string]bool
	files, identical int
	rows             int
}

// scoreAll scores every model below root, of which there are at least so many.
func scoreAll(t *testing.T, root string, least int) []*result {
	t.Helper()
	results := make(map[string]*result)
	for _, r := range references(t, root, least) {
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
	return slices.SortedFunc(maps.Values(results), func(a, b *result) int {
		return cmp.Or(cmp.Compare(a.format, b.format), slices.Compare(numbers(a.release), numbers(b.release)))
	})
}

// tableOf writes results as README files have them.
func tableOf(results []*result) string {
	table := []string{"| format | XGBoost | cases | files | rows scored | files bit-identical |", "|---|---|---|---|---|---|"}
	total := result{cases: map[string]bool{}}
	for _, row := range results {
		table = append(table, fmt.Sprintf("| `%s` | %s | %d | %d | %d | %d |", row.format, row.release, len(row.cases), row.files, row.rows, row.identical))
		total.files, total.rows, total.identical = total.files+row.files, total.rows+row.rows, total.identical+row.identical
		for c := range row.cases {
			total.cases[c] = true
		}
	}
	return strings.Join(append(table, fmt.Sprintf("| **all** | | %d | %d | %d | %d |", len(total.cases), total.files, total.rows, total.identical)), "\n")
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

// checkTable compares or, with -update, writes the table that stands between two comments of a file.
func checkTable(t *testing.T, file, table string) {
	t.Helper()
	const begin, end = "-update -->\n", "\n<!-- end -->"
	data := must.Read(t, file)
	before, rest, ok1 := strings.Cut(string(data), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for the table", file)
	}
	if *update {
		must.OK(t, os.WriteFile(file, []byte(before+begin+table+end+after), 0o644))
	} else if old != table {
		t.Errorf("%s has another table; run this test with -update:\n%s", file, table)
	}
}

// references finds the model files below root: every file that is not known to be something else.
func references(t *testing.T, root string, least int) []reference {
	t.Helper()
	var found []reference
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name, dir := entry.Name(), filepath.Dir(path)
		switch {
		case err != nil:
			return err
		case entry.IsDir(), slices.Contains([]string{".csv", ".md", ".py", ".txt"}, filepath.Ext(name)), name == "meta.json":
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
	if err != nil || len(found) < least {
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
		must.OK(t, json.Unmarshal(text, &meta))
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
