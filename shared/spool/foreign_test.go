package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/must"
)

// rescue copies the segments of one queue's folder into another one.
func rescue(t *testing.T, from, to string) {
	t.Helper()
	for _, path := range segmentPaths(t, from) {
		data := must.Read(t, path)
		must.OK(t, os.WriteFile(filepath.Join(to, filepath.Base(path)), data, 0o600))
	}
}

// filled makes a queue's folder with messages from..to, of which the first acked are acknowledged.
func filled(t *testing.T, from, to int, acked uint64) string {
	t.Helper()
	dir := t.TempDir()
	q := open(t, dir, Options{SegmentSize: minSegmentSize})
	fill(t, q, from, to)
	must.OK(t, q.Ack(acked))
	closeQueue(t, q)
	return dir
}

// TestForeignSegments: a spool that was rescued from another device is delivered as a whole, whatever its numbers are
// (promise F8), and what the queue has of its own comes as before.
func TestForeignSegments(t *testing.T) {
	for _, c := range []struct {
		name     string
		own      [2]int // messages
		acked    uint64 // of the own
		messages [2]int // of the rescued queue, whose numbers begin at 1, too
		want     []int
	}{
		{"same numbers, all sent", [2]int{1, 20}, 20, [2]int{101, 120}, span(101, 120)},
		{"same numbers, none sent", [2]int{1, 20}, 0, [2]int{101, 120}, append(span(1, 20), span(101, 120)...)},
		{"more than it has", [2]int{1, 20}, 20, [2]int{101, 400}, span(101, 400)},
		{"fewer than it has", [2]int{1, 400}, 390, [2]int{501, 520}, append(span(391, 400), span(501, 520)...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filled(t, c.own[0], c.own[1], c.acked)
			rescue(t, filled(t, c.messages[0], c.messages[1], 0), dir)
			q := open(t, dir, Options{SegmentSize: minSegmentSize})
			equal(t, "records", ids(t, q), c.want)
			s := look(q)
			if s.LostRecords != 0 || s.damaged != 0 || s.Depth != uint64(len(c.want)) {
				t.Errorf("%+v", s)
			}
			closeQueue(t, q)
			q = open(t, dir, Options{SegmentSize: minSegmentSize})
			equal(t, "records after another start", ids(t, q), c.want)
			must.OK(t, q.Ack(q.last))
			fill(t, q, 900, 901)
			equal(t, "records that come later", ids(t, q), []int{900, 901})
		})
	}
}

// oldCursor makes a folder's cursor one of a program before 0.2.
func oldCursor(t *testing.T, dir string) {
	t.Helper()
	edit(t, filepath.Join(dir, cursorName), func(b []byte) []byte {
		for slot := 0; slot < len(b); slot += cursorSpacing {
			m := b[slot : slot+cursorSlot]
			copy(m[12:16], []byte{0, 0, 0, 0})
			binary.LittleEndian.PutUint32(m[40:], crc32.Checksum(m[:40], castagnoli()))
		}
		return b
	})
}

// TestForeignSegmentsAndAnOldCursor: the cursor of an older program does not say whose numbers it has. Then all comes
// again rather than something not at all.
func TestForeignSegmentsAndAnOldCursor(t *testing.T) {
	dir := filled(t, 1, 20, 20)
	oldCursor(t, dir)
	q := open(t, dir, Options{})
	equal(t, "records with an old cursor alone", ids(t, q), nil)
	closeQueue(t, q)

	dir = filled(t, 1, 20, 20)
	oldCursor(t, dir)
	rescue(t, filled(t, 101, 120, 0), dir)
	got := ids(t, open(t, dir, Options{}))
	slices.Sort(got)
	equal(t, "records", got, append(span(1, 20), span(101, 120)...))
}

// TestForeignSegmentStays: a disk that takes nothing costs no record; the next start takes it in.
func TestForeignSegmentStays(t *testing.T) {
	dir := filled(t, 1, 20, 20)
	rescue(t, filled(t, 101, 120, 0), dir)
	f := newFaults()
	f.set(func(op, name string, n int) (int, error) {
		if op == "write" && strings.HasSuffix(name, segmentSuffix) {
			return 0, errors.New("input/output error")
		}
		return n, nil
	})
	q := open(t, dir, Options{files: f})
	equal(t, "records", ids(t, q), nil)
	f.set(nil)
	fill(t, q, 30, 30)
	closeQueue(t, q)
	equal(t, "records after another start", ids(t, open(t, dir, Options{})), append([]int{30}, span(101, 120)...))
}

// TestFolderInPlaceOfASegment: a folder that has the next segment's name is renamed, and appends go on.
func TestFolderInPlaceOfASegment(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{SegmentSize: minSegmentSize})
	next := segment{base: 1, salt: q.salt}
	must.OK(t, os.MkdirAll(filepath.Join(dir, next.name(), "kept"), 0o700))
	fill(t, q, 1, 3)
	equal(t, "records", ids(t, q), span(1, 3))
	if info, err := os.Stat(filepath.Join(dir, next.name()+".aside", "kept")); err != nil || info.Mode()&fs.ModeDir == 0 {
		t.Errorf("the folder is not kept: %v", err)
	}
}
