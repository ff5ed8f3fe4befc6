package offline

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"edgepdm/shared/cli"
	"edgepdm/test/must"
)

// manyRows are rows of oneColumn's model, of several blocks, and their scores.
func manyRows(n int) (in, want string) {
	var rows, scores strings.Builder
	scores.WriteString("margin,prediction\n")
	for i := range n {
		if i%7 < 3 {
			_, _ = fmt.Fprintf(&rows, "1.%06d\n", i%400_000)
			scores.WriteString("2,2\n")
		} else {
			rows.WriteString("2\n")
			scores.WriteString("5,5\n")
		}
	}
	return rows.String(), scores.String()
}

// Rows of many blocks come out in order, whatever pieces the input comes in, compressed or not.
func TestScoresAreInOrder(t *testing.T) {
	model := writeModel(t, oneColumn)
	in, want := manyRows(300_000)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := io.WriteString(z, in)
	must.OK(t, errors.Join(err, z.Close()))
	for name, input := range map[string]io.Reader{
		"plain": strings.NewReader(in), "in halves": iotest.HalfReader(strings.NewReader(in)), "the end with the last rows": iotest.DataErrReader(strings.NewReader(in)),
		"without the last line's end": strings.NewReader(in[:len(in)-1]), "compressed": &zipped,
	} {
		got, err := score(t, input, "-model", model)
		if err != nil || got != want {
			t.Errorf("%s: %v; %d bytes, want %d", name, err, len(got), len(want))
		}
	}
	small, want := manyRows(30)
	if got, err := score(t, iotest.OneByteReader(strings.NewReader(small)), "-model", model); err != nil || got != want {
		t.Errorf("byte by byte: %v; %s", err, got)
	}
}

// The first row that is wrong ends the work, and the rows before it are written, however far behind it is.
func TestAWrongRowFarBehind(t *testing.T) {
	model := writeModel(t, oneColumn)
	in, want := manyRows(200_000)
	for wrong, text := range map[string]string{"x\n": `line 200001: column 1: "x" is not a number`, "1,2\n": "line 200001"} {
		got, err := score(t, strings.NewReader(in+wrong+in), "-model", model)
		if err == nil || !strings.Contains(err.Error(), text) || got != want {
			t.Errorf("%q: %v; %d bytes, want %d", wrong, err, len(got), len(want))
		}
	}
	got, err := score(t, io.MultiReader(strings.NewReader(in), iotest.ErrReader(errors.New("torn"))), "-model", model)
	if err == nil || err.Error() != "read line 200001: torn" || got != want {
		t.Errorf("%v; %d bytes, want %d", err, len(got), len(want))
	}
	got, err = score(t, strings.NewReader("\x1f\x8bnonsense"), "-model", model)
	if err == nil || !strings.Contains(err.Error(), "gzip") || got != "" {
		t.Errorf("%v; %q", err, got)
	}
}

// Empty lines at the end of the input are no rows, in how many blocks they are, and between rows the first is named.
func TestEmptyLinesInBlocks(t *testing.T) {
	two := `{"version":[3,0,5],"learner":{"attributes":{},"feature_names":[],
"gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_trees":"1"},"iteration_indptr":[0,1],"tree_info":[0],"trees":[
{"left_children":[-1],"right_children":[-1],"split_indices":[0],"split_conditions":[3],"default_left":[0]}]}},
"learner_model_param":{"base_score":"0","num_feature":"2"},"objective":{"name":"reg:squarederror"}}}`
	model := writeModel(t, two)
	rows := strings.Repeat("1,2\n", 40_000)
	empty := strings.Repeat("\r\n", 100_000)
	want := "margin,prediction\n" + strings.Repeat("3,3\n", 40_000)
	if got, err := score(t, strings.NewReader(rows+empty), "-model", model); err != nil || got != want {
		t.Errorf("%v; %d bytes, want %d", err, len(got), len(want))
	}
	for _, more := range []string{"1,2\n", "x"} {
		got, err := score(t, strings.NewReader(rows+empty+more), "-model", model)
		if err == nil || err.Error() != "line 40001 is empty" || got != want {
			t.Errorf("%v; %d bytes, want %d", err, len(got), len(want))
		}
	}
}

// fullDisk is an output that takes so many bytes.
type fullDisk struct{ room int }

func (f *fullDisk) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

func TestTheOutputFails(t *testing.T) {
	in, _ := manyRows(200_000)
	err := Score(t.Context(), []string{"-model", writeModel(t, oneColumn)}, cli.Streams{In: strings.NewReader(in), Out: &fullDisk{300_000}, Err: io.Discard})
	if err == nil || !strings.HasPrefix(err.Error(), "write scores, after ") || !strings.HasSuffix(err.Error(), " rows: no space left on device") {
		t.Error(err)
	}
}

// endless gives rows for ever, and tells when the first are read.
type endless struct{ begun func() }

func (e *endless) Read(p []byte) (int, error) {
	e.begun()
	n := copy(p, strings.Repeat("1\n", len(p)/2))
	return n, nil
}

// Interrupted, it says how far it came, and that many scores are written; also if it waits for rows.
func TestInterrupted(t *testing.T) {
	model := writeModel(t, oneColumn)
	waits, end := io.Pipe()
	t.Cleanup(func() { _ = end.Close() })
	for name, in := range map[string]func(stop func()) io.Reader{
		"in the middle": func(stop func()) io.Reader { return &endless{stop} },
		"waiting":       func(stop func()) io.Reader { return io.MultiReader(strings.NewReader("1\n1\n"), &called{waits, stop}) },
	} {
		ctx, stop := context.WithCancel(t.Context())
		var out bytes.Buffer
		err := Score(ctx, []string{"-model", model}, cli.Streams{In: in(stop), Out: &out, Err: io.Discard})
		rows := max(0, bytes.Count(out.Bytes(), []byte{'\n'})-1)
		if want := fmt.Sprintf("interrupted: the scores of the first %d rows are written: context canceled", rows); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

// called calls back before it reads.
type called struct {
	io.Reader
	before func()
}

func (c *called) Read(p []byte) (int, error) {
	c.before()
	return c.Reader.Read(p)
}
