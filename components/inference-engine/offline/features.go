package offline

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"edgepdm/shared/cli"
	"edgepdm/shared/event"
	"edgepdm/shared/window"
)

// Features is the sub-command "features [-spec] FILE". It reads rows of CSV from s.In, as Score does, and writes the inputs
// over time that the spec names, computed as the engine computes them: a header and a line for each row, the columns of -keep
// first. Rows of a thing must come in their order; those of several things may be mixed.
//
// The sensors are found by their names in the header, or by those that -columns gives. Without names all columns but those
// that flags name are sensors, in the spec's order. With -seq a number that is skipped is a lost row; without, each row is the
// next one of its thing. Windows over a time, and maxGap, take -ts: RFC 3339, "2006-01-02 15:04:05" in UTC, or a number of
// seconds, or of milliseconds from 1e11 on.
//
// Memory grows with the number of things only. The first row that cannot be read ends the work with an error that names its
// line and column. s.Err gets a line on rows that came again or too late, of which all statistics are missing.
func Features(ctx context.Context, args []string, s cli.Streams) error {
	flags := cli.NewFlagSet("inference-engine features [flags] [-spec] FILE < rows.csv > table.csv", s)
	path := flags.String("spec", "", "`file` of inputs over time, in JSON: as a manifest has them, or shorter (docs/models.md)")
	expand := flags.Bool("expand", false, "print the file of -spec in full, as a manifest has it, instead of a table")
	t := featureTable{layout: layout{of: "spec"}}
	flags.Func("keep", "`columns`, such as id,label, that are written before the features as they are; may be repeated", func(text string) error {
		for name := range strings.SplitSeq(text, ",") {
			t.also = append(t.also, column{"-keep", name})
		}
		return nil
	})
	t.columnFlags(flags)
	if err := parseFlags(flags, path, args); err != nil {
		return err
	}
	if *path == "" {
		return cli.Usagef("name the file of inputs over time with -spec")
	}
	spec, err := window.ReadFile(*path)
	if err != nil {
		return fmt.Errorf("spec %s: %w", *path, err)
	}
	if *expand {
		encoder := json.NewEncoder(s.Out)
		encoder.SetIndent("", " ")
		return encoder.Encode(spec)
	}
	if err := t.use(spec); err != nil {
		return err
	}
	out := bufio.NewWriterSize(s.Out, 1<<16)
	err = errors.Join(t.write(ctx, newRowReader(s.In, t.layout), out), out.Flush())
	return errors.Join(err, t.tell(s.Err))
}

// featureTable makes features of the rows of a table.
type featureTable struct {
	layout

	spec     *window.Spec
	windows  *window.Windows
	features []float32      // of the last row
	outcome  window.Outcome // of it
	late     int            // the line of the first row that came again or late
}

// columnFlags adds the flags that say how a table is written, and what its columns are.
func (t *featureTable) columnFlags(flags *flag.FlagSet) {
	add := func(name, usage string) {
		flags.Func(name, usage, func(text string) error {
			t.also = append(t.also, column{"-" + name, text})
			return nil
		})
	}
	add("thing", "`column` of the thing's name: its name, or its place from 1 (default: all rows are of one thing)")
	add("ts", "`column` of the time: RFC 3339, 2006-01-02 15:04:05 (UTC), seconds or milliseconds since 1970")
	add("seq", "`column` of the row's number, in which a hole is a lost row (default: no row is lost)")
	add("epoch", "`column` of the producer's start, within which -seq numbers rows")
	flags.Func("columns", "`names` of all columns, such as unit,cycle,s1,s2, where line 1 is no header, or another one with -header", func(text string) error {
		for name := range strings.SplitSeq(text, ",") {
			t.given = append(t.given, strings.TrimSpace(name))
		}
		return nil
	})
	t.flags(flags)
}

// use makes the table one of the spec's sensors.
func (t *featureTable) use(spec *window.Spec) (err error) {
	if field := spec.NeedsTime(); field != "" && !t.has("-ts") {
		return cli.Usagef("name the column of times with -ts: the spec has %s", field)
	}
	t.spec, t.columns, t.names = spec, len(spec.Sensors), spec.Sensors
	t.windows, err = window.New(*spec, math.MaxInt64)
	return err
}

// next reads a row, and makes its features.
func (t *featureTable) next(rows *rowReader) (thing string, err error) {
	values, err := rows.next()
	if err != nil {
		return "", err
	}
	row := window.Row{Values: values}
	for i, c := range t.also {
		field := rows.fields[rows.text[i]]
		switch c.flag {
		case "-thing":
			if thing = string(field); thing == "" {
				err = errors.New("the thing's name is missing")
			}
		case "-ts":
			row.TS, err = parseTime(field)
		case "-seq":
			row.Seq, err = parseSeq(field)
		case "-epoch":
			row.Epoch = string(field)
		}
		if err != nil {
			return "", fmt.Errorf("line %d: column %d: %w", rows.line, rows.text[i]+1, err)
		}
	}
	if t.features, t.outcome = t.windows.Add(t.features[:0], thing, row); t.outcome != window.Added && t.late == 0 {
		t.late = rows.line
	}
	return thing, nil
}

// tell says how many rows have no statistics.
func (t *featureTable) tell(w io.Writer) error {
	late := t.windows.Stats().Late
	if late == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "%d rows came again, or after rows with higher numbers: their statistics are missing (the first is line %d)\n", late, t.late)
	return err
}

func (t *featureTable) has(flag string) bool {
	for _, c := range t.also {
		if c.flag == flag {
			return true
		}
	}
	return false
}

// write writes the header, and a line for each row.
func (t *featureTable) write(ctx context.Context, rows *rowReader, out *bufio.Writer) error {
	var line []byte
	for headed := false; ctx.Err() == nil; headed = true {
		_, err := t.next(rows)
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return err
		}
		if !headed { // with the first row, so that there is no output if that is wrong
			if line, err = t.header(line); err != nil {
				return err
			}
		}
		if end {
			_, err := out.Write(line)
			return err
		}
		for i, c := range t.also {
			if c.flag == "-keep" {
				line = appendText(line, rows.fields[rows.text[i]])
			}
		}
		line = append(appendValues(line, t.features), '\n')
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("write features: %w", err)
		}
		line = line[:0]
		if !rows.waiting() {
			if err := out.Flush(); err != nil {
				return fmt.Errorf("write features: %w", err)
			}
		}
	}
	return ctx.Err()
}

// header appends the table's names.
func (t *featureTable) header(line []byte) ([]byte, error) {
	names := t.spec.Names()
	for i, c := range t.also {
		if c.flag != "-keep" {
			continue
		}
		if slices.Contains(names, c.name) || slices.Contains(t.also[:i], c) {
			return nil, cli.Usagef("-keep %.64q: the table has a column of that name already", c.name)
		}
		line = appendText(line, []byte(c.name))
	}
	for _, name := range names {
		line = appendText(line, []byte(name))
	}
	line[len(line)-1] = '\n'
	return line, nil
}

// appendText appends a field and a comma.
func appendText(line, field []byte) []byte {
	if !bytes.ContainsAny(field, ",\"\r\n") {
		return append(append(line, field...), ',')
	}
	line = append(line, '"')
	line = append(line, bytes.ReplaceAll(field, []byte(`"`), []byte(`""`))...)
	return append(line, '"', ',')
}

var timeLayouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02"}

// millisFrom is the number from which a time counts milliseconds: that many seconds are in the year 5138.
const millisFrom = 1e11

func parseTime(field []byte) (time.Time, error) {
	text := string(field)
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(seconds) < 1e15 {
		if math.Abs(seconds) >= millisFrom {
			seconds /= 1000
		}
		return time.UnixMicro(int64(math.Round(seconds * 1e6))), nil
	}
	for _, layout := range timeLayouts {
		if ts, err := time.Parse(layout, text); err == nil {
			return ts, nil
		}
	}
	if event.IsMissing(text) {
		return time.Time{}, errors.New("the time is missing")
	}
	return time.Time{}, fmt.Errorf("%.40q is no time, such as 2006-01-02T15:04:05Z, and no number of seconds", field)
}

// parseSeq reads a row's number, which some tools write as 1.0.
func parseSeq(field []byte) (uint64, error) {
	if n, err := strconv.ParseUint(string(field), 10, 64); err == nil && n > 0 {
		return n, nil
	}
	n, err := strconv.ParseFloat(string(field), 64)
	if err != nil || n < 1 || n > 1<<53 || n != math.Trunc(n) {
		return 0, fmt.Errorf("%.40q is no number of a row: 1, 2, 3…", field)
	}
	return uint64(n), nil
}
