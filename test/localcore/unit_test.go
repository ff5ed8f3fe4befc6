package localcore

import (
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/shared/recipe"
)

func TestGson(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{nil, "null"},
		{true, "true"},
		{int64(-7), "-7"},
		{uint64(math.MaxUint64), "18446744073709551615"},
		{0.0, "0.0"},
		{math.Copysign(0, -1), "-0.0"},
		{1.0, "1.0"},
		{-0.001, "-0.001"},
		{0.00099, "9.9E-4"},
		{9999999.0, "9999999.0"},
		{1e7, "1.0E7"},
		{1795448147357253123.0, "1.79544814735725312E18"},
		{math.MaxFloat64, "1.7976931348623157E308"},
		{"a\"\\\b\f\n\r\t\x01\x7f<>&='é\u2028\u2029", `"a\"\\\b\f\n\r\t\u0001` + "\x7f" + `\u003c\u003e\u0026\u003d\u0027é\u2028\u2029"`},
		{[]byte("1"), `"MQ\u003d\u003d"`},
		{[]string{"a", "b"}, `["a","b"]`},
		{map[string]any{"b": []any{}, "A": map[string]any{}, "c": nil}, `{"A":{},"b":[],"c":null}`},
		{object{{"z", int64(1)}, {"a", rawJSON("{}")}}, `{"z":1,"a":{}}`},
	} {
		got := string(appendGson(nil, c.v))
		if c.want == "1.79544814735725312E18" {
			c.want = "1.795448147357253E18" // Java 19 and later print the shortest digits, as Go does
		}
		if got != c.want {
			t.Errorf("%v: got %s, want %s", c.v, got, c.want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%v: %s is not JSON", c.v, got)
		}
	}
}

func TestGsonDocument(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{` { "b" : 1 , "a" : [ 1 , -2.5e3 , "x" , null , {} , [] ] } `, `{"b":1.0,"a":[1.0,-2500.0,"x",null,{},[]]}`},
		{`{"\u0041":{"c":{"d":true}}}`, `{"A":{"c":{"d":true}}}`},
		{`{"n":12345678901234567890}`, `{"n":1.2345678901234567E19}`},
		{`{"n":1e400}`, ""},
		{`{"n":`, ""},
		{`{"n"`, ""},
		{`[1,`, ""},
		{``, ""},
	} {
		got, err := gsonDocument([]byte(c.in))
		if string(got) != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: got %s, %v, want %s", c.in, got, err, c.want)
		}
	}
}

func TestPubSubFilters(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a/b", false},
		{"a/b", "a", false},
		{"+", "a", true},
		{"+", "a/b", false},
		{"+/b", "a/b", true},
		{"a/+", "a", false},
		{"a/+/c", "a/b/c", true},
		{"a/+/c", "a/b/d", false},
		{"#", "a/b/c", true},
		{"#", "$aws/things", true},
		{"+/x", "$aws/x", true},
		{"a/#", "a/b/c", true},
		{"a/#", "a", false}, // classic's trie; lite and MQTT match
		{"a/#/c", "a/b/c", true},
		{"a/#/c", "a/b/b/c", false},
		{"a*", "ab", false},
		{"*", "a", false},
		{"a+", "ab", false},
		{"a/b/", "a/b", true}, // String.split drops empty levels at the end
		{"a/b", "a/b//", true},
		{"/a", "a", false},
		{"/a", "/a", true},
		{"A", "a", false},
	} {
		if got := matchesClassic(classicLevels(c.filter), classicLevels(c.topic)); got != c.want {
			t.Errorf("filter %s, topic %s: got %v", c.filter, c.topic, got)
		}
	}
}

func TestResourcePatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, resource string
		standard, mqtt    bool
	}{
		{"*", "anything/at/all", true, true},
		{"a/b", "a/b", true, true},
		{"a/b", "a/bc", false, false},
		{"allowed", "allowed/secret", false, false},
		{"a*", "a", true, true},
		{"a*", "ab/c", true, true},
		{"*c", "ab/c", true, true},
		{"a*c*e", "abcde", true, true},
		{"a*c*e", "abcd", false, false},
		{"a*a", "a", false, false},
		{"a/+", "a/b", false, true},
		{"a/+", "a/+", true, true},
		{"a/+", "a/#", false, true},
		{"a/+", "a/b/c", false, false},
		{"a/+/c", "a/b/c", false, true},
		{"a/+/c", "a//c", false, true},
		{"+/c", "b/c", false, true},
		{"a+", "ab", false, false},
		{"a+", "a+", true, true},
		{"a/b+/c", "a/bx/c", false, false},
		{"#", "a/b", false, true},
		{"a/#", "a/b/c", false, true},
		{"a/#", "a", false, true},
		{"a/#", "ab", false, false},
		{"a/#", "a/#", true, true},
		{"a#", "ab", false, false},
		{"a#", "a#", true, true},
		{"a/#/c", "a/b/c", false, false},
		{"x*/#", "xyz", false, true},
		{"a${*}b", "a*b", true, true},
		{"a${*}b", "axb", false, false},
		{"a${?}${$}", "a?$", true, true},
		{"$aws/*", "$aws/things/x", true, true},
		{"a/{iot:thingName}", "a/edgepdm-core", false, false},
	} {
		for mqtt, want := range map[bool]bool{false: c.standard, true: c.mqtt} {
			if got := matchRunes(compileResource(c.pattern, mqtt), []rune(c.resource)); got != want {
				t.Errorf("pattern %s, resource %s, mqtt %v: got %v", c.pattern, c.resource, mqtt, got)
			}
		}
	}
	for resource, want := range map[string]bool{"": false, "a?": false, "${?}": true, "${*}": true, "${$}x": true,
		"${c}": false, "${*": false, "${": false, "$": true, "a$b": true, "*": true} {
		if err := validResource(resource); (err == nil) != want {
			t.Errorf("resource %q: %v", resource, err)
		}
	}
}

func TestTopicLimitsOfIoTCore(t *testing.T) {
	long := strings.Repeat("x", 257)
	for _, c := range []struct {
		topic              string
		publish, subscribe bool
	}{
		{"a/b", true, true},
		{"a/+", false, true},
		{"#", false, true},
		{"1/2/3/4/5/6/7/8", true, true},
		{"1/2/3/4/5/6/7/8/9", false, false},
		{long, false, false},
		{"$aws/rules/name/" + long[:256], true, true},
		{"$aws/rules/name/" + long, false, false},
		{"$aws/things/1/2/3/4/5/6/7/8/9", true, true},
	} {
		for publish, want := range map[bool]bool{true: c.publish, false: c.subscribe} {
			if err := validCloudTopic(c.topic, publish); (err == nil) != want {
				t.Errorf("topic %s, publish %v: %v", c.topic, publish, err)
			}
		}
	}
}

func TestRecipeVariables(t *testing.T) {
	f := newFixture(t, nil)
	r := &recipe.Recipe{Name: "com.test.A", Version: "1.2.3"}
	config := map[string]any{"s": "text", "n": int64(5), "f": 1.0, "b": true, "z": nil, "odd/~key": "odd",
		"m": map[string]any{"l": []any{int64(1), "<x>"}}}
	root := f.root
	for in, want := range map[string]string{
		"{artifacts:path}/x":                 filepath.Join(root, "packages/artifacts/com.test.A/1.2.3") + "/x",
		"{artifacts:decompressedPath}":       filepath.Join(root, "packages/artifacts-unarchived/com.test.A/1.2.3"),
		"{work:path}":                        filepath.Join(root, "work/com.test.A"),
		"{kernel:rootPath}":                  root,
		"{iot:thingName}":                    "edgepdm-core",
		"{configuration:/s}-{iot:thingName}": "text-edgepdm-core",
		"{configuration:/n} {configuration:/f} {configuration:/b} {configuration:/z}": "5 1.0 true null",
		"{configuration:/m}":          `{"l":[1,"<x>"]}`,
		"{configuration:/m/l/1}":      "<x>",
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

// storeFixture is a store with one component and a record of its change events.
func storeFixture(t *testing.T, watch ...string) (*store, *[]string) {
	t.Helper()
	s := newStore(&dialect{})
	s.replace("A", map[string]any{"n": int64(1), "Key": map[string]any{"leaf": "x", "list": []any{int64(1)}}}, 1000)
	var events []string
	w := &watcher{component: "A", path: watch, notify: func(path []string) { events = append(events, strings.Join(path, "/")) }}
	if !s.watch(w) {
		t.Fatalf("%v is not there to watch", watch)
	}
	t.Cleanup(func() { s.unwatch(w) })
	return s, &events
}

func dump(s *store) string {
	m, _ := s.get("A", nil)
	return string(appendGson(nil, m))
}

func TestStoreUpdate(t *testing.T) {
	type m = map[string]any
	for _, c := range []struct {
		name   string
		watch  []string
		path   []string
		values m
		ts     int64
		code   string
		want   string
		events []string
	}{
		{name: "a newer value", values: m{"n": 2.0}, ts: 1001, want: `{"Key":{"leaf":"x","list":[1]},"n":2.0}`, events: []string{"n"}},
		{name: "the same time", values: m{"n": 2.0}, ts: 1000, want: `{"Key":{"leaf":"x","list":[1]},"n":2.0}`, events: []string{"n"}},
		{name: "an older value", values: m{"n": 2.0}, ts: 999, code: failedCondition, want: `{"Key":{"leaf":"x","list":[1]},"n":1}`},
		{name: "the same value", values: m{"n": int64(1)}, ts: 2000, want: `{"Key":{"leaf":"x","list":[1]},"n":1}`},
		{name: "keys are case-insensitive", path: []string{"KEY"}, values: m{"LEAF": "y"}, ts: 2000, want: `{"Key":{"leaf":"y","list":[1]},"n":1}`, events: []string{"Key/leaf"}},
		{name: "one event for each leaf", values: m{"key": m{"leaf": "y", "list": []any{}}, "n": 3.0}, ts: 2000, want: `{"Key":{"leaf":"y","list":[]},"n":3.0}`, events: []string{"Key/leaf", "Key/list", "n"}},
		{name: "a new leaf, though it is old", values: m{"new": true}, ts: 5, code: failedCondition, want: `{"Key":{"leaf":"x","list":[1]},"n":1,"new":true}`, events: []string{"new"}},
		{name: "a new container has its own time", path: []string{"a", "b"}, values: m{"c": nil}, ts: 5, want: `{"a":{"b":{"c":null}},"Key":{"leaf":"x","list":[1]},"n":1}`, events: []string{"a/b/c"}},
		{name: "an object onto a leaf", values: m{"n": m{"x": 1.0}}, ts: 2000, code: invalidArguments, want: `{"Key":{"leaf":"x","list":[1]},"n":1}`},
		{name: "a leaf onto a container", values: m{"key": "x"}, ts: 2000, code: invalidArguments, want: `{"Key":{"leaf":"x","list":[1]},"n":1}`},
		{name: "below a leaf", path: []string{"n"}, values: m{"x": 1.0}, ts: 2000, code: invalidArguments, want: `{"Key":{"leaf":"x","list":[1]},"n":1}`},
		{name: "names with a slash", values: m{"a/b.c": 1.0}, ts: 2000, want: `{"a/b.c":1.0,"Key":{"leaf":"x","list":[1]},"n":1}`, events: []string{"a/b.c"}},
		{name: "a watched container", watch: []string{"key"}, values: m{"key": m{"leaf": "y"}, "n": 3.0}, ts: 2000, want: `{"Key":{"leaf":"y","list":[1]},"n":3.0}`, events: []string{"Key/leaf"}},
		{name: "a watched leaf", watch: []string{"Key", "Leaf"}, values: m{"key": m{"leaf": "y", "list": nil}}, ts: 2000, want: `{"Key":{"leaf":"y","list":null},"n":1}`, events: []string{"Key/leaf"}},
		{name: "hidden names", values: m{"_x": 1.0}, ts: 2000, want: `{"Key":{"leaf":"x","list":[1]},"n":1}`, events: []string{"_x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, events := storeFixture(t, c.watch...)
			err := s.set("A", c.path, c.values, c.ts)
			code := ""
			if err != nil {
				code = err.code
			}
			if code != c.code || dump(s) != c.want || !slices.Equal(*events, c.events) {
				t.Errorf("got %v, %s, events %q\nwant %q, %s, events %q", err, dump(s), *events, c.code, c.want, c.events)
			}
		})
	}
}

func TestStoreDeployment(t *testing.T) {
	type m = map[string]any
	defaults := m{"n": int64(9), "added": int64(1)}
	for _, c := range []struct {
		name   string
		watch  []string
		change configChange
		want   string
		events []string
	}{
		{name: "defaults do not replace what is there", want: `{"added":1,"Key":{"leaf":"x","list":[1]},"n":1}`, events: []string{"added"}},
		{name: "merge", change: configChange{merge: m{"KEY": m{"leaf": int64(2)}}}, want: `{"added":1,"Key":{"leaf":2,"list":[1]},"n":1}`, events: []string{"added", "Key/leaf"}},
		{name: "merge turns a leaf into a container", change: configChange{merge: m{"n": m{"x": true}}}, want: `{"added":1,"Key":{"leaf":"x","list":[1]},"n":{"x":true}}`, events: []string{"added", "n", "n/x"}},
		{name: "reset goes back to the default", change: configChange{reset: [][]string{{"N"}}}, want: `{"added":1,"Key":{"leaf":"x","list":[1]},"n":9}`, events: []string{"added", "n"}},
		{name: "reset comes before merge", change: configChange{reset: [][]string{{"key"}}, merge: m{"Key": m{"new": "y"}}}, want: `{"added":1,"Key":{"new":"y"},"n":1}`, events: []string{"added", "Key/new", "Key/leaf", "Key/list"}},
		{name: "reset of everything", change: configChange{reset: [][]string{nil}}, want: `{"added":1,"n":9}`, events: []string{"added", "n", "Key"}},
		{name: "a watched leaf is removed with its container", watch: []string{"key", "leaf"}, change: configChange{reset: [][]string{{"Key"}}}, want: `{"added":1,"n":1}`, events: []string{"key/leaf"}},
		{name: "reset of what is not there", change: configChange{reset: [][]string{{"no", "such"}, {"n", "x"}}}, want: `{"added":1,"Key":{"leaf":"x","list":[1]},"n":1}`, events: []string{"added"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, events := storeFixture(t, c.watch...)
			s.replace("A", s.resolve("A", defaults, c.change, 5000), 5000)
			if dump(s) != c.want || !slices.Equal(*events, c.events) {
				t.Errorf("got  %s, events %q\nwant %s, events %q", dump(s), *events, c.want, c.events)
			}
			if err := s.set("A", nil, m{"added": "late"}, 4999); err == nil || err.code != failedCondition {
				t.Errorf("an update from before the deployment: %v", err)
			}
		})
	}
}

func TestNormalise(t *testing.T) {
	v, err := normalise("x", map[string]any{"i": 1, "j": json.Number("7"), "k": json.Number("7.0"), "s": []string{"a"}, "f": 2.0})
	if got, want := string(appendGson(nil, v)), `{"f":2.0,"i":1,"j":7,"k":7.0,"s":["a"]}`; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	for want, bad := range map[string]any{
		"x.a[1]": map[string]any{"a": []any{1, struct{}{}}},
		"x.n":    map[string]any{"n": math.NaN()},
		"x.big":  map[string]any{"big": json.Number("1e999")},
	} {
		if _, err := normalise("x", bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v must name %s", bad, err, want)
		}
	}
}
