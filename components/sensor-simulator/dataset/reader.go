package dataset

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Reader reads a table row by row, in constant memory. It is not safe for concurrent use.
type Reader struct {
	name    string
	source  io.Reader
	closer  io.Closer // nil when the caller owns the source
	lines   *bufio.Reader
	line    int      // number of the last line read
	header  []string // as in the file
	columns []string // without label and dropped columns
	role    []role   // of each column in the file
}

// role says what to do with a column.
type role int

const (
	roleValue role = iota
	roleLabel
	roleDropped
)

// Open opens a .csv or .csv.gz file and reads its header. Close it after use.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open data set: %w", err)
	}
	r, err := NewReader(f, path)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r.closer = f
	return r, nil
}

// NewReader reads the header of a table, compressed or not, from source; name stands in error messages. The caller keeps
// the source. Rewind needs it to be an io.Seeker.
func NewReader(source io.Reader, name string) (*Reader, error) {
	r := &Reader{name: name, source: source}
	if err := r.start(); err != nil {
		return nil, err
	}
	return r, nil
}

// Columns returns the names of the values, in their order. The caller may keep it, not change it.
func (r *Reader) Columns() []string { return r.columns }

// Labelled reports whether the table has a label column.
func (r *Reader) Labelled() bool { return slices.Contains(r.role, roleLabel) }

// Close closes the file that Open opened.
func (r *Reader) Close() error {
	if r.closer == nil {
		return nil
	}
	return r.closer.Close()
}

// Rewind starts again at the first row.
func (r *Reader) Rewind() error {
	s, ok := r.source.(io.Seeker)
	if !ok {
		return fmt.Errorf("rewind %s: it is no file", r.name)
	}
	if _, err := s.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("rewind %s: %w", r.name, err)
	}
	columns := r.columns
	if err := r.start(); err != nil {
		return err
	}
	if !slices.Equal(columns, r.columns) {
		return fmt.Errorf("rewind %s: its header has changed", r.name)
	}
	return nil
}

// Next returns the next row, or io.EOF after the last. The values are the caller's. Every other error names the line and,
// where one is to blame, the column; after an error about what a line says, Next goes on with the line after it.
func (r *Reader) Next() (Row, error) {
	for {
		text, err := r.readLine()
		if err != nil {
			return Row{}, err
		}
		if strings.TrimSpace(text) != "" {
			return r.parse(text)
		}
	}
}

func (r *Reader) parse(text string) (Row, error) {
	if n := strings.Count(text, ",") + 1; n != len(r.header) {
		return Row{}, r.fail("%d fields, the header has %d", n, len(r.header))
	}
	row := Row{Values: make([]float32, 0, len(r.columns))}
	column := 0
	for field := range strings.SplitSeq(text, ",") {
		var err error
		switch field = unquote(field); r.role[column] {
		case roleLabel:
			row.Label, err = parseLabel(field)
		case roleValue:
			var v float32
			v, err = parseValue(field)
			row.Values = append(row.Values, v)
		case roleDropped:
		}
		if err != nil {
			return Row{}, r.fail("column %s: %w", r.header[column], err)
		}
		column++
	}
	return row, nil
}

// start reads up to and including the header.
func (r *Reader) start() error {
	r.lines, r.line = bufio.NewReaderSize(r.source, 64<<10), 0
	if magic, err := r.lines.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(r.lines)
		if err != nil {
			return fmt.Errorf("read %s: %w", r.name, err)
		}
		r.lines = bufio.NewReaderSize(z, 64<<10)
	}
	for range maxPreamble {
		text, err := r.readLine()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s: no header line of column names", r.name)
		}
		if err != nil {
			return err
		}
		if r.line == 1 {
			text = strings.TrimPrefix(text, "\ufeff") // the byte order mark that spreadsheets write
		}
		fields := strings.Split(text, ",")
		for i := range fields {
			fields[i] = unquote(fields[i])
		}
		if isHeader(fields) {
			return r.setHeader(fields)
		}
		if isData(fields) {
			return r.fail("numbers, but no header line of column names before them")
		}
	}
	return fmt.Errorf("read %s: no header line of column names within the first %d lines", r.name, maxPreamble)
}

// isHeader tells a header from a line of licence text: its fields are single words, or one of them is the label.
func isHeader(fields []string) bool {
	if len(fields) < 2 {
		return false
	}
	words := true
	for _, f := range fields {
		if f == labelColumn {
			return true
		}
		words = words && f != "" && !strings.ContainsAny(f, " \t") && !isNumber(f)
	}
	return words
}

func isData(fields []string) bool {
	if len(fields) < 2 {
		return false
	}
	for _, f := range fields {
		if !isNumber(f) && f != "neg" && f != "pos" {
			return false
		}
	}
	return true
}

// isNumber includes missing readings.
func isNumber(text string) bool {
	_, err := parseValue(text)
	return err == nil
}

func (r *Reader) setHeader(fields []string) error {
	r.header, r.columns, r.role = fields, nil, make([]role, len(fields))
	seen := make(map[string]bool, len(fields))
	for i, name := range fields {
		switch {
		case name == "":
			return r.fail("column %d has no name", i+1)
		case seen[name]:
			return r.fail("two columns are called %s", quote(name))
		case name == labelColumn:
			r.role[i] = roleLabel
		case dropped(name):
			r.role[i] = roleDropped
		default:
			r.columns = append(r.columns, name)
		}
		seen[name] = true
	}
	if len(r.columns) == 0 {
		return r.fail("no columns besides the label")
	}
	return nil
}

// readLine returns the next line without its end. Only between lines does it return a bare io.EOF. A line that is too long
// is read over, not kept.
func (r *Reader) readLine() (string, error) {
	var line []byte
	for size := 0; ; {
		part, err := r.lines.ReadSlice('\n')
		if size += len(part); size <= maxLine {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && size == 0:
			return "", io.EOF
		}
		r.line++
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read %s: line %d: %w", r.name, r.line, err)
		}
		if size > maxLine {
			return "", r.fail("longer than %d bytes", maxLine)
		}
		return string(bytes.TrimRight(line, "\r\n")), nil
	}
}

// LineError says what is wrong with a line of the table; the lines after it can still be read.
type LineError struct {
	File string
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("read %s: line %d: %v", e.File, e.Line, e.Err) }

func (e *LineError) Unwrap() error { return e.Err }

// fail blames the current line.
func (r *Reader) fail(format string, args ...any) error {
	return &LineError{r.name, r.line, fmt.Errorf(format, args...)}
}

// unquote takes blanks and one pair of quotation marks off a field. A comma inside quotation marks is not supported: no
// number and no sensor name has one.
func unquote(field string) string {
	field = strings.TrimSpace(field)
	if len(field) >= 2 && field[0] == '"' && field[len(field)-1] == '"' {
		return field[1 : len(field)-1]
	}
	return field
}
