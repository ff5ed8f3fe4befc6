package dataset

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/must"
	"edgepdm/test/need"
)

// licence stands before the header of the original APS file, blank lines and commas included.
const licence = `This file is part of APS Failure and Operational Data for Scania Trucks.

Copyright (c) <2016> <Scania CV AB>

This program (APS Failure and Operational Data for Scania Trucks) is 
free software: you can redistribute it and/or modify
it under the terms of the GNU General Public License as published by
the Free Software Foundation, either version 3 of the License, or
(at your option) any later version.

This program is distributed in the hope that it will be useful,
but WITHOUT ANY WARRANTY; without even the implied warranty of
MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the
GNU General Public License for more details.

You should have received a copy of the GNU General Public License
along with this program.  If not, see <http://www.gnu.org/licenses/>.

------------------------------------------------------------------------

`

// show renders rows compactly: "+ 1 na" is a faulty row.
func show(rows []Row) string {
	var lines []string
	for _, r := range rows {
		line := "?"
		if r.Label.Known {
			line = map[bool]string{false: "-", true: "+"}[r.Label.Faulty]
		}
		for _, v := range r.Values {
			if v != v {
				line += " na"
			} else {
				line += fmt.Sprintf(" %v", v)
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

// rest reads to the end.
func rest(r *Reader) ([]Row, error) {
	var rows []Row
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text)) // into memory
	_ = z.Close()
	return b.String()
}

func TestReader(t *testing.T) {
	for _, c := range []struct{ name, text, columns, rows string }{
		{"header at once", "class,a,b\nneg,1,2\npos,-3.5,1e3\n", "a b", "- 1 2; + -3.5 1000"},
		{"licence first", licence + "class,a,b\nneg,1,2\n", "a b", "- 1 2"},
		{"licence, no label", licence + "a,b\n1,2\n", "a b", "? 1 2"},
		{"compressed", zipped(licence + "class,a,b\nneg,1,2\n"), "a b", "- 1 2"},
		{"no label column", "a,b\n1,2\n", "a b", "? 1 2"},
		{"label in the middle", "a,class,b\n1,pos,2\n", "a b", "+ 1 2"},
		{"labels as numbers", "class,a\n0,1\n1,1\n", "a", "- 1; + 1"},
		{"labels missing", "class,a\nna,1\n,1\n", "a", "? 1; ? 1"},
		{"missing readings", "class,a,b,c,d,e\nneg,na,NA,nan,NaN,\n", "a b c d e", "- na na na na na"},
		{"columns the workshop drops", "class,a,ef_000,b,eg_000\nneg,1,oil,2,na\n", "a b", "- 1 2"},
		{"line ends of Windows", "class,a\r\nneg,1\r\n\r\npos,2\r\n", "a", "- 1; + 2"},
		{"no line end at the end", "class,a\nneg,1", "a", "- 1"},
		{"byte order mark", "\ufeffclass,a\nneg,1\n", "a", "- 1"},
		{"quotation marks and blanks", "\"class\", \"a\" ,\"b c\"\n\"neg\", 1 ,\"na\"\n", "a b c", "- 1 na"},
		{"no rows", "class,a\n", "a", ""},
		{"rounded twice, as Python does", "class,a\nneg,1.0000000596046448\n", "a", "- 1"},
		{"big counters", "class,a\nneg,2130706438\n", "a", "- 2.1307064e+09"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := NewReader(strings.NewReader(c.text), "test")
			must.OK(t, err)
			for turn := range 3 { // a replay goes round and round
				if got := strings.Join(r.Columns(), " "); got != c.columns {
					t.Errorf("columns %q, want %q", got, c.columns)
				}
				rows, err := rest(r)
				if got := show(rows); err != nil || got != c.rows {
					t.Fatalf("turn %d: %q, %v, want %q", turn, got, err, c.rows)
				}
				if _, err := r.Next(); !errors.Is(err, io.EOF) {
					t.Errorf("after the end: %v", err)
				}
				must.OK(t, r.Rewind())
			}
			if want := strings.Contains(c.text, "class") || c.name == "compressed"; r.Labelled() != want {
				t.Errorf("labelled: %v", r.Labelled())
			}
		})
	}
}

func TestMalformedFiles(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "no header"},
		{"text only", licence, "no header"},
		{"endless text", strings.Repeat("no header here\n", 300), "first 200 lines"},
		{"numbers without a header", "neg,1,2\n", "line 1: numbers, but no header"},
		{"label only", "class,ef_000\nneg,1\n", "line 1: no columns besides"},
		{"column twice", licence + "class,a,a\n", `line 21: two columns are called "a"`},
		{"nameless column", "class,a,\n", "line 1: column 3 has no name"},
		{"too few fields", "class,a,b\nneg,1,2\nneg,1\n", "line 3: 2 fields, the header has 3"},
		{"too many fields", "class,a\nneg,1,2\n", "line 2: 3 fields, the header has 2"},
		{"not a number", licence + "class,a,b\n\nneg,1,x\n", `line 23: column b: "x" is not a number`},
		{"two points", "class,a\nneg,1.2.3\n", `line 2: column a: "1.2.3" is not a number`},
		{"hexadecimal", "class,a\nneg,0x1p4\n", "line 2: column a"},
		{"digits in groups", "class,a\nneg,1_000\n", "line 2: column a"},
		{"infinity", "class,a\nneg,-Inf\n", "line 2: column a: infinity"},
		{"infinity in full", "class,a\nneg,infinity\n", "line 2: column a: infinity"},
		{"beyond float32", "class,a\nneg,1e39\n", "line 2: column a: \"1e39\" is too large"},
		{"unknown label", "class,a\nmaybe,1\n", `line 2: column class: "maybe" is not a label`},
		{"long line", "class,a\nneg,1" + strings.Repeat(" ", maxLine) + "\n", "line 2: longer than 1048576 bytes"},
		{"long garbage", "class,a\nneg," + strings.Repeat("x", 1000) + "\n", "xxx…"},
		{"cut off", zipped("class,a\n" + strings.Repeat("neg,1\n", 9))[:30], "unexpected EOF"},
		{"broken compression", "\x1f\x8b\x00\x00\x00", "read 50%d.csv"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := NewReader(strings.NewReader(c.text), "50%d.csv")
			if err == nil {
				_, err = rest(r)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "read 50%d.csv: ") {
				t.Errorf("error is %v, want %q", err, c.want)
			}
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestReadingGoesOnAfterABadLine(t *testing.T) {
	text := "class,a\nneg,x\nneg,1\nneg," + strings.Repeat("7", 2*maxLine) + "\nneg,2\n"
	r, err := NewReader(strings.NewReader(text), "test")
	must.OK(t, err)
	var got []string
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			got = append(got, "bad")
			continue
		}
		got = append(got, show([]Row{row}))
	}
	if want := []string{"bad", "- 1", "bad", "- 2"}; !slices.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rows.csv.gz")
	must.OK(t, os.WriteFile(path, []byte(zipped("class,a\npos,7\n")), 0o600))
	r, err := Open(path)
	must.OK(t, err)
	for range 2 {
		if rows, err := rest(r); err != nil || show(rows) != "+ 7" {
			t.Errorf("%q, %v", show(rows), err)
		}
		if err := r.Rewind(); err != nil {
			t.Error(err)
		}
	}
	must.OK(t, os.WriteFile(path, []byte("class,b\npos,7\n"), 0o600))
	if err := r.Rewind(); err == nil || !strings.Contains(err.Error(), "header has changed") {
		t.Errorf("rewind to another file: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(filepath.Join(dir, "none.csv")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("a directory is no data set")
	}
}

func TestRewindNeedsAFile(t *testing.T) {
	r, err := NewReader(io.MultiReader(strings.NewReader("class,a\n")), "standard input")
	must.OK(t, err)
	if err := r.Rewind(); err == nil {
		t.Error("a pipe cannot start again")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestAPSFile reads the real data set where it is at hand: it is no part of the project.
func TestAPSFile(t *testing.T) {
	r, err := Open(need.Shared(t, "aps/aps_train_rows_0-8999.csv.gz"))
	must.OK(t, err)
	rows, err := rest(r)
	if err != nil || len(rows) != 9000 || len(r.Columns()) != 168 || r.Columns()[2] != "ac_000" {
		t.Fatalf("%d rows, %d columns, %v", len(rows), len(r.Columns()), err)
	}
	faulty, missing := 0, 0
	for _, row := range rows {
		if row.Label.Faulty {
			faulty++
		}
		for _, v := range row.Values {
			if math.IsNaN(float64(v)) {
				missing++
			}
		}
	}
	if share := float64(missing) / 9000 / 168; faulty != 173 || share < 0.08 || share > 0.09 {
		t.Errorf("%d faulty rows, %.4f of the readings missing", faulty, share)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
