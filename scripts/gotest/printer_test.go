package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/test/must"
)

// A module with tests of every outcome: what is printed is what go test prints, and then what was skipped.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":       "module edgepdm\n\ngo 1.26.0\n",
		"bare/bare.go": "package bare\n",
		"good/good_test.go": `package good

import "testing"

func TestGood(t *testing.T) { t.Log("a word that nobody asked for") }

func TestTool(t *testing.T) {
	t.Run("one", func(t *testing.T) { t.Skip("node is missing (Debian: apt-get install nodejs)") })
	t.Run("two", func(t *testing.T) { t.Skip("node is missing (Debian: apt-get install nodejs)") })
}

func TestChild(t *testing.T) { t.Skip("runs as a child of TestGood") }

func BenchmarkFast(b *testing.B) {
	for b.Loop() {
	}
}

func BenchmarkPeer(b *testing.B) { b.Skip("python3 is missing (Debian: apt-get install python3)") }
`,
		"bad/bad_test.go": `package bad

import "testing"

func TestFine(t *testing.T) { t.Log("fine") }

func TestBad(t *testing.T) {
	t.Run("inner", func(t *testing.T) { t.Error("it broke") })
}
`,
		"worse/worse_test.go": "package worse\n\nvar x int = \"text\"\n",
	} {
		path := filepath.Join(dir, name)
		must.OK(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must.OK(t, os.WriteFile(path, []byte(text), 0o600))
	}
	t.Chdir(dir)
	for _, test := range []struct {
		name        string
		args        string
		code        int
		want, never []string // lines
	}{
		{
			name: "good", args: "-count=1 ./good ./bare",
			want: []string{
				"ok  \tedgepdm/good\t", "?   \tedgepdm/bare\t[no test files]", "skipped, and why (2):",
				"  node is missing (Debian: apt-get install nodejs): good.TestTool/one, good.TestTool/two",
			},
			never: []string{"PASS", "=== RUN", "a word", "child", "FAIL"},
		},
		{
			name: "bad", args: "-count=1 ./bad", code: 1,
			want:  []string{"--- FAIL: TestBad", "--- FAIL: TestBad/inner", "    bad_test.go:8: it broke", "FAIL\tedgepdm/bad\t", "nothing was skipped"},
			never: []string{"PASS", "=== RUN", "fine"},
		},
		{name: "not compiled", args: "./worse", code: 1, want: []string{"worse/worse_test.go:3:", "FAIL\tedgepdm/worse [build failed]"}},
		{name: "no such package", args: "./none", code: 1, want: []string{"FAIL\t./none [setup failed]"}},
		{name: "no such flag", args: "-no-such-flag ./good", code: 1, want: []string{"FAIL\t. [setup failed]"}},
		{
			name: "bench", args: "-run ^$ -bench . -benchtime 1x ./good",
			want: []string{"BenchmarkFast", "ok  \tedgepdm/good\t", "  python3 is missing (Debian: apt-get install python3): good.BenchmarkPeer"},
		},
		{name: "left out", args: "-count=1 ./bare", want: []string{"skipped, and why (1):", "  no race detector"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, errOut strings.Builder
			args := strings.Fields(test.args)
			if test.name == "left out" {
				args = append([]string{"-left-out", "no race detector"}, args...)
			}
			code, err := run(args, &out, &errOut)
			if err != nil || code != test.code {
				t.Errorf("code %d, %v", code, err)
			}
			text := "\n" + out.String()
			for _, want := range test.want {
				if !strings.Contains(text, "\n"+want) {
					t.Errorf("no line %q in\n%s%s", want, text, &errOut)
				}
			}
			for _, never := range test.never {
				if strings.Contains(text, never) {
					t.Errorf("%q in\n%s", never, text)
				}
			}
		})
	}
}
