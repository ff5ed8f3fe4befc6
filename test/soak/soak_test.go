// Package soak runs the suite for long under what goes wrong in the field: kills, disks that fail, and damaged files.
package soak

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

var names = []string{event.InferenceEngine, event.AlarmManager, event.CloudForwarder, event.ModelFetcher}

// staged is the tree that all tests deploy.
var staged = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "edgepdm-soak-"); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "run", "./scripts/stage", "-out", dir) //nolint:noctx // bound by the test run's own timeout
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("stage: %w\n%s", err, out)
	}
	return dir, nil
})

func stage(t *testing.T) string {
	t.Helper()
	dir, err := staged()
	must.OK(t, err)
	return dir
}

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := staged(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// number reads a number from the environment.
func number(t *testing.T, name string, def int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// late reports whether a test must come to its end, to say what it has found before go test ends it.
func late(t *testing.T) bool {
	deadline, ok := t.Deadline()
	return ok && time.Until(deadline) < 6*time.Minute
}

// sampleRows returns a row of a machine that works and one of a machine that fails, by the shipped model.
func sampleRows(t *testing.T) (normal, faulty event.Values) {
	t.Helper()
	f, err := os.Open(filepath.Join(need.Root(t), "components", "inference-engine", "model", "golden.csv"))
	must.OK(t, err)
	defer f.Close()
	table, err := csv.NewReader(f).ReadAll()
	must.OK(t, err)
	var least, most float64
	for _, line := range table[1:] {
		margin, err := strconv.ParseFloat(line[0], 64)
		must.OK(t, err)
		var row event.Values
		for _, text := range line[1:] {
			x, numberErr := strconv.ParseFloat(text, 32)
			err = errors.Join(err, numberErr)
			row = append(row, float32(x))
		}
		must.OK(t, err)
		if margin < least {
			least, normal = margin, row
		}
		if margin > most {
			most, faulty = margin, row
		}
	}
	return normal, faulty
}
