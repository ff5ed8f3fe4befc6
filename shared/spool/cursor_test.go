package spool

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"edgepdm/test/must"
)

// TestCursorDamage: a damaged cursor costs a resend and never a record.
func TestCursorDamage(t *testing.T) {
	garble := func(off int) func(b []byte) []byte {
		return func(b []byte) []byte { b[off+20] ^= 1; return b }
	}
	newest := func(b []byte) int {
		if binary.LittleEndian.Uint64(b[16:]) > binary.LittleEndian.Uint64(b[cursorSpacing+16:]) {
			return 0
		}
		return cursorSpacing
	}
	for _, c := range []struct {
		name   string
		change func(b []byte) []byte
		acked  int // -1: up to the oldest segment
		lost   bool
	}{
		{"as left", func(b []byte) []byte { return b }, 130, false},
		{"newest slot", func(b []byte) []byte { return garble(newest(b))(b) }, 120, false},
		{"older slot", func(b []byte) []byte { return garble(cursorSpacing - newest(b))(b) }, 130, false},
		{"both slots", func(b []byte) []byte { return garble(0)(garble(cursorSpacing)(b)) }, -1, true},
		{"empty", func([]byte) []byte { return nil }, -1, true},
		{"cut in the first slot", func(b []byte) []byte { return b[:10] }, -1, true},
		{"missing", nil, -1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := aged(t)
			first, _ := parseName(filepath.Base(segmentPaths(t, dir)[0]))
			c.acked = max(c.acked, int(first.base)-1)
			path := filepath.Join(dir, cursorName)
			if c.change == nil {
				must.OK(t, os.Remove(path))
			} else {
				edit(t, path, c.change)
			}
			q := open(t, dir, Options{})
			if r, err := q.Peek(1, 1); err != nil || !r[0].Replayed {
				t.Fatalf("resend is not marked: %v, %v", r, err)
			}
			equal(t, "records", ids(t, q), span(c.acked+1, 300))
			if s := look(q); s.cursorLost != c.lost || s.LostRecords != 0 || s.Depth != uint64(300-c.acked) {
				t.Fatalf("stats: %+v", s)
			}
			closeQueue(t, q)
			q = open(t, dir, Options{})
			equal(t, "after a restart", ids(t, q), span(c.acked+1, 300))
			if s := look(q); s.cursorLost {
				t.Fatal("still lost")
			}
		})
	}
}

// TestCursorBehind: a cursor that is older than the segments, as a loss of power may leave it, resends and counts nothing
// as lost.
func TestCursorBehind(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{SegmentSize: minSegmentSize})
	fill(t, q, 1, 300)
	must.OK(t, q.Ack(100))
	first, _ := parseName(filepath.Base(segmentPaths(t, dir)[1]))
	old := must.Read(t, filepath.Join(dir, cursorName))
	must.OK(t, q.Ack(first.base-2)) // within the segment: not synced
	left := copyDir(t, dir)
	edit(t, filepath.Join(left, cursorName), func([]byte) []byte { return old })
	q = open(t, left, Options{})
	equal(t, "records", ids(t, q), span(101, 300))
	if s := look(q); s.LostRecords != 0 || s.cursorLost {
		t.Fatalf("stats: %+v", s)
	}
}
