package offline

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/inference-engine/scoring"
	"edgepdm/shared/cli"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/lifemodel"
	"edgepdm/test/must"
)

func life(t *testing.T, in io.Reader, args ...string) (out string, err error) {
	t.Helper()
	var written bytes.Buffer
	err = Life(t.Context(), args, cli.Streams{In: in, Out: &written, Err: io.Discard})
	return written.String(), err
}

// trained makes the folder of a training.
func trained(t *testing.T) (dir string, m envelope.Manifest, archive []byte) {
	t.Helper()
	dir = t.TempDir()
	m, archive = lifemodel.Publish(t, "1.0.0", time.Now())
	must.OK(t, os.WriteFile(filepath.Join(dir, trainedModel), must.Read(t, filepath.Join(lifemodel.Folder(), "model.ubj")), 0o600))
	must.OK(t, os.WriteFile(filepath.Join(dir, trainedLife), must.JSON(t, m.Life), 0o600))
	must.OK(t, os.WriteFile(filepath.Join(dir, trainedInputs), must.JSON(t, m.Inputs), 0o600))
	return dir, m, archive
}

const wearing = "thing,seq,temp,wear\nA,1,60,0\nB,1,75,0.2\nA,2,80,0.5\nA,4,90,1.5\nB,2,90,0.9\n"

// Each machine has one line, in the order in which they come, or one for each row. It says what the features, the model and the
// margin give.
func TestLife(t *testing.T) {
	dir, m, _ := trained(t)
	parsed, err := gbdt.Parse(must.Read(t, filepath.Join(dir, trainedModel)))
	must.OK(t, err)
	model, err := scoring.New(parsed, scoring.Native, gbdt.AutoIterations)
	must.OK(t, err)
	table, _, err := features(t, strings.NewReader(wearing), string(must.JSON(t, m.Inputs)), "-thing", "thing", "-seq", "seq")
	must.OK(t, err)
	var lines []string
	rows := newRowReader(strings.NewReader(table), layout{of: "model", columns: model.NumFeature, names: model.FeatureNames})
	for i := range 5 {
		row, err := rows.next()
		must.OK(t, err)
		margin, err := model.Margin(nil, row)
		must.OK(t, err)
		l, err := scoring.Life(model.Predict(nil, margin), *m.Life)
		must.OK(t, err)
		var line bytes.Buffer
		out := bufio.NewWriter(&line)
		must.OK(t, writeLife(out, "ABAAB"[i:i+1], l))
		must.OK(t, out.Flush())
		lines = append(lines, line.String())
	}
	if lines[0] == lines[3] {
		t.Fatal("the model tells no row from another")
	}
	if got, err := life(t, strings.NewReader(wearing), "-model", dir); err != nil || got != lines[3]+lines[4] {
		t.Errorf("%v\n%s\nwant\n%s", err, got, lines[3]+lines[4])
	}
	if got, err := life(t, strings.NewReader(wearing), "-every", dir); err != nil || got != strings.Join(lines, "") {
		t.Errorf("%v\n%s\nwant\n%s", err, got, strings.Join(lines, ""))
	}
}

// As on a device there is no life where no input has a value, and a row that comes after its successors changes nothing.
func TestLifeIsNotInvented(t *testing.T) {
	dir, _, _ := trained(t)
	want, err := life(t, strings.NewReader("thing,seq,temp,wear\nA,1,60,0\nA,3,80,0.5\n"), dir)
	must.OK(t, err)
	const late = "thing,seq,temp,wear\nA,1,60,0\nA,3,80,0.5\nA,2,99,9\nA,3,80,0.5\nB,1,,\nC,1,60,0\nC,9,,\n"
	if got, err := life(t, strings.NewReader(late), dir); err != nil || got != want+"B NaN NaN NaN\nC NaN NaN NaN\n" {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	got, err := life(t, strings.NewReader(late), "-every", dir)
	if lines := strings.Split(got, "\n"); err != nil || len(lines) != 8 || lines[2] != "A NaN NaN NaN" || lines[4] != "B NaN NaN NaN" {
		t.Errorf("%v\n%s", err, got)
	}
}

// A package and a version of a store tell what the training's folder does.
func TestLifeOfDelivered(t *testing.T) {
	dir, m, archive := trained(t)
	want, err := life(t, strings.NewReader(wearing), dir)
	must.OK(t, err)
	pack, store := t.TempDir(), t.TempDir()
	must.OK(t, os.WriteFile(filepath.Join(pack, packed), must.JSON(t, m), 0o600))
	must.OK(t, os.WriteFile(filepath.Join(pack, packedModel), archive, 0o600))
	key, err := envelope.GenerateKey(rand.Reader)
	must.OK(t, err)
	signed, err := envelope.Sign(m, key)
	must.OK(t, err)
	must.OK(t, os.WriteFile(filepath.Join(store, envelope.EnvelopeFile), signed, 0o600))
	must.OK(t, os.WriteFile(filepath.Join(store, m.Model.File), must.Read(t, filepath.Join(dir, trainedModel)), 0o600))
	for _, folder := range []string{pack, store} {
		if got, err := life(t, strings.NewReader(wearing), folder); err != nil || got != want {
			t.Errorf("%v\n%s\nwant\n%s", err, got, want)
		}
	}
}

// Of C-MAPSS a table needs no header and no flags, compressed or not; and a machine's name is what its columns say.
func TestLifeOfTables(t *testing.T) {
	dir, _, _ := trained(t)
	plain, err := life(t, strings.NewReader(wearing), dir)
	must.OK(t, err)
	// s2 and s3 are the sensors of a model that was trained with C-MAPSS.
	spec := string(must.Read(t, filepath.Join(dir, trainedInputs)))
	spec = strings.NewReplacer(`"temp"`, `"s2"`, `"wear"`, `"s3"`).Replace(spec)
	must.OK(t, os.WriteFile(filepath.Join(dir, trainedInputs), []byte(spec), 0o600))
	model := string(must.Read(t, filepath.Join(dir, trainedModel))) // a name has its length before it
	for _, name := range [][2]string{{"\x0btemp_mean_4", "\x09s2_mean_4"}, {"\x0cwear_slope_4", "\x0as3_slope_4"}, {"\x04temp", "\x02s2"}} {
		model = must.Replace(t, model, name[0], name[1])
	}
	must.OK(t, os.WriteFile(filepath.Join(dir, trainedModel), []byte(model), 0o600))
	var rows strings.Builder
	for _, line := range strings.Split(strings.TrimSpace(wearing), "\n")[1:] {
		f := strings.Split(line, ",")
		rows.WriteString(strings.Join([]string{f[0][:1], f[1], "0.1 0.2 100 518.67", f[2], f[3]}, " ") + strings.Repeat(" 7", 18) + "  \n")
	}
	text := strings.NewReplacer("A ", "1 ", "B ", "2 ").Replace(rows.String())
	want := strings.NewReplacer("A ", "1 ", "B ", "2 ").Replace(plain)
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	_, err = w.Write([]byte(text))
	must.OK(t, errors.Join(err, w.Close()))
	for _, in := range []io.Reader{strings.NewReader(text), &compressed} {
		if got, err := life(t, in, dir); err != nil || got != want {
			t.Errorf("%v\n%s\nwant\n%s", err, got, want)
		}
	}
}

func TestLifeRefuses(t *testing.T) {
	dir, m, _ := trained(t)
	with := func(name, text string) string {
		t.Helper()
		other := t.TempDir()
		must.OK(t, os.CopyFS(other, os.DirFS(dir)))
		must.OK(t, os.WriteFile(filepath.Join(other, name), []byte(text), 0o600))
		return other
	}
	scale := string(must.JSON(t, m.Life))
	spec := string(must.JSON(t, m.Inputs))
	cmapss := strings.Repeat("1 ", 26)
	for name, c := range map[string]struct {
		dir, in string
		args    []string
		want    string
	}{
		"no folder":          {"", wearing, nil, "-model"},
		"no model":           {t.TempDir(), wearing, nil, "no life model's folder"},
		"a unit":             {with(trainedLife, must.Replace(t, scale, "hours", "parsecs")), wearing, nil, "life.json: invalid manifest: life.unit"},
		"no margin":          {with(trainedLife, must.Replace(t, scale, `,"margin":1.5`, "")), wearing, nil, "life.json: invalid manifest: life.margin: missing"},
		"an unknown member":  {with(trainedLife, must.Replace(t, scale, "margin", "marge")), wearing, nil, `life.json: json: unknown field "marge"`},
		"other inputs":       {with(trainedInputs, must.Replace(t, spec, "mean", "max")), wearing, nil, `its feature 2 is "temp_mean_4", its input is "temp_max_4"`},
		"fewer inputs":       {with(trainedInputs, `{"sensors":["temp"],"inputs":[{"sensor":"temp","stat":"last"}]}`), wearing, nil, "3 features, its inputs are 1"},
		"another model":      {with(trainedModel, oneColumn), wearing, nil, "it gives 1 values, need 3"},
		"no sensor":          {dir, "thing,temp\nA,1\n", nil, `line 1: the header has no column "wear", a feature of the model`},
		"no machine":         {dir, "temp,wear\n1,1\n", nil, "-thing: line 1 has no column thing or unit"},
		"no rows":            {dir, "", nil, "-thing"},
		"not C-MAPSS":        {dir, strings.Repeat("1 ", 25), nil, "26 numbers between spaces"},
		"no sensors in it":   {dir, cmapss, nil, `no column "temp", a feature of the model`},
		"a missing name":     {dir, "thing,temp,wear\nA,1,1\n,1,1\n", nil, "line 3: column 1: the thing's name is missing"},
		"no number":          {dir, "thing,temp,wear\nA,1,x\n", nil, `line 2: column 3: "x" is not a number`},
		"a column not there": {dir, wearing, []string{"-thing", "machine"}, `-thing: there is no column "machine"`},
		"damaged":            {dir, "\x1f\x8bdamaged", nil, "no gzip file"},
	} {
		t.Run(name, func(t *testing.T) {
			args := c.args
			if c.dir != "" {
				args = append(args, "-model", c.dir)
			}
			if out, err := life(t, strings.NewReader(c.in), args...); err == nil || out != "" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s; %q", err, c.want, out)
			}
		})
	}
}

// A line that comes slowly is read as it comes, and answered with -every before the next one.
func TestLifeStreams(t *testing.T) {
	dir, _, _ := trained(t)
	in, rows := io.Pipe()
	lines, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Life(t.Context(), []string{"-every", "-model", dir}, cli.Streams{In: in, Out: out, Err: io.Discard})
		ended <- errors.Join(err, out.Close())
	}()
	answers := bufio.NewReader(lines)
	_, err := io.WriteString(rows, "thing,temp,wear\n")
	must.OK(t, err)
	for range 3 {
		_, err := io.WriteString(rows, "A,60,0\n")
		must.OK(t, err)
		if line, err := answers.ReadString('\n'); err != nil || !strings.HasPrefix(line, "A ") {
			t.Errorf("%q, %v", line, err)
		}
	}
	must.OK(t, rows.Close())
	must.OK(t, <-ended)
}
