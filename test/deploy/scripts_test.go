package deploy

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// stub is a folder with programs that record their arguments, a line each, and end with a code.
type stub struct {
	t   *testing.T
	dir string
}

func newStub(t *testing.T) *stub {
	t.Helper()
	return &stub{t: t, dir: t.TempDir()}
}

// add makes a program that records its working directory and arguments, in the order of the calls, and exits with code.
func (s *stub) add(name string, code string) {
	s.t.Helper()
	text := "#!/bin/sh\n{ echo \"$(basename \"$0\") in $(basename \"$PWD\")\"; for a in \"$@\"; do echo \"  $a\"; done; } >>" +
		filepath.Join(s.dir, "calls") + "\nexit " + code + "\n"
	must.OK(s.t, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o755))
}

// calls returns what was recorded, and forgets it.
func (s *stub) calls() []string {
	s.t.Helper()
	file := filepath.Join(s.dir, "calls")
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err == nil {
		err = os.Remove(file)
	}
	must.OK(s.t, err)
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// run runs a script with no other commands than the stubs and those that every system has.
func (s *stub) run(script string, env []string, args ...string) (code int, output string) {
	s.t.Helper()
	tools := filepath.Join(s.dir, "tools")
	must.OK(s.t, os.MkdirAll(tools, 0o755))
	for _, tool := range []string{"bash", "sh", "cat", "dirname", "basename", "sort", "tail", "head", "paste", "sed", "grep", "mkdir", "awk", "date", "mktemp", "chmod", "cp", "rm", "sleep", "env"} {
		path, err := exec.LookPath(tool)
		if err == nil && !exists(filepath.Join(tools, tool)) {
			err = os.Symlink(path, filepath.Join(tools, tool))
		}
		must.OK(s.t, err)
	}
	cmd := exec.CommandContext(s.t.Context(), "bash", append([]string{script}, args...)...)
	cmd.Env = append([]string{"PATH=" + s.dir + ":" + tools, "HOME=" + s.dir}, env...)
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), string(out)
	} else if err != nil {
		s.t.Fatal(err)
	}
	return 0, string(out)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// stagedNames makes a tree with recipes of these names, NAME-VERSION, and nothing else.
func stagedNames(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	must.OK(t, os.MkdirAll(filepath.Join(dir, "recipes"), 0o755))
	for _, name := range names {
		must.OK(t, os.WriteFile(filepath.Join(dir, "recipes", name+".yaml"), nil, 0o600))
	}
	return dir
}

func TestLocalDeploy(t *testing.T) {
	script := filepath.Join(need.Root(t), "scripts", "local-deploy.sh")
	stage := stagedNames(t, "com.edgepdm.AlarmManager-1.9.0", "com.edgepdm.AlarmManager-1.10.0", "com.edgepdm.SensorSimulator-1.2.3", "com.edgepdm.Suite-1.2.3")
	dirs := []string{"  --recipeDir", "  " + stage + "/recipes", "  --artifactDir", "  " + stage + "/artifacts"}
	config := filepath.Join(t.TempDir(), "update.json")
	must.OK(t, os.WriteFile(config, []byte(`{"com.edgepdm.AlarmManager":{"MERGE":{"votes":2}}}`), 0o600))
	merge := func(names ...string) (args []string) {
		for _, name := range names {
			args = append(args, "  --merge", "  "+name)
		}
		return args
	}
	for _, c := range []struct {
		what   string
		clis   []string
		args   []string
		called string
		want   []string
	}{
		{
			"classic, all but the simulator", []string{"greengrass-cli"},
			nil, "greengrass-cli",
			slices.Concat([]string{"  deployment", "  create"}, dirs, merge("com.edgepdm.AlarmManager=1.10.0", "com.edgepdm.Suite=1.2.3")),
		},
		{
			"a given version and the newest", []string{"greengrass-cli"},
			[]string{"com.edgepdm.AlarmManager=1.9.0", event.SensorSimulator}, "greengrass-cli",
			slices.Concat([]string{"  deployment", "  create"}, dirs, merge("com.edgepdm.AlarmManager=1.9.0", event.SensorSimulator+"=1.2.3")),
		},
		{
			"configuration", []string{"greengrass-cli"},
			[]string{"--update-config", config, "com.edgepdm.AlarmManager"}, "greengrass-cli",
			slices.Concat([]string{"  deployment", "  create"}, dirs, merge("com.edgepdm.AlarmManager=1.10.0"),
				[]string{"  --update-config", `  {"com.edgepdm.AlarmManager":{"MERGE":{"votes":2}}}`}),
		},
		{
			"removal alone", []string{"greengrass-cli"},
			[]string{"--remove", "com.edgepdm.Suite", "-d", event.SensorSimulator}, "greengrass-cli",
			[]string{"  deployment", "  create", "  --remove", "  com.edgepdm.Suite", "  --remove", "  " + event.SensorSimulator},
		},
		{
			"lite", []string{"ggl-cli"},
			[]string{"--remove", event.SensorSimulator, "com.edgepdm.Suite"}, "ggl-cli",
			[]string{"  deploy", "  -r", "  TREE/recipes", "  -a", "  TREE/artifacts", "  -c", "  com.edgepdm.Suite=1.2.3", "  -d", "  " + event.SensorSimulator},
		},
		{
			"both there, one chosen", []string{"greengrass-cli", "ggl-cli"},
			[]string{"--runtime", "lite", "com.edgepdm.Suite"}, "ggl-cli",
			[]string{"  deploy", "  -r", "  TREE/recipes", "  -a", "  TREE/artifacts", "  -c", "  com.edgepdm.Suite=1.2.3"},
		},
		{
			"in a container", []string{"docker"},
			[]string{"--docker", "gg", "com.edgepdm.Suite"}, "docker",
			slices.Concat([]string{"  exec", "  gg", "  /greengrass/v2/bin/greengrass-cli", "  deployment", "  create", "  --recipeDir", "  /edgepdm/stage/recipes", "  --artifactDir", "  /edgepdm/stage/artifacts"}, merge("com.edgepdm.Suite=1.2.3")),
		},
		{
			"configuration names more, rollback", []string{"greengrass-cli"},
			[]string{"-c", config, "--add-configured", "--rollback", "com.edgepdm.Suite"}, "greengrass-cli",
			slices.Concat([]string{"  deployment", "  create"}, dirs, merge("com.edgepdm.Suite=1.2.3", "com.edgepdm.AlarmManager=1.10.0"),
				[]string{"  --update-config", `  {"com.edgepdm.AlarmManager":{"MERGE":{"votes":2}}}`, "  --failure-handling-policy", "  ROLLBACK"}),
		},
		{"dry run", []string{"greengrass-cli"}, []string{"--dry-run"}, "", nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := newStub(t)
			for _, cli := range c.clis {
				s.add(cli, "0")
			}
			temporary := t.TempDir()
			code, output := s.run(script, []string{"TMPDIR=" + temporary}, append([]string{"--no-wait", "--stage", stage}, c.args...)...)
			calls := s.calls()
			for i := range calls {
				calls[i] = regexp.MustCompile(regexp.QuoteMeta(temporary)+`/[^/]+`).ReplaceAllString(calls[i], "TREE")
			}
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, output)
			}
			if c.want == nil {
				if calls != nil || !strings.Contains(output, "greengrass-cli deployment create --recipeDir") || !strings.Contains(output, "com.edgepdm.AlarmManager=1.10.0") {
					t.Errorf("called %q, printed %s", calls, output)
				}
				return
			}
			want := append([]string{c.called + " in deploy"}, c.want...)
			if !slices.Equal(calls, want) {
				t.Errorf("called\n%q, want\n%q", calls, want)
			}
		})
	}
}

// The nucleus's own folder is looked into when greengrass-cli is not on the PATH, and its root is passed on.
func TestLocalDeployFindsTheNucleus(t *testing.T) {
	s := newStub(t)
	root := filepath.Join(s.dir, "gg")
	must.OK(t, os.MkdirAll(filepath.Join(root, "bin"), 0o755))
	s.add("gg/bin/greengrass-cli", "0")
	stage := stagedNames(t, "com.edgepdm.Suite-1.2.3")
	code, output := s.run(filepath.Join(need.Root(t), "scripts", "local-deploy.sh"), []string{"GGC_ROOT_PATH=" + root}, "--stage", stage, "-n")
	if want := root + "/bin/greengrass-cli --ggcRootPath " + root + " deployment create"; code != 0 || !strings.HasPrefix(output, want) {
		t.Errorf("exit code %d: %s", code, output)
	}
}

func TestLocalDeployRefuses(t *testing.T) {
	script := filepath.Join(need.Root(t), "scripts", "local-deploy.sh")
	stage := stagedNames(t, "com.edgepdm.Suite-1.2.3")
	config, broken := filepath.Join(t.TempDir(), "config.json"), filepath.Join(t.TempDir(), "broken.json")
	must.OK(t, os.WriteFile(config, []byte(`{"com.edgepdm.Suite":{"MERGE":{"a:":["}"]}},"com.edgepdm.CloudForwarder":{}}`), 0o600))
	must.OK(t, os.WriteFile(broken, []byte(`{"com.edgepdm.Suite":{`), 0o600))
	many := make([]string, 11)
	for i := range many {
		many[i] = "com.edgepdm.Suite=1.2.3"
	}
	for _, c := range []struct {
		clis []string
		args []string
		code int
		want string
	}{
		{nil, nil, 3, "neither greengrass-cli"},
		{[]string{"greengrass-cli", "ggl-cli"}, nil, 2, "choose with --runtime"},
		{[]string{"ggl-cli"}, []string{"-r", "classic"}, 3, "deploy aws.greengrass.Cli"},
		{[]string{"greengrass-cli"}, []string{"-r", "lite"}, 3, "comes with nucleus lite"},
		{[]string{"greengrass-cli"}, []string{"-r", "both"}, 2, "must be classic or lite"},
		{[]string{"greengrass-cli"}, []string{"--stage"}, 2, "--stage needs a value"},
		{[]string{"greengrass-cli"}, []string{"--nonsense"}, 2, "there is no flag --nonsense"},
		{[]string{"greengrass-cli"}, []string{"com.example.None"}, 1, "com.example.None is not staged in " + stage + "/recipes; staged are: com.edgepdm.Suite"},
		{[]string{"greengrass-cli"}, []string{"com.edgepdm.Suite=9.9.9"}, 1, "com.edgepdm.Suite 9.9.9 is not staged"},
		{[]string{"greengrass-cli"}, []string{"-c", "/none"}, 1, "cannot read /none"},
		{[]string{"greengrass-cli"}, []string{"--stage", "/none"}, 1, "no recipe is staged in /none/recipes; run: make stage"},
		{[]string{"ggl-cli"}, []string{"-c", "/none"}, 2, "ggl-cli cannot change a configuration"},
		{[]string{"ggl-cli"}, many, 2, "at most 10 components"},
		{nil, []string{"--docker", "gg"}, 3, "docker is not on PATH"},
		{[]string{"docker"}, []string{"--docker", "gg", "-r", "lite"}, 2, "--docker is for the classic nucleus"},
		{[]string{"greengrass-cli"}, []string{"-h"}, 0, "Exit codes: 0 deployed"},
		{[]string{"greengrass-cli"}, []string{"-c", config, "com.edgepdm.Suite"}, 2, "configures com.edgepdm.CloudForwarder, which this command does not name"},
		{[]string{"greengrass-cli"}, []string{"-c", broken}, 1, "its brackets or quotes do not close"},
		{[]string{"ggl-cli"}, []string{"--rollback"}, 2, "ggl-cli has no --rollback"},
		{[]string{"ggl-cli"}, []string{"--timeout", "soon"}, 2, "must be a number of seconds"},
	} {
		s := newStub(t)
		for _, cli := range c.clis {
			s.add(cli, "0")
		}
		code, output := s.run(script, []string{"GGC_ROOT_PATH=/none"}, append([]string{"-s", stage}, c.args...)...)
		if code != c.code || !strings.Contains(output, c.want) {
			t.Errorf("%q: exit code %d, %s\nwant %d, %s", c.args, code, output, c.code, c.want)
		}
		if calls := s.calls(); calls != nil {
			t.Errorf("%q: called %q", c.args, calls)
		}
	}
	s := newStub(t)
	s.add("ggl-cli", "7")
	if code, output := s.run(script, nil, "-s", stage); code != 1 || !strings.Contains(output, "ggl-cli failed with exit code 7") {
		t.Errorf("a failure: exit code %d, %s", code, output)
	}
}

func TestGDKScript(t *testing.T) {
	script := filepath.Join(need.Root(t), "scripts", "gdk.sh")
	s := newStub(t)
	for _, args := range [][]string{nil, {"deploy"}} {
		if code, output := s.run(script, nil, args...); code != 2 || !strings.Contains(output, "name build or publish") {
			t.Errorf("%q: exit code %d, %s", args, code, output)
		}
	}
	if code, output := s.run(script, nil, "-h"); code != 0 || !strings.Contains(output, "Usage: gdk.sh build|publish") {
		t.Errorf("-h: exit code %d, %s", code, output)
	}
	if code, output := s.run(script, nil, "build"); code != 3 || !strings.Contains(output, "gdk is not on PATH") {
		t.Errorf("without gdk: exit code %d, %s", code, output)
	}
	s.add("gdk", "0")
	root := filepath.Base(need.Root(t))
	folders := []string{"alarm-manager", "cloud-forwarder", "inference-engine", "ingest", "model-fetcher", "operator-console", "sensor-simulator", root}
	var builds, publications []string
	for _, folder := range folders {
		build := []string{"gdk in " + folder, "  component", "  build"}
		builds = append(builds, build...)
		publications = append(publications, build...)
		publications = append(publications, "gdk in "+folder, "  component", "  publish", "  --region", "  eu-west-1")
	}
	if code, output := s.run(script, nil, "build"); code != 0 {
		t.Errorf("build: exit code %d, %s", code, output)
	}
	if calls := s.calls(); !slices.Equal(calls, builds) {
		t.Errorf("build calls %q", calls)
	}
	if code, output := s.run(script, nil, "publish", "--region", "eu-west-1"); code != 0 {
		t.Errorf("publish: exit code %d, %s", code, output)
	}
	if calls := s.calls(); !slices.Equal(calls, publications) {
		t.Errorf("publish calls %q", calls)
	}
	s.add("gdk", "1")
	if code, _ := s.run(script, nil, "publish"); code == 0 || len(s.calls()) != 3 {
		t.Errorf("a failed build is published: exit code %d", code)
	}
}

func TestGDKBuildScriptRefuses(t *testing.T) {
	script := filepath.Join(need.Root(t), "scripts", "gdk-build.sh")
	s := newStub(t)
	if code, output := s.run(script, nil); code != 2 || !strings.Contains(output, "usage: gdk-build.sh COMPONENT") {
		t.Errorf("exit code %d, %s", code, output)
	}
	s.add("go", "0")
	if code, output := s.run(script, nil, "suite"); code != 0 {
		t.Fatalf("exit code %d, %s", code, output)
	}
	working, err := os.Getwd()
	must.OK(t, err)
	want := []string{"go in " + filepath.Base(need.Root(t)), "  run", "  ./scripts/stage", "  -arch", "  all", "  -only", "  suite", "  -gdk", "  " + working}
	if calls := s.calls(); !slices.Equal(calls, want) {
		t.Errorf("called %q, want %q", calls, want)
	}
}
