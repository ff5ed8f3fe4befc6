package gbdt

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestExact holds the models that stand in the repository against the predictions of the XGBoost that wrote them.
func TestExact(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*", "model.*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no models in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.ToSlash(file), func(t *testing.T) { checkFile(t, file, filepath.Dir(file)) })
	}
}

// TestExactShared does the same with every JSON and UBJSON file of the large set.
func TestExactShared(t *testing.T) {
	models := sharedModels(t)
	var files []string
	for _, pattern := range []string{"xgboost-*/*/model.json", "xgboost-*/*/model.ubj", "xgboost-3.0.5/*/xgboost-model"} {
		found, err := filepath.Glob(filepath.Join(models, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 190 {
		t.Fatalf("only %d models in %s", len(files), models)
	}
	for _, file := range files {
		name, err := filepath.Rel(models, file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.ToSlash(name), func(t *testing.T) { checkFile(t, file, filepath.Dir(file)) })
	}
}

// TestExactReal takes models that SageMaker's containers and other people's scripts wrote.
func TestExactReal(t *testing.T) {
	models := sharedModels(t)
	for _, c := range []struct{ file, expected string }{
		{"real/sagemaker-container/test_resources_abalone_models_libsvm_pickled_xgboost-model", "real/sagemaker-container/abalone-expected"},
		{"real/sagemaker-examples/fil_xgboost.json", "real/sagemaker-examples/fil-expected"},
	} {
		t.Run(c.file, func(t *testing.T) {
			checkFile(t, filepath.Join(models, c.file), filepath.Join(models, c.expected))
		})
	}
	t.Run("sagemaker-3.0-5", func(t *testing.T) {
		dir := filepath.Join(models, "sagemaker-3.0-5")
		checkModel(t, untar(t, filepath.Join(dir, "model.tar.gz"), "xgboost-model"), dir)
	})
}

// TestExactSnapshot takes the {"Config", "Model"} snapshots that are inside pickled Boosters.
func TestExactSnapshot(t *testing.T) {
	models := sharedModels(t)
	for _, pattern := range []string{"xgboost-1.3.3/*/xgboost-model.pkl", "xgboost-1.7.4/*/xgboost-model.pkl", "xgboost-3.0.5/*/xgboost-model.pkl"} {
		files, err := filepath.Glob(filepath.Join(models, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			name := filepath.Base(filepath.Dir(filepath.Dir(file))) + "/" + filepath.Base(filepath.Dir(file))
			t.Run(name, func(t *testing.T) {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				start := bytes.Index(data, []byte("{\"Config\""))
				if start < 0 {
					start = bytes.Index(data, []byte("{L\x00\x00\x00\x00\x00\x00\x00\x06Config"))
				}
				if start < 5 {
					t.Fatal("no snapshot in the pickle")
				}
				size := binary.LittleEndian.Uint32(data[start-4:]) // BINBYTES
				checkModel(t, data[start:][:size], filepath.Dir(file))
			})
		}
	}
}

func checkFile(t *testing.T, file, expected string) {
	t.Helper()
	data, err := ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	checkModel(t, data, expected)
}

// checkModel scores X.csv in both layouts and wants margin.csv and pred.csv to the last bit.
func checkModel(t *testing.T, data []byte, expected string) {
	t.Helper()
	m, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	rows := readTable(t, filepath.Join(expected, "X.csv"))
	margins := readTable(t, filepath.Join(expected, "margin.csv"))
	predictions := readTable(t, filepath.Join(expected, "pred.csv"))
	if len(rows) == 0 || len(margins) != len(rows) || len(predictions) != len(rows) {
		t.Fatalf("%d rows, %d margins, %d predictions", len(rows), len(margins), len(predictions))
	}
	for layout, s := range map[string]*Scorer{"fast": NewScorer(m), "plain": newPlainScorer(m)} {
		var margin, prediction []float32
		for i, row := range rows {
			if margin, err = s.Margin(margin, row); err != nil {
				t.Fatal(err)
			}
			prediction = s.Predict(prediction, margin)
			if !sameBits(margin, margins[i]) {
				t.Errorf("%s: row %d: margin %v, XGBoost gives %v", layout, i, margin, margins[i])
			}
			if !sameBits(prediction, predictions[i]) {
				t.Errorf("%s: row %d: prediction %v, XGBoost gives %v", layout, i, prediction, predictions[i])
			}
		}
	}
}

func sameBits(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}

// sharedModels finds the large set of models beside the repository, or skips the test.
func sharedModels(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("there is no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	models := filepath.Join(dir, "..", "shared", "testdata", "models")
	if _, err := os.Stat(models); err != nil {
		t.Skipf("the large set of models is not beside the repository: %v", err)
	}
	return models
}

// readTable reads rows of float32 separated by commas; empty and nan are missing.
func readTable(t testing.TB, path string) [][]float32 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]float32
	for line := range strings.Lines(string(data)) {
		var row []float32
		for field := range strings.SplitSeq(strings.TrimSpace(line), ",") {
			if field == "" {
				field = "nan"
			}
			v, err := strconv.ParseFloat(field, 32)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			row = append(row, float32(v))
		}
		rows = append(rows, row)
	}
	return rows
}

func untar(t *testing.T, archive, member string) []byte {
	t.Helper()
	data, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(unzipped); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			t.Fatalf("no %s in %s", member, archive)
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Name == member {
			content, err := io.ReadAll(files)
			if err != nil {
				t.Fatal(err)
			}
			return content
		}
	}
}
