package spool

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"edgepdm/test/must"
)

// TestTornTail is the table that other stores were measured with: 1,000 acknowledged records, an end without Close, a
// change to the newest file; promise F8. The numbers of the others stand beside.
func TestTornTail(t *testing.T) {
	garbage := make([]byte, 500)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range garbage {
		garbage[i] = byte(random.Uint32())
	}
	const n = 1000
	size := func(i int) int { r := message(i); return r.size() }
	// The file with one segment of 1,000 records; record i begins at start(i).
	start := func(i int) int {
		off := segmentHeader
		for k := 1; k < i; k++ {
			off += size(k)
		}
		return off
	}
	flip := func(at int) func(b []byte) []byte {
		return func(b []byte) []byte { b[at] ^= 0x10; return b }
	}
	for _, c := range []struct {
		name   string
		change func(b []byte) []byte
		want   []int
		check  func(s seen) bool // after all was read
	}{
		// sqlite 1000, pebble 1000, JetStream 1000, bbolt 1000, tidwall/wal 1000
		{"as left", func(b []byte) []byte { return b }, span(1, n),
			func(s seen) bool { return s.LostRecords == 0 && s.damaged+s.torn == 0 }},
		// sqlite 1000, pebble 999, JetStream 999, bbolt 1000, tidwall/wal refuses to open
		{"last 100 B cut", func(b []byte) []byte { return b[:len(b)-100] }, span(1, n-1),
			func(s seen) bool { return s.torn == int64(size(n)-100) && s.damaged == 0 }},
		{"cut within the last header", func(b []byte) []byte { return b[:start(n)+17] }, span(1, n-1),
			func(s seen) bool { return s.torn == 17 && s.damaged == 0 }},
		// tidwall/wal 1500: phantom records
		{"500 zeros added", func(b []byte) []byte { return append(b, make([]byte, 500)...) }, span(1, n),
			func(s seen) bool { return s.torn == 500 && s.damaged == 0 && s.LostRecords == 0 }},
		// tidwall/wal refuses to open
		{"500 garbage bytes", func(b []byte) []byte { return append(b, garbage...) }, span(1, n),
			func(s seen) bool { return s.damaged == 500 && s.kept == 500 && s.LostRecords == 0 }},
		// sqlite 936 silently, pebble refuses, JetStream 500 silently, bbolt panics, tidwall/wal 1145 with garbage
		{"a byte flipped in the middle: payload", flip(start(500) + 100), span(1, n, 500),
			func(s seen) bool { return s.damaged == int64(size(500)) && s.LostRecords == 1 }},
		{"a byte flipped in the middle: sequence number", flip(start(500) + 17), span(1, n, 500),
			func(s seen) bool { return s.damaged == int64(size(500)) && s.LostRecords == 1 }},
		{"a byte flipped in the middle: length", flip(start(500) + 12), span(1, n, 500),
			func(s seen) bool { return s.damaged == int64(size(500)) && s.LostRecords == 1 }},
		{"a byte flipped in the middle: marker", flip(start(500)), span(1, n, 500),
			func(s seen) bool { return s.damaged == int64(size(500)) && s.LostRecords == 1 }},
		{"a byte flipped in the last payload", flip(start(n) + 100), span(1, n-1),
			func(s seen) bool { return s.damaged == int64(size(n)) && s.LostRecords == 1 }},
		{"a byte flipped in the last header", flip(start(n) + 17), span(1, n-1),
			func(s seen) bool { return s.damaged == int64(size(n)) }},
		{"a byte flipped in the segment's header", flip(9), span(1, n),
			func(s seen) bool { return s.damaged == segmentHeader && s.LostRecords == 0 }},
		{"4096 zeros in the middle", func(b []byte) []byte {
			return bytes.Join([][]byte{b[:start(500)], make([]byte, 4096), b[start(500)+4096:]}, nil)
		}, func() []int {
			last := 500
			for start(last+1) < start(500)+4096 {
				last++
			}
			return append(span(1, 499), span(last+1, n)...)
		}(), func(s seen) bool { return s.damaged >= 4096 && s.LostRecords > 20 && s.LostRecords < 40 }},
		{"all of it garbage", func(b []byte) []byte { return bytes.Repeat(garbage, 10) }, nil,
			func(s seen) bool { return s.damaged == 5000 && s.LostRecords > 0 }},
		{"empty", func([]byte) []byte { return nil }, nil, func(s seen) bool { return s.damaged == 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			q := open(t, dir, Options{})
			fill(t, q, 1, n)
			left := copyDir(t, dir)
			edit(t, segmentPaths(t, left)[0], c.change)

			q = open(t, left, Options{})
			equal(t, "survivors", ids(t, q), c.want)
			if s := look(q); !c.check(s) || s.Depth != uint64(len(c.want)) {
				t.Fatalf("stats: %+v", s)
			}
			// It goes on as if nothing had been, also over another restart.
			fill(t, q, 2001, 2010)
			want := append(c.want, span(2001, 2010)...)
			equal(t, "with new ones", ids(t, q), want)
			closeQueue(t, q)
			q = open(t, left, Options{})
			equal(t, "after a restart", ids(t, q), want)
			must.OK(t, q.Ack(q.last))
			if s := q.Stats(); s.Depth != 0 {
				t.Fatalf("stats: %+v", s)
			}
		})
	}
}

// TestDamagedBacklog flips a byte in each of many segments: each costs one record, and acknowledging goes on over them.
func TestDamagedBacklog(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{SegmentSize: minSegmentSize})
	fill(t, q, 1, 500)
	closeQueue(t, q)
	paths := segmentPaths(t, dir)
	var lost []int
	for _, path := range paths[:len(paths)-1] {
		s, _ := parseName(path[len(dir)+1:])
		off, _ := locate(t, path, 3)
		edit(t, path, func(b []byte) []byte { b[off+50]++; return b })
		lost = append(lost, int(s.base)+3)
	}
	q = open(t, dir, Options{SegmentSize: minSegmentSize})
	want := span(1, 500, lost...)
	for len(want) > 0 {
		records, err := q.Peek(7, 1<<20)
		if err != nil || len(records) == 0 {
			t.Fatalf("%d left, peek: %d records, %v", len(want), len(records), err)
		}
		for i, r := range records {
			if got := number1(t, r); got != want[i] {
				t.Fatalf("record %d, want %d", got, want[i])
			}
		}
		want = want[len(records):]
		must.OK(t, q.Ack(records[len(records)-1].Seq))
	}
	s := look(q)
	if s.LostRecords != uint64(len(lost)) || s.Depth != 0 || s.segments != 1 ||
		s.kept != s.damaged || s.damaged == 0 {
		t.Fatalf("stats: %+v", s)
	}
}
