package ledger

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

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
