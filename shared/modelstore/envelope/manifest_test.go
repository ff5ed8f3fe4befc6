package envelope_test

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
)

func TestCompare(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"1.2.0", "1.2.0", 0},
		{"1.2.0", "1.10.0", -1},
		{"2.0.0", "1.99.99", 1},
		{"0.0.1", "0.0.0", 1},
		{"999999999.0.0", "1.0.0", 1},
		{"0.0.0", "9f86d081884c", 1}, // no version
		{"9f86d081884c", "60303ae22b99", 0},
		{"01.0.0", "0.0.1", -1},
		{"1.0", "0.0.1", -1},
		{"1.0.0.0", "0.0.1", -1},
		{"1.0.-1", "0.0.1", -1},
		{"1.0.0-rc1", "0.0.1", -1},
		{"1000000000.0.0", "0.0.1", -1},
		{"", "0.0.1", -1},
	}
	for _, test := range tests {
		if got := envelope.Compare(test.a, test.b); got != test.want {
			t.Errorf("Compare(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
		if got := envelope.Compare(test.b, test.a); got != -test.want {
			t.Errorf("Compare(%q, %q) = %d, want %d", test.b, test.a, got, -test.want)
		}
	}
}

func TestValidate(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	tests := []struct {
		change func(m *envelope.Manifest)
		says   string // "" = valid
	}{
		{func(*envelope.Manifest) {}, ""},
		{func(m *envelope.Manifest) { m.Format = 0 }, "format"},
		{func(m *envelope.Manifest) { m.Name = "" }, "name"},
		{func(m *envelope.Manifest) { m.Name = "../x" }, "name"},
		{func(m *envelope.Manifest) { m.Name = strings.Repeat("n", 65) }, "name"},
		{func(m *envelope.Manifest) { m.Version = "1.2" }, "version"},
		{func(m *envelope.Manifest) { m.Created = time.Time{} }, "created"},
		{func(m *envelope.Manifest) { m.Created = m.Created.In(time.FixedZone("", 24*60*60)) }, "created: "},
		{func(m *envelope.Manifest) { m.Expires = m.Expires.In(time.FixedZone("", -24*60*60)) }, "expires: "},
		{func(m *envelope.Manifest) { m.Expires = time.Time{} }, "expires"},
		{func(m *envelope.Manifest) { m.Expires = m.Created }, "expires"},
		{func(m *envelope.Manifest) { m.Archive.SHA256 = strings.ToUpper(m.Archive.SHA256) }, "archive"},
		{func(m *envelope.Manifest) { m.Archive.SHA256 = "00" }, "archive"},
		{func(m *envelope.Manifest) { m.Archive.Size = 0 }, "archive"},
		{func(m *envelope.Manifest) { m.Archive.Size = envelope.MaxArchive + 1 }, "archive"},
		{func(m *envelope.Manifest) { m.Model.File = "a/b" }, "model.file"},
		{func(m *envelope.Manifest) { m.Model.File = ".." }, "model.file"},
		{func(m *envelope.Manifest) { m.Model.File = envelope.RecordFile }, "model.file"},
		{func(m *envelope.Manifest) { m.Model.File = envelope.EnvelopeFile }, "model.file"},
		{func(m *envelope.Manifest) { m.Model.SHA256 = "" }, "model"},
		{func(m *envelope.Manifest) { m.Model.Size = envelope.MaxModel + 1 }, "model"},
		{func(m *envelope.Manifest) { m.Objective = "" }, "objective"},
		{func(m *envelope.Manifest) { m.Threshold = 0 }, "threshold"},
		{func(m *envelope.Manifest) { m.Threshold = 1.01 }, "threshold"},
		{func(m *envelope.Manifest) { m.Threshold = math.NaN() }, "threshold"},
		{func(m *envelope.Manifest) { m.Trainer = "x\ny" }, "trainer"},
		{func(m *envelope.Manifest) { modeltest.WithFeatures(m, nil) }, "features"},
		{func(m *envelope.Manifest) { modeltest.WithFeatures(m, modeltest.Named(envelope.MaxFeatures)) }, ""},
		{func(m *envelope.Manifest) { modeltest.WithFeatures(m, modeltest.Named(envelope.MaxFeatures+1)) }, "features"},
		{func(m *envelope.Manifest) { modeltest.WithFeatures(m, []string{"a", "a"}) }, "features"},
		{func(m *envelope.Manifest) { modeltest.WithFeatures(m, []string{"a", "b\n"}) }, "features"},
		{func(m *envelope.Manifest) { m.Schema = event.SchemaOf([]string{"b", "a"}) }, "schema"},
		{func(m *envelope.Manifest) { m.Golden = nil }, "golden"},
		{func(m *envelope.Manifest) { m.Golden = make([]envelope.GoldenRow, envelope.MaxGolden+1) }, "golden"},
		{func(m *envelope.Manifest) { m.Golden[1].Values = event.Values{1} }, "golden: row 2"},
		{func(m *envelope.Manifest) { m.Golden[0].Margin = nan }, "golden: row 1"},
		{func(m *envelope.Manifest) { m.Golden[0].Values = event.Values{inf, 0} }, "golden: row 1"},
		{func(m *envelope.Manifest) { m.Golden[0].Values = event.Values{nan, nan} }, ""},
		{func(m *envelope.Manifest) { m.Baseline = &envelope.Baseline{} }, "baseline"},
		{func(m *envelope.Manifest) { m.Baseline = baseline([]float32{1, 2}, 3, 4, 5) }, ""},
		{func(m *envelope.Manifest) { m.Baseline = baseline(nil, 3) }, ""},
		{func(m *envelope.Manifest) { m.Baseline = baseline([]float32{1}, 3) }, "baseline"},
		{func(m *envelope.Manifest) { m.Baseline = baseline(nil) }, "baseline"},
		{func(m *envelope.Manifest) { m.Baseline = baseline([]float32{2, 2}, 3, 4, 5) }, "baseline"},
		{func(m *envelope.Manifest) { m.Baseline = baseline([]float32{nan, 2}, 3, 4, 5) }, "baseline"},
		{func(m *envelope.Manifest) { m.Baseline = baseline([]float32{1}, 0, 0) }, "baseline"},
		{func(m *envelope.Manifest) { m.Baseline = baseline([]float32{1}, math.MaxUint64, 1) }, "baseline"},
		{func(m *envelope.Manifest) {
			m.Baseline = baseline(make([]float32, envelope.MaxBins), make([]uint64, envelope.MaxBins+1)...)
		}, "baseline"},
	}
	for _, test := range tests {
		checkChange(t, modeltest.Tiny(t), test.change, test.says)
	}
}

// checkChange validates a manifest that was changed; says is what the error says, "" of a valid one.
func checkChange(t *testing.T, m envelope.Manifest, change func(*envelope.Manifest), says string) {
	t.Helper()
	change(&m)
	err := m.Validate()
	if says != "" {
		modeltest.Wants(t, err, envelope.ErrManifest, ": "+says)
	} else if err != nil {
		t.Error(err)
	}
}

// baseline gives two features the same histogram.
func baseline(edges []float32, counts ...uint64) *envelope.Baseline {
	h := envelope.Histogram{Edges: edges, Counts: counts}
	return &envelope.Baseline{Features: []envelope.Histogram{h, h}}
}

func TestDecodeManifest(t *testing.T) {
	m := modeltest.Tiny(t)
	m.Baseline = baseline([]float32{1, 2}, 3, 4, 5)
	data, err := m.Encode()
	must.OK(t, err)
	got, err := envelope.DecodeManifest(data)
	must.OK(t, err)
	again, err := got.Encode()
	if err != nil || !bytes.Equal(data, again) {
		t.Fatalf("read and written again: %s, %v", again, err)
	}
	if x := got.Golden[1].Values[0]; x == x {
		t.Fatalf("missing value became %v", x)
	}
	got.Golden, m.Golden = nil, nil // NaN is not equal to itself
	if !reflect.DeepEqual(got, m) {
		t.Fatalf("got %+v, want %+v", got, m)
	}

	text := string(data)
	tests := []struct {
		name, text string
		kind       error
		says       string
	}{
		{"unknown member", must.Replace(t, text, `{"format":1,`, `{"format":1,"shadow":{"rows":5},`), nil, ""},
		{"member twice", must.Replace(t, text, `"format":1,`, `"format":1,"format":1,`), envelope.ErrManifest, "format"},
		{"member twice, other case", must.Replace(t, text, `"format":1,`, `"format":1,"verſion":"9.0.0",`), envelope.ErrManifest, "twice"},
		{"inner member twice", must.Replace(t, text, `"archive":{`, `"archive":{"size":1,`), envelope.ErrManifest, "twice"},
		{"trailing data", text + "{}", envelope.ErrManifest, "one JSON document"},
		{"not UTF-8", must.Replace(t, text, "tiny", "tin\xff"), envelope.ErrManifest, "UTF-8"},
		{"empty", "", envelope.ErrManifest, "one JSON document"},
		{"an array", "[]", envelope.ErrManifest, "format"},
		{"a number", "5", envelope.ErrManifest, "format"},
		{"null", "null", envelope.ErrManifest, "version"},
		{"too long", text + strings.Repeat(" ", envelope.MaxManifest), envelope.ErrManifest, "bytes"},
		{"deep", strings.Repeat("[", 1<<19), envelope.ErrManifest, "one JSON document"},
		{"margin missing", must.Replace(t, text, `"margin":-0.5`, `"marginal":-0.5`), envelope.ErrManifest, "no margin"},
		{"margin null", must.Replace(t, text, `"margin":-0.5`, `"margin":null`), envelope.ErrManifest, "no margin"},
		{"margin too large", must.Replace(t, text, `"margin":-0.5`, `"margin":1e39`), envelope.ErrManifest, "margin"},
		{"value is text", must.Replace(t, text, `"values":[1,0]`, `"values":["1",0]`), envelope.ErrManifest, "value 0"},
		{"newer format", must.Replace(t, text, `"format":1,`, `"format":4,`), envelope.ErrFormat, "it is 4"},
		{"newer format that looks different", `{"format":7,"golden":"elsewhere"}`, envelope.ErrFormat, "it is 7"},
		{"format missing", must.Replace(t, text, `"format":1,`, ``), envelope.ErrManifest, "format"},
		{"created has an offset that cannot be", must.Replace(t, text, `"created":"2026-11-23T11:00:00Z"`, `"created":"2026-11-23T11:00:00+24:00"`), envelope.ErrManifest, "created"},
		{"created is no time", must.Replace(t, text, `"created":"2026-11-23T11:00:00Z"`, `"created":"yesterday"`), envelope.ErrManifest, "yesterday"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := envelope.DecodeManifest([]byte(test.text))
			if test.kind == nil {
				must.OK(t, err)
				return
			}
			modeltest.Wants(t, err, test.kind, test.says)
		})
	}
}

func TestCheckJSON(t *testing.T) {
	good := []string{`{}`, `[]`, `1`, `"x"`, `null`, `{"a":{"a":[{"a":1},{"a":2}]},"b":[]}`, `[[],{}]`, `{"a":"a"}`, ` {"a" : 1} `}
	for _, text := range good {
		if err := envelope.CheckJSON([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	bad := []string{
		`{"a":1,"a":1}`, `{"a":1,"A":1}`, `[{"b":{"a":1,"c":[],"a":1}}]`, `{"k":1,"\u212a":2}`, `{"a":1,"\u0061":2}`, `{} {}`, `{}x`, `{`, ``,
		`{"a":{},"b":1,"a":2}`, `{"a":[{"x":1}],"a":2}`,
	}
	for _, text := range bad {
		if err := envelope.CheckJSON([]byte(text)); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

func TestGoldenRowIsExact(t *testing.T) {
	for _, bits := range []uint32{0x80000000, 0x00000001, 0x3dcccccd, 0x7f7fffff, 0xc1091ae1} {
		x := math.Float32frombits(bits)
		data := must.JSON(t, envelope.GoldenRow{Values: event.Values{x}, Margin: x})
		var row envelope.GoldenRow
		must.OK(t, json.Unmarshal(data, &row))
		if math.Float32bits(row.Margin) != bits || math.Float32bits(row.Values[0]) != bits {
			t.Errorf("%s: %08x became %08x, %08x", data, bits, math.Float32bits(row.Margin), math.Float32bits(row.Values[0]))
		}
	}
}
