package ledger

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/test/must"
)

// format1 is a file as version 1 wrote it.
func format1(rows map[string]heard) []byte {
	data := []byte("EPDMSEQ1")
	for thing, row := range rows {
		b := make([]byte, 129+17)
		b[0] = byte(len(thing))
		copy(b[1:], thing)
		b[129] = byte(len(row.epoch))
		copy(b[130:], row.epoch)
		data = append(data, binary.BigEndian.AppendUint64(b, row.seq)...)
	}
	return data
}

// The ledger of the version before is read, torn or not, and goes on in the new format.
func TestFormat1IsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	old := format1(map[string]heard{"press-1": {epoch: "a", seq: 5}, "press-2": {epoch: "shadow", seq: 12}, "no/name": {epoch: "a", seq: 1}})
	must.OK(t, os.WriteFile(path, append(old, "torn"...), 0o600))
	l := open(t, path, 10)
	hear(t, l, []heard{{"a", 8, Gap{Missed: 2, Resumed: true}}})
	if g, err := l.Record("press-2", "shadow", 14); err != nil || g.Missed != 1 {
		t.Errorf("%+v, %v", g, err)
	}
	if l.Knows("no/name") {
		t.Error("knows a thing that cannot be")
	}
	l = open(t, path, 10)
	hear(t, l, []heard{{"a", 10, Gap{Missed: 1, Resumed: true}}})
	if info, err := os.Stat(path); err != nil || info.Size() != int64(len(magic)+2*slotLen) {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
}

// One flipped bit, wherever it is, makes no gap that is none, and the thing's place is used again.
func TestDamageMakesNoGap(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger")
	l := open(t, path, 10)
	hear(t, l, []heard{{"a", 1000, Gap{Unheard: 999}}})
	data := must.Read(t, path)
	for bit := len(magic) * 8; bit < len(data)*8; bit += 3 {
		damaged := append([]byte(nil), data...)
		damaged[bit/8] ^= 1 << (bit % 8)
		path := filepath.Join(dir, fmt.Sprint(bit))
		must.OK(t, os.WriteFile(path, damaged, 0o600))
		l := open(t, path, 10)
		g, err := l.Record("press-1", "a", 1002)
		if err != nil || g.Missed != 1 && g.Unheard != 1001 {
			t.Fatalf("bit %d: %+v, %v", bit, g, err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != int64(len(data)) {
			t.Fatalf("bit %d: the file has %d bytes, %v", bit, info.Size(), err)
		}
		must.OK(t, l.Close())
		must.OK(t, os.Remove(path))
	}
}

// The numbers of several messages are written together as they are one by one: the file is the same, to the byte, for things side by
// side, far apart, and entered with them.
func TestCommitAllIsCommitOfEach(t *testing.T) {
	dir := t.TempDir()
	one, all := open(t, filepath.Join(dir, "one"), 100), open(t, filepath.Join(dir, "all"), 100)
	name := func(i int) string { return fmt.Sprint("press-", i) }
	for round := range uint64(3) {
		var numbers []Number
		for _, i := range [][]int{{0, 1, 2, 3, 40, 41, 42}, {41, 3, 50, 0, 0, 90}, {90, 2, 1, 51}}[round] {
			n := Number{name(i), "a", round*10 + uint64(len(numbers)) + 1}
			numbers = append(numbers, n)
			for _, l := range []*Ledger{one, all} {
				if _, err := l.Observe(n.Thing, n.Epoch, n.Seq); err != nil {
					t.Fatal(err)
				}
			}
			must.OK(t, one.Commit(n.Thing, n.Epoch, n.Seq))
		}
		must.OK(t, all.CommitAll(append(numbers, Number{"unheard", "a", 1}, Number{name(0), "unheard", 1})...))
		if a, b := must.Read(t, filepath.Join(dir, "one")), must.Read(t, filepath.Join(dir, "all")); string(a) != string(b) || len(a) == len(magic) {
			t.Fatalf("round %d: the files differ: %d and %d bytes", round, len(a), len(b))
		}
		must.OK(t, all.Close())
		all = open(t, filepath.Join(dir, "all"), 100)
	}
}

// What could not be written is told, and the next numbers of the things are.
func TestCommitAllTellsAFault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := open(t, path, 10)
	record := func(seq uint64) error {
		for _, thing := range []string{"press-1", "press-2"} {
			if _, err := l.Observe(thing, "a", seq); err != nil {
				t.Fatal(err)
			}
		}
		return l.CommitAll(Number{"press-1", "a", seq}, Number{"press-2", "a", seq})
	}
	must.OK(t, record(1))
	file := l.file
	unwritable, err := os.Open(path)
	must.OK(t, err)
	l.file = unwritable
	if record(2) == nil {
		t.Error("a fault of the disk is not told")
	}
	must.OK(t, unwritable.Close())
	l.file = file
	must.OK(t, record(3))
	must.OK(t, l.Close())
	l = open(t, path, 10)
	if g, err := l.Observe("press-2", "a", 4); err != nil || g.Missed != 0 {
		t.Errorf("%+v, %v", g, err)
	}
}

// A sequence whose name is too long for its place is not written, and those beside it are.
func TestAnEpochThatIsTooLongIsNotWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := open(t, path, 10)
	long := strings.Repeat("b", event.MaxEpoch+1)
	for seq := range uint64(2) {
		for _, epoch := range []string{"a", long} {
			if _, err := l.Observe("press-1", epoch, seq+1); err != nil {
				t.Fatal(err)
			}
		}
		must.OK(t, l.CommitAll(Number{"press-1", "a", seq + 1}, Number{"press-1", long, seq + 1}))
	}
	must.OK(t, l.Close())
	l = open(t, path, 10)
	if g, err := l.Observe("press-1", "a", 3); err != nil || g != (Gap{Resumed: true}) && g != (Gap{}) || l.damaged != 0 {
		t.Errorf("%+v, %v, %d damaged", g, err, l.damaged)
	}
}
