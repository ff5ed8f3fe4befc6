package spool

import (
	"errors"
	"testing"

	"edgepdm/test/must"
)

// TestReject: a full queue refuses, loses nothing, and takes records again when there is room; also when the newest
// segment alone is what fills it.
func TestReject(t *testing.T) {
	onBoth(t, "", func(t *testing.T, at site) {
		q := at.open(t, Options{MaxBytes: 32 << 10})
		n := 0
		var err error
		for err == nil {
			n++
			err = q.Append(t.Context(), message(n))
		}
		s := q.Stats()
		if !errors.Is(err, ErrFull) || s.Bytes > 32<<10 || s.Bytes < 31<<10 {
			t.Fatalf("after %d: %v; %+v", n, err, s)
		}
		equal(t, "records", ids(t, q), span(1, n-1))
		must.OK(t, q.Ack(uint64(n/2)))
		fill(t, q, n, n+20)
		equal(t, "records", ids(t, q), span(n/2+1, n+20))
		for range 5 { // each fills more than half of it
			must.OK(t, q.Ack(q.last))
			must.OK(t, q.Append(t.Context(), Record{Payload: make([]byte, 20<<10)}))
		}
		if s := q.Stats(); s.Depth != 1 || s.Bytes > 32<<10 || s.LostRecords != 0 {
			t.Fatalf("stats: %+v", s)
		}
	})
}

// TestDropOldest: the oldest segments make room, and every record that goes is counted, also one that was peeked.
func TestDropOldest(t *testing.T) {
	onBoth(t, "", func(t *testing.T, at site) {
		o := Options{MaxBytes: 32 << 10, WhenFull: DropOldest}
		q := at.open(t, o)
		removed := uint64(0) // by acknowledgements
		ack := func(seq uint64) {
			before := q.Depth()
			must.OK(t, q.Ack(seq))
			removed += before - q.Depth()
		}
		const n = 1000
		for i := 1; i <= n; i++ {
			if i == 50 {
				if _, err := q.Peek(30, 1<<20); err != nil {
					t.Fatal(err)
				}
				ack(10)
			}
			if i == 600 { // acknowledged in time: nothing to drop for a while
				ack(599)
			}
			fill(t, q, i, i)
			if s := q.Stats(); s.Bytes > 32<<10 || s.Depth+removed+s.Dropped[ReasonOldest] != uint64(i) {
				t.Fatalf("after %d: %+v", i, s)
			}
		}
		s := q.Stats()
		got := ids(t, q)
		equal(t, "records", got, span(n-len(got)+1, n))
		if uint64(len(got)) != s.Depth || s.Dropped[ReasonOldest] < 300 || s.LostRecords != 0 {
			t.Fatalf("%d records, %+v", len(got), s)
		}
		ack(30) // dropped since
		q = at.killed(t).open(t, o)
		equal(t, "after a crash", ids(t, q), got)
		if s := q.Stats(); s.LostRecords != 0 {
			t.Fatalf("stats: %+v", s)
		}
	})
}
