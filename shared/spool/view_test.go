package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/test/must"
)

// viewed returns the messages that a View of the folder has, which it leaves as it is.
func viewed(t *testing.T, dir string) ([]int, ViewStats) {
	t.Helper()
	before := snapshot(t, dir)
	v, err := Look(dir)
	must.OK(t, err)
	var got []int
	for r, err := range v.Records(0) {
		must.OK(t, err)
		got = append(got, number1(t, r))
	}
	if after := snapshot(t, dir); !reflect.DeepEqual(before, after) {
		t.Error("looking changed the files")
	}
	return got, v.Stats()
}

// A View shows what the process that has the queue open would hand out, without its lock, and when it may be from.
func TestViewBesideTheQueue(t *testing.T) {
	dir := t.TempDir()
	if _, err := Look(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	q := open(t, dir, Options{SegmentSize: minSegmentSize})
	if got, s := viewed(t, dir); got != nil || s != (ViewStats{First: 1}) {
		t.Errorf("empty: %v, %+v", got, s)
	}
	fill(t, q, 1, 300)
	must.OK(t, q.Ack(130))
	got, s := viewed(t, dir)
	equal(t, "records", got, span(131, 300))
	want := ViewStats{
		Records: 170, First: 131, Last: 300, Bytes: q.Stats().Bytes, Segments: len(segmentPaths(t, dir)), Oldest: time.Unix(131, 0), Newest: time.Unix(300, 0),
	}
	if s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
	v, err := Look(dir)
	must.OK(t, err)
	if v.ID() != q.ID() {
		t.Errorf("it is %x, the queue %x", v.ID(), q.ID())
	}
	// Segments that go after the look are left out, and no error.
	must.OK(t, q.Ack(250))
	last, n := 0, 0
	for r, err := range v.Records(200) {
		must.OK(t, err)
		last, n = number1(t, r), n+1
	}
	if last != 300 || n < 50 || n > 100 {
		t.Errorf("%d records up to %d", n, last)
	}
}

// What a kill, a bad disk or a person did to the files costs a View what it costs the queue.
func TestViewOfDamage(t *testing.T) {
	random := rand.New(rand.NewPCG(20, 3))
	for round := range 25 {
		dir := aged(t)
		for range 1 + random.IntN(3) {
			paths := append(segmentPaths(t, dir), filepath.Join(dir, cursorName))
			path := paths[random.IntN(len(paths))]
			edit(t, path, func(b []byte) []byte {
				switch random.IntN(4) {
				case 0:
					return b[:random.IntN(len(b)+1)]
				case 1:
					return append(b, make([]byte, random.IntN(500))...)
				case 2:
					if len(b) > 0 {
						clear(b[random.IntN(len(b)):])
					}
				default:
					for range 5 {
						if len(b) > 0 {
							b[random.IntN(len(b))] ^= byte(1 + random.IntN(255))
						}
					}
				}
				return b
			})
		}
		got, _ := viewed(t, dir)
		q := open(t, copyDir(t, dir), Options{})
		equal(t, "records", got, ids(t, q))
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
}

// A folder is not believed: what is no file is no segment, and nothing waits for one. A newer program's files are refused.
func TestViewOfWhatIsNoQueue(t *testing.T) {
	dir := aged(t)
	must.OK(t, syscall.Mkfifo(filepath.Join(dir, segment{base: 1000, salt: 1}.name()), 0o600))
	must.OK(t, os.Symlink("/etc/passwd", filepath.Join(dir, segment{base: 1001, salt: 1}.name())))
	v, err := Look(dir)
	must.OK(t, err)
	if s := v.Stats(); s.Records != 170 || s.Foreign != 0 {
		t.Errorf("%+v", s)
	}
	cursor := filepath.Join(dir, cursorName)
	must.OK(t, os.Remove(cursor))
	must.OK(t, syscall.Mkfifo(cursor, 0o600))
	if _, err := Look(dir); err == nil {
		t.Error("a pipe is a cursor")
	}

	dir = aged(t)
	paths := segmentPaths(t, dir)
	edit(t, paths[len(paths)-1], func(b []byte) []byte {
		b[8]++
		binary.LittleEndian.PutUint32(b[28:], crc32.Checksum(b[:28], castagnoli()))
		return b
	})
	if _, err := Look(dir); !errors.Is(err, durable.ErrNewerFormat) {
		t.Errorf("%v", err)
	}
}

// Segments of another queue are counted until the next Open takes them in.
func TestViewOfForeignSegments(t *testing.T) {
	dir, other := aged(t), t.TempDir()
	q := open(t, other, Options{})
	fill(t, q, 1, 20)
	closeQueue(t, q)
	for _, path := range segmentPaths(t, other) {
		must.OK(t, os.WriteFile(filepath.Join(dir, filepath.Base(path)), must.Read(t, path), 0o600))
	}
	got, s := viewed(t, dir)
	equal(t, "records", got, span(131, 300))
	if s.Foreign != 1 {
		t.Errorf("%+v", s)
	}
}

// Records that a person has dropped, and segments that make room for others, are gone for good, and counted by their reason.
func TestDropAndShed(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{SegmentSize: minSegmentSize})
	fill(t, q, 1, 300)
	_, err := q.Peek(10, mib)
	must.OK(t, err)
	drop := func(through, want uint64) {
		t.Helper()
		if n, err := q.Drop(through, ReasonOperator); n != want || err != nil {
			t.Errorf("dropped %d, %v; want %d", n, err, want)
		}
	}
	drop(0, 0)
	drop(120, 120)
	drop(120, 0)
	equal(t, "records", ids(t, q), span(121, 300))
	if s := q.Stats(); s.Dropped[ReasonOperator] != 120 || s.Depth != 180 || s.LostRecords != 0 || s.Oldest != time.Unix(121, 0).UnixNano() {
		t.Errorf("%+v", s)
	}
	q = open(t, copyDir(t, dir), Options{SegmentSize: minSegmentSize}) // as after a kill
	equal(t, "after a kill", ids(t, q), span(121, 300))

	before := q.Stats()
	n, err := q.Shed(2*minSegmentSize - 100)
	must.OK(t, err)
	if s := q.Stats(); n == 0 || s.Dropped[ReasonSpace] != n || s.Depth != before.Depth-n || s.Bytes > before.Bytes-minSegmentSize || s.Bytes < before.Bytes-3*minSegmentSize {
		t.Errorf("%d are shed: %+v, before %+v", n, s, before)
	}
	equal(t, "records", ids(t, q), span(121+int(n), 300))
	_, err = q.Shed(math.MaxInt64) // the newest segment stays: it is written to
	must.OK(t, err)
	if s := q.Stats(); s.Depth == 0 || s.Bytes > minSegmentSize {
		t.Errorf("%+v", s)
	}
	fill(t, q, 301, 310)
	drop(math.MaxUint64, q.Depth())
	fill(t, q, 311, 311)
	equal(t, "records", ids(t, q), []int{311})
	closeQueue(t, q)
	if _, err := q.Drop(1, ReasonOperator); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
}

// What a person is told would be dropped is what goes.
func TestExpiredIsWhatExpireRemoves(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	unset, old, young, future := time.Unix(5, 0), now.Add(-48*time.Hour), now.Add(-time.Minute), now.AddDate(1, 0, 0)
	from, to := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), now.Add(-time.Hour)
	for _, times := range [][]time.Time{
		{future, old, old}, {unset, unset, old, unset}, {future, unset, young, old}, {future, unset}, {old, future, old, future, young, old}, nil,
	} {
		dir := t.TempDir()
		q := open(t, dir, Options{Now: func() time.Time { return now }})
		for _, at := range times {
			must.OK(t, q.Append(t.Context(), Record{ID: "x", Time: at.UnixNano()}))
		}
		v, err := Look(dir)
		must.OK(t, err)
		seen := 0
		through, err := v.Expired(from, to, now, func(Record) { seen++ })
		must.OK(t, err)
		removed, err := q.Expire(from, to)
		if err != nil || through != removed || seen < int(removed) {
			t.Errorf("%v: through %d of %d seen, removed are %d, %v", times, through, seen, removed, err)
		}
	}
}
