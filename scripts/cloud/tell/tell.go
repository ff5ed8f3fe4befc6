// Package tell shows a person what is done in AWS: a line for what is done, and on a terminal a bar for how far it is.
package tell

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

const (
	barWidth = 24
	maxWhat  = 40
	wipe     = "\r\x1b[K"
)

// Teller writes to a terminal, or to a file.
type Teller struct {
	in       *bufio.Reader
	out      io.Writer
	terminal bool
	bar      string // what stands in the last line now
}

// New returns a Teller. Bars are shown only if out is a terminal.
func New(in io.Reader, out io.Writer) *Teller {
	f, ok := out.(*os.File)
	return &Teller{in: bufio.NewReader(in), out: out, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

// Line writes a line, above the bar.
func (t *Teller) Line(format string, args ...any) {
	text := fmt.Sprintf(format, args...) + "\n"
	if t.bar != "" {
		text = wipe + text + t.bar
	}
	_, _ = io.WriteString(t.out, text) // a terminal that is gone ends the program by a signal
}

// Progress shows how many of total things are done, and which is in work. It is gone once all are.
func (t *Teller) Progress(done, total int, what string) {
	if !t.terminal {
		return
	}
	if done >= total {
		t.Done()
		return
	}
	if r := []rune(what); len(r) > maxWhat {
		what = string(r[:maxWhat-1]) + "…"
	}
	filled := barWidth * done / total
	t.bar = fmt.Sprintf("[%s%s] %d/%d %s", strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled), done, total, what)
	_, _ = io.WriteString(t.out, wipe+t.bar)
}

// Done wipes the bar.
func (t *Teller) Done() {
	if t.bar != "" {
		t.bar = ""
		_, _ = io.WriteString(t.out, wipe)
	}
}

// Ask asks a question that only "yes" agrees to.
func (t *Teller) Ask(question string) (bool, error) {
	t.Done()
	_, _ = io.WriteString(t.out, question+" Type yes to go on: ")
	answer, err := t.in.ReadString('\n')
	if errors.Is(err, io.EOF) && answer == "" {
		return false, errors.New("there is nobody to ask: add -yes (YES=1) to go on without a question")
	}
	return strings.TrimSpace(strings.ToLower(answer)) == "yes", nil
}
