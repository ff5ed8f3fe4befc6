package train

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/test/must"
	"edgepdm/test/need"
)

// prepare splits a table, and says how much memory that took, in KiB.
func prepare(t *testing.T, table string, flags ...string) (dir string, memory int64) {
	t.Helper()
	dir = t.TempDir()
	cmd := dataCommand(t, append([]string{table, dir}, flags...)...)
	// The kernel's usage of a child has what the test's own process had when it started it.
	const tellPeak = "import atexit, re, runpy, sys; atexit.register(lambda: print('peak', re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])); " +
		"sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
	cmd.Args = append([]string{cmd.Args[0], "-B", "-c", tellPeak}, cmd.Args[2:]...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, peak, found := strings.Cut(string(out), "peak ")
	if _, err := fmt.Sscan(peak, &memory); !found || err != nil {
		t.Fatalf("no peak: %s", out)
	}
	return dir, memory
}

func dataCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	python := need.Tool(t, "python3", "Debian: apt-get install python3")
	return exec.CommandContext(t.Context(), python, append([]string{"-B", filepath.Join(need.Root(t), "scripts", "train", "data.py")}, args...)...)
}

func tableFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.csv")
	must.OK(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// part reads a part's CSV, and proves that both libsvm files say the same.
func part(t *testing.T, dir, name string) [][]string {
	t.Helper()
	text := string(must.Read(t, filepath.Join(dir, name+".csv")))
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	must.OK(t, err)
	for base, file := range []string{".zero.libsvm", ".one.libsvm"} {
		var want strings.Builder
		for _, row := range rows[1:] {
			want.WriteString(map[string]string{"neg": "0", "pos": "1"}[row[0]])
			for i, value := range row[1:] {
				if value != "na" {
					fmt.Fprintf(&want, " %d:%s", i+base, value)
				}
			}
			want.WriteString("\n")
		}
		if got := string(must.Read(t, filepath.Join(dir, name+file))); got != want.String() {
			t.Errorf("%s%s differs from the CSV", name, file)
		}
	}
	return rows
}

// Each row is in one part, unchanged, and the parts have the same share of faulty rows; equal seeds give equal bytes.
func TestDataIsSplit(t *testing.T) {
	text := "a,\"b, c\",class\n"
	for i := range 2000 {
		text += fmt.Sprintf("%d,%s,%s\n", i, []string{"0.1", "na", "-2.5e-7", "16777217"}[i%4], map[bool]string{true: "pos", false: "neg"}[i%20 == 3])
	}
	table := tableFile(t, "This is free; use it.\n\n"+text)
	dir, _ := prepare(t, table, "-validation", "0.1", "-test", "0.25")
	again, _ := prepare(t, table, "-validation", "0.1", "-test", "0.25")
	other, _ := prepare(t, table, "-validation", "0.1", "-test", "0.25", "-seed", "2")
	seen, want := map[string]bool{}, map[string]int{"train": 1300, "validation": 200, "test": 500}
	for name, count := range want {
		rows, faulty := part(t, dir, name), 0
		if strings.Join(rows[0], "|") != "class|a|b, c" {
			t.Errorf("header %q", rows[0])
		}
		for _, row := range rows[1:] {
			seen[row[1]] = true
			if row[0] == "pos" {
				faulty++
			}
			var i int
			_, err := fmt.Sscan(row[1], &i)
			must.OK(t, err)
			if want := []string{"0.1", "na", "-2.5e-07", "16777217"}[i%4]; row[2] != want || (row[0] == "pos") != (i%20 == 3) {
				t.Errorf("row %d is %q", i, row)
			}
		}
		if len(rows)-1 != count || faulty != count/20 {
			t.Errorf("%s: %d rows, %d faulty", name, len(rows)-1, faulty)
		}
		for _, end := range []string{".csv", ".zero.libsvm", ".one.libsvm"} {
			first := string(must.Read(t, filepath.Join(dir, name+end)))
			if first != string(must.Read(t, filepath.Join(again, name+end))) {
				t.Errorf("%s%s differs with the same seed", name, end)
			}
			if first == string(must.Read(t, filepath.Join(other, name+end))) {
				t.Errorf("%s%s is the same with another seed", name, end)
			}
		}
	}
	if len(seen) != 2000 {
		t.Errorf("%d different rows", len(seen))
	}
	var split struct {
		Sensors []string
		Parts   map[string]struct{ Rows, Faulty int }
	}
	must.OK(t, json.Unmarshal(must.Read(t, filepath.Join(dir, "split.json")), &split))
	if split.Parts["test"].Rows != 500 || split.Parts["test"].Faulty != 25 || len(split.Sensors) != 2 {
		t.Errorf("%+v", split)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) != 10 {
		t.Errorf("files %v, %v", files, err)
	}
}

// Rows of a machine stay together, and rows of a later time never come before those of an earlier part.
func TestDataByMachineAndTime(t *testing.T) {
	text := "thing,ts,a,class\n"
	for i := range 1200 {
		thing := i % 60
		text += fmt.Sprintf("m%d,2026-01-01T%02d:%02d:00Z,%d,%t\n", thing, i/100, i/2%50, i, thing%6 == 0 && i%3 == 0)
	}
	table := tableFile(t, text)
	byMachine, _ := prepare(t, table, "-by", "thing", "-drop", "ts")
	part2 := map[string]string{}
	for _, name := range []string{"train", "validation", "test"} {
		for _, row := range part(t, byMachine, name)[1:] {
			var i int
			_, err := fmt.Sscan(row[1], &i)
			must.OK(t, err)
			thing := fmt.Sprint(i % 60)
			if other, ok := part2[thing]; ok && other != name {
				t.Errorf("machine %s is in %s and %s", thing, other, name)
			}
			part2[thing] = name
		}
	}
	if len(part2) != 60 {
		t.Errorf("%d machines", len(part2))
	}
	byTime, _ := prepare(t, table, "-time", "ts", "-drop", "thing")
	last := -1
	for name, want := range map[string]int{"train": 840, "validation": 180, "test": 180} {
		if got := len(part(t, byTime, name)) - 1; got < want-2 || got > want+2 {
			t.Errorf("%s: %d rows, want about %d", name, got, want)
		}
	}
	for _, name := range []string{"train", "validation", "test"} {
		for _, row := range part(t, byTime, name)[1:] {
			var i int
			_, err := fmt.Sscan(row[1], &i)
			must.OK(t, err)
			if i <= last {
				t.Errorf("row %d of %s is not after row %d", i, name, last)
			}
			last = i
		}
	}
}

// Memory does not grow with the rows.
func TestDataTakesFlatMemory(t *testing.T) {
	need.Long(t)
	table := func(rows int) string {
		var text strings.Builder
		text.WriteString("a,b,c,class\n")
		for i := range rows {
			fmt.Fprintf(&text, "%d,%d.5,%d,%d\n", i, i%7, i*i, i%10/9)
		}
		return tableFile(t, text.String())
	}
	_, few := prepare(t, table(1000))
	_, many := prepare(t, table(100_000))
	if many > few+8<<10 {
		t.Errorf("%d KiB for 1,000 rows, %d for 100,000", few, many)
	}
}

// AI4I is known by its header. What gives the label away is left out.
func TestDataOfAI4I(t *testing.T) {
	dir, _ := prepare(t, need.Shared(t, "ai4i/ai4i2020.csv"))
	rows := part(t, dir, "train")
	if got, want := strings.Join(rows[0], "|"), "class|Type|Air temperature (K)|Process temperature (K)|Rotational speed (rpm)|Torque (Nm)|Tool wear (min)"; got != want {
		t.Errorf("header %s", got)
	}
	if len(rows) != 7001 {
		t.Errorf("%d rows", len(rows))
	}
	for _, row := range rows[1:] {
		if row[1] != "0" && row[1] != "1" && row[1] != "2" {
			t.Fatalf("Type is %q", row[1])
		}
	}
}

// UCI's file has a licence before its header, with commas in it.
func TestDataOfAPS(t *testing.T) {
	need.Long(t)
	dir, _ := prepare(t, need.Shared(t, "aps/aps_train_rows_0-8999.csv.gz"))
	if rows := part(t, dir, "test"); len(rows) < 1340 || len(rows) > 1360 || len(rows[0]) != 169 {
		t.Errorf("%d rows of %d columns", len(rows), len(rows[0]))
	}
}

// A table that cannot be split is refused, naming line and column, and leaves no half of a part. Without a terminal there is no
// progress.
func TestDataIsChecked(t *testing.T) {
	good := "a,thing,ts,class\n" + strings.Repeat("1,m,1,neg\n", 40) + strings.Repeat("2,n,2,pos\n", 40)
	for name, c := range map[string]struct {
		text  string
		flags []string
		want  string
	}{
		"good":              {good, []string{"-drop", "thing,ts"}, "test: 12 rows, 6 faulty\n"},
		"a text column":     {good, []string{"-drop", "ts"}, "rows.csv: line 2: column thing: 'm' is not a number"},
		"a bad value":       {good + "x1,m,3,neg\n", []string{"-drop", "thing,ts"}, "rows.csv: line 82: column a: 'x1' is not a number"},
		"a bad class":       {good + "1,m,3,maybe\n", []string{"-drop", "thing,ts"}, "rows.csv: line 82: the class is 'maybe'"},
		"a short row":       {good + "1,m\n", []string{"-drop", "thing,ts"}, "rows.csv: line 82: 2 fields, the header has 4"},
		"no such machine":   {good, []string{"-by", "machine"}, "there is no column 'machine', which -by names"},
		"no such time":      {good, []string{"-time", "when"}, "there is no column 'when', which -time names"},
		"not in order":      {good + "1,m,1,neg\n", []string{"-time", "ts", "-drop", "thing"}, "line 82: column ts: '1' is before the row above: sort the table by ts"},
		"no time":           {good + "1,m,soon,neg\n", []string{"-time", "ts", "-drop", "thing"}, "line 82: column ts: 'soon' is no time"},
		"few machines":      {good, []string{"-by", "thing", "-drop", "ts"}, "too few of one class"},
		"both":              {good, []string{"-by", "thing", "-time", "ts"}, "-by and -time: one of them"},
		"a share":           {good, []string{"-test", "0.12"}, "in steps of 0.05"},
		"shares":            {good, []string{"-test", "0.95"}, "0.9 at most together"},
		"no class":          {"a,b\n1,2\n", nil, "no header with a column called class"},
		"a header alone":    {"a,class\n", nil, "too few of one class"},
		"a header and text": {"a,class\n1\n", nil, "line 2: 1 fields, the header has 2"},
		"a damaged archive": {"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03damaged", nil, "data: "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			out, err := dataCommand(t, append([]string{tableFile(t, c.text), dir}, c.flags...)...).CombinedOutput()
			if (err == nil) != (name == "good") || !strings.Contains(string(out), c.want) || strings.Contains(string(out), "Traceback") || strings.Contains(string(out), "\r") {
				t.Errorf("%v: %q\nwant %q", err, out, c.want)
			}
			if left, err := filepath.Glob(filepath.Join(dir, "*")); name != "good" && (err != nil || len(left) > 0) {
				t.Errorf("left are %v, %v", left, err)
			}
		})
	}
	missing := filepath.Join(t.TempDir(), "rows.csv")
	if out, err := dataCommand(t, missing, t.TempDir()).CombinedOutput(); err == nil || !strings.Contains(string(out), "data: "+missing+": No such file or directory") {
		t.Errorf("%v: %s", err, out)
	}
}

// On a terminal it says how far it is.
func TestDataShowsProgressOnATerminal(t *testing.T) {
	text := "a,class\n" + strings.Repeat("1,neg\n2,pos\n", 1000)
	script := `import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)`
	split := dataCommand(t, tableFile(t, text), t.TempDir())
	out, err := exec.CommandContext(t.Context(), split.Path, append([]string{"-c", script, split.Path}, split.Args[1:]...)...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1,000 of 2,001 rows, splitting") || !strings.Contains(string(out), "test: 300 rows, 150 faulty") {
		t.Errorf("%v: %q", err, out)
	}
}
