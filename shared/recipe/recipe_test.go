package recipe

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"edgepdm/test/must"
)

const goodRecipe = `RecipeFormatVersion: '2020-01-25'
ComponentName: com.test.A
ComponentVersion: 1.0.0
ComponentDescription: text
ComponentPublisher: someone
ComponentConfiguration:
  DefaultConfiguration:
    s: "5"
    n: 5
    f: 5.0
    big: 18446744073709551615
    b: true
    z: null
    when: 2020-01-25
    l: [1, {x: 1.5}]
    accessControl:
      aws.greengrass.ipc.pubsub:
        one: {policyDescription: d, operations: ["*"], resources: ["*"]}
ComponentDependencies:
  aws.greengrass.TokenExchangeService: {VersionRequirement: ">=2.0.0 <3.0.0", DependencyType: HARD}
Manifests:
  - Name: linux
    Platform: {os: linux, architecture: amd64, runtime: "*"}
    Lifecycle:
      Setenv: {A: "1"}
      install: {Script: "true", Timeout: 5}
      run: {Script: "exec x", Setenv: {B: "2"}, RequiresPrivilege: false}
    Artifacts:
      - {Uri: "s3://B/C/file", Permission: {Read: OWNER, Execute: OWNER}, Unarchive: NONE, Digest: x, Algorithm: SHA-256}
`

func TestRecipe(t *testing.T) {
	r, err := Parse([]byte(goodRecipe))
	must.OK(t, err)
	delete(r.Defaults, "accessControl")
	delete(r.TextDefaults, "accessControl")
	want := map[string]any{"b": true, "big": uint64(math.MaxUint64), "f": 5.0, "l": []any{int64(1), map[string]any{"x": 1.5}}, "n": int64(5),
		"s": "5", "when": "2020-01-25", "z": nil}
	if !reflect.DeepEqual(r.Defaults, want) {
		t.Errorf("defaults are %#v, want %#v", r.Defaults, want)
	}
	want = map[string]any{"b": "true", "big": "18446744073709551615", "f": "5.0", "l": []any{"1", map[string]any{"x": "1.5"}}, "n": "5",
		"s": "5", "when": "2020-01-25", "z": "null"}
	if !reflect.DeepEqual(r.TextDefaults, want) {
		t.Errorf("defaults as text are %#v, want %#v", r.TextDefaults, want)
	}
	m := r.Manifests[0]
	if !m.Artifacts[0].Executable || m.Artifacts[0].File() != "file" || m.Install.Timeout != 5 || !m.Run.Object || m.Run.Setenv["B"] != "2" {
		t.Errorf("manifest is %+v, %+v, %+v", m, m.Install, m.Run)
	}
	if run, _ := m.Lifecycle["run"].(map[string]any); run["Script"] != "exec x" {
		t.Errorf("lifecycle is %v", m.Lifecycle)
	}
	if d := r.Dependencies["aws.greengrass.TokenExchangeService"]; d.Type != "HARD" || d.Requirement != ">=2.0.0 <3.0.0" || d.Range.Allows("3.0.0") {
		t.Errorf("dependency is %+v", d)
	}
}

// JSON is YAML: a recipe may be written in either.
func TestRecipeInJSON(t *testing.T) {
	var document any
	must.OK(t, yaml.Unmarshal([]byte(goodRecipe), &document))
	text, err := json.MarshalIndent(document, "", "  ")
	must.OK(t, err)
	r, err := Parse(text)
	if err != nil || r.Name != "com.test.A" || len(r.Manifests) != 1 || r.Manifests[0].Run.Script != "exec x" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRecipeErrorsNameThePlace(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{goodRecipe, "", "empty"},
		{goodRecipe, "[]", "recipe: must be an object"},
		{goodRecipe, "a: [", "yaml"},
		{goodRecipe, strings.Repeat("# long\n", 3000) + goodRecipe, "at most 16000"},
		{"2020-01-25'", "2020-01-26'", `RecipeFormatVersion: is "2020-01-26"`},
		{"ComponentName: com.test.A", "ComponentName: 'a b'", "ComponentName"},
		{"ComponentName: com.test.A\n", "", "ComponentName"},
		{"ComponentVersion: 1.0.0", "ComponentVersion: NEXT_PATCH", "ComponentVersion"},
		{"ComponentVersion: 1.0.0", "ComponentVersion: 1", "ComponentVersion"},
		{"ComponentPublisher", "Publisher", "Publisher: unknown key"},
		{"ComponentDescription: text", "ComponentDescription: 5", "ComponentDescription"},
		{"ComponentDescription: text", "ComponentType: aws.greengrass.lambda", "ComponentType"},
		{"  DefaultConfiguration:", "  Default:", "ComponentConfiguration.Default: unknown key"},
		{"    n: 5\n", "    n: 5\n    n: 6\n", "ComponentConfiguration.DefaultConfiguration.n: given twice"},
		{"    n: 5\n", "    n: .inf\n", "ComponentConfiguration.DefaultConfiguration.n: .inf is not JSON"},
		{"    n: 5\n", "    n: &n [*n]\n", "ComponentConfiguration.DefaultConfiguration.n[0]: an alias, *n"},
		{"    n: 5\n", "    <<: {a: 1}\n", "a key must be a plain scalar"},
		{`operations: ["*"]`, `operations: []`, "accessControl.aws.greengrass.ipc.pubsub.one.operations: must be a list that is not empty"},
		{`resources: ["*"]`, `resources: [5]`, "accessControl.aws.greengrass.ipc.pubsub.one.resources[0]: must be a string"},
		{`resources: ["*"]`, `resource: "*"`, "one.resource: unknown key"},
		{"DependencyType: HARD", "DependencyType: hard", "ComponentDependencies.aws.greengrass.TokenExchangeService.DependencyType"},
		{", DependencyType: HARD", "", "ComponentDependencies.aws.greengrass.TokenExchangeService.DependencyType"},
		{`">=2.0.0 <3.0.0"`, `"newest"`, "TokenExchangeService.VersionRequirement"},
		{"Manifests:\n", "Manifests: []\nx:\n", "x: unknown key"},
		{"    Platform: {os: linux", "    Platform: {OS: linux", "Manifests[0].Platform.OS: unknown key"},
		{"architecture: amd64", "architecture: 64", "Manifests[0].Platform.architecture: must be a string"},
		{"      run:", "      Run:", "Manifests[0].Lifecycle.Run: unknown key"},
		{"      run:", "      startup:", "Manifests[0].Lifecycle.startup: unknown key"},
		{`Script: "exec x"`, `script: "exec x"`, "Manifests[0].Lifecycle.run.script: unknown key"},
		{`Script: "exec x"`, `Script: ""`, "Manifests[0].Lifecycle.run.Script"},
		{`{B: "2"}`, `{B: 2}`, "Manifests[0].Lifecycle.run.Setenv.B: must be a string: quote it"},
		{`{A: "1"}`, `{A: true}`, "Manifests[0].Lifecycle.Setenv.A: must be a string"},
		{"Timeout: 5", "Timeout: '5'", "Manifests[0].Lifecycle.install.Timeout"},
		{"Timeout: 5", "Timeout: -5", "Manifests[0].Lifecycle.install.Timeout"},
		{"RequiresPrivilege: false", "RequiresPrivilege: true", "Manifests[0].Lifecycle.run.RequiresPrivilege"},
		{"    Artifacts:\n      - {Uri", "    Name2:\n      - {Uri", "Manifests[0].Name2: unknown key"},
		{"    Artifacts:\n      - {Uri: \"s3://B/C/file\", Permission: {Read: OWNER, Execute: OWNER}, Unarchive: NONE, Digest: x, Algorithm: SHA-256}\n", "", "Manifests[0].Artifacts: must be there"},
		{"Uri: \"s3://B/C/file\"", "URI: \"s3://B/C/file\"", "Manifests[0].Artifacts[0].URI: unknown key"},
		{"s3://B/C/file", "s3://B/..", "Manifests[0].Artifacts[0].Uri"},
		{"Execute: OWNER", "Execute: owner", "Manifests[0].Artifacts[0].Permission.Execute"},
		{"Unarchive: NONE", "Unarchive: TAR", "Manifests[0].Artifacts[0].Unarchive"},
	} {
		text := strings.Replace(goodRecipe, c.old, c.new, 1)
		if text == goodRecipe {
			t.Errorf("%q is not in the recipe", c.old)
		}
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q instead of %q: got %v, want %s", c.new, c.old, err, c.want)
		}
	}
}

func TestManifestSelection(t *testing.T) {
	platforms := []string{
		`{os: linux, architecture: arm, architecture.detail: armv7l, runtime: "*"}`,
		`{os: linux, architecture: aarch64, runtime: aws_nucleus_lite}`,
		`{os: linux, architecture: aarch64, runtime: "*"}`,
		`{os: "*", architecture: amd64}`,
	}
	text, _, _ := strings.Cut(goodRecipe, "Manifests:")
	text += "Manifests:\n"
	for i, p := range platforms {
		text += fmt.Sprintf("  - {Platform: %s, Lifecycle: {run: '%d'}, Artifacts: []}\n", p, i)
	}
	r, err := Parse([]byte(text))
	must.OK(t, err)
	for want, host := range map[string]map[string]string{
		"0": {"os": "linux", "architecture": "arm", "architecture.detail": "armv7l"},
		"2": {"os": "linux", "architecture": "aarch64", "runtime": "aws_nucleus_classic"},
		"3": {"os": "darwin", "architecture": "amd64"},
		"":  {"os": "linux", "architecture": "arm", "architecture.detail": "armv6l"},
	} {
		m, err := r.ManifestFor(host, false)
		if got := (err == nil); got != (want != "") || got && m.Run.Script != want {
			t.Errorf("%v: got %+v, %v, want manifest %s", host, m, err, want)
		}
	}
}
