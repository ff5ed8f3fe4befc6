package ingest_test

import (
	"log/slog"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"edgepdm/components/ingest/ingest"
	"edgepdm/components/ingest/mapping"
	"edgepdm/shared/component"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// The page's examples are configurations that are taken.
func TestExamplesOfThePageAreValid(t *testing.T) {
	page := string(must.Read(t, filepath.Join(need.Root(t), "docs", "ingest.md")))
	examples := regexp.MustCompile("(?s)\n```yaml\n(.*?)\n```\n").FindAllStringSubmatch(page, -1)
	if len(examples) != 3 {
		t.Errorf("%d examples", len(examples))
	}
	for _, example := range examples {
		var raw map[string]any
		must.OK(t, yaml.Unmarshal([]byte(example[1]), &raw))
		c, err := component.CheckConfig(ingest.Spec(""), slog.New(slog.DiscardHandler), raw)
		if err != nil || len(c.Sources) != 1 || len(c.Things) != 1 {
			t.Errorf("%+v, %v, of\n%s", c, err, example[1])
		}
	}
}

// The page and the recipe's comments have each key.
func TestEachKeyIsDocumented(t *testing.T) {
	root := need.Root(t)
	page := string(must.Read(t, filepath.Join(root, "docs", "ingest.md")))
	recipe := string(must.Read(t, filepath.Join(root, "recipes", "ingest", "recipe.yaml")))
	var walk func(reflect.Type)
	walk = func(of reflect.Type) {
		switch of.Kind() {
		case reflect.Pointer, reflect.Slice:
			walk(of.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		for i := range of.NumField() {
			key := of.Field(i).Tag.Get("json")
			if !strings.Contains(page, "`"+key+"`") {
				t.Errorf("docs/ingest.md does not have %s", key)
			}
			if !regexp.MustCompile(`(?m)^ *(#.*\b|)` + key + `\b`).MatchString(recipe) {
				t.Errorf("the recipe does not have %s", key)
			}
			walk(of.Field(i).Type)
		}
	}
	walk(reflect.TypeFor[mapping.Config]())
}

// Each reason that is counted is in the page's table.
func TestEachReasonIsDocumented(t *testing.T) {
	root := need.Root(t)
	page := string(must.Read(t, filepath.Join(root, "docs", "ingest.md")))
	files, err := filepath.Glob(filepath.Join(root, "components", "ingest", "*", "*.go"))
	must.OK(t, err)
	found := 0
	for _, file := range files {
		for _, m := range regexp.MustCompile(`(?m)^\s*(?:const )?[rR]eason[A-Z]\w+ *= "(.*?)"`).FindAllStringSubmatch(string(must.Read(t, file)), -1) {
			found++
			if !strings.Contains(page, "\n| `"+m[1]+"` |") {
				t.Errorf("docs/ingest.md does not have %s", m[1])
			}
		}
	}
	if found < 8 {
		t.Errorf("found %d reasons", found)
	}
}
