package component

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// What a killed process left is removed with the next write of the same file; what may be another writer's stays, and so do
// files of other names.
func TestWriteFileAtomicSweepsWhatAKillLeft(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for name, at := range map[string]time.Time{
		".book.json.1234": now.Add(-time.Hour), ".book.json.99": now.Add(time.Hour), // of a clock that was wrong
		".book.json.77": now, ".book.json.old.1": now.Add(-time.Hour), ".book.json.": now.Add(-time.Hour),
		".other.json.5": now.Add(-time.Hour), "book.json.8": now.Add(-time.Hour),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteFileAtomic(filepath.Join(dir, "book.json"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	want := []string{".book.json.", ".book.json.77", ".book.json.old.1", ".other.json.5", "book.json", "book.json.8"}
	if !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
}
