package event_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"edgepdm/shared/event"
	"edgepdm/test/must"
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
		{"null is an absent form", `{` + head + `,"values":[1,2],"readings":null,"f32":null}`, "", ""},
		{"null forms only", `{` + head + `,"values":null,"readings":null,"f32":null}`, event.ReasonMalformed, "0 of values"},
		{"not JSON", `hello`, event.ReasonMalformed, "invalid character"},
		{"empty", ``, event.ReasonMalformed, "unexpected end"},
		{"cut", `{` + head + `,"values":[1,`, event.ReasonMalformed, "unexpected end"},
		{"array", `[1,2]`, event.ReasonMalformed, "array"},
		{"oversized", `{` + head + `,"values":[1],"x":"` + strings.Repeat("x", 6000) + `"}`, event.ReasonOversized, "carries 6000"},
		{"version", `{"v":2,"thing":"p"}`, event.ReasonVersion, "v is 2"},
		{"no version", `{"thing":"p"}`, event.ReasonVersion, "v is 0"},
		{"thing", `{"v":1,"thing":"a/b"}`, event.ReasonName, "thing: name"},
		{"long thing", `{"v":1,"thing":"` + strings.Repeat("x", 129) + `"}`, event.ReasonName, "129"},
		{"line", `{` + head + `,"line":"a\tb","values":[1]}`, event.ReasonName, "line"},
		{"long line", `{` + head + `,"line":"` + strings.Repeat("x", 129) + `","values":[1]}`, event.ReasonName, "129"},
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
		{"readings of all kinds", `{` + head + `,"readings":{"a":-1e39,"b":"x","c":[1],"d":{"e":1},"f":true}}`, "", ""},
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
			payload := must.JSON(t, m)
			got, err := event.DecodeTelemetry(payload)
			must.OK(t, err)
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

// A batch is taken apart into what each row would be by itself, whatever it is.
func TestSplitTelemetryBatch(t *testing.T) {
	rows, err := event.SplitTelemetryBatch([]byte(`{"v":1.0,"rows":[{"thing":"a", "x":1},{"thing":7},"text",null]}`))
	if err != nil || len(rows) != 4 || rows[0].Thing != "a" || string(rows[0].Payload) != `{"thing":"a", "x":1}` || rows[1].Thing+rows[2].Thing+rows[3].Thing != "" {
		t.Errorf("%+v, %v", rows, err)
	}
	for _, bad := range []string{`{"v":2,"rows":[]}`, `{"v":1,"rows":{}}`, "x", strings.Repeat(" ", 6001)} {
		if _, err := event.SplitTelemetryBatch([]byte(bad)); err == nil {
			t.Errorf("%.20q is a batch", bad)
		}
	}
}

func TestDecodeTelemetryBatch(t *testing.T) {
	rows, err := event.DecodeTelemetryBatch([]byte(`{"v":1,"rows":[{` + head + `,"values":[1]},{"v":1,"thing":"p","epoch":"a","seq":2},7,{` + head + `,"f32":"AADAPw=="}]}`))
	must.OK(t, err)
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
		{"both", `{"state":{"desired":{"property":"0.5","oil_temp":70},"reported":{"oil_temp":71.5}},"version":1}`, event.Readings{"property": 0.5, "oil_temp": 71.5}, ""},
		{"text", `{"state":{"desired":{"property":"warm"}},"version":1}`, event.Readings{}, ""},
		{"infinite", `{"state":{"desired":{"property":"inf"}},"version":1}`, event.Readings{}, ""},
		{"set points only", `{"state":{"desired":{"oil_temp":70}},"version":1}`, event.Readings{}, ""},
		{"text rounded twice, as Python does", `{"state":{"desired":{"property":"1.0000000596046448"}},"version":1}`, event.Readings{"property": 1}, ""},
		{"a number rounded twice", `{"state":{"desired":{"property":1.0000000596046448}},"version":1}`, event.Readings{"property": 1}, ""},
		{"text beyond float32", `{"state":{"desired":{"property":"1e39"}},"version":1}`, event.Readings{}, ""},
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

// What is no number beside readings does not spoil them: it is told apart, for it may be of no sensor.
func TestReadingsThatAreNoNumbers(t *testing.T) {
	row, err := event.DecodeTelemetry([]byte(`{` + head + `,"readings":{"temp":20,"none":null,"firmware":"1.2.3","on":true,"list":[1],"more":{"x":1},"huge":1e39}}`))
	if err != nil || len(row.Readings) != 2 || row.Readings["temp"] != 20 {
		t.Fatalf("%v, %v", row.Readings, err)
	}
	want := map[string]event.Reason{
		"firmware": event.ReasonMalformed, "on": event.ReasonMalformed, "list": event.ReasonMalformed, "more": event.ReasonMalformed, "huge": event.ReasonInfinity,
	}
	shadow, err := event.DecodeShadow("p", []byte(`{"state":{"reported":{"temp":"20","firmware":"1.2.3","on":true,"list":[1],"more":{"x":1},"huge":1e39},`+
		`"desired":{"temp":30,"mode":"auto"}},"version":1}`), time.Now())
	if err != nil || len(shadow.Readings) != 1 || shadow.Readings["temp"] != 20 || shadow.Unused != 2 {
		t.Fatalf("%+v, %v", shadow, err)
	}
	for what, unreadable := range map[string]map[string]*event.InvalidError{"row": row.Unreadable, "shadow": shadow.Unreadable} {
		got := make(map[string]event.Reason)
		for name, err := range unreadable {
			got[name] = err.Reason
			if !strings.Contains(err.Detail, name) {
				t.Errorf("%s: %v does not name %s", what, err, name)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
}

// A time that is out of this world, or that JSON cannot say again, is invalid in every message.
func TestTimesThatCannotBe(t *testing.T) {
	const unset = "1970-01-01T00:00:07Z" // the clock of a core that was not set yet, which costs no alert
	byOwnClock := []string{"alert", "since of an alert", "model event", "health"}
	decoders := map[string]func(ts string) error{
		"telemetry": func(ts string) error {
			_, err := event.DecodeTelemetry([]byte(`{"v":1,"thing":"p","epoch":"a","seq":1,"values":[1],"ts":"` + ts + `"}`))
			return err
		},
		"prediction": func(ts string) error {
			_, err := event.DecodePrediction([]byte(`{"v":1,"id":"a","thing":"p","ts":"` + ts + `"}`))
			return err
		},
		"prediction in a batch": func(ts string) error {
			rows, err := event.DecodePredictionBatch([]byte(`{"v":1,"predictions":[{"v":1,"id":"a","thing":"p","ts":"` + ts + `"}]}`))
			must.OK(t, err)
			return rows[0].Err
		},
		"alert": func(ts string) error {
			_, err := event.DecodeAlert([]byte(`{"v":1,"id":"a","thing":"p","ts":"` + ts + `"}`))
			return err
		},
		"since of an alert": func(ts string) error {
			_, err := event.DecodeAlert([]byte(`{"v":1,"id":"a","thing":"p","since":"` + ts + `"}`))
			return err
		},
		"model event": func(ts string) error {
			_, err := event.DecodeModelEvent([]byte(`{"v":1,"ts":"` + ts + `"}`))
			return err
		},
		"health": func(ts string) error {
			_, err := event.DecodeHealth([]byte(`{"v":1,"ts":"` + ts + `"}`))
			return err
		},
	}
	for name, decode := range decoders {
		for ts, want := range map[string]event.Reason{
			"2026-11-27T00:00:00Z": "", "2026-11-27T00:00:00+23:59": "", "2026-11-27T00:00:00-23:59": "",
			"2000-01-01T00:00:00Z": "", "2100-12-31T23:59:59Z": "",
			"2026-11-27T00:00:00+24:00": event.ReasonSequence, "2026-11-27T00:00:00-24:00": event.ReasonSequence,
			"2026-11-27T23:00:00+23:60": event.ReasonSequence, "1999-12-31T23:59:59Z": event.ReasonSequence,
			"2101-01-01T00:00:00Z": event.ReasonSequence, "9999-12-31T23:59:59-23:00": event.ReasonSequence,
		} {
			if ts == "1999-12-31T23:59:59Z" && slices.Contains(byOwnClock, name) {
				ts, want = unset, ""
			}
			if err := decode(ts); reasonOf(err) != want {
				t.Errorf("%s at %s: %v, want %q", name, ts, err, want)
			}
		}
	}
	for stamp, want := range map[string]event.Reason{
		"1795819627": "", "0": "", "1795819627000": event.ReasonSequence, "-1": event.ReasonSequence, "9223372036854775807": event.ReasonSequence,
	} {
		row, err := event.DecodeShadow("p", []byte(`{"state":{"reported":{"a":1}},"version":1,"timestamp":`+stamp+`}`), time.Now())
		if reasonOf(err) != want {
			t.Errorf("a shadow at %s: %v, want %q", stamp, err, want)
		}
		if _, unwritten := json.Marshal(row.TS); err == nil && unwritten != nil {
			t.Errorf("a shadow at %s is taken, and cannot be written: %v", stamp, unwritten)
		}
	}
}

// A batch of predictions is as large as a local message may be, and gives each back as it was.
func TestPredictionBatch(t *testing.T) {
	var payloads [][]byte
	for seq := range uint64(40) {
		payload := must.JSON(t, event.Prediction{V: 1, ID: fmt.Sprint("p-a-", seq), Thing: "p", Epoch: "a", Seq: seq, TS: time.Now().UTC(), Text: "<it> & more"})
		payloads = append(payloads, payload)
	}
	for left := payloads; len(left) > 0; {
		batch, taken := event.JoinPredictions(left)
		if err := event.Local.Check(batch); err != nil || taken < min(len(left), 10) {
			t.Fatalf("%d in a batch: %v", taken, err)
		}
		predictions, err := event.DecodePredictionBatch(batch)
		if err != nil || len(predictions) != taken {
			t.Fatalf("%d of %d, %v", len(predictions), taken, err)
		}
		for i, p := range predictions {
			if p.Err != nil || string(p.Payload) != string(left[i]) || p.ID == "" {
				t.Errorf("%+v, want %s", p, left[i])
			}
		}
		left = left[taken:]
	}
	predictions, err := event.DecodePredictionBatch([]byte(`{"v":1,"predictions":[7,{"v":2},{"v":1,"id":"x","thing":"p"}]}`))
	if err != nil || reasonOf(predictions[0].Err) != event.ReasonMalformed || reasonOf(predictions[1].Err) != event.ReasonVersion || predictions[2].Err != nil {
		t.Errorf("%+v, %v", predictions, err)
	}
	for payload, want := range map[string]event.Reason{
		`{"v":2,"predictions":[]}`: event.ReasonVersion, `[]`: event.ReasonMalformed, strings.Repeat(" ", 7000): event.ReasonOversized,
	} {
		if _, err := event.DecodePredictionBatch([]byte(payload)); reasonOf(err) != want {
			t.Errorf("%.20s: %v, want %q", payload, err, want)
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
	payload := must.JSON(t, row)
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
	f.Add([]byte(`{"v":1,"predictions":[{"v":1,"id":"x","ts":"2026-11-27T00:00:00+24:00"}]}`))
	f.Add([]byte(`{` + head + `,"ts":"2026-11-27T00:00:00+24:00","values":[1.5,null]}`))
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
		for _, p := range predictionsOf(payload) {
			if p.Err == nil {
				if _, err := json.Marshal(p.Prediction); err != nil {
					t.Fatalf("a prediction is taken, and cannot be written: %v", err)
				}
			}
		}
		if shadow, err := event.DecodeShadow("t", payload, time.Now()); err == nil {
			if _, err := json.Marshal(shadow); err != nil {
				t.Fatalf("a shadow is taken, and cannot be written: %v", err)
			}
		}
		if err == nil {
			if _, err := json.Marshal(row); err != nil {
				t.Fatalf("a row is taken, and cannot be written: %v", err)
			}
		}
	})
}

func predictionsOf(payload []byte) []event.BatchedPrediction {
	predictions, _ := event.DecodePredictionBatch(payload)
	return predictions
}

// A text is cut between two characters, whatever their lengths.
func TestCut(t *testing.T) {
	const text = "5 µm – €20 – 🙂"
	for size := range len(text) + 2 {
		got := event.Cut(text, size)
		if !utf8.ValidString(got) || !strings.HasPrefix(text, got) || len(got) > size || len(got)+4 <= min(size, len(text)) {
			t.Errorf("%d bytes: %q", size, got)
		}
	}
}

// What names a machine, a line or a message is checked where it is decoded, so that receivers need not.
func TestNamesAreChecked(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	messages := map[string]struct {
		members map[string]any
		decode  func([]byte) error
	}{
		"alert": {map[string]any{"v": 1, "id": "a", "thing": "p"}, func(b []byte) error { _, err := event.DecodeAlert(b); return err }},
		"label": {map[string]any{"v": 1, "id": "a", "thing": "p", "outcome": "confirmed"},
			func(b []byte) error { _, err := event.DecodeLabel(b); return err }},
		"prediction": {map[string]any{"v": 1, "id": "a", "thing": "p", "epoch": "e1", "seq": 1},
			func(b []byte) error { _, err := event.DecodePrediction(b); return err }},
		"telemetry": {map[string]any{"v": 1, "thing": "p", "epoch": "e1", "seq": 1, "ts": "2026-11-28T00:00:00Z", "values": []int{1}},
			func(b []byte) error { _, err := event.DecodeTelemetry(b); return err }},
	}
	for _, c := range []struct {
		member string
		value  any
		of     string // the messages that have it
		want   event.Reason
	}{
		{"thing", "a/b", "alert label prediction telemetry", event.ReasonName},
		{"thing", "", "alert label prediction telemetry", event.ReasonName},
		{"thing", long(129), "alert label prediction telemetry", event.ReasonName},
		{"line", "a\tb", "alert label prediction telemetry", event.ReasonName},
		{"line", long(129), "alert prediction telemetry", event.ReasonName},
		{"line", strings.Repeat("線", 128), "alert prediction telemetry", ""},
		{"id", "", "alert label prediction", event.ReasonName},
		{"id", long(257), "alert prediction", event.ReasonName},
		{"id", long(256), "alert prediction", ""},
		{"epoch", "E 1", "prediction telemetry", event.ReasonName},
		{"epoch", long(17), "prediction telemetry", event.ReasonName},
		{"epoch", "", "prediction", ""}, // of a sender that does not number its rows
		{"comment", long(1001), "label", event.ReasonOversized},
		{"outcome", "", "label", event.ReasonMalformed},
		{"label", long(65), "prediction", event.ReasonOversized},
		{"missing", long(1501), "prediction", event.ReasonOversized},
		{"model", map[string]string{"version": long(129)}, "prediction", event.ReasonOversized},
		{"model", map[string]string{"sha256": long(129)}, "prediction", event.ReasonOversized},
	} {
		for _, name := range strings.Fields(c.of) {
			members := maps.Clone(messages[name].members)
			members[c.member] = c.value
			payload := must.JSON(t, members)
			if err := messages[name].decode(payload); reasonOf(err) != c.want {
				t.Errorf("%s of %.30v of %s: %v, want %q", c.member, c.value, name, err, c.want)
			}
		}
	}
}

// A model's event has an id and a detail that fits, whatever it says.
func TestModelEvent(t *testing.T) {
	one := event.NewModelEvent(event.ModelRefused, event.ModelEvent{Detail: strings.Repeat("<", 2000)}, time.Now())
	payload, err := event.Encode(one)
	must.OK(t, err)
	if got, err := event.DecodeModelEvent(payload); err != nil || got != one {
		t.Errorf("%+v, want %+v (%v)", got, one, err)
	}
	if two := event.NewModelEvent(event.ModelRefused, event.ModelEvent{}, time.Now()); two.ID == one.ID {
		t.Errorf("two events of the id %s", two.ID)
	}
	stranger, err := event.DecodeModelEvent([]byte(`{"v":1,"event":"available"}`))
	other, otherErr := event.DecodeModelEvent([]byte(`{"v":1,"event":"refused"}`))
	again, againErr := event.DecodeModelEvent([]byte(`{"v":1,"event":"available"}`))
	if err := errors.Join(err, otherErr, againErr); err != nil || stranger.ID == "" || stranger.ID != again.ID || stranger.ID == other.ID {
		t.Errorf("ids %q, %q, %q (%v)", stranger.ID, again.ID, other.ID, err)
	}
}

// The language and the time zone of an alert may be missing, and are bounded; what they are is for who uses them.
func TestLanguageAndZoneOfAnAlert(t *testing.T) {
	for members, taken := range map[string]bool{
		``: true,
		`,"language":"de-AT","time_zone":"Europe/Vienna"`: true,
		`,"language":"` + strings.Repeat("x", 20) + `"`:   true,
		`,"language":"` + strings.Repeat("x", 21) + `"`:   false,
		`,"time_zone":"` + strings.Repeat("x", 64) + `"`:  true,
		`,"time_zone":"` + strings.Repeat("x", 65) + `"`:  false,
		`,"language":1`: false,
	} {
		a, err := event.DecodeAlert([]byte(`{"v":1,"id":"a","thing":"p"` + members + `}`))
		if _, invalid := errors.AsType[*event.InvalidError](err); (err == nil) != taken || !taken && !invalid {
			t.Errorf("%s: %+v, %v", members, a, err)
		}
	}
}
