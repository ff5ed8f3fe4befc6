package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gopkg.in/yaml.v3"

	"edgepdm/shared/cli"
	"edgepdm/shared/recipe"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// stageRecipes stages the project's recipes, without programs, as version 1.2.3.
func stageRecipes(t *testing.T) (stage string) {
	t.Helper()
	stage = t.TempDir()
	root := need.Root(t)
	files, err := filepath.Glob(filepath.Join(root, "recipes", "*", "recipe.yaml"))
	must.OK(t, err)
	must.OK(t, os.Mkdir(filepath.Join(stage, "recipes"), 0o755))
	for _, file := range append(files, filepath.Join(root, "recipe.yaml")) {
		text := must.Read(t, file)
		text = recipe.WithVersion(text, "1.2.3")
		r, err := recipe.Parse(text)
		must.OK(t, err)
		must.OK(t, os.WriteFile(filepath.Join(stage, "recipes", r.Name+"-1.2.3.yaml"), text, 0o600))
	}
	return stage
}

// rendered is what a nucleus reads of its initial configuration.
type rendered struct {
	System   map[string]string `yaml:"system"`
	Services map[string]struct {
		Type          string                    `yaml:"componentType"`
		Version       string                    `yaml:"version"`
		Dependencies  []string                  `yaml:"dependencies"`
		Lifecycle     map[string]map[string]any `yaml:"lifecycle"`
		Configuration map[string]any            `yaml:"configuration"`
	} `yaml:"services"`
}

func renderFor(t *testing.T, set settings) (r rendered) {
	t.Helper()
	text, _, err := render(set)
	must.OK(t, err)
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&r); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return r
}

func TestRenderedConfiguration(t *testing.T) {
	stage := stageRecipes(t)
	r := renderFor(t, settings{stage: stage, arch: "arm64", thing: "core", region: "eu-west-1"})
	recipes, err := readRecipes(stage, "")
	must.OK(t, err)
	main := r.Services["main"].Dependencies
	if want := len(recipes) + 1; len(main) != want || len(r.Services) != want+1 {
		t.Errorf("main depends on %q, services are %d, want %d and main", main, len(r.Services), want)
	}
	// A nucleus adds itself only where the configuration has no dependencies of main.
	if !slices.Contains(main, "aws.greengrass.Nucleus") || r.Services["aws.greengrass.Nucleus"].Type != "NUCLEUS" {
		t.Errorf("the nucleus is missing: %q", main)
	}
	if r.Services["aws.greengrass.Nucleus"].Configuration["awsRegion"] != "eu-west-1" || r.System["thingName"] != "core" {
		t.Errorf("nucleus %v, system %v", r.Services["aws.greengrass.Nucleus"], r.System)
	}
	for _, staged := range recipes {
		s := r.Services[staged.Name]
		if !slices.Contains(main, staged.Name) || s.Type != "GENERIC" || s.Version != "1.2.3" {
			t.Errorf("%s: %+v", staged.Name, s)
		}
		if got, want := string(must.JSON(t, s.Configuration)), string(must.JSON(t, staged.Defaults)); got != want {
			t.Errorf("%s: configuration\n%s, the recipe's\n%s", staged.Name, got, want)
		}
		if _, granted := s.Configuration["accessControl"]; !granted && staged.Name != "com.edgepdm.Suite" {
			t.Errorf("%s: no accessControl", staged.Name)
		}
		for _, d := range s.Dependencies { // without an account the token exchange service fails, and all that need it
			if name, _, _ := strings.Cut(d, ":"); !slices.Contains(main, name) {
				t.Errorf("%s: depends on %s, which nobody starts", staged.Name, d)
			}
		}
	}
	engine := r.Services["com.edgepdm.InferenceEngine"].Lifecycle["run"]["Script"]
	artifacts := "/edgepdm/stage/artifacts/com.edgepdm.InferenceEngine/1.2.3/"
	if want := `exec "` + artifacts + `inference-engine-linux-arm64" -model "` + artifacts + `model.ubj"`; engine != want {
		t.Errorf("script %q, want %q", engine, want)
	}
	if got := r.Services["com.edgepdm.SensorSimulator"].Dependencies; !slices.Equal(got, []string{"com.edgepdm.InferenceEngine:SOFT"}) {
		t.Errorf("the simulator depends on %q", got)
	}
	if script := renderFor(t, settings{stage: stage, arch: "arm"}).Services["com.edgepdm.AlarmManager"].Lifecycle["run"]["Script"]; !strings.Contains(script.(string), "-linux-armv7") {
		t.Errorf("on arm: %s", script)
	}
}

func TestCommand(t *testing.T) {
	stage, out := stageRecipes(t), filepath.Join(t.TempDir(), "a", "config.yaml")
	merge := filepath.Join(t.TempDir(), "merge.json")
	text := `{"com.edgepdm.CloudForwarder":{"MERGE":{"sample":"0s","endpoints":{"sns":"https://example.com"}}}}`
	must.OK(t, os.WriteFile(merge, []byte(text), 0o600))
	var printed bytes.Buffer
	must.OK(t, run(t.Context(), []string{"-stage", stage, "-out", out, "-merge", merge}, cli.Streams{Out: &printed, Err: &printed}))
	if !strings.HasSuffix(printed.String(), "config.yaml: 8 components\n") {
		t.Errorf("printed %s", &printed)
	}
	data := must.Read(t, out)
	var r rendered
	must.OK(t, yaml.Unmarshal(data, &r))
	config := r.Services["com.edgepdm.CloudForwarder"].Configuration
	endpoints, _ := config["endpoints"].(map[string]any)
	if config["sample"] != "0s" || config["topicPrefix"] != "edgepdm" || endpoints["sns"] != "https://example.com" || endpoints["iotData"] != "" {
		t.Errorf("configuration %v", config)
	}
}

// Of several staged versions one is chosen; the architecture has the name that staging has for it, too.
func TestOneOfSeveralVersions(t *testing.T) {
	stage := stageRecipes(t)
	for _, file := range []string{"com.edgepdm.Suite", "com.edgepdm.AlarmManager"} {
		data, err := os.ReadFile(filepath.Join(stage, "recipes", file+"-1.2.3.yaml"))
		if err == nil {
			err = os.WriteFile(filepath.Join(stage, "recipes", file+"-1.2.4.yaml"), bytes.ReplaceAll(data, []byte("1.2.3"), []byte("1.2.4")), 0o600)
		}
		must.OK(t, err)
	}
	for _, arch := range []string{"arm", "armv7"} {
		_, names, err := render(settings{stage: stage, version: "1.2.3", arch: arch})
		if err != nil || len(names) != 8 {
			t.Errorf("%s: %q, %v", arch, names, err)
		}
	}
	if _, names, err := render(settings{stage: stage, version: "1.2.4", arch: "amd64"}); err == nil && len(names) != 2 {
		t.Errorf("%q", names)
	}
}

// Whoever renders it, the nucleus's user can read the configuration.
func TestConfigurationIsReadable(t *testing.T) {
	stage, out := stageRecipes(t), filepath.Join(t.TempDir(), "config.yaml")
	mask := syscall.Umask(0o077)
	defer syscall.Umask(mask)
	var printed bytes.Buffer
	must.OK(t, run(t.Context(), []string{"-stage", stage, "-out", out}, cli.Streams{Out: &printed, Err: &printed}))
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestRefuses(t *testing.T) {
	stage := stageRecipes(t)
	twice := stageRecipes(t)
	second, err := os.ReadFile(filepath.Join(twice, "recipes", "com.edgepdm.Suite-1.2.3.yaml"))
	if err == nil {
		err = os.WriteFile(filepath.Join(twice, "recipes", "com.edgepdm.Suite-1.2.4.yaml"), bytes.ReplaceAll(second, []byte("1.2.3"), []byte("1.2.4")), 0o600)
	}
	variables := stageRecipes(t)
	file := filepath.Join(variables, "recipes", "com.edgepdm.Suite-1.2.3.yaml")
	if err == nil {
		err = os.WriteFile(file, bytes.ReplaceAll(second, []byte("exit 0"), []byte("echo {iot:thingName}")), 0o600)
	}
	unknown, wrong := filepath.Join(stage, "unknown.json"), filepath.Join(stage, "wrong.json")
	if err == nil {
		err = os.WriteFile(unknown, []byte(`{"com.example.None":{"MERGE":{}}}`), 0o600)
	}
	if err == nil {
		err = os.WriteFile(wrong, []byte(`{"com.edgepdm.Suite":{"merge!":{}}}`), 0o600)
	}
	must.OK(t, err)
	for want, args := range map[string][]string{
		"run make stage":                     {"-stage", t.TempDir()},
		"-arch: \"mips\"":                    {"-stage", stage, "-arch", "mips"},
		"is staged in more than one version": {"-stage", twice},
		"there is no recipe *-9.9.9.yaml":    {"-stage", twice, "-version", "9.9.9"},
		"the recipe variable {iot:":          {"-stage", variables},
		"com.example.None is not staged":     {"-stage", stage, "-merge", unknown},
		"unknown field":                      {"-stage", stage, "-merge", wrong},
		"read -merge: open":                  {"-stage", stage, "-merge", "/none"},
		"unexpected argument \"further\"":    {"further"},
	} {
		var printed bytes.Buffer
		err := run(t.Context(), append([]string{"-out", filepath.Join(t.TempDir(), "c.yaml")}, args...), cli.Streams{Out: &printed, Err: &printed})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
		if usage := errors.Is(err, cli.ErrUsage); usage != (args[0] == "further" || slices.Contains(args, "mips")) {
			t.Errorf("%v: usage error %v", args, usage)
		}
	}
}
