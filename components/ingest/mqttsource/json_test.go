package mqttsource

import (
	"math"
	"testing"
	"time"

	"edgepdm/components/ingest/mapping"
	"edgepdm/components/ingest/rows"
)

func TestJSONByPath(t *testing.T) {
	const kepware = `{"timestamp":1700000000000,"values":[{"id":"Line1.Press1.Runs","v":true,"q":true,"t":1},{"id":"Line1.Press1.Temp","v":70.5,"q":true,"t":2}]}`
	for _, test := range []struct {
		path, payload string
		want          float64 // NaN: missing
		none          bool    // no value is taken
		reason        string  // counted
	}{
		{path: "oil.temp", payload: `{"oil":{"temp":70.5}}`, want: 70.5},
		{path: "oil.temp", payload: `{"oil":{"temp":"70.5 "}}`, want: 70.5},
		{path: "oil.temp", payload: `{"oil":{"temp":-7e1}}`, want: -70},
		{path: "oil.temp", payload: `{"oil":{"temp":true}}`, want: 1},
		{path: "oil.temp", payload: `{"oil":{"temp":null}}`, want: missing},
		{path: "oil.temp", payload: `{"oil":{"temp":"hot"}}`, want: missing, reason: reasonType},
		{path: "oil.temp", payload: `{"oil":{"temp":""}}`, want: missing, reason: reasonType},
		{path: "oil.temp", payload: `{"oil":{"temp":[1]}}`, want: missing, reason: reasonType},
		{path: "oil.temp", payload: `{"oil":{"temp":{"v":1}}}`, want: missing, reason: reasonType},
		{path: "oil.temp", payload: `{"oil":{"temp":1e999}}`, want: math.Inf(1)}, // the table counts it
		{path: "oil.temp", payload: `{"oil":{}}`, none: true},
		{path: "oil.temp", payload: `{"oil":5}`, none: true},
		{path: "oil.temp", payload: `[1]`, none: true},
		{path: "1.value", payload: `[{"value":1},{"value":2}]`, want: 2},
		{path: "2.value", payload: `[{"value":1},{"value":2}]`, none: true},
		{path: "-1.value", payload: `[{"value":1}]`, none: true},
		{path: "[oil.temp]", payload: `{"oil.temp":4}`, want: 4},
		{path: "[a.b].[c.d]", payload: `{"a.b":{"c.d":4}}`, want: 4},
		{path: "values.[id=Line1.Press1.Temp].v", payload: kepware, want: 70.5},
		{path: "values.[id=Line1.Press1.Runs].v", payload: kepware, want: 1},
		{path: "values.[id=Line1.Press1].v", payload: kepware, none: true},
		{path: "[id=3].v", payload: `[1,{"id":2,"v":8},{"id":3,"v":9}]`, want: 9},
	} {
		w := newWorld(t, "plant/a#"+test.path)
		d := newJSON(w.env, mapping.Topic{})
		want := map[string]float64{"plant/a#" + test.path: test.want}
		if test.none {
			want = nil
		}
		got, err := w.decode(d, "plant/a", test.payload)
		if err != nil || !equal(got, want) {
			t.Errorf("%s of %s: %v, %v; want %v", test.path, test.payload, got, err, want)
		}
		if test.reason != "" && w.counted(test.reason) != 1 {
			t.Errorf("%s of %s: not counted", test.path, test.payload)
		}
		w.nothingElse()
	}
}

func TestJSONTagsThatCannotBeRead(t *testing.T) {
	for _, tag := range []string{"", "plant/a", "#x", "plant/a#", "plant/a#x..y", "plant/a#.x", "plant/a#x.", "plant/a#[x", "plant/a#[]", "plant/a#[x]y", "plant/a#[=1]"} {
		c := mapping.MQTT{Topics: []mapping.Topic{{Format: mapping.JSON, Filter: "#"}}}
		if err := Check(c, []rows.Tag{{Address: tag}}); err == nil {
			t.Errorf("%q is taken", tag)
		}
	}
	for _, topic := range []mapping.Topic{{TimePath: "a..b"}, {QualityPath: "["}, {TimePath: "."}} {
		topic.Format = mapping.JSON
		if err := Check(mapping.MQTT{Topics: []mapping.Topic{topic}}, nil); !contains(err, "topics[0].") {
			t.Errorf("%+v: %v", topic, err)
		}
	}
	for _, tag := range []string{"node:x", "g/n", "g/n:", "/n:x", "g/:x", "g/n/:x", "g/n/d/e:x"} {
		c := mapping.MQTT{Topics: []mapping.Topic{{Format: mapping.Sparkplug, Filter: "#"}}}
		if err := Check(c, []rows.Tag{{Address: tag}}); err == nil {
			t.Errorf("%q is taken", tag)
		}
	}
	both := mapping.MQTT{Topics: []mapping.Topic{{Format: mapping.Sparkplug, Filter: "spBv1.0/#"}, {Format: mapping.JSON, Filter: "t/+"}}}
	if err := Check(both, []rows.Tag{{Address: "g/n:x"}, {Address: "t/u#x"}}); err != nil {
		t.Error(err)
	}
}

// A tag whose topic nobody subscribes to would never have a value.
func TestTagsAreOfTopicsThatAreSubscribedTo(t *testing.T) {
	for _, test := range []struct {
		format      mapping.Format
		filter, tag string
		ok          bool
	}{
		{mapping.JSON, "plant/+/values", "plant/a/values#x", true},
		{mapping.JSON, "plant/+/values", "plant/a/other#x", false},
		{mapping.JSON, "plant/+/values", "plant/a/b/values#x", false},
		{mapping.JSON, "plant/#", "plant#x", true},
		{mapping.JSON, "plant/#", "plant/a/b#x", true},
		{mapping.JSON, "plant/+", "plant#x", false},
		{mapping.JSON, "plant", "plant/a#x", false},
		{mapping.JSON, "$share/group/plant/+", "plant/a#x", true},
		{mapping.JSON, "#", "plant/a#x", true},
		{mapping.Sparkplug, "spBv1.0/#", "g/n:x", true},
		{mapping.Sparkplug, "spBv1.0/g/#", "g/n/d:x", true},
		{mapping.Sparkplug, "spBv1.0/g/+/n", "g/n:x", true},
		{mapping.Sparkplug, "spBv1.0/g/+/n", "g/n/d:x", false},
		{mapping.Sparkplug, "spBv1.0/g/NDATA/n", "g/n:x", true},
		{mapping.Sparkplug, "spBv1.0/h/#", "g/n:x", false},
		{mapping.SiteWise, "x", "anything", true},
	} {
		err := Check(mapping.MQTT{Topics: []mapping.Topic{{Format: test.format, Filter: test.filter}}}, []rows.Tag{{Address: test.tag}})
		if (err == nil) != test.ok {
			t.Errorf("%s %s: %v", test.filter, test.tag, err)
		}
	}
}

func TestJSONTime(t *testing.T) {
	at := time.Date(2026, 11, 28, 12, 0, 0, 500e6, time.UTC)
	for _, test := range []struct {
		path, format, payload string
		refused               bool
	}{
		{path: "meta.time", format: "rfc3339", payload: `{"x":1,"meta":{"time":"2026-11-28T13:00:00.5+01:00"}}`},
		{path: "t", format: "s", payload: `{"x":1,"t":1795867200.5}`},
		{path: "t", format: "ms", payload: `{"x":1,"t":1795867200500}`},
		{path: "t", format: "us", payload: `{"x":1,"t":"1795867200500000"}`},
		{path: "t", format: "ns", payload: `{"x":1,"t":1795867200500000000}`},
		{path: ".t", format: "ms", payload: `{"x":1,"t":1795867200500}`},
		{path: "t", format: "ms", payload: `{"x":1}`, refused: true},
		{path: "t", format: "ms", payload: `{"x":1,"t":1e300}`, refused: true},
		{path: "t", format: "ms", payload: `{"x":1,"t":"noon"}`, refused: true},
		{path: "t", format: "rfc3339", payload: `{"x":1,"t":1795867200}`, refused: true},
	} {
		w := newWorld(t, "a#x")
		d := newJSON(w.env, mapping.Topic{TimePath: test.path, TimeFormat: test.format})
		var got time.Time
		err := d.decode("a", []byte(test.payload), func(s rows.Sample) { got = s.TS })
		if (err != nil) != test.refused || err == nil && got.Sub(at).Abs() > time.Microsecond {
			t.Errorf("%s %s: %v, %v", test.format, test.payload, got, err)
		}
	}
}

func TestJSONQuality(t *testing.T) {
	for quality, good := range map[string]bool{
		`"Good"`: true, `"GOOD"`: true, `192`: true, `216`: true, `0`: true, `true`: true,
		`"Bad"`: false, `"Uncertain"`: false, `64`: false, `2147483648`: false, `256`: false, `192.5`: false, `false`: false, `null`: false, `[]`: false,
	} {
		want := 1.0
		if !good {
			want = missing
		}
		for path, payload := range map[string]string{"q": `{"l":[{"v":1}],"q":` + quality + `}`, ".q": `{"l":[{"v":1,"q":` + quality + `}]}`} {
			w := newWorld(t, "a#l.0.v")
			got, err := w.decode(newJSON(w.env, mapping.Topic{QualityPath: path}), "a", payload)
			if err != nil || !equal(got, map[string]float64{"a#l.0.v": want}) {
				t.Errorf("%s: %v, %v", payload, got, err)
			}
		}
	}
	w := newWorld(t, "a#v")
	if got, _ := w.decode(newJSON(w.env, mapping.Topic{QualityPath: "q"}), "a", `{"v":1}`); !equal(got, map[string]float64{"a#v": missing}) {
		t.Errorf("without the quality that it should have: %v", got)
	}
}

func TestJSONThatIsNone(t *testing.T) {
	w := newWorld(t, "a#x")
	d := newJSON(w.env, mapping.Topic{})
	for _, payload := range []string{"", "{", `{"x":1}{"x":2}`, `{"x":NaN}`, "\x00"} {
		if got, err := w.decode(d, "a", payload); err == nil || len(got) > 0 {
			t.Errorf("%q: %v, %v", payload, got, err)
		}
	}
	w.nothingElse()
	if got, err := w.decode(d, "b", "{"); err != nil || len(got) > 0 || w.counted(rows.ReasonNoTag) != 1 {
		t.Errorf("another topic: %v, %v", got, err)
	}
}
