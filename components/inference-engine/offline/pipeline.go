package offline

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"edgepdm/components/inference-engine/scoring"
	"edgepdm/shared/cli"
	"edgepdm/shared/gbdt"
)

// block is some whole lines of the input, and what became of them.
type block struct {
	data  []byte
	line  int   // lines before it
	at    int64 // bytes of the input that were read with it
	ended error // why nothing follows: io.EOF, or what kept the input from being read

	out   []byte
	rows  int // in out
	blank int // the first of the empty lines at its end; 0: there is none
	err   error
	done  chan struct{} // has one value when the block was scored
}

// blockReader cuts an input into blocks. It waits for no more than a line.
type blockReader struct {
	in    io.Reader
	size  int // of a block, and more than a line may have
	at    func() int64
	rest  []byte // the beginning of the next block's first line
	lines int
}

// next fills a block.
func (r *blockReader) next(b *block) {
	if b.data == nil {
		b.data = make([]byte, 0, r.size)
	}
	b.data, b.line, b.ended, b.err = append(b.data[:0], r.rest...), r.lines, nil, nil
	for end := -1; end < 0 && b.ended == nil && len(b.data) < r.size; {
		from := len(b.data)
		n, err := r.in.Read(b.data[from:r.size])
		b.data, b.ended = b.data[:from+n], err
		if end = bytes.LastIndexByte(b.data[from:], '\n'); end >= 0 {
			end += from + 1
			r.rest = append(r.rest[:0], b.data[end:]...)
			b.data = b.data[:end]
		}
	}
	if errors.Is(b.ended, io.EOF) && len(b.data) > 0 && b.data[len(b.data)-1] == '\n' {
		b.data = append(b.data, r.rest...) // a last line without an end
	}
	b.at = r.at()
	r.lines += bytes.Count(b.data, []byte{'\n'})
}

// rowScorer scores the rows of blocks. It belongs to one goroutine.
type rowScorer struct {
	model     *scoring.Model
	explainer *gbdt.Explainer // nil: rows are not explained
	rows      *rowReader

	margin, prediction, contributions []float32
}

// fork returns one for another goroutine.
func (s *rowScorer) fork() *rowScorer {
	rows := *s.rows
	rows.in, rows.row, rows.fields = bufio.NewReaderSize(nil, rows.in.Size()), make([]float32, rows.columns), nil
	other := &rowScorer{model: s.model.Fork(), rows: &rows}
	if s.explainer != nil {
		other.explainer = s.explainer.Clone()
	}
	return other
}

// score scores a block.
func (s *rowScorer) score(b *block) {
	s.rows.in.Reset(bytes.NewReader(b.data))
	s.rows.line, s.rows.blank = b.line, 0
	b.out, b.rows = b.out[:0], 0
	for {
		row, err := s.rows.next()
		if errors.Is(err, io.EOF) {
			b.blank = s.rows.blank
			return
		}
		if err == nil {
			err = s.row(b, row)
		}
		if err != nil {
			b.err = err
			return
		}
	}
}

func (s *rowScorer) row(b *block, row []float32) (err error) {
	if s.margin, err = s.model.Margin(s.margin, row); err != nil {
		return fmt.Errorf("line %d: %w", s.rows.line, err)
	}
	s.prediction = s.model.Predict(s.prediction, s.margin)
	line := len(b.out)
	b.out = appendValues(b.out, s.margin)
	b.out = append(b.out, ',')
	b.out = appendValues(b.out, s.prediction)
	if s.explainer != nil {
		if s.contributions, err = s.explainer.Explain(s.contributions, row); err != nil {
			b.out = b.out[:line]
			return fmt.Errorf("line %d: %w", s.rows.line, err)
		}
		b.out = append(b.out, ',')
		b.out = appendValues(b.out, s.contributions)
	}
	b.out = append(b.out, '\n')
	b.rows++
	return nil
}

// scoreWriter writes the scores of blocks in the order of the input.
type scoreWriter struct {
	out    io.Writer
	header []byte // until it is written, with the first row
	rows   int64
	blank  int // the first of the empty lines since the last row; 0: there is none

	terminal io.Writer // is told how far it is, if it is one
	note     *cli.Progress
}

// write writes a block. It returns io.EOF after the last one.
func (w *scoreWriter) write(b *block) error {
	if w.blank != 0 && (b.rows > 0 || b.err != nil) {
		return fmt.Errorf("line %d is empty", w.blank)
	}
	if b.rows > 0 || b.blank != 0 && w.blank == 0 {
		w.blank = b.blank
	}
	end := b.err
	if end == nil {
		end = b.ended
	}
	if end != nil && !errors.Is(end, io.EOF) && b.err == nil {
		end = fmt.Errorf("read line %d: %w", b.line+bytes.Count(b.data, []byte{'\n'})+1, end)
	}
	if len(w.header) > 0 && (b.rows > 0 || errors.Is(end, io.EOF)) {
		b.out = append(w.header, b.out...) //nolint:gocritic // the header is used once
		w.header = nil
	}
	if len(b.out) > 0 {
		if _, err := w.out.Write(b.out); err != nil {
			return fmt.Errorf("write scores, after %d rows: %w", w.rows, err)
		}
	}
	w.rows += int64(b.rows)
	w.note.Tell(b.at, w.rows)
	return end
}

// scoreRows scores all rows of an input, with all processors, and writes the scores in its order. Memory does not grow with
// the rows. When ctx ends, or a row is wrong, it returns without the goroutine that reads, if that waits for input.
func scoreRows(ctx context.Context, in *blockReader, first *rowScorer, out *scoreWriter) error {
	workers := runtime.GOMAXPROCS(0)
	// The first block has what is to be known of the columns.
	b := &block{done: make(chan struct{}, 1)}
	in.next(b)
	first.score(b)
	if b.err == nil && first.rows.take == nil && b.ended == nil {
		b.err = fmt.Errorf("line %d is empty", b.blank)
	}
	if err := out.write(b); err != nil {
		return err
	}
	var work sync.WaitGroup
	scoring, written, free := make(chan *block), make(chan *block, 2*workers), make(chan *block, 2*workers)
	free <- b
	for range cap(free) - 1 {
		free <- &block{done: make(chan struct{}, 1)}
	}
	reading, stop := context.WithCancel(ctx)
	defer work.Wait()
	defer stop()
	go func() { // a read cannot be interrupted: nobody waits for this one
		for {
			select {
			case <-reading.Done():
				return
			case b := <-free:
				in.next(b)
				last := b.ended != nil
				written <- b // has room for all
				select {
				case <-reading.Done():
					return
				case scoring <- b:
				}
				if last {
					return
				}
			}
		}
	}()
	scorers := []*rowScorer{first}
	for range workers - 1 {
		scorers = append(scorers, first.fork())
	}
	for _, s := range scorers {
		work.Go(func() {
			for {
				select {
				case <-reading.Done():
					return
				case b := <-scoring:
					s.score(b)
					b.done <- struct{}{}
				}
			}
		})
	}
	for {
		var b *block
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b = <-written:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.done:
		}
		if err := out.write(b); err != nil {
			return err
		}
		free <- b
	}
}

func header(model *scoring.Model, contribs bool) []byte {
	var line []byte
	column := func(name string, count int) {
		for i := range count {
			if len(line) > 0 {
				line = append(line, ',')
			}
			line = append(line, name...)
			if count > 1 {
				line = append(line, '_')
				line = strconv.AppendInt(line, int64(i), 10)
			}
		}
	}
	column("margin", model.Outputs)
	column("prediction", model.Predictions)
	switch {
	case contribs && model.Outputs == 1:
		column("contrib", model.NumFeature+1)
	case contribs:
		for k := range model.Outputs {
			column("contrib_"+strconv.Itoa(k), model.NumFeature+1)
		}
	}
	return append(line, '\n')
}

func appendValues(line []byte, values []float32) []byte {
	for i, v := range values {
		if i > 0 {
			line = append(line, ',')
		}
		line = strconv.AppendFloat(line, float64(v), 'g', 9, 32)
	}
	return line
}

// counted counts the bytes that are read.
type counted struct {
	io.Reader
	n atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}
