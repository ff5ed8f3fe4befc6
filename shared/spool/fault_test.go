package spool

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"edgepdm/test/must"
)

// TestWriteFails: a write that fails, wholly or in part, gives a clear error and leaves no trace; the queue goes on when
// the disk does (F10).
func TestWriteFails(t *testing.T) {
	for _, c := range []struct {
		name     string
		truncate error // of the repair
		fresh    bool  // in the first write of a segment
		written  int   // bytes before the error
	}{
		{name: "nothing written"},
		{name: "part written", written: 150},
		{name: "nearly all written", written: 900},
		{name: "repair fails too", written: 900, truncate: syscall.EIO},
		{name: "new segment", fresh: true, written: 150},
	} {
		onBoth(t, c.name+", ", func(t *testing.T, at site) {
			f := at.faults
			q := at.open(t, Options{})
			if !c.fresh {
				fill(t, q, 1, 10)
			}
			f.set(func(op, name string, n int) (int, error) {
				switch {
				case op == "write" && segmentFile(name) && n > segmentHeader:
					return c.written, syscall.ENOSPC
				case op == "truncate":
					return 0, c.truncate
				}
				return n, nil
			})
			for range 3 {
				err := q.Append(t.Context(), message(11), message(12), message(13), message(14), message(15), message(16))
				if !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("append: %v", err)
				}
			}
			want := span(1, 10)
			if c.fresh {
				want = nil
			}
			equal(t, "while it fails", ids(t, q), want)
			equal(t, "after a crash", ids(t, at.killed(t).open(t, Options{}))[:len(want)], want)
			f.set(nil)
			for i := 11; i <= 30; i++ {
				fill(t, q, i, i)
			}
			want = append(want, span(11, 30)...)
			equal(t, "when it works again", ids(t, q), want)
			if s := q.Stats(); s.Depth != uint64(len(want)) {
				t.Fatalf("stats: %+v", s)
			}
			closeQueue(t, q)
			q = at.open(t, Options{})
			equal(t, "after a restart", ids(t, q), want)
			if s := q.Stats(); s.LostRecords != 0 {
				t.Fatalf("stats: %+v", s)
			}
		})
	}
}

// TestSyncFails: after a failed sync the file is not trusted again. The records go to a new segment, and only when that
// is synced Append returns nil.
func TestSyncFails(t *testing.T) {
	for _, c := range []struct {
		name     string
		times    int // how many syncs fail
		dir      bool
		truncate error
		fails    bool
	}{
		{name: "once", times: 1},
		{name: "once, and the old segment cannot be cut", times: 1, truncate: syscall.EIO},
		{name: "twice", times: 2, fails: true},
		{name: "twice, and the old segment cannot be cut", times: 2, truncate: syscall.EIO, fails: true},
		{name: "once, and the new segment's name", times: 1, dir: true, fails: true},
	} {
		onBoth(t, c.name+", ", func(t *testing.T, at site) {
			f := at.faults
			q := at.open(t, Options{})
			fill(t, q, 1, 10)
			left := c.times
			f.set(func(op, name string, n int) (int, error) {
				switch {
				case op == "sync" && segmentFile(name) && left > 0:
					left--
					return 0, syscall.EIO
				case op == "syncdir" && c.dir:
					return 0, syscall.EIO
				case op == "truncate":
					return 0, c.truncate
				}
				return n, nil
			})
			err := q.Append(t.Context(), message(11), message(12))
			if c.fails != errors.Is(err, syscall.EIO) || !c.fails && err != nil {
				t.Fatalf("append: %v", err)
			}
			want := span(1, 10)
			if !c.fails {
				want = span(1, 12)
			}
			equal(t, "records", ids(t, q), want)
			f.set(nil)
			if c.fails {
				fill(t, q, 11, 12)
			}
			fill(t, q, 13, 20)
			equal(t, "records", ids(t, q), span(1, 20))
			if n := at.segments(t); n != 2 {
				t.Fatalf("%d segments: the distrusted one must not be appended to", n)
			}
			q = at.killed(t).open(t, Options{})
			equal(t, "after a crash", ids(t, q), span(1, 20))
			if s := look(q); s.LostRecords != 0 || s.damaged != 0 {
				t.Fatalf("stats: %+v", s)
			}
		})
	}
}

// TestFailureKeepsOrder: all that waits behind a failed append fails with it (F4).
func TestFailureKeepsOrder(t *testing.T) {
	f, g := newFaults(), newGate()
	q := open(t, t.TempDir(), Options{files: f})
	f.set(g.fail)
	all := receipts(t, q, 1, 1)
	<-g.entered
	all = append(all, receipts(t, q, 2, 9)...)
	g.leave <- syscall.EIO
	<-g.entered // the second attempt
	g.leave <- syscall.EIO
	for i, r := range all {
		if err := r.Err(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("record %d: %v", i+1, err)
		}
	}
	f.set(nil)
	fill(t, q, 1, 9)
	equal(t, "records", ids(t, q), span(1, 9))
	if s := q.Stats(); s.Depth != 9 || q.queued != 0 {
		t.Fatalf("queued %d; stats: %+v", q.queued, s)
	}
}

// TestReadOnly: on a disk that is read-only a queue opens, hands out what it has and takes acknowledgements (F10).
func TestReadOnly(t *testing.T) {
	for _, torn := range []bool{false, true} {
		dir := aged(t)
		if torn {
			paths := segmentPaths(t, dir)
			edit(t, paths[len(paths)-1], func(b []byte) []byte { return append(b, b[segmentHeader:segmentHeader+60]...) })
		}
		f := newFaults()
		f.set(readOnly)
		q := open(t, dir, Options{files: f, SegmentSize: minSegmentSize})
		equal(t, "records", ids(t, q), span(131, 300))
		if err := q.Append(t.Context(), message(301)); !errors.Is(err, syscall.EROFS) {
			t.Fatalf("append: %v", err)
		}
		if err := q.Ack(250); !errors.Is(err, syscall.EROFS) {
			t.Fatalf("ack: %v", err)
		}
		equal(t, "records", ids(t, q), span(251, 300))
		if s := q.Stats(); s.Depth != 50 {
			t.Fatalf("stats: %+v", s)
		}
		before := len(segmentPaths(t, dir))
		f.set(nil)
		fill(t, q, 301, 310)
		must.OK(t, q.Ack(251))
		equal(t, "records", ids(t, q), span(252, 310))
		if n := len(segmentPaths(t, dir)); n >= before {
			t.Fatalf("%d segments, before %d", n, before)
		}
		closeQueue(t, q)
		q = open(t, dir, Options{})
		equal(t, "after a restart", ids(t, q), span(252, 310))
		if s := q.Stats(); s.LostRecords != 0 {
			t.Fatalf("stats: %+v", s)
		}
	}
}

// TestReadFails: an error of the disk while reading skips nothing: it is returned until the disk works.
func TestReadFails(t *testing.T) {
	dir := aged(t)
	f := newFaults()
	q := open(t, dir, Options{files: f})
	f.set(func(op, name string, n int) (int, error) {
		if op == "read" && segmentFile(name) {
			return 0, syscall.EIO
		}
		return n, nil
	})
	for range 3 {
		if _, err := q.Peek(10, 1<<20); !errors.Is(err, syscall.EIO) {
			t.Fatalf("peek: %v", err)
		}
	}
	fill(t, q, 301, 302)
	f.set(nil)
	equal(t, "records", ids(t, q), span(131, 302))

	// Also of the newest segment and of the cursor, when opening.
	f = newFaults()
	f.set(func(op, _ string, n int) (int, error) {
		if op == "read" {
			return 0, syscall.EIO
		}
		return n, nil
	})
	left := copyDir(t, dir)
	if q, err := Open(left, Options{files: f}); err == nil {
		f.set(nil)
		must.OK(t, q.Append(t.Context(), message(303)))
		got := ids(t, q)
		if last := got[len(got)-1]; last != 303 {
			t.Fatalf("last is %d", last)
		}
		closeQueue(t, q)
	} else {
		t.Fatalf("open: %v", err)
	}
}

// TestRemoveFails: a segment that cannot be deleted is tried again.
func TestRemoveFails(t *testing.T) {
	dir := aged(t)
	f := newFaults()
	q := open(t, dir, Options{files: f})
	f.set(func(op, _ string, n int) (int, error) {
		if op == "remove" {
			return 0, syscall.EPERM
		}
		return n, nil
	})
	must.OK(t, q.Ack(290))
	if s := look(q); s.segments < 3 {
		t.Fatalf("stats: %+v", s)
	}
	f.set(nil)
	must.OK(t, q.Ack(291))
	if s := look(q); s.segments > 2 {
		t.Fatalf("stats: %+v", s)
	}
	equal(t, "records", ids(t, q), span(292, 300))
}

// TestOpenFails: an open that fails leaves nothing locked.
func TestOpenFails(t *testing.T) {
	dir := aged(t)
	f := newFaults()
	f.set(func(op, name string, n int) (int, error) {
		if op == "openread" && segmentFile(name) {
			return 0, os.ErrPermission
		}
		return n, nil
	})
	if _, err := Open(dir, Options{files: f}); !errors.Is(err, os.ErrPermission) {
		t.Fatalf("open: %v", err)
	}
	equal(t, "records", ids(t, open(t, dir, Options{})), span(131, 300))
}

// TestCursorBeforeRemoval: a segment is deleted only when the cursor that says so is synced.
func TestCursorBeforeRemoval(t *testing.T) {
	for _, o := range []Options{{SegmentSize: minSegmentSize}, {MaxBytes: 32 << 10, WhenFull: DropOldest}} {
		f := newFaults()
		o.files = f
		q := open(t, t.TempDir(), o)
		dirty, removed := false, 0
		f.set(func(op, name string, n int) (int, error) {
			switch {
			case name == cursorName && op == "write":
				dirty = true
			case name == cursorName && op == "sync":
				dirty = false
			case op == "remove":
				removed++
				if dirty {
					t.Errorf("%s is deleted before the cursor is synced", name)
				}
			}
			return n, nil
		})
		for i := 1; i <= 400; i++ {
			fill(t, q, i, i)
			if i%20 == 0 && o.WhenFull == Reject {
				must.OK(t, q.Ack(uint64(i-5)))
			}
		}
		if removed < 5 {
			t.Fatalf("%d segments were deleted", removed)
		}
		closeQueue(t, q)
	}
}

// TestAdopted: a segment whose name the process before could not sync, nor delete, is made durable before it is used.
func TestAdopted(t *testing.T) {
	d := newDisk(nil)
	f := &faults{files: d, counts: make(map[string]int)}
	q := open(t, "/queue", Options{files: f})
	f.set(func(op, _ string, n int) (int, error) {
		if op == "syncdir" || op == "remove" {
			return 0, syscall.EIO
		}
		return n, nil
	})
	if err := q.Append(t.Context(), message(1)); !errors.Is(err, syscall.EIO) {
		t.Fatalf("append: %v", err)
	}
	closeQueue(t, q)
	name := segment{base: 1, salt: q.salt}.name()
	if d.names[name] == nil || d.durable[name] != nil {
		t.Fatal("the test does not do what it says")
	}
	if _, err := d.names[name].WriteAt([]byte(marker), int64(len(d.names[name].data))); err != nil { // by a write that was killed
		t.Fatal(err)
	}
	f.set(func(op, file string, n int) (int, error) {
		if op == "open" && file == cursorName { // else that would sync the folder
			return 0, syscall.EIO
		}
		return n, nil
	})
	q = open(t, "/queue", Options{files: f})
	if c := d.durable[name]; c == nil || len(c.dirty) > 0 || len(c.saved) != len(c.data) {
		t.Fatal("not durable")
	}
	fill(t, q, 2, 2)
	equal(t, "records", ids(t, q), span(1, 2))
}
