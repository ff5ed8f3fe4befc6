package spool

import (
	"errors"
	"testing"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/test/must"
)

const mib = 1 << 20

// F5: with Reject a queue takes nothing more while the disk is below its floor, keeps what it has, and takes records again
// when there is space.
func TestFloorRefuses(t *testing.T) {
	disk := newFaults()
	disk.leave(100 * mib)
	q := open(t, t.TempDir(), Options{MinFree: 64 * mib, files: disk})
	fill(t, q, 1, 20)
	disk.leave(64*mib + 10)
	for range 2 {
		if err := q.Append(t.Context(), message(21), message(22)); !errors.Is(err, ErrNoSpace) {
			t.Fatalf("%v, want ErrNoSpace", err)
		}
	}
	if s := q.Stats(); s.Dropped[ReasonSpace] != 0 {
		t.Errorf("%+v", s)
	}
	disk.leave(65 * mib)
	fill(t, q, 21, 30)
	equal(t, "records", ids(t, q), span(1, 30))
	// What was acknowledged as a whole makes room for as much.
	disk.leave(0)
	must.OK(t, q.Ack(q.last))
	fill(t, q, 31, 35)
	equal(t, "records", ids(t, q), span(31, 35))
}

// F5: with DropOldest a queue on a disk below its floor goes on with the newest records and does not grow; others who fill
// the disk do not cost it its backlog.
func TestFloorDropsOldest(t *testing.T) {
	disk := newFaults()
	disk.leave(100 * mib)
	q := open(t, t.TempDir(), Options{MinFree: 64 * mib, SegmentSize: minSegmentSize, WhenFull: DropOldest, files: disk})
	const before, after = 300, 420
	for i := 1; i <= before; i++ {
		fill(t, q, i, i)
	}
	size := q.Stats().Bytes
	disk.leave(0)
	for i := before + 1; i <= after; i++ {
		fill(t, q, i, i)
		s := q.Stats()
		if s.Bytes > size || s.Bytes < size-2*minSegmentSize || s.Depth+s.Dropped[ReasonSpace] != uint64(i) {
			t.Fatalf("after %d: %+v; before it had %d bytes", i, s, size)
		}
	}
	dropped := int(q.Stats().Dropped[ReasonSpace])
	if dropped == 0 {
		t.Error("nothing was dropped: the test shows nothing")
	}
	equal(t, "records", ids(t, q), span(dropped+1, after))
	disk.leave(100 * mib)
	for i := after + 1; i <= after+50; i++ {
		fill(t, q, i, i)
	}
	if s := q.Stats(); int(s.Dropped[ReasonSpace]) != dropped {
		t.Errorf("with space again: %+v", s)
	}
}

// A queue that has nothing left to drop refuses.
func TestFloorWithNothingToDrop(t *testing.T) {
	disk := newFaults()
	disk.leave(0)
	q := open(t, t.TempDir(), Options{MinFree: 64 * mib, WhenFull: DropOldest, files: disk})
	if err := q.Append(t.Context(), message(1)); !errors.Is(err, ErrNoSpace) {
		t.Errorf("%v, want ErrNoSpace", err)
	}
}

// The free space of a real disk is asked for.
func TestFloorOfARealDisk(t *testing.T) {
	q := open(t, t.TempDir(), Options{MinFree: 1})
	fill(t, q, 1, 1)
	q = open(t, t.TempDir(), Options{MinFree: 1 << 62})
	if free, err := durable.FreeSpace(t.TempDir()); err != nil || free <= 0 || free >= 1<<62 {
		t.Skipf("this system does not tell its free space: %d, %v", free, err)
	}
	if err := q.Append(t.Context(), message(1)); !errors.Is(err, ErrNoSpace) {
		t.Errorf("%v, want ErrNoSpace", err)
	}
}

// F5: records that are too old go, oldest first, and are counted.
func TestExpire(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{SegmentSize: minSegmentSize})
	const n = 1000
	for i := 1; i <= n; i += 50 {
		fill(t, q, i, i+49)
	}
	at := func(i int) time.Time { return time.Unix(int64(i), 0) } // the time of message i
	expire := func(from, to int, want uint64) {
		t.Helper()
		if removed, err := q.Expire(at(from), at(to)); err != nil || removed != want {
			t.Fatalf("%d are removed, %v; want %d", removed, err, want)
		}
	}
	expire(0, 1, 0)
	peeked, err := q.Peek(10, mib)
	must.OK(t, err)
	expire(0, 701, 700)
	if q.Acked() != 700 {
		t.Errorf("removed up to %d", q.Acked())
	}
	expire(0, 701, 0)
	if err := q.Ack(peeked[len(peeked)-1].Seq); err != nil {
		t.Errorf("acknowledge what is gone: %v", err)
	}
	s := q.Stats()
	if s.Dropped[ReasonAge] != 700 || s.Depth != 300 || s.LostRecords != 0 {
		t.Errorf("%+v", s)
	}
	equal(t, "records", ids(t, q), span(701, n))
	if paths := segmentPaths(t, dir); len(paths) > 20 { // of 50
		t.Errorf("%d segments are left", len(paths))
	}
	q = open(t, copyDir(t, dir), Options{}) // as after a kill
	equal(t, "after a kill", ids(t, q), span(701, n))
	expire(0, 5000, 300)
	fill(t, q, n+1, n+1)
	equal(t, "records", ids(t, q), []int{n + 1})
	closeQueue(t, q)
	if _, err := q.Expire(at(0), at(5000)); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// F5: a record whose time tells no age goes with one behind it that is too old, and is kept before one that is not.
func TestExpireBehindATimeThatTellsNothing(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	unset, old, young, ahead, future := time.Unix(5, 0), now.Add(-48*time.Hour), now.Add(-time.Minute), now.Add(time.Minute), now.AddDate(1, 0, 0)
	for _, c := range []struct {
		what  string
		times []time.Time
		want  uint64
	}{
		{"clock ahead", []time.Time{future, old, old}, 3},
		{"clock not set", []time.Time{unset, unset, old, unset}, 3},
		{"nothing too old", []time.Time{future, unset, young, old}, 0},
		{"nothing known", []time.Time{future, unset}, 0},
		{"a little ahead", []time.Time{ahead, old}, 0},
		{"in between", []time.Time{old, future, old, future, young, old}, 3},
	} {
		t.Run(c.what, func(t *testing.T) {
			q := open(t, t.TempDir(), Options{Now: func() time.Time { return now }})
			for _, at := range c.times {
				must.OK(t, q.Append(t.Context(), Record{ID: "x", Time: at.UnixNano()}))
			}
			n, err := q.Expire(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), now.Add(-time.Hour))
			if s := q.Stats(); err != nil || n != c.want || s.Dropped[ReasonAge] != c.want || s.Depth != uint64(len(c.times))-c.want {
				t.Errorf("%d removed, %v, want %d; %+v", n, err, c.want, s)
			}
		})
	}
}
