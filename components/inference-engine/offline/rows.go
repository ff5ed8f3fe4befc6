package offline

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
)

// layout says what the lines of a table hold.
type layout struct {
	of        string   // what has the features: model, or spec
	columns   int      // features of the model
	names     []string // theirs, or none
	separator byte     // 0: found from the first line
	header    *bool    // whether the first line is one; nil: it is if it has words only
	drop      []column // columns that are no features
	given     []string // names of all columns, instead of those of a header
	also      []column // columns that are taken as text; they may be features, too, if columns have names
}

// column is a column by its name, or its place from 1, and the flag that names it.
type column struct{ flag, name string }

// rowReader reads rows of CSV: numbers between commas, semicolons or tabs, with or without quotes. Missing are an empty
// value, nan, and what else pandas takes for it. With a header the model's features are found by their names. Empty lines
// at the end of the input are no rows; elsewhere they are errors, except where a row has one column: there an empty line is a
// row whose value is missing.
type rowReader struct {
	layout

	in     *bufio.Reader // its buffer bounds the length of a line
	row    []float32
	fields [][]byte // of the last line
	take   []int    // the field of each feature; nil until the first line was read
	text   []int    // the field of each column of also
	width  int      // fields in a line
	line   int      // of the last row, from 1
	blank  int      // the first empty line since the last row; 0 if there is none
}

func newRowReader(in io.Reader, l layout) *rowReader {
	return &rowReader{layout: l, in: bufio.NewReaderSize(in, 1<<16+64*l.columns), row: make([]float32, l.columns)}
}

// next returns the next row, which is valid until the next call, or io.EOF. Errors name the line and the column, from 1.
func (r *rowReader) next() ([]float32, error) {
	for {
		line, err := r.readLine()
		switch {
		case errors.Is(err, io.EOF) && r.take == nil && r.header != nil && *r.header:
			return nil, errors.New("the input is empty: it has no header")
		case err != nil:
			return nil, err
		case len(line) == 0 && (r.columns > 1 || r.width > 1):
			if r.blank == 0 {
				r.blank = r.line
			}
			continue
		case r.blank != 0:
			return nil, fmt.Errorf("line %d is empty", r.blank)
		}
		if r.take == nil {
			header, err := r.begin(line)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", r.line, err)
			}
			if header {
				continue
			}
		} else if r.fields, err = split(r.fields, line, r.separator); err != nil {
			return nil, fmt.Errorf("line %d: %w", r.line, err)
		}
		if err := r.parse(); err != nil {
			return nil, fmt.Errorf("line %d: %w", r.line, err)
		}
		return r.row, nil
	}
}

// parse reads the fields of a line into the row.
func (r *rowReader) parse() error {
	n := len(r.fields)
	switch {
	case n == r.width, n == r.width+1 && len(r.fields[n-1]) == 0: // a comma at the end
	case r.width == r.columns && len(r.also) == 0:
		return r.wrongLength(n)
	default:
		return fmt.Errorf("%w: %d where the first line has %d", gbdt.ErrRowLength, n, r.width)
	}
	for i, place := range r.take {
		var err error
		if r.row[i], err = parseValue(r.fields[place]); err != nil {
			if r.line == 1 && r.header == nil {
				err = fmt.Errorf("%w; if line 1 is a header, say so with -header", err)
			}
			return fmt.Errorf("column %d: %w", place+1, err)
		}
	}
	return nil
}

func (r *rowReader) wrongLength(n int) error {
	return fmt.Errorf("%w: %d where the %s has %d features", gbdt.ErrRowLength, n, r.of, r.columns)
}

// readLine returns the next line without white space around it.
func (r *rowReader) readLine() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	switch {
	case errors.Is(err, io.EOF) && len(line) == 0:
		return nil, io.EOF
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("line %d is longer than %d bytes", r.line+1, r.in.Size())
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("read line %d: %w", r.line+1, err)
	}
	r.line++
	if bytes.IndexByte(line, 0) >= 0 || r.line == 1 && (bytes.HasPrefix(line, []byte("\xff\xfe")) || bytes.HasPrefix(line, []byte("\xfe\xff"))) {
		return nil, fmt.Errorf("line %d: it is UTF-16 or no text; save the table as UTF-8", r.line)
	}
	if r.line == 1 {
		line = bytes.TrimPrefix(line, []byte("\ufeff")) // byte order mark
	}
	if text := bytes.TrimSpace(line); len(text) == 0 && r.separator != '\t' {
		return text, nil
	}
	return bytes.Trim(line, " \r\n"), nil // a tab at an end may stand beside an empty value
}

// waiting says whether a whole line more can be read without waiting for the input.
func (r *rowReader) waiting() bool {
	buffered, err := r.in.Peek(r.in.Buffered())
	return err == nil && bytes.IndexByte(buffered, '\n') >= 0
}

// split takes a line apart. A field in quotes may hold the separator, and two quotes for one.
func split(fields [][]byte, line []byte, separator byte) ([][]byte, error) {
	fields = fields[:0]
	if separator == ' ' {
		return append(fields, bytes.Fields(line)...), nil
	}
	for more := true; more; {
		var field []byte
		if start := bytes.TrimLeft(line, " "); len(start) > 0 && start[0] == '"' {
			end := closingQuote(start)
			if end < 0 {
				return nil, errors.New("a quote is not closed in it")
			}
			field = bytes.ReplaceAll(start[1:end], []byte(`""`), []byte(`"`))
			line = bytes.TrimLeft(start[end+1:], " ")
			if len(line) > 0 && line[0] != separator {
				return nil, fmt.Errorf("%.40q stands behind a quote", line)
			}
			more = len(line) > 0
			line = line[min(1, len(line)):]
		} else {
			field, line, more = bytes.Cut(line, []byte{separator})
		}
		fields = append(fields, bytes.TrimSpace(field))
	}
	return fields, nil
}

// closingQuote returns where the field in quotes ends; -1 if it does not.
func closingQuote(text []byte) int {
	for i := 1; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		if i+1 == len(text) || text[i+1] != '"' {
			return i
		}
		i++
	}
	return -1
}

// parseValue reads one value, NaN if it is missing. True and False are 1 and 0, as in a column of pandas.
func parseValue(field []byte) (float32, error) {
	v, err := event.ParseFloat(string(field))
	switch {
	case err == nil && math.IsInf(float64(v), 0):
		return 0, fmt.Errorf("%w %.40q", gbdt.ErrRowInfinite, field)
	case err == nil:
		return v, nil
	case event.IsMissing(string(field)):
		return float32(math.NaN()), nil
	case bytes.EqualFold(field, []byte("true")):
		return 1, nil
	case bytes.EqualFold(field, []byte("false")):
		return 0, nil
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%.40q is out of the range of float32", field)
	case bytes.Count(field, []byte{','}) == 1 && len(bytes.Trim(field, "+-0123456789,.eE")) == 0:
		return 0, fmt.Errorf("%.40q is not a number: it has a decimal comma; write a point", field)
	case bytes.ContainsAny(field, ";\t| "):
		return 0, fmt.Errorf("%.40q is not a number; if values are not separated by commas, say by what with -separator", field)
	}
	return 0, fmt.Errorf("%.40q is not a number", field)
}
