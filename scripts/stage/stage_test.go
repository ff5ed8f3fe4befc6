package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
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
	if err == nil && !strings.Contains(out.String(), "staged com.edgepdm.SensorSimulator 1.2.3") {
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

func TestStageForGDK(t *testing.T) {
	project := t.TempDir()
	config, err := os.ReadFile(filepath.Join(need.Root(t), "recipes", "sensor-simulator", "gdk-config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(project, "gdk-config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := stageInto(t, "-version", "1.2.3", "-only", "sensor-simulator", "-arch", "amd64", "-gdk", project); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"recipes/recipe.yaml", "artifacts/com.edgepdm.SensorSimulator/NEXT_PATCH/sensor-simulator-linux-amd64"} {
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
