package alarms_test

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"edgepdm/shared/alarm"
	"edgepdm/test/localcore"
	"edgepdm/test/need"
)

// What the page gives to paste is configuration that the component takes, key by key, and its tables have each property of a limit and
// of a rule, and no other.
func TestThePageOfAlarmsIsTrue(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(need.Root(t), "docs", "alarms.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	config := make(map[string]any)
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1) {
		var merge map[string]any
		if err := yaml.Unmarshal([]byte(block[1]), &merge); err != nil {
			t.Fatalf("%s: %v", block[1], err)
		}
		maps.Copy(config, merge)
	}
	delete(config, "watch") // the engine's
	if config["limits"] == nil || config["rules"] == nil {
		t.Fatalf("the page has no limits or no rules: %v", config)
	}
	r := managedRig(t, localcore.Classic, config)
	r.start() // waits until it works
	if strings.Contains(r.log.String(), "has a key that this version does not know") {
		t.Errorf("%v: %s", config, r.log)
	}

	for section, of := range map[string]reflect.Type{"## Limits": reflect.TypeFor[alarm.Limit](), "## Rules": reflect.TypeFor[alarm.Rule]()} {
		_, text, _ := strings.Cut(page, section+"\n")
		text, _, _ = strings.Cut(text, "\n## ")
		var documented, properties []string
		for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(text, -1) {
			for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[1], -1) {
				documented = append(documented, name[1])
			}
		}
		for field := range of.Fields() {
			properties = append(properties, field.Tag.Get("json"))
		}
		if section == "## Rules" { // which ones a rule is for is said in words
			documented = append(documented, "line", "thing", "fault")
		}
		slices.Sort(documented)
		slices.Sort(properties)
		if !slices.Equal(documented, properties) {
			t.Errorf("%s: the table has %v, and there are %v", section, documented, properties)
		}
	}
}
