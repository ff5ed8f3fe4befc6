package event_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
)

var nan = float32(math.NaN())

func reasonOf(err error) event.Reason {
	if invalid, ok := errors.AsType[*event.InvalidError](err); ok {
		return invalid.Reason
	}
	if err != nil {
		return "not an InvalidError: " + event.Reason(err.Error())
	}
	return ""
}

const head = `"v":1,"thing":"pump-1","epoch":"e1","seq":7,"ts":"2026-11-23T10:00:00Z"`

func TestDecodeTelemetry(t *testing.T) {
	for _, c := range []struct {
		name, payload string
		reason        event.Reason // "" = valid
		detail        string
	}{
		{"values", `{` + head + `,"values":[1.5,null,-3e4]}`, "", ""},
		{"readings", `{` + head + `,"readings":{"oil_temp":71.5,"flow":null}}`, "", ""},
		{"packed", `{` + head + `,"f32":"AADAPwAAwH8="}`, "", ""},
		{"unknown members", `{` + head + `,"values":[1],"later":{"x":1}}`, "", ""},
		{"not JSON", `hello`, event.ReasonMalformed, "invalid character"},
		{"empty", ``, event.ReasonMalformed, "unexpected end"},
		{"cut", `{` + head + `,"values":[1,`, event.ReasonMalformed, "unexpected end"},
		{"array", `[1,2]`, event.ReasonMalformed, "array"},
		{"oversized", `{` + head + `,"values":[1],"x":"` + strings.Repeat("x", 6000) + `"}`, event.ReasonOversized, "carries 6000"},
		{"version", `{"v":2,"thing":"p"}`, event.ReasonVersion, "v is 2"},
		{"no version", `{"thing":"p"}`, event.ReasonVersion, "v is 0"},
		{"thing", `{"v":1,"thing":"a/b"}`, event.ReasonName, "thing: name"},
		{"long thing", `{"v":1,"thing":"` + strings.Repeat("x", 129) + `"}`, event.ReasonName, "129"},
		{"line", `{` + head + `,"line":"a b","values":[1]}`, event.ReasonName, "line: name"},
		{"epoch", `{"v":1,"thing":"p","epoch":"A","seq":1}`, event.ReasonName, "epoch"},
		{"no seq", `{"v":1,"thing":"p","epoch":"a"}`, event.ReasonSequence, "seq"},
		{"negative seq", `{"v":1,"thing":"p","epoch":"a","seq":-1}`, event.ReasonMalformed, "seq"},
		{"no ts", `{"v":1,"thing":"p","epoch":"a","seq":1,"values":[1]}`, event.ReasonSequence, "ts"},
		{"no values", `{` + head + `}`, event.ReasonMalformed, "0 of values"},
		{"two forms", `{` + head + `,"values":[1],"readings":{"a":1}}`, event.ReasonMalformed, "2 of values"},
		{"string value", `{` + head + `,"values":[1,"2"]}`, event.ReasonMalformed, "value 1 is"},
		{"values no array", `{` + head + `,"values":{"a":1}}`, event.ReasonMalformed, "not an array"},
		{"huge value", `{` + head + `,"values":[0,1e39]}`, event.ReasonInfinity, "value 1 is 1e39"},
		{"bare Infinity", `{` + head + `,"values":[0,Infinity]}`, event.ReasonInfinity, "Infinity"},
		{"bare -Infinity", `{` + head + `,"values":[0,-Infinity]}`, event.ReasonInfinity, "Infinity"},
		{"bare NaN", `{` + head + `,"values":[0,NaN]}`, event.ReasonMalformed, "NaN"},
		{"huge reading", `{` + head + `,"readings":{"a":-1e39}}`, event.ReasonInfinity, `reading "a"`},
		{"packed Infinity", `{` + head + `,"f32":"AACAfw=="}`, event.ReasonInfinity, "value 0"},
		{"packed odd", `{` + head + `,"f32":"AAA="}`, event.ReasonMalformed, "f32"},
	} {
		t.Run(c.name, func(t *testing.T) {
			row, err := event.DecodeTelemetry([]byte(c.payload))
			if reasonOf(err) != c.reason {
				t.Fatalf("reason %q, want %q (%v)", reasonOf(err), c.reason, err)
			}
			if err != nil && !strings.Contains(err.Error(), c.detail) {
				t.Errorf("%q lacks %q", err, c.detail)
			}
			if err == nil && row.ID() != "pump-1-e1-7" {
				t.Errorf("id %q", row.ID())
			}
		})
	}
}

// An invalid row keeps its identity, so that the gap it leaves can be counted as its.
// TestParseFloat wants numpy's float32(float("…")) of each text, which rounds twice.
func TestParseFloat(t *testing.T) {
	for text, want := range map[string]float32{
		"1.0000000596046448":              1,         // read at once: 1.0000001
		"1.00000005960464477539062500001": 1,         // read at once: 1.0000001
		"1.0000001788139343":              1.0000002, // read at once: 1.0000001
		"-8388608.5000000001":             -8388608,  // read at once: -8388609
		"16777217.000000001":              16777216,  // read at once: 16777218
		"0.1":                             0.1,       // as most
		"1.17549428e-38":                  1.1754942e-38,
		"3.4028235677973362e38":           math.MaxFloat32,
		"1e-400":                          0,
	} {
		if got, err := event.ParseFloat(text); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
		row, err := event.DecodeTelemetry([]byte(`{` + head + `,"values":[` + text + `]}`))
		if err != nil || row.Values[0] != want {
			t.Errorf("%s in values: %v, %v; want %v", text, row.Values, err, want)
		}
		row, err = event.DecodeTelemetry([]byte(`{` + head + `,"readings":{"a":` + text + `}}`))
		if err != nil || row.Readings["a"] != want {
			t.Errorf("%s in readings: %v, %v; want %v", text, row.Readings, err, want)
		}
	}
	for _, text := range []string{"3.4028235677973366e38", "-1e39", "1e400"} {
		if got, err := event.ParseFloat(text); !errors.Is(err, strconv.ErrRange) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if _, err := event.ParseFloat("1,5"); !errors.Is(err, strconv.ErrSyntax) {
		t.Error(err)
	}
}

func TestInvalidRowKeepsItsIdentity(t *testing.T) {
	row, err := event.DecodeTelemetry([]byte(`{"values":["x"],` + head + `}`))
	if reasonOf(err) != event.ReasonMalformed || row.ID() != "pump-1-e1-7" {
		t.Errorf("%q, %v", row.ID(), err)
	}
}

func TestTelemetryRoundTrip(t *testing.T) {
	faulty := true
	values := event.Values{1.5, nan, -0.1, 3.4028235e38, 1e-45, 0}
	want := event.Telemetry{
		V: 1, Thing: "p", Line: "L1", Epoch: "a", Seq: 1 << 60, TS: time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC),
		Schema: "00ff", Simulated: true, Faulty: &faulty,
	}
	for name, fill := range map[string]func(*event.Telemetry){
		"values": func(m *event.Telemetry) { m.Values = values },
		"packed": func(m *event.Telemetry) { m.Packed = event.Packed(values) },
	} {
		t.Run(name, func(t *testing.T) {
			m := want
			fill(&m)
			payload, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			got, err := event.DecodeTelemetry(payload)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Values) != len(values) {
				t.Fatalf("values %v", got.Values)
			}
			for i, x := range values {
				if got.Values[i] != x && !(x != x && got.Values[i] != got.Values[i]) {
					t.Errorf("value %d is %v, want %v", i, got.Values[i], x)
				}
			}
			got.Values = nil
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
	if _, err := json.Marshal(event.Values{float32(math.Inf(1))}); err == nil {
		t.Error("an infinite value was written")
	}
}

func TestDecodeTelemetryBatch(t *testing.T) {
	rows, err := event.DecodeTelemetryBatch([]byte(`{"v":1,"rows":[{` + head + `,"values":[1]},{"v":1,"thing":"p","epoch":"a","seq":2},7,{` + head + `,"f32":"AADAPw=="}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var reasons []event.Reason
	for _, r := range rows {
		reasons = append(reasons, reasonOf(r.Err))
	}
	if want := []event.Reason{"", event.ReasonSequence, event.ReasonMalformed, ""}; !reflect.DeepEqual(reasons, want) {
		t.Errorf("reasons %q, want %q", reasons, want)
	}
	if rows[3].Values[0] != 1.5 {
		t.Errorf("packed row %v", rows[3].Values)
	}
	if _, err := event.DecodeTelemetryBatch([]byte(`{"v":3}`)); reasonOf(err) != event.ReasonVersion {
		t.Errorf("version: %v", err)
	}
}

func TestDecodeShadow(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, payload string
		want          event.Readings
		reason        event.Reason
	}{
		{"the workshop's", `{"state":{"desired":{"property":"0.53"}},"version":12,"timestamp":1795448155}`, event.Readings{"property": 0.53}, ""},
		{"by name", `{"state":{"reported":{"oil_temp":71.5}},"version":1}`, event.Readings{"oil_temp": 71.5}, ""},
		{"text rounded twice, as Python does", `{"state":{"desired":{"property":"1.0000000596046448"}},"version":1}`, event.Readings{"property": 1}, ""},
		{"a number rounded twice", `{"state":{"desired":{"property":1.0000000596046448}},"version":1}`, event.Readings{"property": 1}, ""},
		{"text beyond float32", `{"state":{"desired":{"property":"1e39"}},"version":1}`, nil, event.ReasonMalformed},
		{"text", `{"state":{"desired":{"property":"warm"}},"version":1}`, nil, event.ReasonMalformed},
		{"infinite", `{"state":{"desired":{"property":"inf"}},"version":1}`, nil, event.ReasonMalformed},
		{"no version", `{"state":{"desired":{"property":"1"}}}`, nil, event.ReasonSequence},
		{"not JSON", `x`, nil, event.ReasonMalformed},
		{"with metadata that is larger than a state may be", `{"state":{"desired":{"property":1}},"version":1,"metadata":"` + strings.Repeat("x", 50_000) + `"}`,
			event.Readings{"property": 1}, ""},
		{"too large", `{"state":{"desired":{"property":1}},"version":1,"metadata":"` + strings.Repeat("x", 70_000) + `"}`, nil, event.ReasonOversized},
	} {
		row, err := event.DecodeShadow("Iot-Sensor", []byte(c.payload), now)
		if reasonOf(err) != c.reason {
			t.Errorf("%s: %v, want %q", c.name, err, c.reason)
		}
		if c.reason == "" && !reflect.DeepEqual(row.Readings, c.want) {
			t.Errorf("%s: %v, want %v", c.name, row.Readings, c.want)
		}
	}
}

func TestASimulatedShadowSaysSo(t *testing.T) {
	for token, want := range map[string]bool{event.SimulatedToken: true, "other": false} {
		row, err := event.DecodeShadow("p", []byte(`{"state":{"desired":{"a":1}},"version":1,"clientToken":"`+token+`"}`), time.Now())
		if err != nil || row.Simulated != want {
			t.Errorf("%s: simulated %v, %v", token, row.Simulated, err)
		}
	}
}

func TestTopics(t *testing.T) {
	if got := event.TelemetryThing(event.TelemetryTopic("p")); got != "p" {
		t.Errorf("telemetry thing %q", got)
	}
	if got := event.TelemetryThing("pdm/v1/prediction/p"); got != "" {
		t.Errorf("thing %q of another topic", got)
	}
	if got := event.ShadowThing("$aws/things/Iot-Sensor/shadow/update/accepted"); got != "Iot-Sensor" {
		t.Errorf("shadow thing %q", got)
	}
	if got := event.ShadowThing("$aws/things/Iot-Sensor/shadow/update/rejected"); got != "" {
		t.Errorf("shadow thing %q of another topic", got)
	}
}

// The largest row of 168 sensors and its prediction fit every local transport.
func TestARowOf168SensorsFits(t *testing.T) {
	row := event.Telemetry{V: 1, Thing: strings.Repeat("x", 128), Epoch: "0123456789abcdef", Seq: math.MaxUint64, TS: time.Now(), Values: make(event.Values, 168)}
	for i := range row.Values {
		row.Values[i] = -1.1754944e-38
	}
	payload, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	if err := event.Local.Check(payload); err != nil {
		t.Error(err)
	}
}

func TestSchemaOf(t *testing.T) {
	if a, b := event.SchemaOf([]string{"ab", "c"}), event.SchemaOf([]string{"a", "bc"}); a == b || len(a) != 16 {
		t.Errorf("schemas %q and %q", a, b)
	}
}

func FuzzDecodeTelemetry(f *testing.F) {
	f.Add([]byte(`{` + head + `,"values":[1.5,null]}`))
	f.Add([]byte(`{` + head + `,"readings":{"a":1}}`))
	f.Add([]byte(`{"v":1,"rows":[{` + head + `,"f32":"AADAPw=="}]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		row, err := event.DecodeTelemetry(payload)
		if err != nil && strings.HasPrefix(fmt.Sprint(reasonOf(err)), "not an") {
			t.Fatalf("error of another type: %v", err)
		}
		for _, x := range row.Values {
			if math.IsInf(float64(x), 0) {
				t.Fatal("an infinite value was accepted")
			}
		}
		_, _ = event.DecodeTelemetryBatch(payload)
		_, _ = event.DecodeShadow("t", payload, time.Time{})
	})
}
