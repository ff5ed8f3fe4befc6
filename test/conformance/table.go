package conformance

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Table prints results, a line each as they come, and counts them.
type Table struct {
	w     io.Writer
	color bool
	count map[Verdict]int
	err   error
}

// NewTable prints the head of a table to w. color marks the verdicts for a terminal.
func NewTable(w io.Writer, color bool) *Table {
	t := &Table{w: w, color: color, count: make(map[Verdict]int)}
	t.line("operation", "case", "expected", "seen", "verdict")
	return t
}

// Add prints a result.
func (t *Table) Add(r Result) {
	t.count[r.Verdict]++
	verdict := r.Verdict.String()
	if t.color {
		verdict = [...]string{"\x1b[32m", "\x1b[31m", "\x1b[33m"}[r.Verdict] + verdict + "\x1b[0m"
	}
	t.line(r.Operation, r.Case, r.Expected, r.Seen, verdict)
}

// line pads by characters, as tables do not wait for their last line. Too long a text moves the rest of its line.
func (t *Table) line(cells ...string) {
	var b strings.Builder
	for i, width := range []int{40, 38, 44, 44} {
		b.WriteString(cells[i])
		b.WriteString(strings.Repeat(" ", max(0, width-utf8.RuneCountInString(cells[i]))))
		b.WriteByte(' ')
	}
	b.WriteString(cells[4])
	if _, err := fmt.Fprintln(t.w, b.String()); t.err == nil {
		t.err = err
	}
}

// Close prints the sums. The error says that cases failed, or that the table could not be printed.
func (t *Table) Close() error {
	if _, err := fmt.Fprintf(t.w, "%d passed, %d failed, %d skipped\n", t.count[Pass], t.count[Fail], t.count[Skip]); t.err == nil {
		t.err = err
	}
	switch {
	case t.err != nil:
		return fmt.Errorf("print table: %w", t.err)
	case t.count[Fail] > 0:
		return fmt.Errorf("%d cases failed", t.count[Fail])
	}
	return nil
}
