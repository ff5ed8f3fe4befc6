package steps

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/test/must"
)

// A module of its own is built: what is done and how far it is are told, and errors with go's words.
func TestBuild(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/x\n\ngo 1.26.0\n", "good/main.go": "package main\n\nfunc main() {}\n", "bad/main.go": "package main\n\nfunc main() { x }\n",
	} {
		path := filepath.Join(dir, name)
		must.OK(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must.OK(t, os.WriteFile(path, []byte(text), 0o600))
	}
	t.Chdir(dir)
	var out strings.Builder
	b := New(&out, 4, 2)
	must.OK(t, b.Build(t.Context(), "the program", []string{"-o", "program"}, []string{"./good"}))
	if _, err := os.Stat("program"); err != nil {
		t.Error(err)
	}
	if err := b.Run(t.Context(), "a list", "go", "list", "./good"); err != nil {
		t.Error(err)
	}
	err := b.Build(t.Context(), "what does not compile", []string{"-o", "program"}, []string{"./bad"})
	if err == nil || !strings.Contains(err.Error(), "[4/4] what does not compile") || !strings.Contains(err.Error(), "undefined: x") {
		t.Errorf("error %v", err)
	}
	for _, want := range []string{"[2/4] the program …\n", "[2/4] the program: done in ", "[3/4] a list: done in ", "[4/4] what does not compile: failed\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
}

func TestProgress(t *testing.T) {
	p := &progress{title: "[1/4] x", begun: time.Now()}
	p.total(300)
	for line, want := range map[string]bool{
		"go: downloading github.com/a/b v1.2.3": true, "edgepdm/shared/ipc": true, "crypto/internal/fips140": true,
		"# edgepdm/scripts/demo": false, "./x.go:3:1: undefined: y": false, "": false,
	} {
		if p.heard(line) != want {
			t.Errorf("%q is progress: %v", line, !want)
		}
	}
	if got, want := p.line(), "[1/4] x: 1 modules downloaded, 2 of at most 300 packages compiled"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
