package mqttsource

import (
	"path/filepath"
	"testing"
	"time"

	"edgepdm/components/ingest/rows"
	"edgepdm/test/must"
)

const windfarm = "/company/windfarm/3/turbine/7/"

// The payloads are those of AWS's documentation: "Message payload format" of SiteWise Edge, and the example of
// BatchPutAssetPropertyValue.
func TestSiteWiseAsDocumented(t *testing.T) {
	const (
		alias = "site1/line1/compressor1/temperature"
		byID  = "a1b2c3d4-5678-90ab-cdef-22222EXAMPLE/a1b2c3d4-5678-90ab-cdef-33333EXAMPLE"
	)
	w := newWorld(t, alias, windfarm+"temperature", windfarm+"rpm", byID)
	d := newSiteWise(w.env)
	entry := string(must.Read(t, filepath.Join("testdata", "sitewise-entry.json")))
	for _, payload := range []string{entry, "[" + entry + "]", `{"entries":[` + entry + `]}`} {
		if got, err := w.decode(d, "any", payload); err != nil || !equal(got, map[string]float64{alias: 23.5}) {
			t.Errorf("%v, %v", got, err)
		}
	}
	var times []time.Time
	batch := must.Read(t, filepath.Join("testdata", "sitewise-batch.json"))
	must.OK(t, d.decode("any", batch, func(s rows.Sample) { times = append(times, s.TS) }))
	if len(times) != 4 || !times[0].Equal(time.Unix(1575691200, 0)) || !times[1].Equal(time.Unix(1575691201, 5e8)) {
		t.Errorf("times %v", times)
	}
	got, err := w.decode(d, "any", string(batch))
	if want := map[string]float64{windfarm + "temperature": 39, windfarm + "rpm": missing, byID: 1}; err != nil || !equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	w.nothingElse()
}

func TestSiteWiseValuesThatAreNone(t *testing.T) {
	for _, test := range []struct {
		value  string // of propertyValues
		want   float64
		reason string
	}{
		{`{"value":{"stringValue":"on"}}`, missing, reasonType},
		{`{"value":{"doubleValue":null}}`, missing, reasonType},
		{`{"value":{"doubleValue":"23.5"}}`, missing, reasonType},
		{`{"value":{"doubleValue":1e999}}`, missing, reasonType},
		{`{"value":5}`, missing, reasonType},
		{`{}`, missing, reasonType},
		{`{"value":{"nullValue":{"valueType":"D"}},"quality":"BAD"}`, missing, ""},
		{`{"value":{"doubleValue":1},"quality":"BAD"}`, missing, ""},
		{`{"value":{"doubleValue":1},"quality":5}`, missing, ""},
		{`{"value":{"doubleValue":1},"quality":""}`, missing, ""},
		{`{"value":{"doubleValue":1},"timestamp":{"timeInSeconds":"soon"}}`, 1, ""},
		{`{"value":{"integerValue":9007199254740993}}`, 9007199254740992, ""},
	} {
		w := newWorld(t, "a", "b")
		got, err := w.decode(newSiteWise(w.env), "", `[{"propertyAlias":"a","propertyValues":[`+test.value+`]},{"propertyAlias":"b","propertyValues":[{"value":{"doubleValue":2}}]}]`)
		if err != nil || !equal(got, map[string]float64{"a": test.want, "b": 2}) {
			t.Errorf("%s: %v, %v", test.value, got, err)
		}
		if test.reason != "" && w.counted(test.reason) != 1 {
			t.Errorf("%s: not counted", test.value)
		}
		w.nothingElse()
	}
}

func TestSiteWiseThatIsNone(t *testing.T) {
	w := newWorld(t, "a")
	for _, payload := range []string{"", "[", "5", `"a"`, `{"propertyAlias":"a"}x`, `[5]`} {
		if got, err := w.decode(newSiteWise(w.env), "", payload); err == nil || len(got) > 0 {
			t.Errorf("%q: %v, %v", payload, got, err)
		}
	}
	const other = `{"propertyAlias":"other","propertyValues":[{"value":{"doubleValue":1}},{"value":{"doubleValue":1}}]}`
	if got, err := w.decode(newSiteWise(w.env), "", other); err != nil || len(got) > 0 || w.counted(rows.ReasonNoTag) != 2 {
		t.Errorf("%v, %v", got, err)
	}
}
