package event

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// fullRow is a row with every member that a message may have; of the forms of values one.
func fullRow() Telemetry {
	truth, left := true, 17.25
	return Telemetry{
		V: 1, Thing: "press-1", Line: "Halle 1, größer", Epoch: "e", Seq: 7, TS: time.Date(2026, 11, 28, 10, 0, 0, 123456789, time.UTC), Schema: "0123456789abcdef",
		Values: Values{1.5, missing, -57.7999992, 0, 1e-30, 3.4028235e38}, Simulated: true, Faulty: &truth, Remaining: &left,
	}
}

// Every member that a row may have is read without reflection: a member that is added must be, too.
func TestEveryMemberOfARowIsScanned(t *testing.T) {
	want := fullRow()
	want.Values[1] = 2 // NaN is unlike itself
	for _, form := range []func(t *Telemetry){
		func(*Telemetry) {},
		func(t *Telemetry) { t.Values, t.Packed = nil, Packed(t.Values) },
		func(t *Telemetry) { t.Values, t.Readings = nil, Readings{"oil_temp": 81.5, "Öl": 0} },
	} {
		row := want
		form(&row)
		set := map[string]bool{"Values": true, "Readings": true, "Packed": true, "Unreadable": true, "Unused": true}
		for i := range reflect.TypeFor[Telemetry]().NumField() {
			if name := reflect.TypeFor[Telemetry]().Field(i).Name; reflect.ValueOf(row).Field(i).IsZero() && !set[name] {
				t.Fatalf("the test's row lacks %s", name)
			}
		}
		payload, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		var got Telemetry
		s := scanner{text: payload, words: new(words)}
		if s.telemetry(&got); !s.end() || !reflect.DeepEqual(got, row) {
			t.Errorf("odd %v at %.40q: %+v, want %+v", s.odd, payload[s.at:], got, row)
		}
	}
}

// A row of many values costs two allocations: the machine's name and the values.
func TestARowsAllocations(t *testing.T) {
	row := Telemetry{V: 1, Thing: "press-1", Line: "Halle 1", Epoch: "e", Seq: 7, TS: time.Now().UTC(), Packed: make(Packed, 168)}
	packed, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	row.Values, row.Packed = Values(row.Packed), nil
	values, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	batch, n := JoinTelemetry([][]byte{packed, packed, packed, packed})
	var d TelemetryDecoder
	for _, payload := range [][]byte{packed, values} {
		if got := testing.AllocsPerRun(100, func() { _, err = d.Decode(payload) }); got > 2 || err != nil {
			t.Errorf("%.200s: %v allocations, %v", payload, got, err)
		}
	}
	if got := testing.AllocsPerRun(100, func() { _, err = d.DecodeBatch(batch) }); got > float64(2*n+1) || err != nil {
		t.Errorf("%v allocations for %d, %v", got, n, err)
	}
}

// rowSpellings are rows of which some are odd, some are none.
func rowSpellings(tb testing.TB) (list []string) {
	data, err := json.Marshal(fullRow())
	if err != nil {
		tb.Fatal(err)
	}
	whole := string(data)
	list = append(list, whole, " \t\r\n"+strings.NewReplacer(`,"`, " ,\t\"", `,`, " , ", `:`, " : ").Replace(whole)+"\n")
	for _, change := range [][2]string{
		{`"v":1`, `"v":1.0`}, {`"v":1`, `"V":1`}, {`"v":1`, `"v":2`}, {`"v":1`, `"v":1,"v":2`}, {`"v":1`, `"v":1,"x":{"y":[1,{}]}`}, {`"v":1`, `"v":null`},
		{`"seq":7`, `"seq":7.0`}, {`"seq":7`, `"seq":0`}, {`"seq":7`, `"seq":-7`}, {`"seq":7`, `"seq":18446744073709551616`}, {`"seq":7`, `"seq":7.5`},
		{`press-1`, `press/1`}, {`press-1`, `pr\u0065ss-1`}, {`press-1`, "press\xff"}, {`"thing"`, `"Thing"`}, {`"epoch":"e"`, `"epoch":"E"`}, {`"epoch":"e",`, ``},
		{`2026-11-28T10`, `1999-11-28T10`}, {`2026-11-28T10:00:00.123456789Z`, `2026-11-28T10:00:00+01:00`}, {`2026-11-28T10:00:00.123456789Z`, ``},
		{`[1.5,`, `[`}, {`[1.5,`, `[1.5,,`}, {`[1.5,`, `[1.5,"2",`}, {`[1.5,`, `[1.5,true,`}, {`[1.5,`, `[1.5,nul,`}, {`[1.5,`, `[1.5,nulll,`}, {`[1.5,`, `[1.5,[1],`}, {`[1.5,`, `[1.5,{},`},
		{`1.5`, `01.5`}, {`1.5`, `-0`}, {`1.5`, `-0.0`}, {`1.5`, `.5`}, {`1.5`, `1.`}, {`1.5`, `-`}, {`1.5`, `+1`}, {`1.5`, `1e3`}, {`1.5`, `1E-3`}, {`1.5`, `1e`}, {`1.5`, `1e39`}, {`1.5`, `-1e39`},
		{`1.5`, `1e400`}, {`1.5`, `1e-400`}, {`1.5`, `NaN`}, {`1.5`, `-Infinity`}, {`1.5`, `16777217.000000001`}, {`1.5`, `16777217`}, {`1.5`, `9007199254740993`},
		{`1.5`, `123456789012345`}, {`1.5`, `1234567890123456789`}, {`1.5`, `0.0000000000000000000001`}, {`1.5`, `0.00000000000000000000001`}, {`1.5`, `340282356779733661637539395458142568448`},
		{`1.5`, `1.00000017881393432617187499`}, {`1.5`, `1.5,2`}, {`null`, `1`}, {`"values":[`, `"values":[1],"values":[`}, {`"values":[`, `"values":[true],"values":[`}, {`"values":[`, `"values":null,"x":[`},
		{`"values":[`, `"values":[],"x":[`}, {`"values":[`, `"values":7,"x":[`}, {`"values":[`, `"f32":"","x":[`}, {`"values":[`, `"f32":"AADAPw==","x":[`}, {`"values":[`, `"f32":"AADAPw==","values":[`},
		{`"values":[`, `"f32":"AADAPw=","x":[`}, {`"values":[`, `"f32":"AADAPwA=","x":[`}, {`"values":[`, `"f32":"AACAfw==","x":[`}, {`"values":[`, `"f32":"AADAfw==","x":[`}, {`"values":[`, `"f32":"AADA\r\nPw==","x":[`},
		{`"values":[`, `"f32":"AADA\u0050w==","x":[`}, {`"values":[`, `"f32":null,"x":[`}, {`"values":[`, `"f32":[1],"x":[`}, {`"values":[`, `"f32":"AACAfw==","f32":"","x":[`},
		{`"values":[`, `"readings":{},"x":[`}, {`"values":[`, `"readings":{"a":1,"b":null,"a":2.5e0},"x":[`}, {`"values":[`, `"readings":{"a":1},"readings":{"b":2},"x":[`},
		{`"values":[`, `"readings":{"a":"1","b":true,"c":[1],"d":1e39,"e":4},"x":[`}, {`"values":[`, `"readings":{"a":"1","a":1},"x":[`}, {`"values":[`, `"readings":null,"x":[`}, {`"values":[`, `"readings":[],"x":[`},
		{`"values":[`, `"readings":{"\u00e4":1,"":2,"ö":3},"x":[`}, {`"simulated":true`, `"simulated":false`}, {`"simulated":true`, `"simulated":"true"`}, {`"faulty":true`, `"faulty":null`},
		{`"faulty":true`, `"faulty":true,"faulty":false`}, {`"remaining":17.25`, `"remaining":1e999`}, {`"remaining":17.25`, `"remaining":null`},
	} {
		if !strings.Contains(whole, change[0]) {
			tb.Fatalf("the row has no %s", change[0])
		}
		text := strings.Replace(whole, change[0], change[1], 1)
		list = append(list, text, strings.Replace(text, `"x":[1.5,null,-57.8,0,1e-30,3.4028235e+38],`, "", 1))
	}
	for _, end := range []int{0, 1, len(whole) / 2, len(whole) - 1} {
		list = append(list, whole[:end])
	}
	return append(list, whole+"x", whole+whole, "null", "[]", "{}", `{"v":1}`, `{"values":[`, `{"values":[1`, `{"values":n]`, `{"f32":"`)
}

// What is read of rows without reflection is what encoding/json reads, whatever the spelling: the same values, or refused for the
// same reason with the same words.
func FuzzDecodeRows(f *testing.F) {
	for _, text := range rowSpellings(f) {
		f.Add([]byte(text))
		f.Add([]byte(`{"v":1,"rows":[` + text + `]}`))
		f.Add([]byte(`{"rows":[{"v":1,"thing":"p","f32":"AADAPw=="}, ` + text + " ],\"v\":1.0}"))
	}
	for _, text := range []string{`{"v":1,"rows":[],"rows":[{}]}`, `{"v":2,"rows":[]}`, `{"v":1}`, `{"v":1,"rows":null}`, `{"v":1,"rows":[],"more":1}`, `{"v":1,"rows":[null]}`} {
		f.Add([]byte(text))
	}
	var d TelemetryDecoder // its words are of other messages, too
	f.Fuzz(func(t *testing.T, payload []byte) {
		if Local.Check(payload) != nil {
			return
		}
		got, err := d.Decode(payload)
		want, wantErr := decodeRow(payload)
		sameRow(t, payload, Row{got, err}, Row{want, wantErr})
		rows, err := d.DecodeBatch(payload)
		wantRows, wantErr := decodeRows(payload)
		if len(rows) != len(wantRows) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("%d rows of %q, %v; want %d, %v", len(rows), payload, err, len(wantRows), wantErr)
		}
		for i := range rows {
			sameRow(t, payload, rows[i], wantRows[i])
		}
	})
}

func sameRow(t *testing.T, payload []byte, got, want Row) {
	t.Helper()
	if fmt.Sprint(got.Err) != fmt.Sprint(want.Err) {
		t.Fatalf("%q: %v, want %v", payload, got.Err, want.Err)
	}
	if (got.Values == nil) != (want.Values == nil) || len(got.Values) != len(want.Values) || len(got.Readings) != len(want.Readings) {
		t.Fatalf("%q: %v, want %v", payload, got, want)
	}
	for i, x := range want.Values {
		if math.Float32bits(got.Values[i]) != math.Float32bits(x) {
			t.Fatalf("%q: value %d is %v, want %v", payload, i, got.Values[i], x)
		}
	}
	for name, x := range want.Readings {
		if y, is := got.Readings[name]; !is || math.Float32bits(y) != math.Float32bits(x) {
			t.Fatalf("%q: %s is %v, want %v", payload, name, y, x)
		}
	}
	got.Values, got.Readings, got.Packed, want.Values, want.Readings, want.Packed = nil, nil, nil, nil, nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q: %+v, want %+v", payload, got, want)
	}
}

// Decimals are read as ParseFloat reads them, however many digits they have.
func TestDecimals(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		text := fmt.Sprintf("%.*f", random.IntN(25), (random.Float64()-0.5)*math.Pow(10, float64(random.IntN(20)-4)))
		s := scanner{text: []byte(text), words: new(words)}
		got := s.value()
		want, err := ParseFloat(text)
		if err != nil || !s.end() || math.Float32bits(got) != math.Float32bits(want) {
			t.Fatalf("%s is read as %v, want %v (%v)", text, got, want, err)
		}
	}
}

// A message of rows: without reflection, and with it.
func BenchmarkDecodeRows(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	row := Telemetry{V: 1, Thing: "press-1", Line: "Halle 1", Epoch: "e", Seq: 7, TS: time.Now().UTC(), Values: make(Values, 168)}
	for i := range row.Values {
		row.Values[i] = float32(math.Round(random.Float64()*1e4) / 100)
	}
	values, err := json.Marshal(row)
	if err != nil {
		b.Fatal(err)
	}
	row.Values, row.Packed = nil, Packed(row.Values)
	packed, err := json.Marshal(row)
	if err != nil {
		b.Fatal(err)
	}
	for form, one := range map[string][]byte{"values": values, "f32": packed} {
		batch, n := JoinTelemetry([][]byte{one, one, one, one})
		var d TelemetryDecoder
		for name, decode := range map[string]func([]byte) ([]Row, error){"scanned": d.DecodeBatch, "encoding-json": decodeRows} {
			b.Run(form+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := decode(batch); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
			})
		}
	}
}

// Of an invalid row only an identity that is one remains: nobody must bound again what is in it.
func TestInvalidRowsHaveAnIdentityOrNothing(t *testing.T) {
	long := strings.Repeat("b", MaxEpoch+1)
	for text, want := range map[string]Telemetry{
		`{"v":1,"thing":"press-1","epoch":"` + long + `","seq":1,"ts":"2026-01-01T00:00:00Z","values":[1]}`:                 {},
		`{"v":1,"thing":"` + strings.Repeat("p", 129) + `","epoch":"a","seq":1,"ts":"2026-01-01T00:00:00Z","values":[1]}`:   {},
		`{"v":1,"thing":"press-1","line":"` + strings.Repeat("l", 999) + `","epoch":"a","seq":7,"schema":"s","values":[1]}`: {Thing: "press-1", Epoch: "a", Seq: 7},
		`{"v":1,"thing":"press-1","epoch":"a","seq":7,"readings":{"a":1},"values":[1]}`:                                     {Thing: "press-1", Epoch: "a", Seq: 7},
	} {
		for _, spelled := range []string{text, strings.Replace(text, `"v"`, `"\u0076"`, 1)} {
			if got, err := DecodeTelemetry([]byte(spelled)); err == nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, %v of %s", got, err, spelled)
			}
			rows, err := DecodeTelemetryBatch([]byte(`{"v":1,"rows":[` + spelled + `]}`))
			if err != nil || len(rows) != 1 || rows[0].Err == nil || !reflect.DeepEqual(rows[0].Telemetry, want) {
				t.Errorf("%+v, %v of %s in a batch", rows, err, spelled)
			}
		}
	}
}
