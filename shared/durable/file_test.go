package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"edgepdm/test/must"
)

// What a killed process left is removed with the next write of the same file; what may be another writer's stays, and so do
// files of other names.
func TestWriteFileAtomicSweepsWhatAKillLeft(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for name, at := range map[string]time.Time{
		".alarms.json.1234": now.Add(-time.Hour), ".alarms.json.99": now.Add(time.Hour), // of a clock that was wrong
		".alarms.json.77": now, ".alarms.json.old.1": now.Add(-time.Hour), ".alarms.json.": now.Add(-time.Hour),
		".other.json.5": now.Add(-time.Hour), "alarms.json.8": now.Add(-time.Hour),
	} {
		path := filepath.Join(dir, name)
		must.OK(t, os.WriteFile(path, nil, 0o600))
		must.OK(t, os.Chtimes(path, at, at))
	}
	must.OK(t, WriteFileAtomic(filepath.Join(dir, "alarms.json"), []byte("x"), 0o600))
	entries, err := os.ReadDir(dir)
	must.OK(t, err)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	want := []string{".alarms.json.", ".alarms.json.77", ".alarms.json.old.1", ".other.json.5", "alarms.json", "alarms.json.8"}
	if !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
}

func TestWriteFileAtomicLeavesNothingBehindOnFailure(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "taken")
	must.OK(t, os.MkdirAll(filepath.Join(target, "child"), 0o700)) // a rename onto it fails
	if err := WriteFileAtomic(target, []byte("x"), 0o600); err == nil {
		t.Fatal("replaced a directory")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

// A new file never takes the place of another one.
func TestWriteNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.pem")
	must.OK(t, WriteNew(path, []byte("first"), 0o600))
	if err := WriteNew(path, []byte("second"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second: %v", err)
	}
	data, err := os.ReadFile(path)
	if info, statErr := os.Stat(path); err != nil || string(data) != "first" || statErr != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v, %v", data, err, statErr)
	}
}

// Lines are whole, whatever a killed process left behind the last one.
func TestAppendLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	add := func(line string, sync bool) {
		t.Helper()
		must.OK(t, AppendLine(path, []byte(line), sync))
	}
	add("one\n", true)
	add("tw", false)
	add("three\n", true)
	add("four\n", false)
	if data, err := os.ReadFile(path); err != nil || string(data) != "one\ntw\nthree\nfour\n" {
		t.Errorf("%q, %v", data, err)
	}
}

// What writes the content may fail: the file stays as it was, and nothing is left beside it.
func TestWriteAtomicOfAFailingWriter(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rings")
	must.OK(t, WriteFileAtomic(path, []byte("old"), 0o600))
	failed := errors.New("no more")
	err := WriteAtomic(path, 0o600, func(w io.Writer) error {
		_, err := w.Write([]byte("new"))
		return errors.Join(err, failed)
	})
	entries, readErr := os.ReadDir(dir)
	must.OK(t, readErr)
	if !errors.Is(err, failed) || string(must.Read(t, path)) != "old" || len(entries) != 1 {
		t.Errorf("%v, %v", err, entries)
	}
}
