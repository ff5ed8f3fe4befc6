package tools

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"edgepdm/test/must"
)

// A tool is made by commands that leave marks: once, and again when its folder is not as it should be.
func TestInstall(t *testing.T) {
	root := t.TempDir()
	pins, marks := filepath.Join(root, "pins"), filepath.Join(root, "marks")
	write := func(file, text string) {
		t.Helper()
		must.OK(t, os.WriteFile(file, []byte(text), 0o600))
	}
	write(pins, "one")
	tool := Tool{
		Name: "x", Needs: []string{"sh"}, version: []string{"echo", "1"}, pins: []string{"pins"}, env: []string{"MARKS=ROOT/marks"},
		commands: [][]string{{"sh", "-c", `cat pins >> "$MARKS"; echo >> "$MARKS"; cp pins made`}},
	}
	dir := tool.Dir(root)
	install := func(want string) {
		t.Helper()
		var group sync.WaitGroup
		for range 3 { // as processes do at the same time
			group.Go(func() {
				if err := tool.Install(t.Context(), root); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if got, err := os.ReadFile(marks); err != nil || strings.Join(strings.Fields(string(got)), " ") != want {
			t.Errorf("made with %q, %v; want %q", got, err, want)
		}
		if _, err := os.Stat(filepath.Join(dir, "made")); err != nil || !tool.Installed(root) {
			t.Errorf("installed: %v, %v", tool.Installed(root), err)
		}
	}
	if tool.Installed(root) {
		t.Error("it is installed before it is made")
	}
	install("one")
	install("one")
	write(pins, "two")
	install("one two")
	tool.version = []string{"echo", "2"}
	install("one two two")
	must.OK(t, os.Remove(tool.stampFile(root))) // as after a kill
	write(filepath.Join(dir, "half"), "")
	install("one two two two")
	if _, err := os.Stat(filepath.Join(dir, "half")); err == nil {
		t.Error("what was left behind is still there")
	}

	tool.commands = append(tool.commands, []string{"sh", "-c", "echo no network; exit 3"})
	if err := tool.Install(t.Context(), root); err == nil || !strings.Contains(err.Error(), "no network") || tool.Installed(root) {
		t.Errorf("a command that fails: %v, installed %v", err, tool.Installed(root))
	}
	tool.Needs = []string{"sh", "no-such-program"}
	if missing := tool.Missing(); len(missing) != 1 || missing[0] != "no-such-program" {
		t.Errorf("missing %q", missing)
	}
}

// What the tools are made from is in the repository.
func TestPins(t *testing.T) {
	for _, tool := range All() {
		if _, err := tool.stamp(filepath.Join("..", "..")); err != nil && len(tool.Missing()) == 0 {
			t.Errorf("%s: %v", tool.Name, err)
		}
	}
}
