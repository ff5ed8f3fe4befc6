// Package need says what a test needs beyond Go: a test that lacks it skips, naming the tool and how to get it. With
// REQUIRE_ALL=1 in the environment, as in continuous integration, a missing tool fails the test instead.
package need

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/test/tools"
)

// Tool returns the path of a program, or skips the test. how is one line that tells how to install it.
func Tool(t testing.TB, name, how string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Lacking(t, name, how)
	}
	return path
}

// Installed returns the folder of a tool that `make test-tools` makes, or skips the test.
func Installed(t testing.TB, tool tools.Tool) string {
	t.Helper()
	root := Root(t)
	if missing := tool.Missing(); len(missing) > 0 {
		Lacking(t, missing[0], "Debian: apt-get install "+tool.Packages+"; then "+tools.HowToGet)
	}
	if !tool.Installed(root) {
		Lacking(t, tool.What, tools.HowToGet)
	}
	return tool.Dir(root)
}

// Long marks a test that takes seconds: -short, as in `make check`, leaves it out.
func Long(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes seconds, and -short is given")
	}
}

// Lacking skips the test, or fails it with REQUIRE_ALL=1: what is missing, and how to get it.
func Lacking(t testing.TB, what, how string) {
	t.Helper()
	if os.Getenv("REQUIRE_ALL") == "1" {
		t.Fatalf("%s is missing, and REQUIRE_ALL=1 (%s)", what, how)
	}
	t.Skipf("%s is missing (%s)", what, how)
}

// Root returns the root folder of the repository.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("go.mod is in none of the parent folders")
		}
		dir = parent
	}
}

// Shared returns the path of a file of the large reference data, which may lie beside a checkout in ../shared/testdata and
// are no part of the project, or skips the test. What the project claims is tested with its own data, too.
func Shared(t testing.TB, path string) string {
	t.Helper()
	full := filepath.Join(filepath.Dir(Root(t)), "shared", "testdata", path)
	if _, err := os.Stat(full); err != nil {
		t.Skipf("the large reference data %s are no part of the repository", strings.SplitN(filepath.ToSlash(path), "/", 2)[0])
	}
	return full
}
