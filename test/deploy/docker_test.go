package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"edgepdm/test/must"
	"edgepdm/test/need"
)

// composeFile is a compose file with the keys that the nucleus's container uses, and no others.
type composeFile struct {
	Services map[string]struct {
		Image       string            `yaml:"image"`
		Name        string            `yaml:"container_name"`
		Init        bool              `yaml:"init"`
		StopGrace   string            `yaml:"stop_grace_period"`
		Environment map[string]string `yaml:"environment"`
		Volumes     []string          `yaml:"volumes"`
	} `yaml:"services"`
}

func readCompose(t *testing.T, name string) (c composeFile) {
	t.Helper()
	file, err := os.Open(filepath.Join(need.Root(t), "scripts", "docker", name))
	must.OK(t, err)
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}

// knownVariables are what the official image's entrypoint reads, and LOG_LEVEL, which it passes to the nucleus.
var knownVariables = []string{
	"PROVISION", "INIT_CONFIG", "AWS_REGION", "THING_NAME", "THING_GROUP_NAME", "THING_POLICY_NAME", "TES_ROLE_NAME",
	"TES_ROLE_ALIAS_NAME", "COMPONENT_DEFAULT_USER", "DEPLOY_DEV_TOOLS", "TRUSTED_PLUGIN", "LOG_LEVEL",
}

func TestComposeFiles(t *testing.T) {
	offline := readCompose(t, "compose.yaml")
	if len(offline.Services) != 1 {
		t.Fatalf("services %v", offline.Services)
	}
	s := offline.Services["greengrass"]
	if !s.Init || s.Name != "edgepdm-greengrass" || !regexp.MustCompile(`^\$\{GREENGRASS_IMAGE:\?[^}]+\}$`).MatchString(s.Image) {
		t.Errorf("service %+v", s)
	}
	if s.Environment["PROVISION"] != "false" || s.Environment["INIT_CONFIG"] != "/edgepdm/config.yaml" || s.Environment["LOG_LEVEL"] == "" {
		t.Errorf("environment %v", s.Environment)
	}
	want := []string{
		"../../docker-run/config.yaml:/edgepdm/config.yaml:ro", "../../artifacts-build:/edgepdm/stage:ro",
		"../../docker-run/logs:/greengrass/v2/logs",
	}
	if !slices.Equal(s.Volumes, want) {
		t.Errorf("volumes %q", s.Volumes)
	}
	provisioned := readCompose(t, "compose.provision.yaml").Services["greengrass"]
	if provisioned.Environment["PROVISION"] != "true" || provisioned.Environment["DEPLOY_DEV_TOOLS"] != "true" ||
		provisioned.Environment["INIT_CONFIG"] != "default_init_config" {
		t.Errorf("provisioned: environment %v", provisioned.Environment)
	}
	for _, environment := range []map[string]string{s.Environment, provisioned.Environment} {
		for name := range environment {
			if !slices.Contains(knownVariables, name) {
				t.Errorf("the image does not know %s", name)
			}
		}
	}
}

// dockerTree is a copy of the scripts and the Makefile in a tree of their own, in which docker.sh may make folders.
func dockerTree(t *testing.T) (root, script string) {
	t.Helper()
	root = t.TempDir()
	for _, name := range []string{"scripts/local-deploy.sh", "scripts/docker/docker.sh", "Makefile"} {
		target := filepath.Join(root, name)
		must.OK(t, os.MkdirAll(filepath.Dir(target), 0o755))
		must.OK(t, os.WriteFile(target, read(t, need.Root(t), name), 0o755))
	}
	return root, filepath.Join(root, "scripts", "docker", "docker.sh")
}

func TestDockerScript(t *testing.T) {
	root, script := dockerTree(t)
	folder := filepath.Join(root, "scripts", "docker")
	compose := []string{"docker in deploy", "  compose", "  -f", "  " + folder + "/compose.yaml"}
	version := []string{"docker in deploy", "  compose", "  version"}
	s := newStub(t)
	refuse := func(env []string, code int, want string, args ...string) {
		t.Helper()
		if got, output := s.run(script, env, args...); got != code || !strings.Contains(output, want) {
			t.Errorf("%q: exit code %d, %s\nwant %d, %s", args, got, output, code, want)
		}
		s.calls()
	}
	image := []string{"GREENGRASS_IMAGE=gg:1"}
	refuse(nil, 0, "docker.sh up|logs|down|cli", "-h")
	refuse(nil, 2, "name up, logs, down or cli")
	refuse(nil, 3, "docker is not on PATH", "up")
	s.add("docker", "1")
	refuse(nil, 3, "docker has no compose command", "up")
	s.add("docker", "0")
	refuse(nil, 2, "GREENGRASS_IMAGE is not set", "up")
	refuse(image, 1, "run make stage", "up")
	must.OK(t, os.MkdirAll(filepath.Join(root, "artifacts-build", "recipes"), 0o755))
	refuse(image, 1, "run make docker-config", "up")
	refuse(append(image, "PROVISION=true"), 2, "THING_NAME is not set", "up")
	must.OK(t, os.MkdirAll(filepath.Join(root, "docker-run"), 0o755))
	must.OK(t, os.WriteFile(filepath.Join(root, "docker-run", "config.yaml"), nil, 0o600))
	must.OK(t, os.WriteFile(filepath.Join(root, "artifacts-build", "recipes", "com.edgepdm.Suite-1.2.3.yaml"), nil, 0o600))
	accept := func(env []string, want []string, args ...string) {
		t.Helper()
		if code, output := s.run(script, env, args...); code != 0 {
			t.Errorf("%q: exit code %d, %s", args, code, output)
		}
		if calls := s.calls(); !slices.Equal(calls, append(slices.Clone(version), want...)) {
			t.Errorf("%q: called %q, want %q", args, calls, want)
		}
	}
	up := []string{"  up", "  --detach", "  --force-recreate"}
	accept(image, slices.Concat(compose, up), "up")
	provision := append(slices.Clone(image), "PROVISION=true", "THING_NAME=core")
	accept(provision, slices.Concat(compose, []string{"  -f", "  " + folder + "/compose.provision.yaml"}, up), "up")
	accept(nil, slices.Concat(compose, []string{"  down", "  --volumes"}), "down")
	accept(nil, []string{"docker in deploy", "  exec", "  edgepdm-greengrass", "  sh", "  -c",
		"  exec tail -n 50 -F /greengrass/v2/logs/greengrass.log /greengrass/v2/logs/com.edgepdm.*.log"}, "logs")
	accept(nil, []string{"docker in deploy", "  exec", "  edgepdm-greengrass", "  /greengrass/v2/bin/greengrass-cli",
		"  deployment", "  create", "  --recipeDir", "  /edgepdm/stage/recipes", "  --artifactDir", "  /edgepdm/stage/artifacts",
		"  --merge", "  com.edgepdm.Suite=1.2.3"}, "cli", "--no-wait", "com.edgepdm.Suite")
	if !exists(filepath.Join(root, "docker-run", "logs")) {
		t.Error("no folder for the logs")
	}
}

func TestDockerTargets(t *testing.T) {
	maker := need.Tool(t, "make", "Debian: apt-get install make")
	root, _ := dockerTree(t)
	for _, dir := range []string{"artifacts-build/recipes", "docker-run"} {
		must.OK(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	must.OK(t, os.WriteFile(filepath.Join(root, "docker-run", "config.yaml"), nil, 0o600))
	s := newStub(t)
	s.add("docker", "0")
	for target, last := range map[string]string{"docker-up": "--force-recreate", "docker-logs": "com.edgepdm.*.log", "docker-down": "--volumes"} {
		cmd := exec.CommandContext(t.Context(), maker, "-C", root, target, "GREENGRASS_IMAGE=gg:1")
		cmd.Env = append(os.Environ(), "PATH="+s.dir+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("make %s: %v\n%s", target, err, out)
		}
		if calls := s.calls(); len(calls) == 0 || !strings.HasSuffix(calls[len(calls)-1], last) {
			t.Errorf("make %s: called %q", target, calls)
		}
	}
}

// The pages have the bucket's name in the environment: only make's own argument makes a tree for the cloud.
func TestTreesForTheCloudLieApart(t *testing.T) {
	maker := need.Tool(t, "make", "Debian: apt-get install make")
	root, _ := dockerTree(t)
	for _, c := range []struct {
		args   []string
		bucket string
		cloud  bool
	}{
		{nil, `-bucket ""`, false},
		{[]string{"BUCKET=my-bucket"}, `-bucket "my-bucket"`, true},
	} {
		cmd := exec.CommandContext(t.Context(), maker, append([]string{"-C", root, "-n", "stage"}, c.args...)...)
		cmd.Env = append(os.Environ(), "BUCKET=of-the-environment")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.bucket) || strings.Contains(string(out), "-out cloud-build") != c.cloud {
			t.Errorf("make stage %q: %v\n%s", c.args, err, out)
		}
	}
}
