package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T, path string, limit int) *ledger {
	t.Helper()
	l, err := openLedger(path, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.close() })
	return l
}

func TestLedgerCountsGaps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := open(t, path, 10)
	for _, c := range []struct {
		what, thing, epoch   string
		seq, missed, unheard uint64
		repeated, reopen     bool
	}{
		{what: "a thing never seen", thing: "p-1", epoch: "a", seq: 5, unheard: 4},
		{what: "the next row", thing: "p-1", epoch: "a", seq: 6},
		{what: "a hole", thing: "p-1", epoch: "a", seq: 10, missed: 3},
		{what: "the same row again", thing: "p-1", epoch: "a", seq: 10, repeated: true},
		{what: "a late row", thing: "p-1", epoch: "a", seq: 8, repeated: true},
		{what: "another thing", thing: "p-2", epoch: "a", seq: 1},
		{what: "a hole while the process was dead", thing: "p-1", epoch: "a", seq: 13, missed: 2, reopen: true},
		{what: "nothing missed while it was dead", thing: "p-2", epoch: "a", seq: 2, reopen: true},
		{what: "the producer started again", thing: "p-1", epoch: "b", seq: 1},
		{what: "it started again, and rows were lost", thing: "p-1", epoch: "longest-is-16xx"[:15] + "x", seq: 4, missed: 3},
		{what: "after that", thing: "p-1", epoch: "longest-is-16xx"[:15] + "x", seq: 5, reopen: true},
		{what: "a shadow's version begins anywhere", thing: "p-2", epoch: "shadow", seq: 700},
	} {
		if strings.Contains(c.epoch, "-") {
			c.epoch = strings.ReplaceAll(c.epoch, "-", "0")
		}
		if c.reopen { // as a killed process leaves it: without close
			l = open(t, path, 10)
		}
		got, err := l.note(c.thing, c.epoch, c.seq)
		if want := (gap{c.missed, c.unheard, c.repeated}); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", c.what, got, err, want)
		}
	}
}

func TestLedgerIsBounded(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger"), 1)
	if _, err := l.note("p-1", "a", 1); err != nil {
		t.Fatal(err)
	}
	if l.admits("p-2") || !l.admits("p-1") {
		t.Error("admits the wrong thing")
	}
	if _, err := l.note("p-2", "a", 1); !errors.Is(err, errLedgerFull) {
		t.Errorf("%v, want errLedgerFull", err)
	}
}

func TestLedgerSurvivesTornAndForeignFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger")
	l := open(t, path, 10)
	for _, thing := range []string{"p-1", "p-2"} {
		if _, err := l.note(thing, "a", 1); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for cut := range len(data) { // a torn tail: whole slots are kept, and the file can be extended
		write(data[:cut])
		l := open(t, path, 10)
		if _, err := l.note("p-3", "a", 7); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		again := open(t, path, 10)
		if got, err := again.note("p-3", "a", 9); got.missed != 1 || err != nil {
			t.Fatalf("cut at %d: %+v, %v", cut, got, err)
		}
	}
	spoilt := append([]byte(nil), data...)
	spoilt[len(ledgerMagic)] = 255 // the first slot's name is too long now
	write(spoilt)
	l = open(t, path, 10)
	if got, err := l.note("p-2", "a", 3); got.missed != 1 || err != nil {
		t.Errorf("beside a spoilt slot: %+v, %v", got, err)
	}

	newer := []byte("EPDMSEQ2 of the future")
	write(newer)
	if _, err := openLedger(path, 10); !errors.Is(err, errLedgerNewer) {
		t.Errorf("another format: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(newer) {
		t.Errorf("the file of another format became %q, %v", got, err)
	}
}
