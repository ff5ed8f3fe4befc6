package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"edgepdm/shared/cli"
	"edgepdm/shared/recipe"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

func stageInto(t *testing.T, args ...string) error {
	t.Helper()
	t.Chdir(need.Root(t))
	var out bytes.Buffer
	err := run(t.Context(), args, cli.Streams{Out: &out, Err: &out})
	if err == nil && !strings.Contains(out.String(), "staged com.edgepdm.SensorSimulator "+args[1]) {
		t.Errorf("output %q", out.String())
	}
	return err
}

// stageTree stages what need not be the simulator.
func stageTree(t *testing.T, args ...string) error {
	t.Helper()
	t.Chdir(need.Root(t))
	var out bytes.Buffer
	return run(t.Context(), args, cli.Streams{Out: &out, Err: &out})
}

func TestStageForGreengrassCLI(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, out := range []string{first, second} {
		must.OK(t, stageInto(t, "-version", "1.2.3", "-only", "sensor-simulator", "-arch", "amd64", "-out", out))
	}
	recipe := must.Read(t, filepath.Join(first, "recipes", "com.edgepdm.SensorSimulator-1.2.3.yaml"))
	if !strings.Contains(string(recipe), `ComponentVersion: "1.2.3"`) || strings.Contains(string(recipe), "{COMPONENT_") {
		t.Errorf("recipe %s", recipe)
	}
	program := filepath.Join("artifacts", "com.edgepdm.SensorSimulator", "1.2.3", "sensor-simulator-linux-amd64")
	a := must.Read(t, filepath.Join(first, program))
	b := must.Read(t, filepath.Join(second, program))
	if !bytes.Equal(a, b) {
		t.Error("two builds of the same source differ")
	}
}

// Other versions stay, to go back to; of this one there is exactly what a deployment and its check need.
func TestStageKeepsOtherVersions(t *testing.T) {
	out := t.TempDir()
	old := filepath.Join(out, "artifacts", "com.edgepdm.SensorSimulator", "1.2.3", "of-an-earlier-run")
	must.OK(t, os.MkdirAll(filepath.Dir(old), 0o755))
	must.OK(t, os.WriteFile(old, nil, 0o600))
	for _, version := range []string{"1.2.2", "1.2.3"} {
		must.OK(t, stageInto(t, "-version", version, "-only", "sensor-simulator,suite", "-arch", "amd64", "-out", out))
	}
	var files []string
	err := fs.WalkDir(os.DirFS(out), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return err
	})
	want := []string{
		"SHA256SUMS",
		"artifacts/com.edgepdm.SensorSimulator/1.2.2/sensor-simulator-linux-amd64",
		"artifacts/com.edgepdm.SensorSimulator/1.2.3/sensor-simulator-linux-amd64",
		"recipes/com.edgepdm.SensorSimulator-1.2.2.yaml",
		"recipes/com.edgepdm.SensorSimulator-1.2.3.yaml",
		"recipes/com.edgepdm.Suite-1.2.2.yaml",
		"recipes/com.edgepdm.Suite-1.2.3.yaml",
		"sbom/com.edgepdm.SensorSimulator-1.2.2.cdx.json",
		"sbom/com.edgepdm.SensorSimulator-1.2.3.cdx.json",
	}
	if err != nil || !slices.Equal(files, want) {
		t.Errorf("files %q, want %q; %v", files, want, err)
	}
}

// For a deployment from the cloud each URI is where the artifact lies once artifacts/ is copied to the bucket.
func TestStageForTheCloud(t *testing.T) {
	out := t.TempDir()
	must.OK(t, stageInto(t, "-version", "1.2.3", "-only", "sensor-simulator", "-arch", "all", "-bucket", "my-bucket", "-out", out))
	text := must.Read(t, filepath.Join(out, "recipes", "com.edgepdm.SensorSimulator-1.2.3.yaml"))
	uris := regexp.MustCompile(`Uri: s3://my-bucket/(\S+)`).FindAllStringSubmatch(string(text), -1)
	if len(uris) != len(architectures()) || strings.Contains(string(text), "BUCKET_NAME") {
		t.Errorf("URIs %q in\n%s", uris, text)
	}
	for _, uri := range uris {
		if _, err := os.Stat(filepath.Join(out, "artifacts", uri[1])); err != nil {
			t.Errorf("%s is not staged: %v", uri[0], err)
		}
	}
}

// A recipe for the cloud names only programs that are built.
func TestStageForTheCloudOfOneArchitecture(t *testing.T) {
	out := t.TempDir()
	must.OK(t, stageTree(t, "-only", "sensor-simulator", "-version", "1.2.3", "-arch", "arm64", "-bucket", "my-bucket", "-out", out))
	text := must.Read(t, filepath.Join(out, "recipes", "com.edgepdm.SensorSimulator-1.2.3.yaml"))
	if r, err := recipe.Parse(text); err != nil || len(r.Manifests) != 1 || r.Manifests[0].Platform["architecture"] != "aarch64" {
		t.Errorf("%v: %+v in\n%s", err, r, text)
	}
}

func TestStageForGDK(t *testing.T) {
	project := t.TempDir()
	config := must.Read(t, filepath.Join(need.Root(t), "recipes", "sensor-simulator", "gdk-config.json"))
	must.OK(t, os.WriteFile(filepath.Join(project, "gdk-config.json"), config, 0o600))
	t.Chdir(need.Root(t))
	var out bytes.Buffer
	must.OK(t, run(t.Context(), []string{"-only", "sensor-simulator", "-arch", "amd64", "-gdk", project}, cli.Streams{Out: &out, Err: &out}))
	if !strings.HasPrefix(out.String(), "staged com.edgepdm.SensorSimulator NEXT_PATCH: ") {
		t.Errorf("output %q", out.String())
	}
	for _, file := range []string{
		"recipes/recipe.yaml", "artifacts/com.edgepdm.SensorSimulator/NEXT_PATCH/sensor-simulator-linux-amd64",
		"sbom/com.edgepdm.SensorSimulator-NEXT_PATCH.cdx.json", "SHA256SUMS",
	} {
		if _, err := os.Stat(filepath.Join(project, "greengrass-build", file)); err != nil {
			t.Error(err)
		}
	}
}

func TestStageRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"-version: \"1.2\"":           {"-version", "1.2"},
		"-arch: \"mips\"":             {"-arch", "mips"},
		"recipes/x/recipe":            {"-only", "x"},
		"one component, -only":        {"-gdk", "."},
		"\"s3://b/\" is not the name": {"-bucket", "s3://b/"},
		"gets nothing from":           {"-bucket", "my-bucket", "-offline"},
	} {
		err := stageInto(t, args...)
		if !errors.Is(err, cli.ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}

// The staged suite names the versions that are staged with it; GDK's, which gives each component a version of its own, a range.
func TestTheSuiteNamesVersions(t *testing.T) {
	out := t.TempDir()
	must.OK(t, stageTree(t, "-only", "suite,sensor-simulator", "-version", "1.2.3", "-out", out))
	staged := requirements(t, filepath.Join(out, "recipes", "com.edgepdm.Suite-1.2.3.yaml"))
	project := requirements(t, "recipe.yaml")
	if len(staged) != 5 || len(project) != 5 {
		t.Fatalf("%v, %v", staged, project)
	}
	for name := range staged {
		if staged[name] != "=1.2.3" || project[name] != ">=0.0.0" {
			t.Errorf("%s: staged %q, in the project %q", name, staged[name], project[name])
		}
	}
	// Another version of the suite must not be kept from coming by what is beside it.
	simulator := requirements(t, filepath.Join(out, "recipes", "com.edgepdm.SensorSimulator-1.2.3.yaml"))
	if simulator["com.edgepdm.InferenceEngine"] != ">=0.0.0" {
		t.Errorf("the simulator needs %v", simulator)
	}
}

func requirements(t *testing.T, file string) map[string]string {
	t.Helper()
	data := must.Read(t, file)
	r, err := recipe.Parse(recipe.WithVersion(data, "0.0.0"))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	all := make(map[string]string)
	for name, d := range r.Dependencies {
		all[name] = d.Requirement
	}
	return all
}

// For a core without an account nothing depends on the token exchange service, and the rest is as it was.
func TestStageOffline(t *testing.T) {
	out, offline := t.TempDir(), t.TempDir()
	for dir, flag := range map[string]string{out: "-offline=false", offline: "-offline"} {
		must.OK(t, stageTree(t, "-only", "cloud-forwarder,inference-engine,model-fetcher", "-version", "1.2.3", "-out", dir, flag))
	}
	for name, needs := range map[string]bool{"CloudForwarder": true, "ModelFetcher": true, "InferenceEngine": false} {
		file := filepath.Join("recipes", "com.edgepdm."+name+"-1.2.3.yaml")
		if got := requirements(t, filepath.Join(out, file)); (got["aws.greengrass.TokenExchangeService"] != "") != needs {
			t.Errorf("%s needs %v", name, got)
		}
		if got := requirements(t, filepath.Join(offline, file)); len(got) != 0 {
			t.Errorf("%s needs %v offline", name, got)
		}
	}
}

// Whoever stages, the nucleus's user can read the tree.
func TestStagedFilesAreReadable(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	out := filepath.Join(t.TempDir(), "tree")
	must.OK(t, stageTree(t, "-version", "1.2.3", "-only", "inference-engine", "-out", out))
	err := filepath.WalkDir(out, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := os.FileMode(0o444)
		if entry.IsDir() || strings.Contains(path, "-linux-") {
			want = 0o555
		}
		if info.Mode().Perm()&want != want {
			t.Errorf("%s has %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
