package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/test/must"
)

func open(t *testing.T, path string, limit int) *Ledger {
	t.Helper()
	l, err := Open(path, limit)
	must.OK(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestLedgerCountsGaps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := open(t, path, 10)
	for _, c := range []struct {
		what, thing, epoch   string
		seq, missed, unheard uint64
		repeated, late       bool
		reopen               bool
	}{
		{what: "a thing never seen", thing: "p-1", epoch: "a", seq: 5, unheard: 4},
		{what: "the next row", thing: "p-1", epoch: "a", seq: 6},
		{what: "a hole", thing: "p-1", epoch: "a", seq: 10, missed: 3},
		{what: "the same row again", thing: "p-1", epoch: "a", seq: 10, repeated: true},
		{what: "a late row", thing: "p-1", epoch: "a", seq: 8, late: true},
		{what: "the late row again", thing: "p-1", epoch: "a", seq: 8, repeated: true},
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
		got, err := l.Record(c.thing, c.epoch, c.seq)
		got.Resumed = false
		if want := (Gap{Missed: c.missed, Unheard: c.unheard, Repeated: c.repeated, Late: c.late}); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", c.what, got, err, want)
		}
	}
}

func TestLedgerIsBounded(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger"), 1)
	if _, err := l.Record("p-1", "a", 1); err != nil {
		t.Fatal(err)
	}
	if l.Admits("p-2") || !l.Admits("p-1") {
		t.Error("admits the wrong thing")
	}
	if _, err := l.Record("p-2", "a", 1); !errors.Is(err, ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
}

// In a full ledger, the thing that was silent longest makes room, in the file too, once that is a day.
func TestASilentThingMakesRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := open(t, path, 2)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l.now = func() time.Time { return now }
	note := func(thing string, seq uint64, want error) {
		t.Helper()
		if _, err := l.Record(thing, "a", seq); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", thing, err, want)
		}
	}
	note("p-1", 1, nil)
	note("p-2", 1, nil)
	now = now.Add(forgetAfter)
	note("p-3", 1, ErrFull)
	note("p-1", 2, nil)
	now = now.Add(time.Second)
	if !l.Admits("p-3") {
		t.Error("p-2 does not make room")
	}
	note("p-3", 7, nil)
	note("p-3", 8, nil)
	if l.Admits("p-2") || l.Knows("p-2") || !l.Knows("p-1") {
		t.Error("the wrong thing made room")
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() != int64(len(magic)+2*slotLen) {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
	l = open(t, path, 2)
	for thing, seq := range map[string]uint64{"p-1": 4, "p-3": 10} {
		if gap, err := l.Record(thing, "a", seq); err != nil || gap != (Gap{Missed: 1, Resumed: true}) {
			t.Errorf("%s after a restart: %+v, %v", thing, gap, err)
		}
	}
}

func TestLedgerSurvivesTornAndForeignFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger")
	l := open(t, path, 10)
	for _, thing := range []string{"p-1", "p-2"} {
		if _, err := l.Record(thing, "a", 1); err != nil {
			t.Fatal(err)
		}
	}
	data := must.Read(t, path)
	write := func(data []byte) {
		must.OK(t, os.WriteFile(path, data, 0o600))
	}
	for cut := range len(data) { // a torn tail: whole slots are kept, and the file can be extended
		write(data[:cut])
		l := open(t, path, 10)
		if _, err := l.Record("p-3", "a", 7); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		again := open(t, path, 10)
		if got, err := again.Record("p-3", "a", 9); got.Missed != 1 || err != nil {
			t.Fatalf("cut at %d: %+v, %v", cut, got, err)
		}
	}
	spoiled := append([]byte(nil), data...)
	spoiled[len(magic)] = 255 // the first slot's name is too long now
	write(spoiled)
	l = open(t, path, 10)
	if got, err := l.Record("p-2", "a", 3); got.Missed != 1 || err != nil {
		t.Errorf("beside a spoiled slot: %+v, %v", got, err)
	}

	newer := []byte("EPDMSEQ9 of the future")
	write(newer)
	if _, err := Open(path, 10); !errors.Is(err, ErrFormat) {
		t.Errorf("another format: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(newer) {
		t.Errorf("the file of another format became %q, %v", got, err)
	}
}

// What was heard and not kept is missed by the next process; in this one a number counts once.
func TestHeardAndNotKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := open(t, path, 10)
	for seq := uint64(1); seq <= 5; seq++ {
		if g, err := l.Observe("p-1", "a", seq); err != nil || g != (Gap{}) {
			t.Fatalf("%+v, %v", g, err)
		}
		if seq <= 3 {
			must.OK(t, l.Commit("p-1", "a", seq))
		}
	}
	if g, err := l.Observe("p-1", "a", 5); err != nil || !g.Repeated {
		t.Errorf("%+v, %v", g, err)
	}
	l = open(t, path, 10) // as a killed process leaves it
	if g, err := l.Observe("p-1", "a", 7); err != nil || g.Missed != 3 {
		t.Errorf("%+v, %v; want 4, 5 and 6 missed", g, err)
	}
}

// A ledger without a file counts all the same.
func TestMemory(t *testing.T) {
	l := Memory(1)
	for _, c := range []struct {
		seq  uint64
		want Gap
	}{{2, Gap{Unheard: 1}}, {4, Gap{Missed: 1}}, {4, Gap{Repeated: true}}} {
		if g, err := l.Record("p-1", "a", c.seq); err != nil || g != c.want {
			t.Errorf("%d: %+v, %v", c.seq, g, err)
		}
	}
	if !l.Knows("p-1") || l.Knows("p-2") {
		t.Error("knows the wrong thing")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
