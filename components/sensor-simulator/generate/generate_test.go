package generate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/components/sensor-simulator/dataset"
	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/cli"
	"edgepdm/test/must"
)

// run returns what the sub-command writes to standard output.
func run(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	var out, note bytes.Buffer
	err := Run(context.Background(), args, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &note})
	if note.Len() > 0 && err == nil {
		t.Errorf("noise on standard error: %s", note.String())
	}
	return out.Bytes(), err
}

func TestTableIsReproducibleAndLabelled(t *testing.T) {
	const rows = 1500
	first, err := run(t, "-rows", "1500", "-seed", "3")
	must.OK(t, err)
	again, err := run(t, "-rows", "1500", "-seed", "3")
	if err != nil || !bytes.Equal(first, again) {
		t.Fatalf("equal flags give other bytes; %v", err)
	}
	part, err := run(t, "-rows", "300", "-seed", "3")
	if err != nil || !bytes.HasPrefix(first, part) {
		t.Errorf("fewer rows are not the beginning of more; %v", err)
	}
	if other, err := run(t, "-rows", "300", "-seed", "4"); err != nil || bytes.Equal(part, other) {
		t.Errorf("another seed gives equal bytes; %v", err)
	}

	r, err := dataset.NewReader(bytes.NewReader(first), "generated")
	must.OK(t, err)
	if !slices.Equal(r.Columns(), plant.Sensors()) || !r.Labelled() {
		t.Errorf("columns are %v", r.Columns())
	}
	n, faulty := 0, 0
	for ; ; n++ {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || !row.Label.Known {
			t.Fatalf("row %d: %v, %v", n, row.Label, err)
		}
		if row.Label.Faulty {
			faulty++
		}
	}
	if share := float64(faulty) / rows; n != rows || share < 0.03 || share > 0.05 {
		t.Errorf("%d rows, %.4f of them faulty, want %d and 0.03 to 0.05", n, share, rows)
	}
}

// A drift changes what the sensors show, not what is faulty: the labels, and the truth of remaining life, are what they were.
func TestDriftedTables(t *testing.T) {
	for _, more := range [][]string{nil, {"-life"}} {
		read := func(drift ...string) (values, truth [][]byte) {
			out, err := run(t, slices.Concat([]string{"-rows", "150", "-seed", "3"}, more, drift)...)
			must.OK(t, err)
			lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
			header := strings.Split(string(lines[0]), ",")
			at := max(slices.Index(header, "class"), slices.Index(header, "remaining_hours"))
			for _, line := range lines[1:] {
				fields := bytes.Split(line, []byte(","))
				values = append(values, fields[slices.Index(header, "oil_filter_dp")])
				truth = append(truth, fields[at])
			}
			return values, truth
		}
		values, truth := read()
		drifted, same := read("-drift", "new-oil=2", "-drift", "recalibrated:oil_temp,load-profile")
		if !slices.EqualFunc(truth, same, bytes.Equal) {
			t.Errorf("%v: the drifts change the truth", more)
		}
		if slices.EqualFunc(values, drifted, bytes.Equal) {
			t.Errorf("%v: no drift", more)
		}
	}
}

// The director knows what the file does not tell: which fault a row has.
func TestAllFaultsHaveTheirShare(t *testing.T) {
	const rows = 3000
	for _, wanted := range []float64{0, 0.04, 0.3} {
		d := newDirector(1, wanted, nil)
		count, faulty, slight := map[plant.Fault]int{}, 0, 0
		for i := range rows {
			row, err := d.next(i)
			must.OK(t, err)
			count[row.Fault]++
			switch {
			case row.Faulty:
				faulty++
			case row.Fault.OfMachine():
				slight++
			}
		}
		if share := float64(faulty) / rows; share < 0.7*wanted || share > 1.3*wanted {
			t.Errorf("%.4f of the rows are faulty, want about %v", share, wanted)
		}
		if wanted > 0 && slight < faulty/5 {
			t.Errorf("only %d rows show a fault before it counts, beside %d faulty ones", slight, faulty)
		}
		for _, f := range plant.Faults() {
			if wanted == 0 && f.OfMachine() {
				if count[f] > 0 {
					t.Errorf("%d rows of %s, want none", count[f], f)
				}
			} else if count[f] < 25 {
				t.Errorf("%d rows of %s at %v", count[f], f, wanted)
			}
		}
	}
}

func TestOut(t *testing.T) {
	dir := t.TempDir()
	want, err := run(t, "-rows", "50")
	must.OK(t, err)
	for _, name := range []string{"rows.csv", "rows.csv.gz"} {
		path := filepath.Join(dir, name)
		var files [2][]byte
		for i := range files {
			if out, err := run(t, "-rows", "50", "-out", path); err != nil || len(out) > 0 {
				t.Fatalf("%s: %d bytes on standard output, %v", name, len(out), err)
			}
			if files[i], err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(files[0], files[1]) {
			t.Errorf("%s: equal flags give other bytes", name)
		}
		if name == "rows.csv" && !bytes.Equal(files[0], want) {
			t.Error("file and standard output differ")
		}
		r, err := dataset.Open(path)
		must.OK(t, err)
		for n := 0; ; n++ {
			if _, err := r.Next(); err != nil {
				if !errors.Is(err, io.EOF) || n != 50 {
					t.Errorf("%s: %v after %d rows", name, err, n)
				}
				break
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%d files, want 2; %v", len(entries), err)
	}
	if _, err := run(t, "-rows", "5", "-out", filepath.Join(dir, "no", "rows.csv")); err == nil || !strings.Contains(err.Error(), "-out: ") {
		t.Errorf("no such folder: %v", err)
	}
	if _, err := run(t, "-rows", "5", "-out", os.DevNull); err != nil {
		t.Errorf("a device: %v", err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Fatalf("%s is a file now: %v", os.DevNull, err)
	}
}

func TestInterruptedJobLeavesTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.csv.gz")
	must.OK(t, os.WriteFile(path, []byte("old"), 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := Run(ctx, []string{"-rows", "50", "-out", path}, cli.Streams{Out: io.Discard, Err: io.Discard})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "old" {
		t.Errorf("the file now holds %q, %v", text, err)
	}
	if _, err := os.Stat(path + ".part"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the half file is still there: %v", err)
	}
}

func TestFlagsAreChecked(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "-rows"},
		{[]string{"-rows", "0"}, "-rows"},
		{[]string{"-rows", "-5"}, "-rows"},
		{[]string{"-rows", "many"}, "-rows"},
		{[]string{"-rows", "999999999"}, "-rows"},
		{[]string{"-rows", "5", "-seed", "-1"}, "-seed"},
		{[]string{"-rows", "5", "-faulty", "0.6"}, "-faulty"},
		{[]string{"-rows", "5", "-faulty", "-0.1"}, "-faulty"},
		{[]string{"-rows", "5", "-faulty", "NaN"}, "-faulty"},
		{[]string{"-rows", "5", "-drift", "rust"}, "-drift"},
		{[]string{"-rows", "5", "-drift", "recalibrated:x"}, "-drift"},
		{[]string{"-rows", "5", "-drift", "new-oil=9"}, "-drift"},
		{[]string{"-life"}, "-rows"},
		{[]string{"-life", "-rows", "5", "-faulty", "0.1"}, "-faulty"},
		{[]string{"-rows", "5", "rows.csv"}, "rows.csv"},
		{[]string{"-lines", "5"}, "-lines"},
	} {
		out, err := run(t, c.args...)
		if !errors.Is(err, cli.ErrUsage) || !strings.Contains(err.Error(), c.want) || len(out) > 0 {
			t.Errorf("%v: %v, want a usage error about %s", c.args, err, c.want)
		}
	}
}
