package dataset

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Writer writes a table that Reader reads back exactly: the label first, na for what is missing or not known, numbers with
// as many digits as a float32 needs.
type Writer struct {
	out     *bufio.Writer
	columns []string
	line    []byte
}

// NewWriter writes the header. Call Flush after the last row.
func NewWriter(w io.Writer, columns []string) (*Writer, error) {
	if len(columns) == 0 {
		return nil, fmt.Errorf("write data set: no columns")
	}
	seen := map[string]bool{labelColumn: true}
	for _, name := range columns {
		switch {
		case name == "" || strings.ContainsAny(name, "\",\r\n") || strings.TrimSpace(name) != name:
			return nil, fmt.Errorf("write data set: %s cannot be a column's name", quote(name))
		case seen[name] || dropped(name):
			return nil, fmt.Errorf("write data set: the column name %s is taken", quote(name))
		}
		seen[name] = true
	}
	out := &Writer{out: bufio.NewWriterSize(w, 64<<10), columns: columns}
	if _, err := out.out.WriteString(labelColumn + "," + strings.Join(columns, ",") + "\n"); err != nil {
		return nil, fmt.Errorf("write data set: %w", err)
	}
	return out, nil
}

// Write appends a row.
func (w *Writer) Write(row Row) error {
	if len(row.Values) != len(w.columns) {
		return fmt.Errorf("write data set: %d values for %d columns", len(row.Values), len(w.columns))
	}
	label := "na"
	switch {
	case row.Label.Known && row.Label.Faulty:
		label = "pos"
	case row.Label.Known:
		label = "neg"
	}
	w.line = append(w.line[:0], label...)
	for i, v := range row.Values {
		if math.IsInf(float64(v), 0) {
			return fmt.Errorf("write data set: column %s: infinity is not a reading", w.columns[i])
		}
		w.line = AppendValue(append(w.line, ','), v)
	}
	w.line = append(w.line, '\n')
	if _, err := w.out.Write(w.line); err != nil {
		return fmt.Errorf("write data set: %w", err)
	}
	return nil
}

// AppendValue appends a finite or missing reading as a table has it.
func AppendValue(line []byte, v float32) []byte {
	if v != v {
		return append(line, "na"...)
	}
	return strconv.AppendFloat(line, float64(v), 'g', -1, 32)
}

// Flush hands what is buffered to the underlying writer.
func (w *Writer) Flush() error {
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write data set: %w", err)
	}
	return nil
}
