package dataset

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"edgepdm/test/must"
)

var nan = float32(math.NaN())

func TestWriter(t *testing.T) {
	var b bytes.Buffer
	w, err := NewWriter(&b, []string{"a", "b", "c"})
	must.OK(t, err)
	for _, row := range []Row{
		{Values: []float32{12.3, nan, 0}, Label: Label{Known: true}},
		{Values: []float32{-0.1, 1e-9, math.MaxFloat32}, Label: Label{Known: true, Faulty: true}},
		{Values: []float32{1, 2, 3}, Label: Label{Faulty: true}}, // not known: what it says does not count
	} {
		must.OK(t, w.Write(row))
	}
	must.OK(t, w.Flush())
	want := "class,a,b,c\nneg,12.3,na,0\npos,-0.1,1e-09,3.4028235e+38\nna,1,2,3\n"
	if b.String() != want {
		t.Errorf("wrote\n%swant\n%s", b.String(), want)
	}
}

func TestWriterRefuses(t *testing.T) {
	for _, columns := range [][]string{nil, {""}, {"a", "a"}, {"class"}, {"ef_000"}, {"a,b"}, {"a\nb"}, {`"a"`}, {" a"}} {
		if _, err := NewWriter(io.Discard, columns); err == nil {
			t.Errorf("columns %q are accepted", columns)
		}
	}
	w, err := NewWriter(io.Discard, []string{"a", "b"})
	must.OK(t, err)
	if err := w.Write(Row{Values: []float32{1}}); err == nil {
		t.Error("a short row is accepted")
	}
	if err := w.Write(Row{Values: []float32{1, float32(math.Inf(-1))}}); err == nil || !strings.Contains(err.Error(), "column b") {
		t.Errorf("infinity: %v", err)
	}
}

// full is a disk without space.
type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriterReportsAFullDisk(t *testing.T) {
	w, err := NewWriter(full{}, []string{"a"})
	must.OK(t, err)
	for range 100_000 {
		if err = w.Write(Row{Values: []float32{1}}); err != nil {
			break
		}
	}
	if !errors.Is(err, errFull) || !errors.Is(w.Flush(), errFull) {
		t.Errorf("the error is %v", err)
	}
}

func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	columns := []string{"a", "b", "c", "d"}
	var rows []Row
	for range 500 {
		row := Row{Label: Label{Known: r.IntN(3) > 0}}
		row.Label.Faulty = row.Label.Known && r.IntN(2) > 0
		for range columns {
			v := math.Float32frombits(r.Uint32()) // numbers of all sizes
			if math.IsInf(float64(v), 0) || r.IntN(10) == 0 {
				v = nan
			}
			row.Values = append(row.Values, v)
		}
		rows = append(rows, row)
	}
	var b bytes.Buffer
	w, err := NewWriter(&b, columns)
	must.OK(t, err)
	for _, row := range rows {
		must.OK(t, w.Write(row))
	}
	must.OK(t, w.Flush())
	reader, err := NewReader(&b, "memory")
	must.OK(t, err)
	again, err := rest(reader)
	if err != nil || len(again) != len(rows) {
		t.Fatalf("%d rows of %d, %v", len(again), len(rows), err)
	}
	for i, row := range rows {
		got := again[i]
		if got.Label != row.Label {
			t.Errorf("row %d: label %v, want %v", i, got.Label, row.Label)
		}
		for k, v := range row.Values {
			if v != v && got.Values[k] != got.Values[k] {
				continue
			}
			if math.Float32bits(got.Values[k]) != math.Float32bits(v) {
				t.Errorf("row %d, column %s: %v, want %v", i, columns[k], got.Values[k], v)
			}
		}
	}
}

// FuzzReader: no file makes the reader panic, and what it accepts, the writer can write and it reads the same again.
func FuzzReader(f *testing.F) {
	f.Add([]byte("class,a,b\nneg,1,na\npos,,2e3\n"))
	f.Add([]byte(licence + "class,a,ef_000\r\nneg,1,x\r\n"))
	f.Add([]byte("a,b\n1,2\n"))
	f.Add([]byte(zipped("class,a\nneg,1\n")))
	f.Add([]byte("\"class\",\"a\"\n\"0\",-inf\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := NewReader(bytes.NewReader(data), "fuzz")
		if err != nil {
			return
		}
		var b bytes.Buffer
		w, err := NewWriter(&b, r.Columns())
		if err != nil {
			return // a name with a quotation mark inside
		}
		var rows []Row
		for range 100 {
			row, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				continue
			}
			if len(row.Values) != len(r.Columns()) {
				t.Fatalf("%d values in %d columns", len(row.Values), len(r.Columns()))
			}
			if err := w.Write(row); err != nil {
				t.Fatalf("what was read cannot be written: %v", err)
			}
			rows = append(rows, row)
		}
		must.OK(t, w.Flush())
		r, err = NewReader(&b, "again")
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		again, err := rest(r)
		if err != nil || show(again) != show(rows) {
			t.Fatalf("%q, %v, want %q", show(again), err, show(rows))
		}
	})
}
