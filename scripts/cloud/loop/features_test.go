package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/tools"
)

// raw is the raw folder of a data bucket.
type rawFolder struct {
	dir   string
	lines map[string][]string
}

func (r *rawFolder) add(kind, date, format string, args ...any) {
	r.addTo("line=line-1", kind, date, format, args...)
}

// addTo adds a line to another partition than that of Firehose.
func (r *rawFolder) addTo(partition, kind, date, format string, args ...any) {
	key := kind + "/" + partition + "/date=" + date
	r.lines[key] = append(r.lines[key], fmt.Sprintf(format, args...))
}

// write writes one file for each partition, as Firehose does.
func (r *rawFolder) write(t *testing.T) {
	t.Helper()
	for key, lines := range r.lines {
		var b bytes.Buffer
		zip := gzip.NewWriter(&b)
		_, err := io.WriteString(zip, strings.Join(lines, "\n")+"\n")
		must.OK(t, err)
		must.OK(t, zip.Close())
		must.OK(t, os.MkdirAll(filepath.Join(r.dir, key), 0o700))
		must.OK(t, os.WriteFile(filepath.Join(r.dir, key, "part-1.gz"), b.Bytes(), 0o600))
	}
}

// features runs the job, and returns what it says.
func runFeatures(t *testing.T, args ...string) (string, error) {
	t.Helper()
	need.Installed(t, tools.Spark)
	cmd := sparkCommand(t.Context(), need.Root(t), args)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// readPart reads the one CSV file of a folder that Spark wrote.
func readPart(t *testing.T, dir string) [][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.csv.gz"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s has %q, %v", dir, files, err)
	}
	f, err := os.Open(files[0])
	must.OK(t, err)
	defer f.Close()
	zip, err := gzip.NewReader(f)
	must.OK(t, err)
	rows, err := csv.NewReader(zip).ReadAll()
	must.OK(t, err)
	return rows
}

func packed(values ...float32) string {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// Of raw messages, with all that goes wrong on the way, comes the table, each row with the class that people's outcomes give it.
func TestFeatures(t *testing.T) {
	need.Long(t)
	r := &rawFolder{dir: filepath.Join(t.TempDir(), "raw"), lines: map[string][]string{}}
	want := map[string]string{} // class by the value of the first sensor, which names the row
	for m := range 8 {
		thing, day := fmt.Sprintf("press-%d", m), fmt.Sprintf("2026-11-%02d", 10+m)
		faulty := func(seq int) bool { return seq > 60 && seq <= 80 } // an alarm of each machine
		for seq := 1; seq <= 100; seq++ {
			name := m*1000 + seq
			form := fmt.Sprintf(`"values":[%d,null,%d]`, name, seq)
			switch seq % 3 {
			case 1:
				form = fmt.Sprintf(`"readings":{"a":%d,"c":%d,"unknown":7}`, name, seq)
			case 2:
				form = `"f32":"` + packed(float32(name), float32(math.NaN()), float32(seq)) + `"`
			}
			row := fmt.Sprintf(`{"v":1,"thing":"%s","line":"line-1","epoch":"5f3a","seq":%d,"ts":"%sT10:00:00Z",%s}`, thing, seq, day, form)
			r.add("telemetry", day, "%s", row)
			if seq%10 == 0 {
				r.add("telemetry", day, "%s", row) // comes twice
			}
			label := "Not Faulty"
			if faulty(seq) {
				label = "Faulty"
			}
			if seq == 1 || seq%25 == 0 || faulty(seq) != faulty(seq-1) { // predictions are sampled, changes all come
				r.add("predictions", day, `{"v":1,"thing":"%s","epoch":"5f3a","seq":%d.0,"ts":"%sT10:00:00Z","label":"%s"}`, thing, seq, day, label)
			}
			class := ""
			switch {
			case seq <= 55 || seq > 85: // 5 rows around the alarm are left out
				class = "neg"
			case faulty(seq) && m < 5:
				class = "pos"
			case faulty(seq) && m == 5:
				class = "neg"
			}
			if class != "" {
				want[fmt.Sprintf("%d.0", name)] = class
			}
		}
		outcome := map[int]string{5: "no-fault-found", 6: "planned"}[m]
		if m < 5 {
			outcome = "confirmed"
		}
		if outcome != "" { // nobody has judged the last one
			event := `{"v":1,"id":"label-%d","thing":"%s","fault":"machine-fault","since":"%sT10:00:00Z","outcome":"%s","rows":{"first":{"epoch":"5f3a","seq":61},"last":{"epoch":"5f3a","seq":80}},"ts":"2026-11-2%dT10:00:00Z"}`
			r.add("labels", "2026-11-20", event, m, thing, day, "no-fault-found", 0)
			r.add("labels", "2026-11-21", event, m+100, thing, day, outcome, 1) // somebody thought better of it
			r.add("labels", "2026-11-21", strings.Replace(event, "machine-fault", "silence", 1), m+200, thing, day, "confirmed", 2)
		}
	}
	for _, bad := range []string{
		"{", `"text"`, "null", `{"v":2}`, `{"v":1,"thing":"x","epoch":"e","seq":1.5,"ts":"2026-11-10","values":[1,2,3]}`,
		`{"v":1,"thing":"x","epoch":"e","seq":1,"ts":"2026-11-10","values":[1,2]}`, `{"v":1,"thing":"x","epoch":"e","seq":1,"ts":"2026-11-10","values":[1,2,1e300]}`,
		`{"v":1,"thing":"x","epoch":"e","seq":1,"ts":"2026-11-10","f32":"AA=="}`, `{"v":1,"thing":"x","epoch":"e","seq":1,"ts":"2026-11-10"}`,
		strings.Repeat("[", 100000), "\x00\xff",
	} {
		r.add("telemetry", "2026-11-10", "%s", bad)
		r.add("predictions", "2026-11-10", "%s", bad)
		r.add("labels", "2026-11-10", "%s", bad)
	}
	// Rows of a batch, and what a prediction has of a row of which the telemetry did not come.
	r.add("telemetry", "2026-11-10", `{"v":1,"rows":[{"v":1,"thing":"lone","epoch":"1","seq":1,"ts":"2026-11-10T10:00:00Z","values":[90001,2,3]},{"v":1,"thing":"lone","epoch":"1","seq":2,"ts":"2026-11-10T10:00:00Z","values":[90002,2,3]}]}`)
	for seq := 1; seq <= 3; seq++ {
		r.add("predictions", "2026-11-10", `{"v":1,"predictions":[{"v":1,"thing":"lone","epoch":"1","seq":%d,"ts":"2026-11-10T10:00:00Z","label":"Not Faulty","watched":{"a":%d,"b":1}}]}`, seq, 90000+seq)
		want[fmt.Sprintf("%d.0", 90000+seq)] = "neg"
	}
	// What a core put there of a backlog, and a message of it that has come before.
	for seq := 1; seq <= 3; seq++ {
		r.addTo("core=core-1", "telemetry", "2026-11-11", `{"v":1,"thing":"late","epoch":"1","seq":%d,"ts":"2026-11-11T10:00:00Z","values":[%d,2,3],"core":"core-1","kind":"telemetry"}`, seq, 90003+seq)
		r.addTo("core=core-1", "predictions", "2026-11-11", `{"v":1,"thing":"late","epoch":"1","seq":%d,"ts":"2026-11-11T10:00:00Z","label":"Not Faulty","core":"core-1","kind":"predictions"}`, seq)
		want[fmt.Sprintf("%d.0", 90003+seq)] = "neg"
	}
	r.add("predictions", "2026-11-11", `{"v":1,"thing":"late","epoch":"1","seq":1,"ts":"2026-11-11T10:00:00Z","label":"Not Faulty"}`)
	r.addTo("core=core-1", "telemetry", "2026-10-01", `{"v":1,"thing":"late","epoch":"1","seq":9,"ts":"2026-10-01T10:00:00Z","values":[88889,2,3]}`) // before --from
	r.add("telemetry", "2026-11-10", `{"v":1,"thing":"unknown","epoch":"1","seq":1,"ts":"2026-11-10T10:00:00Z","values":[99999,2,3]}`)               // nothing is known of it
	r.add("telemetry", "2026-10-01", `{"v":1,"thing":"lone","epoch":"1","seq":1,"ts":"2026-10-01T10:00:00Z","values":[88888,2,3]}`)                  // before --from
	r.write(t)
	broken := filepath.Join(r.dir, "telemetry", "line=line-1", "date=2026-11-10", "broken.gz")
	must.OK(t, os.WriteFile(broken, []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03damaged"), 0o600))

	out := filepath.Join(t.TempDir(), "out")
	text, err := runFeatures(t, "--raw", r.dir, "--out", out, "--sensors", "a,b,c", "--guard", "5", "--from", "2026-11-01", "--until", "-", "--JOB_NAME", "x")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	got := map[string]string{}
	holdout := 0
	for _, part := range []string{"train", "holdout"} {
		rows := readPart(t, filepath.Join(out, part))
		if part == "holdout" { // the machine's name comes first
			for i := range rows {
				rows[i] = rows[i][1:]
			}
		}
		if !slices.Equal(rows[0], []string{"a", "b", "c", "class"}) {
			t.Errorf("header %q", rows[0])
		}
		for _, row := range rows[1:] {
			if _, ok := got[row[0]]; ok {
				t.Errorf("row %s comes twice", row[0])
			}
			got[row[0]] = row[3]
			if row[1] != "" && !strings.HasPrefix(row[0], "9000") || row[2] == "" && row[0] != "90003.0" {
				t.Errorf("row %q", row)
			}
		}
		if part == "holdout" {
			holdout = len(rows) - 1
		}
	}
	if !maps.Equal(got, want) {
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if got[name] != want[name] {
				t.Errorf("row %s is %q, want %q", name, got[name], want[name])
			}
		}
		for name := range got {
			if _, ok := want[name]; !ok {
				t.Errorf("row %s is %q, and should be left out", name, got[name])
			}
		}
	}
	if holdout < len(want)/8 || holdout > len(want)/2 {
		t.Errorf("%d of %d rows are held out", holdout, len(want))
	}
	var summary struct {
		Read       map[string]struct{ Messages, Bad int }
		Duplicates int
		Rows       int
		LeftOut    int `json:"left_out"`
	}
	must.OK(t, json.Unmarshal([]byte(between(text, "features: ", "\n")), &summary))
	if summary.Read["telemetry"].Bad != 11 || summary.Read["labels"].Bad != 11 || summary.Duplicates != 80 || summary.Rows != 807 || summary.LeftOut != summary.Rows-len(want) {
		t.Errorf("%+v", summary)
	}
}

// What cannot become a table says what is missing.
func TestFeaturesWithoutOutcomes(t *testing.T) {
	need.Long(t)
	r := &rawFolder{dir: filepath.Join(t.TempDir(), "raw"), lines: map[string][]string{}}
	for seq := 1; seq <= 50; seq++ {
		r.add("telemetry", "2026-11-10", `{"v":1,"thing":"a","epoch":"1","seq":%d,"ts":"2026-11-10T10:00:00Z","readings":{"x":%d}}`, seq, seq)
		r.add("predictions", "2026-11-10", `{"v":1,"thing":"a","epoch":"1","seq":%d,"ts":"2026-11-10T10:00:00Z","label":"Not Faulty"}`, seq)
	}
	r.write(t)
	text, err := runFeatures(t, "--raw", r.dir, "--out", filepath.Join(t.TempDir(), "out"))
	if err == nil || !strings.Contains(text, "0 rows of class pos for train, and needs 10: acknowledge alarms with their outcome") {
		t.Errorf("%v\n%s", err, text)
	}

	// An earlier table has faulty rows to train with, but the active model may know them: there is nothing to compare on.
	base := filepath.Join(t.TempDir(), "base.csv")
	rows := "x,class\n"
	for i := range 60 {
		rows += fmt.Sprintf("%d,%s\n", 1000+i, []string{"neg", "pos"}[i%2])
	}
	must.OK(t, os.WriteFile(base, []byte(rows), 0o600))
	text, err = runFeatures(t, "--raw", r.dir, "--out", filepath.Join(t.TempDir(), "out"), "--base", base)
	if err == nil || !strings.Contains(text, `"base": {"neg": 30, "pos": 30}`) || !strings.Contains(text, "for holdout, and needs 1") || strings.Contains(text, "for train, and needs") {
		t.Errorf("%v\n%s", err, text)
	}
}

func between(text, begin, end string) string {
	_, rest, _ := strings.Cut(text, begin)
	found, _, _ := strings.Cut(rest, end)
	return found
}
