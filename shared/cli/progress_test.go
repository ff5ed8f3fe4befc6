package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Progress is for the eye of somebody at a terminal, and for jobs that take long.
func TestProgress(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if NewProgress(&bytes.Buffer{}, 10).out != nil || NewProgress(f, 10).out != nil {
		t.Error("a buffer or a file is taken for a terminal")
	}
	var screen bytes.Buffer
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &Progress{out: &screen, total: 1000, now: func() time.Time { return now }}
	p.begin()
	tell := func(after time.Duration, done, rows int64, want string) {
		t.Helper()
		now = now.Add(after)
		screen.Reset()
		if p.Tell(done, rows); screen.String() != want {
			t.Errorf("the screen shows %q, want %q", screen.String(), want)
		}
	}
	tell(time.Second, 10, 1, "") // too early
	tell(time.Second, 500, 40, "\r[###############...............] 50 %, 40 rows, 20 a second\x1b[K")
	tell(time.Millisecond, 600, 41, "") // too soon again
	tell(time.Second, 2000, 90, "\r[##############################] 100 %, 90 rows, 30 a second\x1b[K")
	p.total = 0
	tell(time.Second, 0, 90, "\r90 rows, 22 a second\x1b[K")
	screen.Reset()
	if p.Done(); screen.String() != "\r\x1b[K" {
		t.Errorf("in the end it shows %q", screen.String())
	}
	var none Progress
	none.Tell(1, 1)
	none.Done()
}
