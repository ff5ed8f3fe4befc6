package generate

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"edgepdm/shared/durable"
)

// toFile lets fill write the file at path, compressed if its name ends in .gz. A regular file appears under its name only
// when it is complete; what stood there before stays until then.
func toFile(path string, fill func(io.Writer) error) (err error) {
	target := path
	if info, statErr := os.Stat(path); statErr != nil || info.Mode().IsRegular() {
		target = path + ".part" // not so for a device or a pipe
	}
	f, err := os.OpenFile(filepath.Clean(target), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644) //nolint:gosec // a data set is for others to read
	if err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	defer func() {
		if err != nil && target != path {
			err = errors.Join(err, os.Remove(target))
		}
	}()
	err = compress(f, strings.HasSuffix(path, ".gz"), fill)
	if target == path {
		return errors.Join(err, f.Close())
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := durable.Rename(target, path); err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	return nil
}

func compress(w io.Writer, zip bool, fill func(io.Writer) error) error {
	if !zip {
		return fill(w)
	}
	z := gzip.NewWriter(w) // without name and time in its header: equal rows give equal bytes
	return errors.Join(fill(z), z.Close())
}

const (
	progressAfter = 2 * time.Second // a job that is done before says nothing
	progressEvery = 500 * time.Millisecond
)

// progress tells somebody at a terminal how far a long job is. Everywhere else it is silent.
type progress struct {
	out   io.Writer // nil = silent
	total int
	next  time.Time // when to say something again
	said  bool
}

func newProgress(w io.Writer, total int) *progress {
	p := &progress{total: total, next: time.Now().Add(progressAfter)}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.out = w
		}
	}
	return p
}

// rows notes that n rows are done.
func (p *progress) rows(n int) {
	if p.out == nil || n%256 != 0 {
		return
	}
	if now := time.Now(); now.After(p.next) {
		p.next, p.said = now.Add(progressEvery), true
		_, _ = fmt.Fprintf(p.out, "\r%d of %d rows, %d %%", n, p.total, n*100/p.total) // for the eye only
	}
}

// done takes the note off the screen.
func (p *progress) done() {
	if p.said {
		_, _ = fmt.Fprint(p.out, "\r\x1b[K")
	}
}
