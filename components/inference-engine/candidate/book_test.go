package candidate

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/test/must"
)

func openBook(t *testing.T, dir string, pair Pair) *Book {
	t.Helper()
	b, damage, err := Open(dir, pair, start)
	must.OK(t, errors.Join(damage, err))
	return b
}

// same reports whether two have the same evidence, as far as anybody is told of it.
func same(t *testing.T, a, b *Evidence) bool {
	t.Helper()
	return string(must.JSON(t, a)) == string(must.JSON(t, b))
}

func testLabel(id string) event.Label {
	return event.Label{
		ID: id, Thing: "press-1", Outcome: "confirmed", Since: start.Add(time.Minute),
		Rows: &event.RowSpan{First: event.RowRef{Epoch: "e1", Seq: 1}, Last: event.RowRef{Epoch: "e1", Seq: 40}},
	}
}

// What was committed is there after a process that is killed at any moment, and nothing else: a copy of the folder is what it leaves.
func TestNothingCommittedIsLost(t *testing.T) {
	dir := t.TempDir()
	b := openBook(t, dir, testPair())
	draw := rand.New(rand.NewPCG(7, 7))
	rows := someRows(2, 25_000)
	for i := 0; i < len(rows); {
		for range min(draw.IntN(500)+1, len(rows)-i) {
			b.Row(rows[i])
			i++
		}
		b.Skipped(uint64(draw.IntN(3)))
		b.Labeled(testLabel(rows[i-1].TS.String()))
		must.OK(t, b.Commit(start.Add(time.Duration(i)*time.Millisecond)))
		left := t.TempDir()
		must.OK(t, os.CopyFS(left, os.DirFS(dir)))
		again := openBook(t, left, testPair())
		if !same(t, &again.Evidence, &b.Evidence) {
			t.Fatalf("after %d rows there are %d", i, again.All.Rows)
		}
	}
	must.OK(t, b.Close(start))
	if again := openBook(t, dir, testPair()); !same(t, &again.Evidence, &b.Evidence) {
		t.Error("other evidence after the end")
	}
}

// A process that is killed between a checkpoint and the new journal counts nothing twice.
func TestCheckpointWithTheJournalBefore(t *testing.T) {
	dir := t.TempDir()
	b := openBook(t, dir, testPair())
	for _, r := range someRows(2, 100) {
		b.Row(r)
	}
	must.OK(t, b.Commit(start))
	journal := must.Read(t, filepath.Join(dir, journalFile))
	must.OK(t, b.Commit(start.Add(time.Second)))
	b.Skipped(1)
	must.OK(t, b.Commit(start.Add(time.Minute))) // a checkpoint
	must.OK(t, os.WriteFile(filepath.Join(dir, journalFile), journal, 0o600))
	again := openBook(t, dir, testPair())
	if !same(t, &again.Evidence, &b.Evidence) {
		t.Errorf("%d rows, want %d", again.All.Rows, b.All.Rows)
	}
	again.Row(rowOf(100, 0.1, 0.1))
	must.OK(t, again.Commit(start))
	if last := openBook(t, dir, testPair()); last.All.Rows != 101 {
		t.Errorf("%d rows, want 101", last.All.Rows)
	}
}

// A journal that is cut off anywhere, or has a flipped bit, gives the rows before that place, and goes on behind them.
func TestADamagedJournal(t *testing.T) {
	dir := t.TempDir()
	b := openBook(t, dir, testPair())
	rows := someRows(2, 300)
	for _, r := range rows {
		b.Row(r)
	}
	must.OK(t, b.Commit(start))
	path := filepath.Join(dir, journalFile)
	good := must.Read(t, path)
	draw := rand.New(rand.NewPCG(3, 3))
	for i := range 300 {
		bad := append([]byte(nil), good...)
		at := draw.IntN(len(bad))
		if i%2 == 0 {
			bad = bad[:at]
		} else {
			bad[at] ^= 1 << draw.IntN(8)
		}
		must.OK(t, os.WriteFile(path, bad, 0o600))
		again, damage, err := Open(dir, testPair(), start)
		must.OK(t, err)
		n := int(again.All.Rows)
		want := New(testPair())
		for _, r := range rows[:n] {
			want.Add(r)
		}
		if n >= len(rows) || !same(t, &again.Evidence, want) || (damage == nil) != (len(bad) == int(again.journal.size) && i%2 == 0) && i%2 == 1 {
			t.Fatalf("%d rows, %v", n, damage)
		}
		again.Row(rows[n])
		must.OK(t, again.Commit(start))
		if last := openBook(t, dir, testPair()); int(last.All.Rows) != n+1 {
			t.Fatalf("%d rows, want %d", last.All.Rows, n+1)
		}
	}
}

// A damaged checkpoint is set aside, and the evidence begins again; one of a newer version is left alone.
func TestADamagedCheckpoint(t *testing.T) {
	wrong := func(change func(*Evidence)) []byte {
		e := New(testPair())
		e.Add(rowOf(0, 0.1, 0.1))
		change(e)
		data, err := durable.Marshal(e)
		must.OK(t, err)
		return data
	}
	for name, content := range map[string][]byte{
		"no JSON": []byte("x"), "empty": nil, "too large": make([]byte, maxCheckpoint+1),
		"rows":    wrong(func(e *Evidence) { e.All.Rows = 7 }),
		"bins":    wrong(func(e *Evidence) { e.Windows[0].Bins[0][3]++ }),
		"windows": wrong(func(e *Evidence) { e.Windows = make([]Window, maxWindows+1) }),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			must.OK(t, os.WriteFile(filepath.Join(dir, checkpointFile), content, 0o600))
			must.OK(t, os.WriteFile(filepath.Join(dir, journalFile), []byte("rubbish"), 0o600))
			b, damage, err := Open(dir, testPair(), start)
			aside, _ := filepath.Glob(filepath.Join(dir, checkpointFile+".damaged-*"))
			if damage == nil || err != nil || b.All.Rows != 0 || len(aside) != 1 {
				t.Fatalf("%v, %v, %v", damage, err, aside)
			}
			b.Row(rowOf(0, 0.1, 0.1))
			must.OK(t, b.Commit(start))
			if again := openBook(t, dir, testPair()); again.All.Rows != 1 {
				t.Errorf("%d rows", again.All.Rows)
			}
		})
	}
	dir := t.TempDir()
	newer := durable.Seal([]byte(`{"format":2,"evidence":"elsewhere"}`))
	must.OK(t, os.WriteFile(filepath.Join(dir, checkpointFile), newer, 0o600))
	b, damage, err := Open(dir, testPair(), start)
	if damage != nil || !errors.Is(err, durable.ErrNewerFormat) {
		t.Fatalf("%v, %v", damage, err)
	}
	b.Row(rowOf(0, 0.1, 0.1))
	must.OK(t, errors.Join(b.Commit(start.Add(time.Hour)), b.Close(start)))
	if got := must.Read(t, filepath.Join(dir, checkpointFile)); string(got) != string(newer) || b.All.Rows != 1 {
		t.Errorf("%s", got)
	}
}

// Another candidate, active model or threshold begins again, and so does the same candidate that was delivered again later.
func TestAnotherPairBeginsAgain(t *testing.T) {
	for name, change := range map[string]func(*Pair){
		"candidate": func(p *Pair) { p.Candidate.SHA256 = "cc" }, "active": func(p *Pair) { p.Active.Version = "0.9.0" },
		"threshold": func(p *Pair) { p.Threshold[1] = 0.4 }, "how": func(p *Pair) { p.How = "leaves" }, "held": func(p *Pair) { p.Held = p.Held.Add(1) },
	} {
		dir := t.TempDir()
		b := openBook(t, dir, testPair())
		b.Row(rowOf(0, 0.1, 0.1))
		must.OK(t, b.Commit(start))
		pair := testPair()
		change(&pair)
		if again := openBook(t, dir, pair); again.All.Rows != 0 {
			t.Errorf("%s: %d rows", name, again.All.Rows)
		}
		if again := openBook(t, dir, pair); again.All.Rows != 0 || again.Pair.Active != pair.Active {
			t.Errorf("%s: %+v", name, again.Pair)
		}
	}
}

// A disk that takes nothing costs no figures, and a disk that works again has them all.
func TestADiskThatFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "work")
	must.OK(t, os.Mkdir(dir, 0o700))
	b := openBook(t, dir, testPair())
	rows := someRows(2, 40)
	for _, r := range rows[:10] {
		b.Row(r)
	}
	must.OK(t, b.Commit(start))
	must.OK(t, b.journal.file.Close()) // no write succeeds
	for i, r := range rows[10:20] {
		b.Row(r)
		if err := b.Commit(start.Add(time.Duration(i) * time.Second)); err == nil {
			t.Fatal("no error")
		}
	}
	away := dir + "-away"
	must.OK(t, os.Rename(dir, away))
	b.Row(rows[20])
	if err := b.Commit(start.Add(time.Minute)); err == nil {
		t.Fatal("no error without the folder")
	}
	must.OK(t, os.Rename(away, dir))
	for _, r := range rows[21:30] {
		b.Row(r)
	}
	if err := b.Commit(start.Add(61 * time.Second)); err == nil {
		t.Fatal("it was not time for a checkpoint")
	}
	must.OK(t, b.Commit(start.Add(2*time.Minute)))
	for _, r := range rows[30:] {
		b.Row(r)
	}
	must.OK(t, b.Commit(start.Add(2*time.Minute)))
	if again := openBook(t, dir, testPair()); again.All.Rows != 40 || !same(t, &again.Evidence, &b.Evidence) {
		t.Errorf("%d rows", again.All.Rows)
	}
}

// No bytes make a journal panic, and what is taken of them is whole.
func FuzzJournal(f *testing.F) {
	b := New(testPair())
	var records []byte
	for _, r := range someRows(2, 50) {
		b.Add(r)
		records = appendRow(records, b.Step, r)
	}
	f.Add(records)
	f.Add(appendSkip(nil, 1, 3))
	f.Fuzz(func(t *testing.T, data []byte) {
		e := New(testPair())
		if n := e.replay(data); n < 0 || n > len(data) || e.All.check() != nil {
			t.Errorf("%d of %d bytes, %+v", n, len(data), e.All)
		}
		if _, err := json.Marshal(e); err != nil {
			t.Error(err)
		}
	})
}

// The checkpoint of the most evidence that there can be is read again.
func TestTheLargestCheckpoint(t *testing.T) {
	dir := t.TempDir()
	b := openBook(t, dir, testPair())
	draw := rand.New(rand.NewPCG(1, 1))
	thing := make([]byte, 128)
	for i := range thing {
		thing[i] = 'a' + byte(draw.IntN(26))
	}
	for i := range 4000 {
		r := rowOf(i, 0.1, 0.9)
		r.Thing, r.Epoch, r.Seq = string(thing), string(thing), 1<<60+uint64(2*i)
		r.Took = [2]time.Duration{time.Duration(100 << draw.IntN(25)), time.Duration(100 << draw.IntN(25))}
		b.Row(r)
	}
	for i := range maxLabels {
		l := testLabel(string(thing[:100]) + string(rune('a'+i)))
		b.Labeled(l)
	}
	must.OK(t, b.Close(start))
	if again := openBook(t, dir, testPair()); !same(t, &again.Evidence, &b.Evidence) {
		t.Error("it is not read again")
	}
	info, err := os.Stat(filepath.Join(dir, checkpointFile))
	must.OK(t, err)
	t.Logf("%d KiB", info.Size()>>10)
}
