package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"edgepdm/shared/durable"
	"edgepdm/test/must"
)

// aged makes a queue's folder with 300 records in several segments, of which 130 are acknowledged, after a crash.
func aged(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	q := open(t, dir, Options{SegmentSize: minSegmentSize})
	fill(t, q, 1, 300)
	if _, err := q.Peek(200, 1<<20); err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{110, 120, 130} {
		must.OK(t, q.Ack(seq))
	}
	return copyDir(t, dir)
}

// TestMissingSegments: files that somebody deleted are counted, wherever they were.
func TestMissingSegments(t *testing.T) {
	for _, which := range [][]int{{0}, {1}, {2, 3}, {0, 1, 2}} {
		t.Run(fmt.Sprint(which), func(t *testing.T) {
			dir := aged(t)
			paths := segmentPaths(t, dir)
			var lost []int
			for _, i := range which {
				from, _ := parseName(filepath.Base(paths[i]))
				to, _ := parseName(filepath.Base(paths[i+1]))
				lost = append(lost, span(max(int(from.base), 131), int(to.base)-1)...)
				must.OK(t, os.Remove(paths[i]))
			}
			q := open(t, dir, Options{})
			want := span(131, 300, lost...)
			equal(t, "records", ids(t, q), want)
			if s := q.Stats(); s.LostRecords != uint64(len(lost)) || s.Depth != uint64(len(want)) {
				t.Fatalf("%d lost: %+v", len(lost), s)
			}
			must.OK(t, q.Ack(300))
			if s := q.Stats(); s.Depth != 0 {
				t.Fatalf("%d: %+v", len(want), s)
			}
		})
	}
}

// TestOnlyDamage: a backlog without one good record is stepped over without an acknowledgement, and Wait does not spin on it.
func TestOnlyDamage(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{SegmentSize: minSegmentSize})
	fill(t, q, 1, 100)
	closeQueue(t, q)
	for _, path := range segmentPaths(t, dir) {
		edit(t, path, func(b []byte) []byte {
			for i := segmentHeader; i < len(b); i += 40 {
				b[i] ^= 0xFF
			}
			return b
		})
	}
	q = open(t, dir, Options{SegmentSize: minSegmentSize})
	if s := q.Stats(); s.Depth == 0 && s.LostRecords == 0 {
		t.Fatalf("stats: %+v", s)
	}
	equal(t, "records", ids(t, q), nil)
	if s := look(q); s.Depth != 0 || s.segments != 1 || s.LostRecords == 0 || s.damaged == 0 || q.beyond(0) {
		t.Fatalf("stats: %+v", s)
	}
	fill(t, q, 1, 10)
	equal(t, "records", ids(t, q), span(1, 10))
}

// TestGapAhead: damage behind what is in flight does not make Wait spin either.
func TestGapAhead(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	fill(t, q, 1, 20)
	off, _ := locate(t, segmentPaths(t, dir)[0], 10)
	edit(t, segmentPaths(t, dir)[0], func(b []byte) []byte { clear(b[off:]); return b })
	records, err := q.Peek(100, 1<<20)
	if err != nil || len(records) != 10 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if q.beyond(10) || !q.beyond(9) || !q.beyond(0) {
		t.Fatal("wait")
	}
	if s := q.Stats(); s.Depth != 10 || s.LostRecords != 10 {
		t.Fatalf("stats: %+v", s)
	}
	must.OK(t, q.Ack(10))
	if s := q.Stats(); s.Depth != 0 || q.Acked() != 20 {
		t.Fatalf("stats: %+v", s)
	}
}

// TestNewerFormat: files of a newer program are refused and left byte for byte (design rule 6).
func TestNewerFormat(t *testing.T) {
	newer := func(size, sum int) func(b []byte) []byte {
		return func(b []byte) []byte {
			b[8]++
			binary.LittleEndian.PutUint32(b[sum:], crc32.Checksum(b[:sum], castagnoli()))
			return b
		}
	}
	for _, c := range []struct {
		name   string
		file   func(dir string) string
		change func(b []byte) []byte
	}{
		{"segment", func(dir string) string { p := segmentPaths(t, dir); return p[len(p)-1] }, newer(32, 28)},
		{"cursor", func(dir string) string { return filepath.Join(dir, cursorName) }, newer(44, 40)},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := aged(t)
			edit(t, c.file(dir), c.change)
			// A torn end would be cut, had this program any business here.
			before := snapshot(t, dir)
			if _, err := Open(dir, Options{}); !errors.Is(err, durable.ErrNewerFormat) {
				t.Fatalf("open: %v", err)
			}
			if !maps.Equal(before, snapshot(t, dir)) {
				t.Fatal("files were changed")
			}
		})
	}
	t.Run("older segment", func(t *testing.T) {
		dir := aged(t)
		path := segmentPaths(t, dir)[1]
		edit(t, path, newer(32, 28))
		before := snapshot(t, dir)[filepath.Base(path)]
		q := open(t, dir, Options{})
		records, err := q.Peek(1000, 1<<20) // what is before it comes
		if err != nil || len(records) == 0 {
			t.Fatalf("%d records, %v", len(records), err)
		}
		must.OK(t, q.Ack(records[len(records)-1].Seq))
		if _, err := q.Peek(1000, 1<<20); !errors.Is(err, durable.ErrNewerFormat) {
			t.Fatalf("peek: %v", err)
		}
		fill(t, q, 301, 310)
		if snapshot(t, dir)[filepath.Base(path)] != before {
			t.Fatal("segment was changed")
		}
	})
}

// TestNoPhantom: a payload that carries records, of another queue or of this one's past, is a payload even when the
// record around it is damaged.
func TestNoPhantom(t *testing.T) {
	dir := t.TempDir()
	other := open(t, t.TempDir(), Options{})
	fill(t, other, 5, 20)
	foreign := must.Read(t, segmentPaths(t, other.dir)[0])
	q := open(t, dir, Options{})
	fill(t, q, 1, 3)
	own := must.Read(t, segmentPaths(t, dir)[0])
	carrier := Record{ID: "carrier", Payload: slices.Concat(foreign, own, own[:len(own)-30])} // its last one would reach out of it
	must.OK(t, q.Append(t.Context(), carrier))
	fill(t, q, 4, 6)
	off, _ := locate(t, segmentPaths(t, dir)[0], 3)
	edit(t, segmentPaths(t, dir)[0], func(b []byte) []byte { b[off+13]++; return b }) // its length: the search goes through it
	equal(t, "records", ids(t, q), span(1, 6))
	if s := look(q); s.LostRecords != 1 || s.damaged != int64(carrier.size()) {
		t.Fatalf("stats: %+v", s)
	}
}

// TestQuarantine: bad bytes are kept once, over peeks and restarts, up to the bound, and what is not kept is counted.
func TestQuarantine(t *testing.T) {
	dir := t.TempDir()
	o := Options{SegmentSize: 512 << 10, QuarantineBytes: 300 << 10}
	q := open(t, dir, o)
	for i := range 4 {
		must.OK(t, q.Append(t.Context(), Record{ID: fmt.Sprint(i), Payload: make([]byte, 200<<10)}))
	}
	closeQueue(t, q)
	for _, path := range segmentPaths(t, dir) {
		edit(t, path, func(b []byte) []byte {
			for i := segmentHeader; i < len(b); i += 100 {
				b[i] = byte(i)
			}
			return b
		})
	}
	bad := int64(0)
	for range 3 { // crashes
		left := copyDir(t, dir)
		q = open(t, left, o)
		for range 3 {
			if records, err := q.Peek(10, 1<<30); err != nil || len(records) != 0 {
				t.Fatalf("%d records, %v", len(records), err)
			}
		}
		s := look(q)
		if bad == 0 {
			bad = s.damaged
		}
		info, err := os.Stat(filepath.Join(left, quarantineName))
		if err != nil || info.Size() > o.QuarantineBytes || info.Size() < 250<<10 {
			t.Fatalf("quarantine: %v, %v", info, err)
		}
		if s.damaged != bad || s.kept >= bad || s.kept < 250<<10 {
			t.Fatalf("stats: %+v", s)
		}
		b := must.Read(t, filepath.Join(left, quarantineName))
		must.OK(t, os.WriteFile(filepath.Join(dir, quarantineName), b, 0o600))
	}
	// One that it cannot read stays as it is, and the queue goes on.
	edit(t, filepath.Join(dir, quarantineName), func(b []byte) []byte { b[8]++; return b })
	before := snapshot(t, dir)[quarantineName]
	q = open(t, dir, o)
	if records, err := q.Peek(10, 1<<30); err != nil || len(records) != 0 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if s := look(q); s.kept != 0 || s.damaged != bad || snapshot(t, dir)[quarantineName] != before {
		t.Fatalf("stats: %+v", s)
	}
}

// TestOpenReadsLittle: opening does not depend on the length of the backlog (F9).
func TestOpenReadsLittle(t *testing.T) {
	dir := t.TempDir()
	o := Options{SegmentSize: minSegmentSize}
	q := open(t, dir, o)
	var reads, opens []int
	for range 2 {
		for range 10 {
			fill(t, q, 1, 200)
		}
		closeQueue(t, q)
		f := newFaults()
		o.files = f
		q = open(t, dir, o)
		reads, opens = append(reads, f.count("read")), append(opens, f.count("open")+f.count("openread"))
	}
	if reads[0] != reads[1] || opens[0] != opens[1] || look(q).segments < 100 {
		t.Fatalf("reads %v, opened files %v, %d segments", reads, opens, look(q).segments)
	}
}

// TestOtherFiles: files that are not the queue's stay, and do no harm.
func TestOtherFiles(t *testing.T) {
	dir := aged(t)
	for _, name := range []string{"notes.txt", "0000.seg", "00000000000000FF-00000000.seg", "0000000000000000-00000000.seg"} {
		must.OK(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600))
	}
	q := open(t, dir, Options{})
	equal(t, "records", ids(t, q), span(131, 300))
	must.OK(t, q.Ack(300))
	if n := len(snapshot(t, dir)); n != 6 {
		t.Fatalf("%d files", n)
	}
}

// TestRandomDamage changes bytes at random places of all segments: exactly the records whose bytes are as they were
// survive, and the queue goes on.
func TestRandomDamage(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 3))
		d := newDisk(random)
		o := Options{files: d, SegmentSize: minSegmentSize}
		q := open(t, "/queue", o)
		const n = 200
		for i := 1; i <= n; {
			next := min(i+random.IntN(30), n)
			fill(t, q, i, next)
			i = next + 1
		}
		closeQueue(t, q)
		before := make(map[string][]byte)
		for name, c := range d.names {
			if segmentFile(name) {
				before[name] = bytes.Clone(c.data)
			}
		}
		names := slices.Sorted(maps.Keys(before))
		for range 1 + random.IntN(8) {
			b := d.names[names[random.IntN(len(names))]].data
			b = b[random.IntN(len(b)):]
			b = b[:min(len(b), 1+random.IntN(1<<random.IntN(10)))]
			switch random.IntN(3) {
			case 0:
				b[0] ^= 1 << random.IntN(8)
			case 1:
				clear(b)
			case 2:
				for i := range b {
					b[i] = byte(random.Uint32())
				}
			}
		}
		var want []int
		i := 1
		for _, name := range names {
			for off := segmentHeader; off < len(before[name]); i++ {
				r := message(i)
				if end := off + r.size(); bytes.Equal(before[name][off:end], d.names[name].data[off:end]) {
					want = append(want, i)
				}
				off += r.size()
			}
		}
		q = open(t, "/queue", o)
		if got := ids(t, q); !slices.Equal(got, want) {
			t.Fatalf("seed %d: %s, want %s", seed, ranges(got), ranges(want))
		}
		fill(t, q, n+1, n+5)
		equal(t, fmt.Sprint("seed ", seed), ids(t, q), append(want, span(n+1, n+5)...))
		closeQueue(t, q)
		q = open(t, "/queue", o)
		equal(t, fmt.Sprint("seed ", seed), ids(t, q), append(want, span(n+1, n+5)...))
		must.OK(t, q.Ack(q.last))
		if s := look(q); s.Depth != 0 || s.segments != 1 {
			t.Fatalf("seed %d: %+v", seed, s)
		}
	}
}
