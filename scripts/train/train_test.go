// Package train tests the training script: it has no Go code of its own.
package train

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/gbdt"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/table"
	"edgepdm/test/tools"
)

// quick are flags of a training that does not search, and is tested once.
var quick = []string{"-search", "1", "-tests", "1"}

// train runs the script, and returns the folder with the model.
func train(t *testing.T, data string, flags ...string) string {
	t.Helper()
	need.Installed(t, tools.XGBoost)
	out := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(need.Root(t), "scripts", "train", "train.sh"), append([]string{data, out}, flags...)...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("train: %v\n%s", err, text)
	}
	return out
}

// A model that real XGBoost trains here is scored bit for bit as that XGBoost scores it, and a second training gives the
// same bytes.
func TestTrainedModelIsScoredAsXGBoostDoes(t *testing.T) {
	need.Long(t)
	data := simulated(t, "-rows", "2000", "-seed", "5", "-faulty", "0.1")
	first, second := train(t, data, quick...), train(t, data, quick...)
	for _, name := range []string{"model.ubj", "golden.csv", "report.md", "report.json", "report.html"} {
		a := must.Read(t, filepath.Join(first, name))
		b := must.Read(t, filepath.Join(second, name))
		if !bytes.Equal(a, b) {
			t.Errorf("%s of two trainings differs", name)
		}
	}
	checkGolden(t, first, plant.Sensors())
}

// A table that cannot be trained with is refused before XGBoost is installed: here there is no environment, and none is made.
func TestTableIsCheckedFirst(t *testing.T) {
	need.Tool(t, "python3", "Debian: apt-get install python3")
	root := t.TempDir()
	scripts := filepath.Join(root, "scripts", "train")
	must.OK(t, os.CopyFS(scripts, os.DirFS(filepath.Join(need.Root(t), "scripts", "train"))))
	damaged := []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03damaged")
	for _, test := range []struct{ name, text, want string }{
		{"no class", "a,b\n1,2\n", "no header with a column called class"},
		{"a label", "a,class\n1,maybe\n", "line 2: the class is 'maybe', not neg, pos, 0 or 1"},
		{"a number", "a,class\n1,neg\nx1,pos\n", "line 3: column a: 'x1' is not a number"},
		{"too large a number", "a,class\n1e39,neg\n", "line 2: column a: 1e39 is no finite float32"},
		{"a row", "a,class\n1,neg\n1\n", "line 3: 1 fields, the header has 2"},
		{"few rows", "a,class\n" + strings.Repeat("1,neg\n", 100) + strings.Repeat("2,pos\n", 9), "fewer than 10 rows of class pos"},
		{"a gzip file", string(damaged), "rows.csv: "},
		{"another label", "a,target\n1,0\n", "no header with a column called class; the first line with several has 'a', 'target'; name the column with the label with -label"},
		{"a text column", "id,a,class\nM1,1,neg\n", "line 2: column id: 'M1' is not a number; a column that is no sensor is left out with -drop"},
		{"a decimal comma", "a;class\n1,5;neg\n", "column a: '1,5' is not a number: it has a decimal comma; write a point"},
		{"two labels", "Class,a,CLASS\n1,2,0\n", "the header has 2 columns called class"},
		{"a name twice", "a,a,class\n1,2,0\n", "the header has the column name 'a' twice"},
		{"alike names", "a [b],a (b),class\n1,2,0\n", "the header has the column name 'a (b)' twice"},
		{"a label alone", "class,\n0,\n", "no column besides class"},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "rows.csv")
			must.OK(t, os.WriteFile(data, []byte(test.text), 0o600))
			out, err := exec.CommandContext(t.Context(), filepath.Join(scripts, "train.sh"), data, t.TempDir()).CombinedOutput()
			if err == nil || !strings.Contains(string(out), test.want) || strings.Contains(string(out), "Traceback") || strings.Contains(string(out), "installing") {
				t.Errorf("%v: %s", err, out)
			}
			if _, err := os.Stat(filepath.Join(root, ".cache")); err == nil {
				t.Error("it has begun to install")
			}
		})
	}
}

// Tables as people and tools write them say the same: 40 rows, of which 20 are of class pos, of one sensor or two.
func TestTableSpellings(t *testing.T) {
	need.Long(t)
	need.Tool(t, "python3", "Debian: apt-get install python3")
	rows := func(header, neg, pos string) string {
		return header + "\n" + strings.Repeat(neg+"\n", 20) + strings.Repeat(pos+"\n", 20)
	}
	wide := func(text string) string {
		var b []byte
		for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
			b = binary.LittleEndian.AppendUint16(b, unit)
		}
		return string(b)
	}
	for name, c := range map[string]struct {
		text    string
		args    []string
		sensors int
		says    string
	}{
		"plain":                 {rows("a,class", "1,neg", "2,pos"), nil, 1, ""},
		"semicolons":            {rows("a;class", "1;0", "2;1"), nil, 1, ""},
		"tabs":                  {rows("a\tclass", "1\t0", "2\t1"), nil, 1, ""},
		"bars":                  {rows("a|class", "1|0", "2|1"), []string{"-separator", "|"}, 1, ""},
		"Class":                 {rows("a,Class", "1,0", "2,1"), nil, 1, ""},
		"True and False":        {rows("a,b,class", "1,True,False", "2,False,True"), nil, 2, ""},
		"0.0 and 1.0":           {rows("a,class", "1,0.0", "2,1.0"), nil, 1, ""},
		"missing":               {rows("a,b,class", "?,-nan,0", "None,<NA>,1"), nil, 2, ""},
		"quotes":                {rows(`"a","b, c","class"`, `"1","2","0"`, `"1","2","1"`), nil, 2, ""},
		"trailing comma":        {rows("a,class,", "1,0,", "2,1,"), nil, 1, "column 3 has no name"},
		"trailing comma, rows":  {rows("a,class", "1,0,", "2,1,"), nil, 1, ""},
		"index":                 {rows(",a,class", "7,1,0", "8,2,1"), nil, 1, "column 1 has no name, as an index, and is left out"},
		"byte order mark":       {"\ufeff" + rows("a,class", "1,0", "2,1"), nil, 1, ""},
		"UTF-16":                {wide(rows("a,class", "1,0", "2,1")), nil, 1, ""},
		"Latin-1":               {rows("Temp\xe9rature,class", "1,0", "2,1"), nil, 1, ""},
		"Windows":               {strings.ReplaceAll(rows("a,class", "1,0", "2,1"), "\n", "\r\n"), nil, 1, ""},
		"brackets":              {rows("Torque [Nm],class", "1,0", "2,1"), nil, 1, "column 'Torque [Nm]' is 'Torque (Nm)' in the model"},
		"another label":         {rows("id,Type,a,Machine failure", "1,M,1,0", "2,L,2,1"), []string{"-label", "machine failure", "-drop", "id, Type"}, 1, ""},
		"a licence before it":   {"This is free; use it.\n\n" + rows("a,class", "1,0", "2,1"), nil, 1, ""},
		"the workshop's two":    {rows("a,ef_000,class", "1,x,0", "2,y,1"), nil, 1, ""},
		"empty value at an end": {rows("class\ta", "0\t", "1\t2"), nil, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "rows.csv")
			must.OK(t, os.WriteFile(data, []byte(c.text), 0o600))
			args := append([]string{filepath.Join(need.Root(t), "scripts", "train", "table.py"), data}, c.args...)
			out, err := exec.CommandContext(t.Context(), "python3", args...).CombinedOutput()
			if want := fmt.Sprintf("40 rows of %d sensors, 20 of class pos", c.sensors); err != nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), c.says) {
				t.Errorf("%v\n%s\nwant %q and %q", err, out, want, c.says)
			}
		})
	}
}

// The names of AI4I's columns have brackets, which XGBoost refuses.
func TestTrainsWithBracketsInNames(t *testing.T) {
	data := filepath.Join(t.TempDir(), "rows.csv")
	text := "\"Torque [Nm], shaft\",Speed [rpm],Class\n"
	for i := range 120 {
		text += fmt.Sprintf("%d.5,%d,%v\n", 40+i%20, 1400+7*i, i%20 > 15)
	}
	must.OK(t, os.WriteFile(data, []byte(text), 0o600))
	out := train(t, data, quick...)
	file, err := gbdt.ReadFile(filepath.Join(out, "model.ubj"))
	must.OK(t, err)
	model, err := gbdt.Parse(file)
	if err != nil || strings.Join(model.FeatureNames, "|") != "Torque (Nm), shaft|Speed (rpm)" {
		t.Errorf("%+v, %v", model, err)
	}
	golden, err := os.ReadFile(filepath.Join(out, "golden.csv"))
	if header, _, _ := strings.Cut(string(golden), "\n"); err != nil || header != "margin,\"Torque (Nm), shaft\",Speed (rpm)" {
		t.Errorf("golden rows begin %q, %v", header, err)
	}
}

// checkGolden scores the golden rows and compares with the margins that XGBoost gave.
func checkGolden(t *testing.T, dir string, sensors []string) {
	t.Helper()
	bytesOfModel, err := gbdt.ReadFile(filepath.Join(dir, "model.ubj"))
	must.OK(t, err)
	model, err := gbdt.Parse(bytesOfModel)
	must.OK(t, err)
	if sensors != nil && strings.Join(model.FeatureNames, ",") != strings.Join(sensors, ",") || model.NumFeature != 168 {
		t.Errorf("features %v", model.FeatureNames)
	}
	if threshold, err := strconv.ParseFloat(model.Attributes["edgepdm.threshold"], 64); err != nil || !(threshold > 0 && threshold < 1) {
		t.Errorf("threshold %q", model.Attributes["edgepdm.threshold"])
	}
	_, rows := table.Read(t, filepath.Join(dir, "golden.csv"))
	if len(rows) < 10 {
		t.Fatalf("%d golden rows", len(rows))
	}
	scorer := gbdt.NewScorer(model)
	for i, row := range rows {
		margin, err := scorer.Margin(nil, row[1:])
		must.OK(t, err)
		if math.Float32bits(margin[0]) != math.Float32bits(row[0]) {
			t.Errorf("golden row %d: margin %v, XGBoost's is %v", i, margin[0], row[0])
		}
	}
}
