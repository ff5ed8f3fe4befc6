package window

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"edgepdm/test/must"
)

func TestParse(t *testing.T) {
	got, err := Parse([]byte(`{"sensors":["a","b","c"],"maxGap":"10m","inputs":[
		{"sensors":["a","b"],"stats":["last","mean"],"rows":[5,20],"time":["10m"]},
		{"sensors":"*","stat":"max","rows":40},
		{"sensor":"c","stat":"last"}, {"sensor":"c","stats":"count","time":"1h"}]}`))
	must.OK(t, err)
	want := &Spec{Sensors: []string{"a", "b", "c"}, MaxGap: "10m", Inputs: []Input{
		{"a", Last, 0, ""}, {"a", Mean, 5, ""}, {"a", Mean, 20, ""}, {"a", Mean, 0, "10m"},
		{"b", Last, 0, ""}, {"b", Mean, 5, ""}, {"b", Mean, 20, ""}, {"b", Mean, 0, "10m"},
		{"a", Max, 40, ""}, {"b", Max, 40, ""}, {"c", Max, 40, ""}, {"c", Last, 0, ""}, {"c", Count, 0, "1h"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	again, err := Parse(must.JSON(t, got)) // as a manifest has it
	if err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for in, want := range map[string]string{
		``:                                      "EOF",
		`[]`:                                    "array",
		`{}x`:                                   "goes on",
		`{"sensors":["a"],"inputs":[],"gap":1}`: `gap is an unknown field`,
		`{"sensors":["a"],"inputs":[],"maxGap":10}`: "maxGap is number",
		`{"sensors":["a"],"inputs":[]}`:             "inputs has 0 entries",
		`{"sensors":"a","inputs":[]}`:               "sensors is string",
		`{"sensors":["a"],"inputs":[{"row":5}]}`:    `inputs[0].row is an unknown field`,
		`{"sensors":["a"],"inputs":[{"sensor":"a","stat":"mean","rows":5},{"sensor":"b","stat":"mean","rows":5}]}`: `inputs[1].sensor is "b"`,
		`{"sensors":["a"],"inputs":[{"sensors":["a","b"],"stat":"mean","rows":5}]}`:                                `inputs[0].sensor is "b"`,
		`{"sensors":["a"],"inputs":[{"sensor":"a","stat":"mean","rows":[5,1000000000]}]}`:                          "inputs[0].rows is 1000000000",
		`{"sensors":["a"],"inputs":[{"sensor":"a","stat":"mean","rows":1.5}]}`:                                     "inputs[0].rows",
		`{"sensors":["a"],"inputs":[{"sensor":"a","stat":"mean","rows":1e30}]}`:                                    "inputs[0].rows",
		`{"sensors":["a"],"inputs":[{"sensor":"a","stat":"mean","rows":5,"time":"5m"}]}`:                           `rows is 5 and time is "5m"`,
		`{"sensors":["a"],"inputs":[{"sensor":"a","stat":"mean"}]}`:                                                "rows is missing",
		`{"sensors":["a"],"inputs":[{"sensor":"a","stat":"last","rows":5}]}`:                                       "takes neither",
		`{"sensors":["a"],"inputs":[{"sensor":"a","sensors":["a"],"stat":"last"}]}`:                                "sensor and sensors",
		`{"sensors":["a"],"inputs":[{"sensor":"a","stat":"last","stats":["min"]}]}`:                                "stat and stats",
		`{"sensors":["a"],"inputs":[{"sensors":[],"stat":"last"}]}`:                                                "sensors is empty",
		`{"sensors":["a"],"inputs":[{"sensor":"a","stats":[]}]}`:                                                   "stats is empty",
		`{"sensors":["a"],"inputs":[{"sensor":"a","stats":["min","min"],"rows":5}]}`:                               "there twice",
		`{"sensors":["a"],"inputs":[null]}`:                                                                        `inputs[0].sensor is ""`,
		`{"sensors":null,"inputs":null}`:                                                                           "sensors has 0 entries",
	} {
		_, err := Parse([]byte(in))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}

// An entry that stands for too many inputs takes no memory for them.
func TestParseBoundsTheProduct(t *testing.T) {
	var rows []int
	for n := 2; n <= MaxRows; n++ {
		rows = append(rows, n)
	}
	text := `{"sensors":["a","b"],"inputs":[{"sensors":"*","stats":["mean","min","max"],"rows":` + string(must.JSON(t, rows)) + `}]}`
	if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), "inputs[0].sensors: with this entry there are more than 4096") {
		t.Error(err)
	}
	if _, err := Parse(make([]byte, MaxSpec+1)); err == nil || !strings.Contains(err.Error(), "the spec has 1048577 bytes") {
		t.Error(err)
	}
}

// FuzzParse wants that what is taken is right, and is the same when it is written and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"sensors":["a","b"],"maxGap":"10m","inputs":[{"sensors":"*","stats":["last","mean"],"rows":[5],"time":["10m"]}]}`))
	f.Add([]byte(`{"sensors":["a"],"inputs":[{"sensor":"a","stat":"slope","rows":20}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			return
		}
		must.OK(t, s.Check())
		text, err := json.Marshal(s)
		must.OK(t, err)
		if again, err := Parse(text); err == nil && !reflect.DeepEqual(s, again) || err != nil && len(text) <= MaxSpec {
			t.Errorf("%s: %v", text, err)
		}
	})
}
