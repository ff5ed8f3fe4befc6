package official

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestFill sets a folder up with commands that leave marks: it happens once, and again when it is not as it should be.
func TestFill(t *testing.T) {
	cache := t.TempDir()
	dir, pins, marks := filepath.Join(cache, "x"), filepath.Join(t.TempDir(), "pins"), filepath.Join(t.TempDir(), "marks")
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(pins, "one")
	r := recipe{
		cache: "x", version: []string{"echo", "1"}, pins: []string{pins},
		commands: [][]string{{"sh", "-c", `cat pins >> "$0"; echo >> "$0"; cp pins made`, marks}},
	}
	fill := func(want string) {
		t.Helper()
		var group sync.WaitGroup
		for range 3 { // as processes do at the same time
			group.Go(func() {
				if err := r.fill(cache, dir); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if got, err := os.ReadFile(marks); err != nil || strings.Join(strings.Fields(string(got)), " ") != want {
			t.Errorf("set up with %q, %v; want %q", got, err, want)
		}
		if _, err := os.Stat(filepath.Join(dir, "made")); err != nil {
			t.Error(err)
		}
	}
	fill("one")
	fill("one")
	write(pins, "two")
	fill("one two")
	r.version = []string{"echo", "2"}
	fill("one two two")
	if err := os.Remove(filepath.Join(dir, "stamp")); err != nil { // as after a kill
		t.Fatal(err)
	}
	write(filepath.Join(dir, "half"), "")
	fill("one two two two")
	if _, err := os.Stat(filepath.Join(dir, "half")); err == nil {
		t.Error("what was left behind is still there")
	}

	r.commands = append(r.commands, []string{"sh", "-c", "echo no network; exit 3"})
	var failed *commandError
	if err := r.fill(cache, dir); !errors.As(err, &failed) || !strings.Contains(err.Error(), "no network") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "stamp")); err == nil {
		t.Error("a set-up that failed counts as complete")
	}
}
