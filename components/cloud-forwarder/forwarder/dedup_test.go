package forwarder

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Ids survive a kill at any byte of the file; a damaged line costs itself only.
func TestKnownSurvives(t *testing.T) {
	dir := t.TempDir()
	k, err := openDedup(dir, 10)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, id := range []string{"a", "b"} {
		if earlier, err := k.note(seen{ID: id}, now); err != nil || earlier {
			t.Fatal(earlier, err)
		}
	}
	if err := k.accept("a", "s"); err != nil {
		t.Fatal(err)
	}
	if earlier, err := k.note(seen{ID: "a"}, now); err != nil || earlier {
		t.Error("what this process has heard counts as an earlier one's")
	}
	whole, err := os.ReadFile(filepath.Join(dir, dedupName))
	if err != nil {
		t.Fatal(err)
	}
	lineEnd := bytes.IndexByte(whole, '\n')
	for size := range len(whole) + 1 {
		if err := os.WriteFile(filepath.Join(dir, dedupName), whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		k, _ := openDedup(dir, 10)
		earlier, err := k.note(seen{ID: "a"}, now)
		if err != nil || earlier != (size >= lineEnd) || k.has("a", "s") != (size >= len(whole)-1) {
			t.Fatalf("%d bytes: earlier %v, on disk %v, %v", size, earlier, k.has("a", "s"), err)
		}
		if _, err := k.note(seen{ID: "c"}, now); err != nil {
			t.Fatal(err)
		}
		next, err := openDedup(dir, 10)
		if earlier, _ := next.note(seen{ID: "c"}, now); !earlier {
			t.Fatalf("%d bytes: what was heard behind a torn line is gone: %v", size, err)
		}
	}
	damaged := bytes.Replace(whole, []byte(`"b"`), []byte(`"x"`), 1)
	if err := os.WriteFile(filepath.Join(dir, dedupName), damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if k, err = openDedup(dir, 10); err == nil || !k.has("a", "s") || k.byID["x"] != nil {
		t.Errorf("%v, %v", k.byID, err)
	}
}

// Memory and file are bounded: the oldest are forgotten.
func TestKnownIsBounded(t *testing.T) {
	dir := t.TempDir()
	k, err := openDedup(dir, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		id := fmt.Sprint(i)
		if _, err := k.note(seen{ID: id, Since: time.Unix(int64(i), 0), State: "NORMAL"}, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := k.accept(id, "s"); err != nil {
			t.Fatal(err)
		}
	}
	if len(k.byID) != 3 || len(k.order) != 3 || len(k.over) != 3 {
		t.Errorf("%d, %d and %d are known", len(k.byID), len(k.order), len(k.over))
	}
	data, err := os.ReadFile(filepath.Join(dir, dedupName))
	if n := bytes.Count(data, []byte{'\n'}); err != nil || n > 3*dedupLines {
		t.Errorf("%d lines, %v", n, err)
	}
	if k, err = openDedup(dir, 3); err != nil || !k.has("99", "s") || !k.has("97", "s") || k.has("96", "s") {
		t.Errorf("%v, %v", k.byID, err)
	}
}

// A disk that takes no line costs nothing but what the next process knows.
func TestKnownWithoutADisk(t *testing.T) {
	dir := t.TempDir()
	k, err := openDedup(filepath.Join(dir, "gone"), 3)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.note(seen{ID: "a"}, time.Now()); err == nil {
		t.Error("no error")
	}
	if err := k.accept("a", "s"); err == nil || !k.has("a", "s") {
		t.Errorf("%v", err)
	}
}

// What the disk had not answered for when the work ended may be there, and is marked when it comes again.
func TestKnownInDoubt(t *testing.T) {
	k, err := openDedup(t.TempDir(), 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		if _, err := k.note(seen{ID: id}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	k.doubt("a")
	k.doubt("never heard")
	for id, want := range map[string]bool{"a": true, "b": false} {
		if earlier, err := k.note(seen{ID: id}, time.Now()); err != nil || earlier != want {
			t.Errorf("%s: %v, %v", id, earlier, err)
		}
	}
}

// A line of any length, as a damaged disk makes one, costs itself only.
func TestKnownWithALongLine(t *testing.T) {
	dir := t.TempDir()
	k, err := openDedup(dir, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		if _, err := k.note(seen{ID: id}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, dedupName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := bytes.IndexByte(whole, '\n') + 1
	for _, length := range []int{maxDedupLine - 1, maxDedupLine, maxDedupLine + 1, 5 * maxDedupLine} {
		long := append(bytes.Repeat([]byte{'x'}, length), '\n')
		if err := os.WriteFile(path, slices.Concat(whole[:end], long, whole[end:]), 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := openDedup(dir, 10)
		if err == nil || !strings.Contains(err.Error(), "1 lines are damaged") || len(k.byID) != 2 {
			t.Errorf("%d bytes: %d are known, %v", length, len(k.byID), err)
		}
	}
}
