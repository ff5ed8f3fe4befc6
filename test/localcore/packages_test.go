package localcore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/test/must"
)

// TestHotArtifactsAreLocked: a deployment to a running component of a classic nucleus copies its artifacts again, as
// root's: it cannot read them until its next start. That holds for a core that is root, too.
func TestHotArtifactsAreLocked(t *testing.T) {
	f := newFixture(t, nil)
	ask, answer := f.fifo("com.test.A", "ask"), f.fifo("com.test.A", "answer")
	a := staged{name: "com.test.A", config: "{n: 1}",
		lifecycle: `{run: "while read line < ask; do text=$(cat {artifacts:path}/data 2>&-) || text=locked; echo $text > answer; done"}`,
		artifacts: `[{Uri: "s3://B/data"}]`, files: map[string]string{"data": "open"}}
	reads := func(want string) {
		t.Helper()
		f.tell(ask, "now\n")
		if got := f.hear(answer); got != want {
			t.Errorf("the component reads %q, want %q", got, want)
		}
	}
	f.deploy(a)
	reads("open")
	f.update("com.test.A", map[string]any{"merge": map[string]any{"n": 2}}) // hands no tree over
	reads("open")
	pid := f.status("com.test.A").PID
	f.deploy(staged{name: "com.test.B"}, a) // as a script does that changes the configuration
	if s := f.status("com.test.A"); s.PID != pid {
		t.Fatalf("it was started again: %+v", s)
	}
	reads("locked")
	must.OK(t, f.core.RestartComponent(f.ctx, "com.test.A"))
	reads("open")
}

// TestLiteCopiesTheWholeTree: it copies over programs that run, which fails; a tree without them does not.
func TestLiteCopiesTheWholeTree(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Mode = Lite })
	program, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Skip("there is no /bin/sleep")
	}
	put := func(name string, executable bool) staged {
		s := staged{name: name, lifecycle: `{run: "exec {artifacts:path}sleep 1000"}`,
			artifacts: `[{Uri: "s3://B/sleep", Permission: {Execute: OWNER}}]`, files: map[string]string{"sleep": string(program)}}
		f.put(s)
		mode := os.FileMode(0o644)
		if executable {
			mode = 0o755
		}
		must.OK(t, os.Chmod(filepath.Join(f.stage, "artifacts", name, "1.0.0", "sleep"), mode))
		return s
	}
	put("com.test.A", true)
	f.deployVersions(map[string]string{"com.test.A": "1.0.0"}, "")
	pid := f.status("com.test.A").PID
	eventually(t, "the shell has become the program", func() bool {
		name, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		return err == nil && filepath.Base(name) == "sleep" && strings.HasPrefix(name, f.root)
	})
	put("com.test.B", true)
	err = f.core.Deploy(f.ctx, Deployment{Components: map[string]string{"com.test.B": "1.0.0"}})
	if err == nil || !strings.Contains(err.Error(), "text file busy") {
		t.Errorf("got %v", err)
	}
	if got := f.versions(); got != "A=1.0.0" {
		t.Errorf("after it there are %s", got)
	}
	if s := f.status("com.test.A"); s.PID != pid || s.State != StateRunning {
		t.Errorf("A is %+v", s)
	}

	whole := f.stage
	f.stage = t.TempDir()
	put("com.test.B", true)
	f.deployVersions(map[string]string{"com.test.B": "1.0.0"}, f.stage)
	if got := f.versions(); got != "A=1.0.0 B=1.0.0" {
		t.Errorf("a tree of what is new: %s", got)
	}
	f.stage = whole
	if !exists(filepath.Join(f.root, "packages/artifacts/com.test.A/1.0.0/sleep")) {
		t.Error("the artifact of A is gone")
	}
}

// TestLiteKeepsModes: nucleus lite gives artifacts of a local deployment no permissions; those of the tree hold.
func TestLiteKeepsModes(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Mode = Lite })
	f.deploy(staged{name: "com.test.A", lifecycle: `{run: "exec sleep 1000"}`,
		artifacts: `[{Uri: "s3://B/prog", Permission: {Execute: OWNER}}]`, files: map[string]string{"prog": "x"}})
	info, err := os.Stat(filepath.Join(f.root, "packages/artifacts/com.test.A/1.0.0/prog"))
	if err != nil || info.Mode().Perm()&0o111 != 0 {
		t.Errorf("%v, %v", info, err)
	}
}
