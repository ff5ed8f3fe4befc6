package offline

import (
	"encoding/csv"
	"errors"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"edgepdm/shared/cli"
	"edgepdm/shared/gbdt"
	"edgepdm/test/must"
)

// TestScoreContribs wants contributions as XGBoost gives them behind the scores, which stay as they are.
func TestScoreContribs(t *testing.T) {
	for name, c := range map[string]struct{ first, last string }{
		"reference/xgboost-3.2.0/names/model.ubj":            {"contrib_0", "contrib_6"},
		"reference/xgboost-3.0.5/softprob/model.json":        {"contrib_0_0", "contrib_2_6"},
		"reference/xgboost-1.7.4/linear_multi/xgboost-model": {"contrib_0_0", "contrib_2_6"},
		"explain/xgboost-3.4.1/vector/model.ubj":             {"contrib_0_0", "contrib_1_6"},
		"reference/xgboost-0.90/poisson/xgboost-model.pkl4":  {"contrib_0", "contrib_6"},
		"reference/xgboost-1.0.2/forest/xgboost-model":       {"contrib_0", "contrib_6"},
		"explain/xgboost-3.4.1/categorical_dart/model.ubj":   {"contrib_0_0", "contrib_2_6"},
	} {
		file := filepath.Join(models, filepath.FromSlash(name))
		dir := filepath.Dir(file)
		plain, err := score(t, strings.NewReader(read(t, dir, "X.csv")), "-model", file)
		must.OK(t, err)
		out, err := score(t, strings.NewReader(read(t, dir, "X.csv")), "-contribs", "-model", file)
		must.OK(t, err)
		scores, got, want := strings.Fields(plain), strings.Fields(out), strings.Fields(read(t, dir, "contribs.csv"))
		if len(got) != len(want)+1 || !strings.HasPrefix(got[0], scores[0]+","+c.first+",") || !strings.HasSuffix(got[0], ","+c.last) {
			t.Fatalf("%s: %d lines, header %s", name, len(got), got[0])
		}
		for i, line := range got[1:] {
			rest, ok := strings.CutPrefix(line, scores[i+1]+",")
			if !ok {
				t.Fatalf("%s: row %d has other scores: %s", name, i, line)
			}
			values, expected := strings.Split(rest, ","), strings.Split(want[i], ",")
			if len(values) != len(expected) || strings.Count(got[0], ",") != strings.Count(line, ",") {
				t.Fatalf("%s: row %d: %s", name, i, line)
			}
			for k := range values {
				a, err1 := strconv.ParseFloat(values[k], 64)
				b, err2 := strconv.ParseFloat(expected[k], 64)
				if err := errors.Join(err1, err2); err != nil || !(math.Abs(a-b) <= 2e-6*max(1, math.Abs(b))) {
					t.Errorf("%s: row %d, contribution %d: %v instead of %v, %v", name, i, k, a, b, err)
				}
			}
		}
	}
}

func TestScoreContribsFolds(t *testing.T) {
	dir := filepath.Join(models, "1.5.2-kfold")
	out, err := score(t, strings.NewReader(read(t, dir, "X.csv")), "-contribs", "-model", filepath.Join(dir, "model.tar.gz"))
	must.OK(t, err)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	must.OK(t, err)
	for _, row := range rows[1:] {
		var sums [3]float64
		for i, name := range rows[0] {
			if parts := strings.Split(name, "_"); parts[0] == "contrib" {
				k, err1 := strconv.Atoi(parts[1])
				v, err2 := strconv.ParseFloat(row[i], 64)
				must.OK(t, errors.Join(err1, err2))
				sums[k] += v
			}
		}
		for k, sum := range sums {
			if margin, err := strconv.ParseFloat(row[k], 64); err != nil || math.Abs(sum-margin) > 1e-5 {
				t.Fatalf("model %d: the contributions sum to %v, its margin is %s", k, sum, row[k])
			}
		}
	}
}

func TestScoreContribsRefuses(t *testing.T) {
	bare := writeModel(t, oneColumn)
	if out, err := score(t, strings.NewReader("1\n"), "-contribs", "-model", bare); !errors.Is(err, gbdt.ErrNotExplained) || out != "" {
		t.Errorf("a model without cover: %q, %v", out, err)
	}
	if _, err := score(t, strings.NewReader("1\n"), "-contribs", "-engine", "leaves", "-model", bare); !errors.Is(err, cli.ErrUsage) {
		t.Errorf("another engine: %v", err)
	}
}
