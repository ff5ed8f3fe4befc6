package nucleus

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

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
		if err := ValidResource(resource); (err == nil) != want {
			t.Errorf("resource %q: %v", resource, err)
		}
	}
}

// storeFixture is a store with one component and a record of its change events.
func storeFixture(t *testing.T, watch ...string) (*Store, *[]string) {
	t.Helper()
	s := newStore(false)
	s.Replace("A", map[string]any{"n": int64(1), "Key": map[string]any{"leaf": "x", "list": []any{int64(1)}}}, 1000)
	var events []string
	cancel, ok := s.Watch("A", watch, func(path []string) { events = append(events, strings.Join(path, "/")) })
	if !ok {
		t.Fatalf("%v is not there to watch", watch)
	}
	t.Cleanup(cancel)
	return s, &events
}

// printed shows which numbers are doubles, as a classic nucleus does.
func printed(v any) string {
	return string(JSONStyle{Text: strconv.AppendQuote, Names: SortedKeys[any], Float: func(b []byte, f float64) []byte {
		return strconv.AppendFloat(b, f, 'f', 1, 64)
	}}.Append(nil, v))
}

func dump(s *Store) string {
	m, _ := s.Get("A", nil)
	return printed(m)
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
		{name: "an object onto a leaf", values: m{"n": m{"x": 1.0}}, ts: 2000, code: InvalidArguments, want: `{"Key":{"leaf":"x","list":[1]},"n":1}`},
		{name: "a leaf onto a container", values: m{"key": "x"}, ts: 2000, code: InvalidArguments, want: `{"Key":{"leaf":"x","list":[1]},"n":1}`},
		{name: "below a leaf", path: []string{"n"}, values: m{"x": 1.0}, ts: 2000, code: InvalidArguments, want: `{"Key":{"leaf":"x","list":[1]},"n":1}`},
		{name: "names with a slash", values: m{"a/b.c": 1.0}, ts: 2000, want: `{"a/b.c":1.0,"Key":{"leaf":"x","list":[1]},"n":1}`, events: []string{"a/b.c"}},
		{name: "a watched container", watch: []string{"key"}, values: m{"key": m{"leaf": "y"}, "n": 3.0}, ts: 2000, want: `{"Key":{"leaf":"y","list":[1]},"n":3.0}`, events: []string{"Key/leaf"}},
		{name: "a watched leaf", watch: []string{"Key", "Leaf"}, values: m{"key": m{"leaf": "y", "list": nil}}, ts: 2000, want: `{"Key":{"leaf":"y","list":null},"n":1}`, events: []string{"Key/leaf"}},
		{name: "hidden names", values: m{"_x": 1.0}, ts: 2000, want: `{"Key":{"leaf":"x","list":[1]},"n":1}`, events: []string{"_x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, events := storeFixture(t, c.watch...)
			err := s.Set("A", c.path, c.values, c.ts)
			code := ""
			if err != nil {
				code = err.Code
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
		change Change
		want   string
		events []string
	}{
		{name: "defaults do not replace what is there", want: `{"added":1,"Key":{"leaf":"x","list":[1]},"n":1}`, events: []string{"added"}},
		{name: "merge", change: Change{Merge: m{"KEY": m{"leaf": int64(2)}}}, want: `{"added":1,"Key":{"leaf":2,"list":[1]},"n":1}`, events: []string{"added", "Key/leaf"}},
		{name: "merge turns a leaf into a container", change: Change{Merge: m{"n": m{"x": true}}}, want: `{"added":1,"Key":{"leaf":"x","list":[1]},"n":{"x":true}}`, events: []string{"added", "n", "n/x"}},
		{name: "reset goes back to the default", change: Change{Reset: [][]string{{"N"}}}, want: `{"added":1,"Key":{"leaf":"x","list":[1]},"n":9}`, events: []string{"added", "n"}},
		{name: "reset comes before merge", change: Change{Reset: [][]string{{"key"}}, Merge: m{"Key": m{"new": "y"}}}, want: `{"added":1,"Key":{"new":"y"},"n":1}`, events: []string{"added", "Key/new", "Key/leaf", "Key/list"}},
		{name: "reset of everything", change: Change{Reset: [][]string{nil}}, want: `{"added":1,"n":9}`, events: []string{"added", "n", "Key"}},
		{name: "a watched leaf is removed with its container", watch: []string{"key", "leaf"}, change: Change{Reset: [][]string{{"Key"}}}, want: `{"added":1,"n":1}`, events: []string{"key/leaf"}},
		{name: "reset of what is not there", change: Change{Reset: [][]string{{"no", "such"}, {"n", "x"}}}, want: `{"added":1,"Key":{"leaf":"x","list":[1]},"n":1}`, events: []string{"added"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, events := storeFixture(t, c.watch...)
			s.Replace("A", s.Resolve("A", defaults, c.change, 5000), 5000)
			if dump(s) != c.want || !slices.Equal(*events, c.events) {
				t.Errorf("got  %s, events %q\nwant %s, events %q", dump(s), *events, c.want, c.events)
			}
			if err := s.Set("A", nil, m{"added": "late"}, 4999); err == nil || err.Code != failedCondition {
				t.Errorf("an update from before the deployment: %v", err)
			}
		})
	}
}

func TestNormalise(t *testing.T) {
	v, err := Normalise("x", map[string]any{"i": 1, "j": json.Number("7"), "k": json.Number("7.0"), "s": []string{"a"}, "f": 2.0})
	if got, want := printed(v), `{"f":2.0,"i":1,"j":7,"k":7.0,"s":["a"]}`; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	for want, bad := range map[string]any{
		"x.a[1]": map[string]any{"a": []any{1, struct{}{}}},
		"x.n":    map[string]any{"n": math.NaN()},
		"x.big":  map[string]any{"big": json.Number("1e999")},
	} {
		if _, err := Normalise("x", bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v must name %s", bad, err, want)
		}
	}
}
