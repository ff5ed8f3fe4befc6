package request

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/test/must"
)

func TestFindTheWorkDirectory(t *testing.T) {
	classic, lite, other := t.TempDir(), t.TempDir(), t.TempDir()
	install := func(root string) string {
		t.Helper()
		dir := filepath.Join(root, "work", component)
		must.OK(t, os.MkdirAll(dir, 0o700))
		return dir
	}
	env := ""
	place := Place{Getenv: func(name string) string { return map[string]string{"GGC_ROOT_PATH": env}[name] }, Roots: []string{classic, lite}}
	check := func(what, want string) {
		t.Helper()
		if got, err := place.Find(component); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", what, got, err, want)
		}
	}
	refused := func(what string, why ...string) {
		t.Helper()
		got, err := place.Find(component)
		for _, text := range why {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %q, %v, want %q", what, got, err, text)
			}
		}
	}
	refused("nowhere", filepath.Join(classic, "work", component), filepath.Join(lite, "work", component), "-root", "GGC_ROOT_PATH")
	inLite := install(lite)
	check("on lite", inLite)
	inClassic := install(classic)
	refused("on both", "several", inClassic, inLite, "-root")
	inOther := install(other)
	place.Executable = filepath.Join(other, "packages", "artifacts", component, "1.0.0", "program")
	check("as an artifact", inOther)
	env = lite
	check("by the environment", inLite)
	env = filepath.Join(lite, "nowhere")
	refused("by a wrong environment", env)
	place.Root = classic
	check("by -root", inClassic)
	place.Dir = inOther
	check("by -dir", inOther)
	place.Dir = filepath.Join(other, "file")
	must.OK(t, os.WriteFile(place.Dir, nil, 0o600))
	refused("by a wrong -dir", "not a folder")
}
