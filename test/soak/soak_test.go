// Package soak runs the suite for long under what goes wrong in the field: kills, disks that fail, and damaged files.
package soak

import (
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
	"edgepdm/test/table"
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
	_, rows := table.Read(t, filepath.Join(need.Root(t), "components", "inference-engine", "model", "golden.csv"))
	var least, most float32
	for _, line := range rows {
		margin, row := line[0], event.Values(line[1:])
		if margin < least {
			least, normal = margin, row
		}
		if margin > most {
			most, faulty = margin, row
		}
	}
	return normal, faulty
}
