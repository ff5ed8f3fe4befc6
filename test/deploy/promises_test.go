package deploy

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"edgepdm/test/must"
	"edgepdm/test/need"
)

// Every promise that a comment or a page names by its number stands in docs/promises.md.
func TestPromisesAreDefined(t *testing.T) {
	root := need.Root(t)
	page, err := os.ReadFile(filepath.Join(root, "docs", "promises.md"))
	must.OK(t, err)
	defined := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^- \*\*([FMA]\d+)\*\*`).FindAllStringSubmatch(string(page), -1) {
		defined[m[1]] = true
	}
	list := exec.Command("git", "ls-files", "*.go", "*.md")
	list.Dir = root
	files, err := list.Output()
	if err != nil {
		t.Fatalf("list files: %v", err)
	}
	named := regexp.MustCompile(`(?:^|[\s(])([FMA]\d{1,2})(?:[:,;.)\s]|$)`)
	found := 0
	for name := range strings.Lines(string(files)) {
		name = strings.TrimSpace(name)
		f, err := os.Open(filepath.Join(root, name))
		must.OK(t, err)
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			text := lines.Text()
			if strings.HasSuffix(name, ".go") {
				_, text, _ = strings.Cut(text, "//")
			}
			for _, m := range named.FindAllStringSubmatch(text, -1) {
				if found++; !defined[m[1]] {
					t.Errorf("%s names %s, which docs/promises.md does not define: %s", name, m[1], text)
				}
			}
		}
		if err := lines.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_ = f.Close()
	}
	if found < 50 {
		t.Errorf("only %d promises are named: the test looks in the wrong places", found)
	}
}
