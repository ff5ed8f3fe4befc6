package offline

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"edgepdm/shared/gbdt"
)

// rowReader reads rows of CSV: float32 values separated by commas, without a header and without quotes. An empty value and
// nan, in any case, are missing. Empty lines at the end of the input are no rows; elsewhere they are errors, except where a
// row has one column: there an empty line is a row whose value is missing.
type rowReader struct {
	in    *bufio.Reader // its buffer bounds the length of a line
	row   []float32
	line  int // of the last row, from 1
	blank int // the first empty line since the last row; 0 if there is none
}

func newRowReader(in io.Reader, columns int) *rowReader {
	return &rowReader{in: bufio.NewReaderSize(in, 1<<12+64*columns), row: make([]float32, columns)}
}

// next returns the next row, which is valid until the next call, or io.EOF. Errors name the line and the column, from 1.
func (r *rowReader) next() ([]float32, error) {
	for {
		line, err := r.readLine()
		switch {
		case err != nil:
			return nil, err
		case len(line) == 0 && len(r.row) > 1:
			if r.blank == 0 {
				r.blank = r.line
			}
			continue
		case r.blank != 0:
			return nil, fmt.Errorf("line %d is empty", r.blank)
		}
		if n := bytes.Count(line, []byte{','}) + 1; n != len(r.row) {
			return nil, fmt.Errorf("line %d: %w: %d where the model has %d features", r.line, gbdt.ErrRowLength, n, len(r.row))
		}
		for i := range r.row {
			field, rest, _ := bytes.Cut(line, []byte{','})
			if r.row[i], err = parseValue(bytes.TrimSpace(field)); err != nil {
				return nil, fmt.Errorf("line %d: column %d: %w", r.line, i+1, err)
			}
			line = rest
		}
		return r.row, nil
	}
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
	return bytes.TrimSpace(line), nil
}

// waiting says whether a whole line more can be read without waiting for the input.
func (r *rowReader) waiting() bool {
	buffered, err := r.in.Peek(r.in.Buffered())
	return err == nil && bytes.IndexByte(buffered, '\n') >= 0
}

// parseValue reads one value, NaN if it is missing.
func parseValue(field []byte) (float32, error) {
	if len(field) == 0 || bytes.EqualFold(field, []byte("na")) || bytes.EqualFold(field, []byte("null")) {
		return float32(math.NaN()), nil
	}
	v, err := strconv.ParseFloat(string(field), 32)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%.40q is out of the range of float32", field)
	case err != nil:
		return 0, fmt.Errorf("%.40q is not a number", field)
	case math.IsInf(v, 0):
		return 0, fmt.Errorf("%w %.40q", gbdt.ErrRowInfinite, field)
	}
	return float32(v), nil
}
