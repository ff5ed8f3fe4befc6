package modelcli_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/shared/cli"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/lifemodel"
	"edgepdm/test/must"
	"edgepdm/test/table"
)

// write writes a file of a test and returns its path.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must.OK(t, os.WriteFile(path, data, 0o600))
	return path
}

// features are those of the shipped model.
func features(t *testing.T) []string {
	t.Helper()
	_, golden := shipped(t)
	columns, _ := table.Read(t, golden)
	return columns[1:]
}

// packed packs the shipped model and returns its manifest.
func packed(t *testing.T, more ...string) (m envelope.Manifest) {
	t.Helper()
	model, golden := shipped(t)
	dir := t.TempDir()
	do(t, "golden rows agree", append([]string{"pack", "-model", model, "-golden", golden, "-version", "1.2.0", "-out", dir}, more...)...)
	data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	must.OK(t, err)
	m, err = envelope.DecodeManifest(data)
	must.OK(t, err)
	return m
}

// trainingTable is a table with the columns in another order than the model's, a text column and a label. Row i has the value
// i in all columns, but the second feature, which is never there, and the third, which is there in every other row. The last
// tenth of the rows is faulty, with values a thousand times as high.
func trainingTable(names []string, rows int, separator, label string) []byte {
	var b bytes.Buffer
	backward := slices.Clone(names)
	slices.Reverse(backward)
	fmt.Fprintf(&b, "A licence, of one line\n\ufeffmachine%s%s%s%s\r\n", separator, strings.Join(backward, separator), separator, label)
	for i := range rows {
		value, class := i, "neg"
		if i >= rows*9/10 {
			value, class = 1000*i, "pos"
		}
		fmt.Fprintf(&b, "\"press %d\"", i%3)
		for k := len(names) - 1; k >= 0; k-- {
			text := fmt.Sprint(value)
			switch {
			case k == 1:
				text = []string{"na", "", "NaN", "null", "?"}[i%5]
			case k == 2 && i%2 == 1:
				text = "N/A"
			}
			fmt.Fprintf(&b, "%s %s", separator, text)
		}
		fmt.Fprintf(&b, "%s%s\n", separator, class)
	}
	return b.Bytes()
}

// Pack takes the baseline from a training table: counts, missing values and usual ranges of the rows that are not faulty.
func TestPackTakesABaseline(t *testing.T) {
	names := features(t)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write(trainingTable(names, 1000, ";", "Class"))
	must.OK(t, err)
	must.OK(t, z.Close())
	describe := write(t, "d.json", must.JSON(t, map[string]any{"groups": []any{
		map[string]any{"name": "both", "features": names[:3], "value": "sum"}, map[string]any{"name": "rest", "features": names[3:]},
	}}))
	for path, more := range map[string][]string{
		write(t, "t.csv", trainingTable(names, 1000, ",", "class")):       nil,
		write(t, "t.csv.gz", zipped.Bytes()):                              nil,
		write(t, "tabs.csv", trainingTable(names, 1000, "\t", "verdict")): {"-label", "verdict"},
	} {
		m := packed(t, append([]string{"-table", path, "-describe", describe}, more...)...)
		for i, h := range m.Baseline.Features {
			sum, missing := uint64(0), map[int]uint64{1: 900, 2: 450}[i]
			for _, n := range h.Counts {
				sum += n
			}
			if h.Missing != missing || sum != 900-missing {
				t.Fatalf("%s: %s: %d counted, %d missing", path, names[i], sum, h.Missing)
			}
			if i == 1 {
				if h.P5 != nil || h.P95 != nil || h.Min != nil || h.Max != nil {
					t.Errorf("%s: a usual range of no values", path)
				}
				continue
			}
			low, high := float32(44), float32(854)
			if i == 2 {
				high = 854
			}
			if len(h.Counts) != 20 || h.P5 == nil || h.P95 == nil || *h.P5 != low || *h.P95 != high {
				t.Fatalf("%s: %s: %d bins, usually %v to %v", path, names[i], len(h.Counts), *h.P5, *h.P95)
			}
			if most := map[bool]float32{false: 999_000, true: 998_000}[i == 2]; *h.Min != 0 || *h.Max != most { // of faulty rows, too
				t.Fatalf("%s: %s: from %v to %v", path, names[i], *h.Min, *h.Max)
			}
			for k, n := range h.Counts {
				if want := map[bool]uint64{false: 50}[k == 0 || k == 19]; i != 2 && n != want {
					t.Fatalf("%s: %s: bin %d of %v has %d", path, names[i], k, h.Edges, n)
				}
			}
		}
		both, rest := m.Groups[0], m.Groups[1]
		if both.P5 == nil || *both.P5 < 44 || *both.P95 < 1600 || rest.P5 != nil {
			t.Errorf("%s: groups %+v", path, m.Groups)
		}
	}
	unlabelled := bytes.Replace(trainingTable(names, 10, ",", "class"), []byte(",class"), []byte(",verdict"), 1)
	if m := packed(t, "-table", write(t, "t.csv", unlabelled)); m.Baseline.Features[0].Counts[1] != 1 {
		t.Errorf("%+v", m.Baseline.Features[0])
	}
}

// Equal input gives equal bytes.
func TestPackIsReproducible(t *testing.T) {
	at := []string{"-created", "2026-11-28", "-table", write(t, "t.csv", trainingTable(features(t), 300, ",", "class"))}
	a, b := packed(t, at...), packed(t, at...)
	if text := must.JSON(t, a); !bytes.Equal(text, must.JSON(t, b)) || a.Format != 1 {
		t.Errorf("format %d, %s", a.Format, text)
	}
}

// What is wrong with a table or a description is told by file and field, and nothing is left behind.
func TestPackRefusesBadInput(t *testing.T) {
	names := features(t)
	good := string(trainingTable(names, 20, ",", "class"))
	lines := strings.SplitAfter(good, "\n")
	line := func(n int, from, to string) []byte {
		changed := slices.Clone(lines)
		changed[n-1] = must.Replace(t, changed[n-1], from, to)
		return []byte(strings.Join(changed, ""))
	}
	for _, test := range []struct {
		name string
		data []byte
		says string
		more []string
	}{
		{"t.csv", []byte(strings.Join(lines[:2], "")), "has no rows", nil},
		{"t.csv", []byte("hello\n"), "no header with all features of the model: 168 are not there", nil},
		{"t.csv", nil, "it is empty", nil},
		{"t.csv", line(2, names[7], "other"), "1 are not there, such as \"" + names[7] + `"`, nil},
		{"t.csv", line(5, ", 2", ", two"), "line 5: column " + names[167] + `: "two" is no number`, nil},
		{"t.csv", line(5, ", 2", ", inf"), `line 5: column ` + names[167] + `: "inf" is no number`, nil},
		{"t.csv", line(5, ", 2", ", 1e39"), `line 5: column ` + names[167] + `: "1e39" is no number`, nil},
		{"t.csv", line(5, ", 2", ""), "line 5: 169 fields, the header has 170", nil},
		{"t.csv", line(5, "neg", "good"), `line 5: the label: "good" is not neg, pos, 0 or 1`, nil},
		{"t.csv", []byte(strings.ReplaceAll(good, "neg", "pos")), "none that is not faulty", nil},
		{"t.csv", []byte(good), `-label: `, []string{"-label", "verdict"}},
		{"t.csv.gz", []byte("\x1f\x8bnothing"), "t.csv.gz: ", nil},
		{"t.csv", append([]byte(good), bytes.Repeat([]byte("x"), 5<<20)...), "line 23: longer than 4194304 bytes", nil},
	} {
		path := write(t, test.name, test.data)
		failsToPack(t, []string{path, test.says}, append([]string{"-table", path}, test.more...)...)
	}
	failsToPack(t, []string{"is not a regular file"}, "-table", t.TempDir())
	failsToPack(t, []string{"-table: "}, "-table", filepath.Join(t.TempDir(), "none"))

	for text, says := range map[string]string{
		"hello": "not one JSON document", `{"displays":{}}`: "displays", `{"display":{},"display":{}}`: "comes twice",
		`{"display":{"boiler":{}}}`: `display: "boiler" is neither`,
		fmt.Sprintf(`{"display":{%q:{"unit":"furlongs/fortnight"}}}`, names[0]):                               "display: \"" + names[0] + `": the unit`,
		fmt.Sprintf(`{"groups":[{"name":"a","features":[%[1]q]},{"name":"b","features":[%[1]q]}]}`, names[0]): "groups overlap: \"" + names[0] + `" is in a and in b`,
	} {
		path := write(t, "d.json", []byte(text))
		failsToPack(t, []string{"-describe: ", path, says}, "-describe", path)
	}
}

// failsToPack packs the shipped model, which must fail, say all of that and leave nothing.
func failsToPack(t *testing.T, why []string, more ...string) {
	t.Helper()
	model, golden := shipped(t)
	dir := filepath.Join(t.TempDir(), "out")
	code, out := tool(t, append([]string{"pack", "-model", model, "-golden", golden, "-version", "1.2.0", "-out", dir}, more...)...)
	for _, text := range why {
		if code != cli.ExitFailed || !strings.Contains(out, text) {
			t.Errorf("%v: exit code %d: %s (want %q)", more, code, out, text)
		}
	}
	if left, err := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// A folder of a training is packed as it is: a life model with the scale that the training found.
func TestPackALifeModel(t *testing.T) {
	trained, out := t.TempDir(), t.TempDir()
	for _, name := range []string{"model.ubj", "golden.csv"} {
		data, err := os.ReadFile(filepath.Join(lifemodel.Folder(), name))
		must.OK(t, err)
		must.OK(t, os.WriteFile(filepath.Join(trained, name), data, 0o600))
	}
	life := filepath.Join(trained, "life.json")
	save := func(name, text string) { must.OK(t, os.WriteFile(filepath.Join(trained, name), []byte(text), 0o600)) }
	pack := []string{"pack", "-dir", trained, "-name", "tiny-life", "-version", "1.0.0", "-out", out}
	save("life.json", `{"unit":"hours","cap":100,"coverage":0.9,"margin":1.5}`)
	save("inputs.json", string(must.JSON(t, lifemodel.Inputs())))
	save("description.json", `{"display":{"temp":{"name":"oil temperature","names":{"de":"Öltemperatur"},"unit":"°C"}}}`)
	do(t, "tiny-life 1.0.0: 3 features, remaining life up to 100 hours, 90 % coverage over time, of 2 sensors, 1 names", pack...)
	text, err := os.ReadFile(filepath.Join(out, "manifest.json"))
	must.OK(t, err)
	m, err := envelope.DecodeManifest(text)
	must.OK(t, err)
	if m.Format != 2 || m.Role != "life" || m.Threshold != 0 || *m.Life != (envelope.LifeScale{Unit: "hours", Cap: 100, Coverage: 0.9, Margin: 1.5}) ||
		m.Display["temp"].Names["de"] != "Öltemperatur" || len(m.Golden[0].Margins) != 3 {
		t.Errorf("%s", text)
	}
	private, _ := keys(t)
	do(t, "is signed by key", "sign", "-key", private, "-dir", out)

	for says, text := range map[string]string{
		"life.unit": `{"unit":"moons","cap":100,"coverage":0.9}`, "life.cap": `{"unit":"hours","coverage":0.9}`,
		"life.coverage": `{"unit":"hours","cap":100,"coverage":1}`, "limit": `{"unit":"hours","cap":100,"coverage":0.9,"limit":1}`,
		"life.margin: missing": `{"unit":"hours","cap":100,"coverage":0.9}`,
	} {
		save("life.json", text)
		fails(t, cli.ExitFailed, "-life: ", pack...)
		fails(t, cli.ExitFailed, life, pack...)
		fails(t, cli.ExitFailed, says, pack...)
	}
	save("life.json", `{"unit":"hours","cap":100,"coverage":0.9,"margin":1.5}`)
	for says, text := range map[string]string{
		`inputs[0].sensor is "boiler"`: `{"sensors":["temp"],"inputs":[{"sensor":"boiler","stat":"last"}]}`,
		"inputs[0].rows is 1000000000": `{"sensors":["temp"],"inputs":[{"sensor":"temp","stat":"mean","rows":1000000000}]}`,
		"sensors has 0 entries":        `{}`, "row": `{"row":[]}`,
	} {
		inputs := write(t, "inputs.json", []byte(text))
		fails(t, cli.ExitFailed, "-inputs: ", append(pack, "-inputs", inputs)...)
		fails(t, cli.ExitFailed, inputs, append(pack, "-inputs", inputs)...)
		fails(t, cli.ExitFailed, says, append(pack, "-inputs", inputs)...)
	}
	inputs := filepath.Join(trained, "inputs.json")
	must.OK(t, os.Rename(inputs, inputs+".away")) // its features are no sensors
	fails(t, cli.ExitUsage, "-inputs: required", pack...)
	must.OK(t, os.Rename(inputs+".away", inputs))
	fails(t, cli.ExitUsage, "-life: needs -role life", append(pack, "-role", "fault")...)
	must.OK(t, os.Remove(life))
	fails(t, cli.ExitUsage, "-life: needs -role life", append(pack, "-role", "life")...)
	fails(t, cli.ExitUsage, `-role: "fate"`, append(pack, "-role", "fate")...)
	fails(t, cli.ExitFailed, "-model: bad model: its objective is reg:quantileerror", append(pack, "-threshold", "0.5")...)
	must.OK(t, os.Remove(filepath.Join(trained, "golden.csv")))
	fails(t, cli.ExitFailed, "-golden: ", pack...)
}
