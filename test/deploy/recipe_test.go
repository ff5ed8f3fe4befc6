package deploy

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"edgepdm/components/alarm-manager/alarms"
	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/components/inference-engine/engine"
	"edgepdm/components/ingest/ingest"
	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/components/operator-console/console"
	"edgepdm/components/sensor-simulator/simulator"
	"edgepdm/shared/event"
	"edgepdm/shared/recipe"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// recipeText is a project's recipe with a version in it, as it is deployed.
func recipeText(t *testing.T, project string) string {
	t.Helper()
	return string(recipe.WithVersion(read(t, need.Root(t), project, "recipe.yaml"), "1.2.3"))
}

func parse(t *testing.T, text string) *recipe.Recipe {
	t.Helper()
	r, err := recipe.Parse([]byte(text))
	must.OK(t, err)
	return r
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", "recipe.schema.json"))
	must.OK(t, err)
	return s
}

// instance is a recipe as JSON would say it: a schema knows no YAML.
func instance(t *testing.T, text string) any {
	t.Helper()
	var v any
	must.OK(t, yaml.Unmarshal([]byte(text), &v))
	data := must.JSON(t, v)
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	must.OK(t, err)
	return instance
}

func TestEveryProjectIsKnown(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(need.Root(t), "recipes", "*", "recipe.yaml"))
	if err != nil || len(found) != len(projects)-1 {
		t.Errorf("%d recipes below recipes/, the tests know %d: %v", len(found), len(projects)-1, err)
	}
}

func TestRecipesFollowTheSchema(t *testing.T) {
	s := schema(t)
	for project, name := range projects {
		text := recipeText(t, project)
		if err := s.Validate(instance(t, text)); err != nil {
			t.Errorf("%s: %v", project, err)
		}
		if got := parse(t, text).Name; got != name {
			t.Errorf("%s: ComponentName %q, want %q", project, got, name)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	s := schema(t)
	good := recipeText(t, "recipes/alarm-manager")
	must.OK(t, s.Validate(instance(t, good)))
	for what, change := range map[string][2]string{
		"a misspelt key":                   {"ComponentPublisher:", "ComponentPublisherr:"},
		"a step that lite does not run":    {"      run:\n", "      shutdown:\n"},
		"a step in upper case":             {"      run:\n", "      Run:\n"},
		"a manifest that lite passes over": {", runtime: \"*\"}", "}"},
		"an artifact without permission":   {"        Permission: {Read: OWNER, Execute: OWNER}\n", ""},
		"a URI that GDK does not rewrite":  {"s3://BUCKET_NAME/", "https://example.com/"},
		"an operation without its service": {"aws.greengrass#PublishToTopic", "PublishToTopic"},
		"a grant on everything":            {"- pdm/v1/alert/*", `- "*"`},
		"a key with a dash":                {"    raise: 0", "    raise-at: 0"},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Errorf("%s: nothing was changed", what)
		}
		if err := s.Validate(instance(t, bad)); err == nil {
			t.Errorf("the schema accepts %s", what)
		}
	}
}

// Each manifest runs the program of its own architecture, with exec, and every artifact that it runs is executable.
func TestManifestsCoverAllArchitectures(t *testing.T) {
	platforms := []string{"amd64 ", "aarch64 ", "arm armv7l"}
	suffixes := []string{"amd64", "arm64", "armv7"}
	for project, name := range projects {
		r := parse(t, recipeText(t, project))
		if name == event.Suite {
			continue
		}
		var got []string
		for i, m := range r.Manifests {
			got = append(got, m.Platform["architecture"]+" "+m.Platform["architecture.detail"])
			program := filepath.Base(project) + "-linux-" + suffixes[min(i, len(suffixes)-1)]
			if want := `exec "{artifacts:path}/` + program + `"`; !strings.HasPrefix(m.Run.Script, want) {
				t.Errorf("%s: script %q, want %s", name, m.Run.Script, want)
			}
			for _, a := range m.Artifacts {
				isProgram := strings.HasSuffix(a.URI, "/"+program)
				if a.Executable != isProgram {
					t.Errorf("%s: artifact %s is executable: %v", name, a.URI, a.Executable)
				}
			}
		}
		if !slices.Equal(got, platforms) {
			t.Errorf("%s: architectures %q, want %q", name, got, platforms)
		}
	}
}

func TestSuiteDependsOnProductionComponents(t *testing.T) {
	r := parse(t, recipeText(t, "."))
	for _, name := range projects {
		dependency, depends := r.Dependencies[name]
		if want := name != event.Suite && name != event.SensorSimulator && name != event.Ingest; depends != want {
			t.Errorf("the suite depends on %s: %v", name, depends)
		}
		if depends && dependency.Type != "SOFT" {
			t.Errorf("the suite depends %s on %s", dependency.Type, name)
		}
	}
	if len(r.Dependencies) != len(projects)-3 {
		t.Errorf("the suite depends on something else: %v", r.Dependencies)
	}
	if len(r.Manifests) != 1 || len(r.Manifests[0].Artifacts) != 0 || r.Manifests[0].Run.Script != "exit 0" {
		t.Errorf("the suite's manifests %+v", r.Manifests)
	}
}

// Every key has a comment of its own, and the recipe's default is the program's.
func TestConfigurationIsDocumentedAndTrue(t *testing.T) {
	common := map[string]string{"logLevel": "info", "healthInterval": "5s"}
	for project, defaults := range map[string]any{
		"recipes/alarm-manager":    alarms.Default(),
		"recipes/cloud-forwarder":  forwarder.Default(),
		"recipes/inference-engine": engine.Default(),
		"recipes/ingest":           ingest.Default(),
		"recipes/operator-console": console.Default(),
		"recipes/model-fetcher":    fetcher.Default(),
		"recipes/sensor-simulator": simulator.Default(),
	} {
		var withComments struct {
			Configuration struct {
				Default yaml.Node `yaml:"DefaultConfiguration"`
			} `yaml:"ComponentConfiguration"`
		}
		must.OK(t, yaml.Unmarshal([]byte(recipeText(t, project)), &withComments))
		want := make(map[string]string)
		flattenStruct(want, "", reflect.ValueOf(defaults))
		for key, value := range common {
			want[key] = value
		}
		got := make(map[string]string)
		flattenYAML(t, got, "", &withComments.Configuration.Default, project)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: defaults\n%v, the program's\n%v", project, got, want)
		}
	}
}

// flattenStruct puts the leaves of a configuration under their JSON names, as a recipe would write them.
func flattenStruct(into map[string]string, prefix string, v reflect.Value) {
	for i := range v.NumField() {
		key := prefix + v.Type().Field(i).Tag.Get("json")
		field := v.Field(i)
		if v.Type().Field(i).Tag.Get("json") == "-" { // no configuration
			continue
		}
		if v.Type().Field(i).Anonymous { // its keys are beside the others
			flattenStruct(into, prefix, field)
			continue
		}
		switch value := field.Interface().(type) {
		case time.Duration:
			into[key] = value.String()
		default:
			switch field.Kind() {
			case reflect.Struct:
				flattenStruct(into, key+".", field)
			case reflect.Slice:
				into[key] = fmt.Sprintf("%d elements", field.Len())
			default:
				into[key] = fmt.Sprint(value)
			}
		}
	}
}

// flattenYAML does the same with a recipe, and demands a comment above every leaf.
func flattenYAML(t *testing.T, into map[string]string, prefix string, n *yaml.Node, project string) {
	t.Helper()
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		key := prefix + name.Value
		if key == "accessControl" {
			continue
		}
		if value.Kind == yaml.MappingNode {
			flattenYAML(t, into, key+".", value, project)
			continue
		}
		if name.HeadComment == "" {
			t.Errorf("%s: %s has no comment", project, key)
		}
		into[key] = value.Value
		if value.Kind == yaml.SequenceNode {
			into[key] = fmt.Sprintf("%d elements", len(value.Content))
		} else if d, err := time.ParseDuration(value.Value); err == nil && value.Tag == "!!str" {
			into[key] = d.String()
		}
	}
}
