package modelcli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"edgepdm/shared/event"
)

const (
	headerWithin = 200     // lines, as train.py
	maxLine      = 4 << 20 // bytes
	usualLabel   = "class" // column of a training table
)

// training is a table that a model was trained with.
type training struct {
	path     string
	label    string   // column that says which rows are faulty; "" if there is none
	features []string // of the model

	separator string
	fields    int   // of the header
	columns   []int // of the features
	labelAt   int   // -1 without
	line      int
}

// each gives the rows that are not faulty to a function, with the values of the features, and returns how many faulty ones
// there are.
func (t *training) each(ctx context.Context, source io.Reader, take func(row []float32, faulty bool)) (faulty uint64, err error) {
	lines, err := t.open(source)
	if err != nil {
		return 0, err
	}
	row := make([]float32, len(t.features))
	for lines.Scan() {
		if t.line++; t.line%256 == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		text := lines.Text()
		if strings.TrimSpace(text) == "" {
			continue
		}
		fields := fieldsOf(text, t.separator)
		if len(fields) == t.fields+1 && fields[t.fields] == "" { // a separator at the end
			fields = fields[:t.fields]
		}
		if len(fields) != t.fields {
			return 0, t.wrong("%d fields, the header has %d", len(fields), t.fields)
		}
		is := false
		if t.labelAt >= 0 {
			if is, err = isFaulty(fields[t.labelAt]); err != nil {
				return 0, t.wrong("the label: %v", err)
			}
			if is {
				faulty++
			}
		}
		for i, at := range t.columns {
			if row[i], err = number(fields[at]); err != nil {
				return 0, t.wrong("column %.64s: %v", t.features[i], err)
			}
		}
		take(row, is)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		t.line++
		return 0, t.wrong("longer than %d bytes", maxLine)
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("%s: %w", t.path, err)
	}
	return faulty, nil
}

// wrong blames the current line.
func (t *training) wrong(format string, args ...any) error {
	return fmt.Errorf("%s: line %d: %s", t.path, t.line, fmt.Sprintf(format, args...))
}

// open reads up to the header: the first line that names all features.
func (t *training) open(source io.Reader) (*bufio.Scanner, error) {
	buffered := bufio.NewReaderSize(source, 64<<10)
	source = buffered
	if magic, err := buffered.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		if source, err = gzip.NewReader(buffered); err != nil {
			return nil, fmt.Errorf("%s: %w", t.path, err)
		}
	}
	lines := bufio.NewScanner(source)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	missing, least := "", len(t.features)+1
	for t.line = 1; t.line <= headerWithin && lines.Scan(); t.line++ {
		text := string(bytes.TrimPrefix(lines.Bytes(), []byte("\ufeff")))
		for _, separator := range []string{",", ";", "\t"} {
			header := fieldsOf(text, separator)
			for i, name := range header {
				header[i] = plainName.Replace(name)
			}
			absent, n := t.find(header)
			if n == 0 {
				t.separator, t.fields = separator, len(header)
				return lines, t.findLabel(header)
			}
			if n < least {
				missing, least = absent, n
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", t.path, err)
	}
	if least > len(t.features) {
		return nil, fmt.Errorf("%s: it is empty", t.path)
	}
	return nil, fmt.Errorf("%s: no header with all features of the model: %d are not there, such as %.64q", t.path, least, missing)
}

// plainName replaces what XGBoost allows in no name, as train.py does.
var plainName = strings.NewReplacer("[", "(", "]", ")", "<", "_")

// find finds the features' columns, and returns how many are not there, and the first of them.
func (t *training) find(header []string) (missing string, n int) {
	at := make(map[string]int, len(header))
	for i, name := range header {
		at[name] = i
	}
	t.columns = t.columns[:0]
	for _, f := range t.features {
		i, ok := at[f]
		if !ok {
			if n++; n == 1 {
				missing = f
			}
		}
		t.columns = append(t.columns, i)
	}
	return missing, n
}

// findLabel finds the label's column. A table need not have the usual one.
func (t *training) findLabel(header []string) error {
	name := t.label
	if name == "" {
		name = usualLabel
	}
	t.labelAt = slices.Index(header, name)
	if t.labelAt < 0 {
		t.labelAt = slices.IndexFunc(header, func(h string) bool { return strings.EqualFold(h, name) })
	}
	switch {
	case t.labelAt < 0 && t.label != "":
		return fmt.Errorf("-label: %s has no column %.64q", t.path, t.label)
	case t.label == "" && t.labelAt >= 0 && slices.Contains(t.features, header[t.labelAt]): // a sensor of that name
		t.labelAt = -1
	}
	return nil
}

func fieldsOf(line, separator string) []string {
	var fields []string
	if strings.Contains(line, `"`) {
		r := csv.NewReader(strings.NewReader(line))
		r.Comma, r.LazyQuotes, r.TrimLeadingSpace = rune(separator[0]), true, separator != "\t"
		fields, _ = r.Read() // what cannot be read has no fields
	} else {
		fields = strings.Split(line, separator)
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields
}

// isFaulty reads a label, as train.py does.
func isFaulty(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "neg", "0", "0.0", "false":
		return false, nil
	case "pos", "1", "1.0", "true":
		return true, nil
	}
	return false, fmt.Errorf("%.40q is not neg, pos, 0 or 1: name the column with the label with -label", text)
}

// number reads a value, NaN for a missing one.
func number(text string) (float32, error) {
	if event.IsMissing(text) {
		return float32(math.NaN()), nil
	}
	switch strings.ToLower(text) {
	case "true":
		return 1, nil
	case "false":
		return 0, nil
	}
	x, err := event.ParseFloat(text)
	if err != nil || math.IsInf(float64(x), 0) {
		return 0, fmt.Errorf("%.40q is no number", text)
	}
	return x, nil
}

// openTable opens a table that is read twice.
func openTable(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file, and it is read twice", path)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}
