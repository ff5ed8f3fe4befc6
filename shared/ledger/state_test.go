package ledger

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"edgepdm/test/must"
)

// A file that cannot be opened at the start is gone on with once it can: what it has of things that were not heard meanwhile
// counts, and what was heard meanwhile is kept.
func TestLedgerGoesOnInItsFileOnceItCanBeOpened(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "disk")
	path := filepath.Join(dir, "numbers")
	must.OK(t, os.Mkdir(dir, 0o700))
	before, err := Open(path, 10)
	must.OK(t, err)
	for _, thing := range []string{"a", "b"} {
		note(t, before, thing, 5)
	}
	must.OK(t, before.Close())
	must.OK(t, os.Rename(dir, dir+"-away"))
	l := Begin(path, 10)
	defer func() { _ = l.Close() }()
	note(t, l, "a", 9)
	if l.State() == nil {
		t.Error("nothing is told of a file that cannot be opened")
	}
	must.OK(t, os.Rename(dir+"-away", dir))
	must.OK(t, l.State())
	if g := note(t, l, "b", 8); g.Missed != 2 {
		t.Errorf("of a thing that the file has: %+v", g)
	}
	note(t, l, "a", 10)
	note(t, l, "c", 1)
	after, err := Open(path, 10)
	must.OK(t, err)
	defer func() { _ = after.Close() }()
	for thing, seq := range map[string]uint64{"a": 11, "b": 9, "c": 2} {
		if g := note(t, after, thing, seq); g.Missed+g.Unheard != 0 || !g.New() {
			t.Errorf("%s: %+v", thing, g)
		}
	}
}

// Damaged numbers are told, for a day and by the first process that finds them.
func TestDamagedNumbersAreTold(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"name":       func(b []byte) []byte { b[len(magic)+3] ^= 1; return b },
		"number":     func(b []byte) []byte { b[len(magic)+nameLen+recordLen+posLen-1] ^= 1; return b },
		"torn":       func(b []byte) []byte { return b[:len(b)-1] },
		"only magic": func(b []byte) []byte { return b[:3] },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "numbers")
			l, err := Open(path, 10)
			must.OK(t, err)
			note(t, l, "a", 5)
			note(t, l, "b", 5)
			must.OK(t, l.Close())
			data := must.Read(t, path)
			must.OK(t, os.WriteFile(path, damage(data), 0o600))
			now := time.Now()
			l = Begin(path, 10)
			l.now = func() time.Time { return now }
			if l.State() == nil {
				t.Error("nothing is told")
			}
			now = now.Add(25 * time.Hour)
			if err := l.State(); err != nil {
				t.Errorf("after a day: %v", err)
			}
			must.OK(t, l.Close())
			l = Begin(path, 10)
			defer func() { _ = l.Close() }()
			if err := l.State(); err != nil {
				t.Errorf("by the next process: %v", err)
			}
		})
	}
}

func note(t *testing.T, l *Ledger, thing string, seq uint64) Gap {
	t.Helper()
	g, err := l.Record(thing, "e", seq)
	must.OK(t, err)
	return g
}
