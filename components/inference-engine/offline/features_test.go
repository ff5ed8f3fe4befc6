package offline

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/cli"
	"edgepdm/shared/window"
	"edgepdm/test/must"
)

const ofRows = `{"sensors":["a","b"],"inputs":[{"sensors":"*","stats":["last","mean"],"rows":2}]}`

func features(t *testing.T, in io.Reader, spec string, args ...string) (out, told string, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "spec.json")
	must.OK(t, os.WriteFile(path, []byte(spec), 0o600))
	var written, errs bytes.Buffer
	err = Features(t.Context(), append([]string{"-spec", path}, args...), cli.Streams{In: in, Out: &written, Err: &errs})
	return written.String(), errs.String(), err
}

func TestFeatures(t *testing.T) {
	const ofMeans = `{"sensors":["a","b"],"inputs":[{"sensors":"*","stat":"mean","rows":2}]}`
	const ofTime = `{"sensors":["a"],"maxGap":"1h","inputs":[{"sensor":"a","stat":"slope","time":"10s"}]}`
	for name, c := range map[string]struct {
		spec, in string
		args     []string
		want     string
	}{
		"no rows":    {ofRows, "", nil, "a,a_mean_2,b,b_mean_2\n"},
		"no names":   {ofRows, "1,10\n3,\n", nil, "a,a_mean_2,b,b_mean_2\n1,1,10,10\n3,2,NaN,10\n"},
		"by names":   {ofRows, "b,x,a\n10,0,1\n,0,3\n", nil, "a,a_mean_2,b,b_mean_2\n1,1,10,10\n3,2,NaN,10\n"},
		"semicolons": {ofRows, "a;b\n1;10\n", nil, "a,a_mean_2,b,b_mean_2\n1,1,10,10\n"},
		"things by name, kept as they are": {ofRows, "id,a,b,label\np,1,10,yes\n\"q,1\",5,50,no\np,3,30,1.50\n",
			[]string{"-thing", "id", "-keep", "id,label"},
			"id,label,a,a_mean_2,b,b_mean_2\np,yes,1,1,10,10\n\"q,1\",no,5,5,50,50\np,1.50,3,2,30,20\n"},
		"things by place, without names": {ofRows, "p,1,10\nq,5,50\np,3,30\n", []string{"-thing", "1"},
			"a,a_mean_2,b,b_mean_2\n1,1,10,10\n5,5,50,50\n3,2,30,20\n"},
		"as C-MAPSS": {ofRows, "1 1 -0.5 1  10  \n1 2 -0.5 3  30  \n2 1 0.5 5  50  \n",
			[]string{"-columns", "unit,cycle,x,a,b", "-thing", "unit", "-seq", "cycle", "-keep", "unit", "-keep", "cycle"},
			"unit,cycle,a,a_mean_2,b,b_mean_2\n1,1,1,1,10,10\n1,2,3,2,30,20\n2,1,5,5,50,50\n"},
		"a kept column that is a sensor": {ofMeans, "a,b\n1,10\n", []string{"-keep", "a"}, "a,a_mean_2,b_mean_2\n1,1,10\n"},
		"kept by place":                  {ofRows, "id,a,b\np,1,10\n", []string{"-keep", "1"}, "id,a,a_mean_2,b,b_mean_2\np,1,1,10,10\n"},
		"another header":                 {ofRows, "x,y\n1,10\n", []string{"-columns", "b,a", "-header"}, "a,a_mean_2,b,b_mean_2\n10,10,1,1\n"},
		"a comma at the end":             {ofRows, "1,10,\n", []string{"-columns", "a,b"}, "a,a_mean_2,b,b_mean_2\n1,1,10,10\n"},
		"a lost row":                     {ofRows, "n,a,b\n1,1,10\n2.0,3,30\n4,5,50\n", []string{"-seq", "n"}, "a,a_mean_2,b,b_mean_2\n1,1,10,10\n3,2,30,20\n5,5,50,50\n"},
		"epochs": {ofMeans, "e,n,a,b\nx,7,1,10\nx,8,3,30\ny,1,5,50\ny,3,7,70\n", []string{"-seq", "n", "-epoch", "e"},
			"a_mean_2,b_mean_2\n1,10\n2,20\n4,40\n7,70\n"},
		"times": {ofTime, "t,a\n2026-01-02T03:04:05Z,1\n2026-01-02 03:04:09.5,10\n2026-01-02 04:04:14+01:00,NA\n2026-01-02 03:04:16Z,20\n", []string{"-ts", "t"},
			"a_slope_10s\nNaN\n2\n2\n1.53846157\n"},
		"seconds":      {ofTime, "1767323045,1\n1767323049.5,10\n", []string{"-ts", "1"}, "a_slope_10s\nNaN\n2\n"},
		"milliseconds": {ofTime, "1767323045000,1\n1767323049500,10\n", []string{"-ts", "1"}, "a_slope_10s\nNaN\n2\n"},
		"a pause":      {ofTime, "0,1\n3601,10\n", []string{"-ts", "1"}, "a_slope_10s\nNaN\nNaN\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, told, err := features(t, strings.NewReader(c.in), c.spec, c.args...)
			if err != nil || got != c.want || told != "" {
				t.Errorf("%v %s\n%s\nwant\n%s", err, told, got, c.want)
			}
		})
	}
}

func TestFeaturesRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spec, in string
		args     []string
		want     string
	}{
		"an unknown sensor":  {`{"sensors":["a"],"inputs":[{"sensor":"b","stat":"last"}]}`, "", nil, `spec.json: inputs[0].sensor is "b"`},
		"a huge window":      {`{"sensors":["a"],"inputs":[{"sensor":"a","stat":"mean","rows":1000000000}]}`, "", nil, "inputs[0].rows is 1000000000"},
		"a huge spec":        {strings.Repeat(" ", 1<<20) + ofRows, "", nil, "the spec has 1048577 bytes"},
		"no times":           {`{"sensors":["a"],"inputs":[{"sensor":"a","stat":"last"},{"sensor":"a","stat":"mean","time":"1m"}]}`, "", nil, "-ts: the spec has inputs[1].time"},
		"no times for gaps":  {`{"sensors":["a"],"maxGap":"1m","inputs":[{"sensor":"a","stat":"last"}]}`, "", nil, "-ts: the spec has maxGap"},
		"no sensor":          {ofRows, "x,a\n1,2\n", nil, `no column "b", a feature of the spec`},
		"no thing":           {ofRows, "b,a\n1,2\n", []string{"-thing", "id"}, `-thing: there is no column "id"`},
		"no kept":            {ofRows, "1,2\n", []string{"-keep", "id"}, `-keep "id" is no column from 1 to 2`},
		"a kept feature":     {ofRows, "a,b\n1,2\n", []string{"-keep", "a"}, `-keep "a": the table has a column of that name`},
		"kept twice":         {ofRows, "x,a,b\n0,1,2\n", []string{"-keep", "x,1"}, `-keep "x": the table has`},
		"a thing of no name": {ofRows, "id,a,b\np,1,2\n,1,2\n", []string{"-thing", "id"}, "line 3: column 1: the thing's name is missing"},
		"too many columns":   {ofRows, "1,2,3\n", nil, "3 where the spec has 2 features"},
		"other columns":      {ofRows, "1,2,3\n", []string{"-columns", "a,b"}, "3 where -columns names 2"},
		"a short line":       {ofRows, "a,b,c\n1,2,3\n1,2\n", nil, "line 3: "},
		"no number":          {ofRows, "a,b\n1,2\n1,x\n", nil, `line 3: column 2: "x" is not a number`},
		"an infinite value":  {ofRows, "a,b\n1,inf\n", nil, "line 2: column 2"},
		"no number of a row": {ofRows, "n,a,b\n1,1,1\n1.5,1,1\n", []string{"-seq", "n"}, `line 3: column 1: "1.5" is no number of a row`},
		"row number 0":       {ofRows, "n,a,b\n0,1,1\n", []string{"-seq", "n"}, `line 2: column 1: "0" is no number of a row`},
		"no time":            {ofRows, "t,a,b\nyesterday,1,1\n", []string{"-ts", "t"}, `line 2: column 1: "yesterday" is no time`},
		"a missing time":     {ofRows, "t,a,b\nnan,1,1\n", []string{"-ts", "t"}, `line 2: column 1: the time is missing`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := features(t, strings.NewReader(c.in), c.spec, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	if err := Features(t.Context(), nil, cli.Streams{Err: io.Discard}); err == nil || !strings.Contains(err.Error(), "-spec") {
		t.Error(err)
	}
}

// Rows that came again or late have no statistics, and are told of.
func TestFeaturesLate(t *testing.T) {
	got, told, err := features(t, strings.NewReader("n,a,b\n1,1,10\n2,3,30\n1,1,10\n3,5,50\n"), ofRows, "-seq", "n")
	if err != nil || got != "a,a_mean_2,b,b_mean_2\n1,1,10,10\n3,2,30,20\n1,NaN,10,NaN\n5,4,50,40\n" ||
		!strings.Contains(told, "1 rows came again") || !strings.Contains(told, "line 4") {
		t.Errorf("%v %s\n%s", err, told, got)
	}
}

// -expand prints what a short spec stands for, as a manifest has it.
func TestFeaturesExpands(t *testing.T) {
	got, _, err := features(t, strings.NewReader("not read"), ofRows, "-expand")
	var spec window.Spec
	if err == nil {
		err = json.Unmarshal([]byte(got), &spec)
	}
	if err != nil || strings.Join(spec.Names(), " ") != "a a_mean_2 b b_mean_2" || spec.Check() != nil {
		t.Errorf("%v\n%s", err, got)
	}
}
