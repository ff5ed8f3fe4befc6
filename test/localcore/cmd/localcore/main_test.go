package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/shared/cli"
	"edgepdm/test/must"
)

const recipe = `RecipeFormatVersion: '2020-01-25'
ComponentName: NAME
ComponentVersion: 1.0.0
ComponentConfiguration: {DefaultConfiguration: {text: none, n: 5}}
Manifests:
  - Platform: {os: linux, runtime: "*"}
    Lifecycle: {run: 'echo {configuration:/text} > out; exec sleep 1000'}
    Artifacts: []
`

func write(t *testing.T, file, text string) string {
	t.Helper()
	must.OK(t, os.MkdirAll(filepath.Dir(file), 0o755))
	must.OK(t, os.WriteFile(file, []byte(text), 0o644))
	return file
}

// output keeps what is written and closes seen when it holds the text.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	text string
	seen chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	had := strings.Contains(o.buf.String(), o.text)
	o.buf.Write(p)
	if !had && strings.Contains(o.buf.String(), o.text) {
		close(o.seen)
	}
	return len(p), nil
}

func TestRunUntilAskedToStop(t *testing.T) {
	for mode, n := range map[string]string{"classic": `"n": 5`, "lite": `"n": "5"`} { // lite makes a recipe's scalars strings
		t.Run(mode, func(t *testing.T) { runUntilAskedToStop(t, mode, n) })
	}
}

func runUntilAskedToStop(t *testing.T, mode, number string) {
	root, stage := t.TempDir(), t.TempDir()
	for _, name := range []string{"com.test.A", "com.test.B"} {
		write(t, filepath.Join(stage, "recipes", name+"-1.0.0.yaml"), strings.Replace(recipe, "NAME", name, 1))
	}
	external := write(t, filepath.Join(t.TempDir(), "r.yaml"), strings.Replace(recipe, "NAME", "com.test.E", 1))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out := &output{text: "ready\n", seen: make(chan struct{})}
	var errOut bytes.Buffer
	code := make(chan int)
	go func() {
		code <- program().Main(ctx, []string{"-mode", mode, "-root", root, "-stage", stage, "-only", "com.test.A",
			"-merge", `com.test.A={"text":"merged"}`, "-external", "com.test.E=" + external}, cli.Streams{Out: out, Err: &errOut})
	}()
	select {
	case <-out.seen:
	case c := <-code:
		t.Fatalf("ended with %d: %s", c, errOut.String())
	}
	if _, err := os.Stat(filepath.Join(root, "env", "com.test.E.env")); err != nil {
		t.Error(err)
	}
	cancel()
	if c := <-code; c != cli.ExitOK {
		t.Errorf("exit code %d: %s", c, errOut.String())
	}
	lines := strings.Split(strings.TrimSpace(out.buf.String()), "\n")
	want := []string{"socket " + filepath.Join(root, "ipc.socket"), "broker mqtt://127.0.0.1:",
		"com.test.A NEW -> INSTALLED", "com.test.A INSTALLED -> STARTING", "com.test.A STARTING -> RUNNING", "ready",
		"com.test.A RUNNING -> STOPPING", "com.test.A STOPPING -> FINISHED"}
	if len(lines) != len(want) {
		t.Fatalf("output\n%s", out.buf.String())
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("line %d is %q, want %q", i, lines[i], want[i])
		}
	}
	if config, err := os.ReadFile(filepath.Join(root, "config", "com.test.A.json")); err != nil || !strings.Contains(string(config), "merged") || !strings.Contains(string(config), number) {
		t.Errorf("configuration %s, %v", config, err)
	}
}

func TestCommandLine(t *testing.T) {
	stage := t.TempDir()
	write(t, filepath.Join(stage, "recipes", "com.test.A-1.0.0.yaml"), strings.Replace(recipe, "NAME", "com.test.A", 1))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-help"}, cli.ExitOK, "-external NAME=RECIPE_FILE"},
		{[]string{"-version"}, cli.ExitOK, "localcore " + cli.Version("")},
		{nil, cli.ExitUsage, "-root is required"},
		{[]string{"-root", "x", "more"}, cli.ExitUsage, `unexpected argument "more"`},
		{[]string{"-root", "x", "-mode", "both"}, cli.ExitUsage, `-mode is "both", must be classic or lite`},
		{[]string{"-root", t.TempDir(), "-mode", "lite", "-shadows"}, cli.ExitFailed, "nucleus lite has no shadow manager"},
		{[]string{"-root", "x", "-error-reset", "0s"}, cli.ExitUsage, "-error-reset must be positive"},
		{[]string{"-root", "x", "-error-reset", "soon"}, cli.ExitUsage, "-error-reset"},
		{[]string{"-root", "x", "-only", "A"}, cli.ExitUsage, "-only needs -stage"},
		{[]string{"-root", "x", "-stage", stage, "-only", "A"}, cli.ExitUsage, "-only A is not staged; staged are com.test.A"},
		{[]string{"-root", "x", "-external", "A"}, cli.ExitUsage, "-external: must be NAME=RECIPE_FILE"},
		{[]string{"-root", "x", "-merge", "A=5"}, cli.ExitUsage, "-merge: must be NAME=JSON"},
		{[]string{"-root", "x", "-merge", "A={}", "-merge", "A={}"}, cli.ExitUsage, "A is given twice"},
		{[]string{"-root", t.TempDir(), "-external", "A=/none"}, cli.ExitFailed, "-external A: read recipe"},
		{[]string{"-root", t.TempDir(), "-stage", t.TempDir()}, cli.ExitFailed, "there is no recipe in"},
		{[]string{"-root", t.TempDir(), "-merge", "A={}"}, cli.ExitFailed, "update configuration of A: there is no such component"},
		{[]string{"-root", t.TempDir(), "-broker", "0.0.0.0:0"}, cli.ExitFailed, "not on loopback"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			var out, errOut bytes.Buffer
			code := program().Main(context.Background(), c.args, cli.Streams{Out: &out, Err: &errOut})
			if text := out.String() + errOut.String(); code != c.code || !strings.Contains(text, c.want) {
				t.Errorf("exit code %d, %s\nwant %d, %s", code, text, c.code, c.want)
			}
		})
	}
}
