package localcore

import (
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/recipe"
)

func TestRecipeVariables(t *testing.T) {
	f := newFixture(t, nil)
	r := &recipe.Recipe{Name: "com.test.A", Version: "1.2.3"}
	config := map[string]any{"s": "text", "n": int64(5), "f": 1.0, "b": true, "z": nil, "odd/~key": "odd",
		"m": map[string]any{"l": []any{int64(1), "<x>"}}}
	root := f.root
	for in, want := range map[string]string{
		"{artifacts:path}/x":                 filepath.Join(root, "packages/artifacts/com.test.A/1.2.3") + "/x",
		"{work:path}":                        filepath.Join(root, "work/com.test.A"),
		"{kernel:rootPath}":                  root,
		"{iot:thingName}":                    "edgepdm-core",
		"{configuration:/s}-{iot:thingName}": "text-edgepdm-core",
		"{configuration:/n} {configuration:/f} {configuration:/b} {configuration:/z}": "5 1.0 true null",
		"{configuration:/m}":          `{"l":[1,"<x>"]}`,
		"{configuration:/odd~1~0key}": "odd",
		"{configuration:/S}":          "{configuration:/S}",
		"{configuration:/m/l/2}":      "{configuration:/m/l/2}",
		"{configuration:/s/x}":        "{configuration:/s/x}",
		"{configuration:s}":           "{configuration:s}",
		"{unknown:x} ${HOME:-y} {}":   "{unknown:x} ${HOME:-y} {}",
	} {
		s, err := f.core.resolveSpec(r, &recipe.Manifest{Run: &recipe.Step{Script: in, Setenv: map[string]string{"V": in}}, Setenv: map[string]string{"W": in}}, config)
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []string{s.run.Script, s.run.Setenv["V"], s.setenv["W"]} {
			if got != want {
				t.Errorf("%s: got %s, want %s", in, got, want)
			}
		}
	}
	if !strings.Contains(f.log.String(), `variable={configuration:/S}`) {
		t.Error("a variable that is not resolved must be logged")
	}
}
