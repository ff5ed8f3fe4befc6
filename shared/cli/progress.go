package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	progressAfter = 2 * time.Second // a job that is done before says nothing
	progressEvery = 500 * time.Millisecond
	progressWidth = 30 // characters of the bar
)

// Progress tells somebody at a terminal how far a long job is. Everywhere else it is silent. It belongs to one goroutine.
type Progress struct {
	out   io.Writer // nil: silent
	total int64
	now   func() time.Time
	begun time.Time
	next  time.Time // when to say something again
	said  bool
}

// NewProgress begins to tell how far a job is that has so much to do; 0: nobody knows how much.
func NewProgress(w io.Writer, total int64) *Progress {
	p := &Progress{total: total, now: time.Now}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.out = w
		}
	}
	p.begin()
	return p
}

func (p *Progress) begin() {
	p.begun = p.now()
	p.next = p.begun.Add(progressAfter)
}

// Tell says, if it is time to, that so much of the total is done, and how many rows that is.
func (p *Progress) Tell(done, rows int64) {
	if p.out == nil {
		return
	}
	now := p.now()
	if now.Before(p.next) {
		return
	}
	p.next, p.said = now.Add(progressEvery), true
	text := fmt.Sprintf("%d rows, %.0f a second", rows, float64(rows)/now.Sub(p.begun).Seconds())
	if p.total > 0 {
		done = min(done, p.total)
		full := int(done * progressWidth / p.total)
		text = fmt.Sprintf("[%s%s] %d %%, %s", strings.Repeat("#", full), strings.Repeat(".", progressWidth-full), done*100/p.total, text)
	}
	_, _ = fmt.Fprintf(p.out, "\r%s\x1b[K", text) // for the eye only
}

// Done takes what was said off the screen.
func (p *Progress) Done() {
	if p.said {
		_, _ = fmt.Fprint(p.out, "\r\x1b[K")
	}
}
