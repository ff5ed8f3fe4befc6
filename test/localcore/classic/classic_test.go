package classic

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"edgepdm/test/localcore/nucleus"
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
		{object{"z", int64(1), "a", nucleus.RawJSON("{}")}, `{"z":1,"a":{}}`},
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
		if got := new(dialect).Matches(c.filter, c.topic); got != c.want {
			t.Errorf("filter %s, topic %s: got %v", c.filter, c.topic, got)
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
