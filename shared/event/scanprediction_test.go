package event

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// full is a prediction with every member.
func full() Prediction {
	truth, value, left := true, float32(1.5), 17.25
	return Prediction{
		V: 1, ID: "press-1-e-7", Thing: "press-1", Line: "Halle 1 <größer>", Epoch: "e", Seq: 7, TS: time.Date(2026, 11, 28, 10, 0, 0, 123456789, time.UTC),
		Model: ModelRef{Version: "1.0.0", SHA256: strings.Repeat("ab", 32)}, Probability: 0.031234567, Label: LabelNotFaulty, Threshold: 0.5,
		LatencyUS: 1234, Platform: "linux/amd64", Text: PredictionText(LabelNotFaulty, time.Millisecond, "linux/amd64"), Simulated: true, Faulty: &truth,
		Absent: 3, Missing: "oil_temp, flow", Assembling: true, Watched: Watched{"oil_temp": 81.5, "flow": -1e-7},
		Quality:      &Quality{Frozen: []string{"a"}, Outside: []string{"b", "ü"}, Missing: []string{"c"}, More: 2},
		Contributors: []Contributor{{Sensor: "a", Name: "A", Names: map[string]string{"de": "Ä"}, Value: &value, Unit: "°C", Low: &value, High: &value, Direction: DirectionAbove, Share: 0.5}, {Sensor: "b", Share: 0.25}},
		Life:         &Life{Low: 1, Median: 2.5, High: 3, Coverage: 0.9, Unit: "hours", Beyond: true}, Remaining: &left,
	}
}

// zeroes names the members of a struct, and of those in it, that are not set.
func zeroes(v reflect.Value) (names []string) {
	switch v.Kind() {
	case reflect.Pointer:
		return zeroes(v.Elem())
	case reflect.Slice:
		return zeroes(v.Index(0))
	case reflect.Struct:
		if _, is := v.Interface().(time.Time); is {
			return nil
		}
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				names = append(names, v.Type().Field(i).Name)
				continue
			}
			names = append(names, zeroes(v.Field(i))...)
		}
	}
	return names
}

// Every member that a prediction may have is read without reflection: a member that is added must be, too.
func TestEveryMemberOfAPredictionIsScanned(t *testing.T) {
	want := full()
	if names := zeroes(reflect.ValueOf(want)); len(names) > 0 {
		t.Fatalf("the test's prediction lacks %v", names)
	}
	payload, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Prediction
	s := scanner{text: payload, words: new(words)}
	if s.prediction(&got); !s.end() || !reflect.DeepEqual(got, want) {
		t.Errorf("odd %v at %.40q: %+v, want %+v", s.odd, payload[s.at:], got, want)
	}
}

// A prediction of the usual kind costs three allocations: what is its own alone. A machine's line and the model's names are not.
func TestAPredictionsAllocations(t *testing.T) {
	p := full()
	p.Line, p.Absent, p.Missing, p.Assembling, p.Watched, p.Quality, p.Contributors, p.Life, p.Remaining = "Halle 1", 0, "", false, nil, nil, nil, nil, nil
	p.Faulty = nil
	one, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	batch, n := JoinPredictions([][]byte{one, one, one, one, one, one})
	var d PredictionDecoder
	if got := testing.AllocsPerRun(100, func() { _, err = d.Decode(one) }); got > 3 || err != nil {
		t.Errorf("%v allocations, %v", got, err)
	}
	if got := testing.AllocsPerRun(100, func() { _, err = d.DecodeBatch(batch) }); got > float64(3*n+1) || err != nil {
		t.Errorf("%v allocations for %d, %v", got, n, err)
	}
}

// Of texts that repeat so many are kept as are bounded, whatever comes.
func TestWordsAreBounded(t *testing.T) {
	var w words
	b := make([]byte, 3)
	for i := range 10 * maxWords {
		b[0], b[1], b[2] = byte(i), byte(i>>8), 'x'
		if w.of(b) != string(b) || len(w.known) > maxWords {
			t.Fatalf("%q, %d words", w.of(b), len(w.known))
		}
	}
	clear(w.known)
	if long := strings.Repeat("x", maxWord+1); w.of([]byte(long)) != long || len(w.known) != 0 {
		t.Error("a long text is kept")
	}
}

// spellings are texts of which some are odd, some are none.
func spellings(tb testing.TB) (list []string) {
	data, err := json.Marshal(full())
	if err != nil {
		tb.Fatal(err)
	}
	whole := string(data)
	list = append(list, whole, " \t\r\n"+strings.ReplaceAll(whole, `,"`, ` , "`)+"\n")
	for _, change := range [][2]string{
		{`"v":1`, `"v":1.0`}, {`"v":1`, `"v":01`}, {`"v":1`, `"V":1`}, {`"v":1`, `"v":null`}, {`"v":1`, `"v":2`}, {`"v":1`, `"v":1,"v":2`}, {`"v":1`, `"v":-0`},
		{`"v":1`, `"v":9223372036854775808`}, {`"v":1`, `"v":"1"`}, {`"v":1`, `"v":1,"x":{"y":[1,{}]}`}, {`"v":1`, `"v":1,`}, {`"v":1`, `"\u0076":1`},
		{`"seq":7`, `"seq":18446744073709551615`}, {`"seq":7`, `"seq":18446744073709551616`}, {`"seq":7`, `"seq":-1`}, {`"seq":7`, `"seq":7e0`}, {`"seq":7`, `"seq":-0`},
		{`press-1`, `press/1`}, {`press-1`, "press\x01"}, {`press-1`, "press\xff"}, {`press-1`, `pr\u0065ss-1`}, {`press-1`, `pr\x`}, {`Halle 1`, `Halle 1 🙂`},
		{`Halle 1`, `Halle \ud83d\ude42`}, {`Halle 1`, `Halle \ud83d`}, {`Halle 1`, "Halle \xc3"}, {`0.5`, `5e-1`}, {`0.5`, `1e999`}, {`0.5`, `.5`}, {`0.5`, `5.`}, {`0.5`, `-`},
		{`0.5`, `NaN`}, {`0.5`, `-Infinity`}, {`true`, `True`}, {`true`, `truex`}, {`true`, `1`}, {`2026-11-28T10`, `2026-11-28t10`}, {`2026-11-28T10`, `1999-11-28T10`},
		{`2026-11-28T10:00:00.123456789Z`, `2026-11-28T10:00:00+24:00`}, {`2026-11-28T10:00:00.123456789Z`, `2026-11-28T10:00:00,5+01:00`}, {`-1e-7`, `null`}, {`-1e-7`, `1e39`},
		{`-1e-7`, `true`}, {`-1e-7`, `-1e-7,"flow":1`}, {`-1e-7`, `-1e-7,"flow":null`}, {`"watched":{`, `"watched":{"":1,`}, {`"watched":{`, `"watched":{},"watched":{`},
		{`"frozen":["a"]`, `"frozen":[]`}, {`"frozen":["a"]`, `"frozen":["a","b","c","d","e"]`}, {`"frozen":["a"]`, `"frozen":["a",]`}, {`"frozen":["a"]`, `"frozen":[null]`},
		{`"frozen":["a"]`, `"frozen":["a"],"frozen":["z"]`}, {`"more":2`, `"more":2.0`}, {`"quality":{`, `"quality":{"more":3},"quality":{`}, {`"quality":{`, `"quality":null,"x":{`},
		{`"names":{`, `"names":{"fr":"f"},"names":{`}, {`"value":1.5`, `"value":3.5e38`}, {`"value":1.5`, `"value":3.4028235677973366e38`}, {`"value":1.5`, `"value":1e-60`},
		{`"contributors":[`, `"contributors":[],"contributors":[`}, {`"contributors":[`, `"contributors":[{},`}, {`"life":{`, `"life":{"low":9},"life":{`}, {`"model":{`, `"model":{"version":"x"},"model":{`},
		{`"model":{`, `"model":{"sha":"x",`}, {`"life":{`, `"life":{"more":1,`}, {`"sensor":"a"`, `"sensor":"a","a":1`}, {`"remaining":17.25`, `"remaining":null`},
	} {
		list = append(list, strings.Replace(whole, change[0], change[1], 1))
	}
	for _, end := range []int{0, 1, len(whole) / 2, len(whole) - 1} {
		list = append(list, whole[:end])
	}
	return append(list, whole+"x", whole+whole, "null", "[]", "{}", "{,}", `{"v":1}`, `{"a"}`, `{"v"`, `{"v":`, `"`)
}

// What is read without reflection is what encoding/json reads, whatever the spelling: the same values, or refused for the same reason.
func FuzzDecodePrediction(f *testing.F) {
	for _, text := range spellings(f) {
		f.Add([]byte(text))
		f.Add([]byte(`{"v":1,"predictions":[` + text + `]}`))
		f.Add([]byte(`{"predictions":[{"v":1,"id":"a","thing":"p"}, ` + text + " ],\"v\":1.0}"))
	}
	f.Add([]byte(`{"v":1,"predictions":[],"predictions":[{}]}`))
	f.Add([]byte(`{"v":2,"predictions":[]}`))
	f.Add([]byte(`{"v":1}`))
	f.Add([]byte(`{"v":1,"predictions":null}`))
	f.Add([]byte(`{"v":1,"predictions":[],"more":1}`))
	var d PredictionDecoder // its words are of other messages, too
	f.Fuzz(func(t *testing.T, payload []byte) {
		if Local.Check(payload) != nil {
			return
		}
		got, err := d.Decode(payload)
		want, wantErr := decodePrediction(payload)
		same(t, payload, got, want, err, wantErr)
		batch, err := d.DecodeBatch(payload)
		wantBatch, wantErr := decodePredictionBatch(payload)
		if len(batch) != len(wantBatch) {
			t.Fatalf("%d predictions of %q, want %d", len(batch), payload, len(wantBatch))
		}
		same(t, payload, Prediction{}, Prediction{}, err, wantErr)
		for i := range batch {
			same(t, payload, batch[i].Prediction, wantBatch[i].Prediction, batch[i].Err, wantBatch[i].Err)
			if string(batch[i].Payload) != string(wantBatch[i].Payload) {
				t.Fatalf("payload %q of %q, want %q", batch[i].Payload, payload, wantBatch[i].Payload)
			}
		}
	})
}

func same(t *testing.T, payload []byte, got, want Prediction, err, wantErr error) {
	t.Helper()
	if reason(err) != reason(wantErr) {
		t.Fatalf("%q: %v, want %v", payload, err, wantErr)
	}
	if err != nil {
		return
	}
	if !reflect.DeepEqual(got, want) || math.Signbit(got.Probability) != math.Signbit(want.Probability) {
		t.Fatalf("%q: %+v, want %+v", payload, got, want)
	}
}

func reason(err error) Reason {
	if invalid, is := errors.AsType[*InvalidError](err); is {
		return invalid.Reason
	}
	return ""
}

// A message of predictions: without reflection, and with it.
func BenchmarkDecodePredictions(b *testing.B) {
	p := full()
	p.Line, p.Absent, p.Missing, p.Assembling, p.Watched, p.Quality, p.Contributors, p.Life, p.Remaining = "Halle 1", 0, "", false, nil, nil, nil, nil, nil
	one, err := json.Marshal(p)
	if err != nil {
		b.Fatal(err)
	}
	batch, n := JoinPredictions(slices.Repeat([][]byte{one}, 20))
	var d PredictionDecoder
	for name, decode := range map[string]func([]byte) ([]BatchedPrediction, error){"scanned": d.DecodeBatch, "encoding-json": decodePredictionBatch} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decode(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/prediction")
		})
	}
}
