package deploy

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"edgepdm/shared/event"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// gdkConfig is a gdk-config.json, as far as GDK 1.6.2 demands anything of it.
type gdkConfig struct {
	Component map[string]struct {
		Author  string `json:"author"`
		Version string `json:"version"`
		Build   struct {
			System  string   `json:"build_system"`
			Command []string `json:"custom_build_command"`
		} `json:"build"`
		Publish struct {
			Bucket string `json:"bucket"`
			Region string `json:"region"`
		} `json:"publish"`
	} `json:"component"`
	GDKVersion string `json:"gdk_version"`
}

func readConfig(t *testing.T, project string) (c gdkConfig) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(read(t, project, "gdk-config.json")))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		t.Fatalf("%s: %v", project, err)
	}
	return c
}

func TestGDKProjects(t *testing.T) {
	root := need.Root(t)
	for project, name := range projects {
		c := readConfig(t, filepath.Join(root, project))
		component, ok := c.Component[name]
		if len(c.Component) != 1 || !ok {
			t.Errorf("%s: GDK wants exactly one component, and this one is %s", project, name)
		}
		if component.Author == "" || component.Publish.Bucket == "" || component.Publish.Region == "" {
			t.Errorf("%s: author, bucket and region are needed: %+v", project, component)
		}
		if component.Version != "NEXT_PATCH" && !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(component.Version) {
			t.Errorf("%s: version %q", project, component.Version)
		}
		if component.Build.System != "custom" || len(component.Build.Command) != 3 {
			t.Errorf("%s: build %+v", project, component.Build)
		}
		if script := filepath.Join(root, project, component.Build.Command[1]); script != filepath.Join(root, "scripts", "gdk-build.sh") {
			t.Errorf("%s: the build runs %s", project, script)
		}
		if c.GDKVersion != "1.6.2" {
			t.Errorf("%s: gdk_version %q", project, c.GDKVersion)
		}
		if found, _ := filepath.Glob(filepath.Join(root, project, "recipe.json")); len(found) != 0 {
			t.Errorf("%s: GDK refuses a second recipe: %s", project, found)
		}
	}
}

// gdkBuild does to the project's files what `gdk component build` does: it empties greengrass-build, makes its folders and
// runs the command, without a shell; here also without any environment.
func gdkBuild(t *testing.T, project, name string, c gdkConfig) {
	t.Helper()
	build := filepath.Join(project, "greengrass-build")
	component := c.Component[name]
	err := os.RemoveAll(build)
	for _, dir := range []string{"recipes", filepath.Join("artifacts", name, component.Version)} {
		if err == nil {
			err = os.MkdirAll(filepath.Join(build, dir), 0o755)
		}
	}
	must.OK(t, err)
	cmd := exec.CommandContext(t.Context(), component.Build.Command[0], component.Build.Command[1:]...)
	cmd.Dir, cmd.Env = project, goEnvironment(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", component.Build.Command, err, out)
	}
}

// goEnvironment has where this machine keeps Go and its caches, and nothing else: GDK may be started without HOME.
func goEnvironment(t *testing.T) []string {
	t.Helper()
	environment := []string{"PATH=" + os.Getenv("PATH")}
	names := []string{"GOCACHE", "GOMODCACHE", "GOFLAGS", "GOPROXY", "GOSUMDB", "GOTOOLCHAIN"}
	values := strings.Split(command(t, "go", append([]string{"env"}, names...)...), "\n")
	for i, name := range names {
		environment = append(environment, name+"="+values[i])
	}
	return environment
}

// gdkPublish does to the build's files what `gdk component publish` does, and returns the keys of the objects that it
// would upload and the recipe that it would register.
func gdkPublish(t *testing.T, project, name, version string, c gdkConfig) (objects []string, recipe []byte) {
	t.Helper()
	component := c.Component[name]
	bucket := component.Publish.Bucket + "-" + component.Publish.Region + "-123456789012"
	folder := filepath.Join(project, "greengrass-build", "artifacts", name, component.Version)
	entries, err := os.ReadDir(folder)
	must.OK(t, err)
	for _, entry := range entries {
		if entry.IsDir() {
			t.Errorf("GDK crashes on the folder %s among the artifacts", entry.Name())
		}
		objects = append(objects, "s3://"+path.Join(bucket, name, version, entry.Name()))
	}
	text := read(t, project, "greengrass-build", "recipes", "recipe.yaml")
	if bytes.Contains(text, []byte("{COMPONENT_NAME}")) {
		t.Error("GDK does not publish a recipe with {COMPONENT_NAME}")
	}
	var doc map[string]any
	must.OK(t, yaml.Unmarshal(text, &doc))
	if doc["ComponentName"] != name {
		t.Errorf("GDK takes %v for not built", doc["ComponentName"])
	}
	doc["ComponentVersion"] = version
	manifests, _ := doc["Manifests"].([]any)
	for _, m := range manifests {
		artifacts, _ := m.(map[string]any)["Artifacts"].([]any)
		for _, a := range artifacts {
			artifact, _ := a.(map[string]any)
			uri, _ := artifact["Uri"].(string)
			if _, err := os.Stat(filepath.Join(folder, path.Base(uri))); err == nil && strings.HasPrefix(uri, "s3://") {
				artifact["Uri"] = "s3://" + path.Join(bucket, name, version, path.Base(uri))
			}
		}
	}
	recipe, err = yaml.Marshal(doc)
	must.OK(t, err)
	return objects, recipe
}

// What GDK builds and publishes: all programs under names of their own, every URI rewritten to what was uploaded.
func TestGDKBuildsAndPublishes(t *testing.T) {
	root := copyTree(t)
	for project, name := range projects {
		t.Run(name, func(t *testing.T) {
			project := filepath.Join(root, project)
			c := readConfig(t, project)
			gdkBuild(t, project, name, c)
			objects, text := gdkPublish(t, project, name, "1.0.1", c)
			r := parse(t, string(text)) // which is not too large for a publication
			if r.Version != "1.0.1" {
				t.Errorf("version %q", r.Version)
			}
			var used []string
			for _, m := range r.Manifests {
				for _, a := range m.Artifacts {
					if !slices.Contains(objects, a.URI) {
						t.Errorf("%s is not uploaded: %q", a.URI, objects)
					}
					if !slices.Contains(used, a.URI) {
						used = append(used, a.URI)
					}
				}
			}
			if len(used) != len(objects) {
				t.Errorf("uploaded are %q, used %q", objects, used)
			}
			checkSums(t, filepath.Join(project, "greengrass-build"))
		})
	}
}

// A version that gdk-config.json gives is in the folder's name, the recipe and the programs; NEXT_PATCH is all that a build
// can know of the version that GDK will choose.
func TestGDKVersionReachesTheProgram(t *testing.T) {
	root := copyTree(t)
	project, name := filepath.Join(root, "recipes", "sensor-simulator"), event.SensorSimulator
	for _, version := range []string{"NEXT_PATCH", "3.2.1"} {
		file := filepath.Join(project, "gdk-config.json")
		text := bytes.ReplaceAll(read(t, file), []byte(`"NEXT_PATCH"`), []byte(`"`+version+`"`))
		must.OK(t, os.WriteFile(file, text, 0o600))
		gdkBuild(t, project, name, readConfig(t, project))
		program := filepath.Join(project, "greengrass-build", "artifacts", name, version, "sensor-simulator-linux-"+hostArch())
		if got, want := command(t, program, "-version"), "sensor-simulator "+version+"\n"; got != want {
			t.Errorf("-version says %q, want %q", got, want)
		}
	}
}
