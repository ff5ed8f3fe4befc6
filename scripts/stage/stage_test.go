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
	"testing"

	"edgepdm/shared/cli"
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

func TestStageForGreengrassCLI(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, out := range []string{first, second} {
		if err := stageInto(t, "-version", "1.2.3", "-only", "sensor-simulator", "-arch", "amd64", "-out", out); err != nil {
			t.Fatal(err)
		}
	}
	recipe, err := os.ReadFile(filepath.Join(first, "recipes", "com.edgepdm.SensorSimulator-1.2.3.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(recipe), `ComponentVersion: "1.2.3"`) || strings.Contains(string(recipe), "{COMPONENT_") {
		t.Errorf("recipe %s", recipe)
	}
	program := filepath.Join("artifacts", "com.edgepdm.SensorSimulator", "1.2.3", "sensor-simulator-linux-amd64")
	a, err := os.ReadFile(filepath.Join(first, program))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(second, program))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("two builds of the same source differ")
	}
}

// Other versions stay, to go back to; of this one there is exactly what a deployment and its check need.
func TestStageKeepsOtherVersions(t *testing.T) {
	out := t.TempDir()
	old := filepath.Join(out, "artifacts", "com.edgepdm.SensorSimulator", "1.2.3", "of-an-earlier-run")
	if err := os.MkdirAll(filepath.Dir(old), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1.2.2", "1.2.3"} {
		if err := stageInto(t, "-version", version, "-only", "sensor-simulator,suite", "-arch", "amd64", "-out", out); err != nil {
			t.Fatal(err)
		}
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
	if err := stageInto(t, "-version", "1.2.3", "-only", "sensor-simulator", "-arch", "all", "-bucket", "my-bucket", "-out", out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(out, "recipes", "com.edgepdm.SensorSimulator-1.2.3.yaml"))
	if err != nil {
		t.Fatal(err)
	}
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

func TestStageForGDK(t *testing.T) {
	project := t.TempDir()
	config, err := os.ReadFile(filepath.Join(need.Root(t), "recipes", "sensor-simulator", "gdk-config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(project, "gdk-config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(need.Root(t))
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-only", "sensor-simulator", "-arch", "amd64", "-gdk", project}, cli.Streams{Out: &out, Err: &out}); err != nil {
		t.Fatal(err)
	}
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
		"-version: \"1.2\"":    {"-version", "1.2"},
		"-arch: \"mips\"":      {"-arch", "mips"},
		"recipes/x/recipe":     {"-only", "x"},
		"one component, -only": {"-gdk", "."},
	} {
		err := stageInto(t, args...)
		if !errors.Is(err, cli.ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}
