package spool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
)

// flaky is a disk that fails at random while it is armed.
type flaky struct {
	*disk
	armed bool
}

func (f *flaky) unlucky() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.armed && f.random.IntN(3) == 0
}

func (f *flaky) Open(path string, flag int) (file, error) {
	if flag != os.O_RDONLY && f.unlucky() {
		return nil, syscall.EMFILE
	}
	c, err := f.disk.Open(path, flag)
	if err != nil {
		return nil, err
	}
	return &flakyFile{c.(*content), f}, nil
}

func (f *flaky) Remove(path string) error {
	if f.unlucky() {
		return syscall.EIO
	}
	return f.disk.Remove(path)
}

func (f *flaky) SyncDir(dir string) error {
	if f.unlucky() {
		return syscall.EIO
	}
	return f.disk.SyncDir(dir)
}

type flakyFile struct {
	*content
	flaky *flaky
}

func (f *flakyFile) WriteAt(b []byte, off int64) (int, error) {
	if f.flaky.unlucky() {
		n := f.disk.random.IntN(len(b))
		if n > 0 {
			_, _ = f.content.WriteAt(b[:n], off)
		}
		return n, syscall.ENOSPC
	}
	return f.content.WriteAt(b, off)
}

func (f *flakyFile) Truncate(size int64) error {
	if f.flaky.unlucky() {
		return syscall.EIO
	}
	return f.content.Truncate(size)
}

func (f *flakyFile) Sync() error {
	if f.flaky.unlucky() {
		return f.failSync()
	}
	return f.content.Sync()
}

// life is a queue through restarts, and what must be in it.
type life struct {
	t        *testing.T
	random   *rand.Rand
	disk     *flaky
	q        *Queue
	next     int          // the next message
	accepted []int        // messages whose Append returned nil
	maybe    map[int]bool // messages whose Append failed
	acked    int          // messages up to this one were acknowledged
	removed  int          // and those do not come again, as there was no loss of power since
}

// TestPowerLoss takes queues through random appends, acknowledgements, restarts, failures of the disk and losses of
// power. Always: each accepted message that was not acknowledged is there (F1, F2), in order (F4), and nothing is there
// that was never appended (F8). A failing run names its seed.
func TestPowerLoss(t *testing.T) {
	seeds := 150
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(seed), 7))
			l := &life{t: t, random: random, disk: &flaky{disk: newDisk(random)}, maybe: make(map[int]bool), next: 1}
			l.open()
			for range 60 {
				l.step()
			}
			l.disk.armed = false
			l.restart()
			l.check(true)
			closeQueue(t, l.q)
		})
	}
}

func (l *life) open() {
	q, err := Open("/queue", Options{files: l.disk, SegmentSize: minSegmentSize})
	if err != nil {
		l.t.Fatal(err)
	}
	l.q = q
}

func (l *life) step() {
	switch n := l.random.IntN(20); {
	case n < 9:
		l.append(1 + l.random.IntN(25))
	case n < 13:
		l.ack()
	case n < 15:
		l.disk.armed = !l.disk.armed
	case n < 17:
		l.check(false)
	case n < 18:
		l.restart()
	default:
		after := l.disk.crash()
		l.disk.armed = false // the old queue ends in peace, on a disk that is gone
		closeQueue(l.t, l.q)
		l.disk = &flaky{disk: after, armed: l.random.IntN(4) == 0}
		l.open()
		l.resent()
	}
}

// resent notes from where on messages come again after a loss of power.
func (l *life) resent() {
	l.check(false)
	if got := ids(l.t, l.q); len(got) > 0 {
		l.removed = min(l.removed, slices.Min(got)-1)
	}
}

func (l *life) append(n int) {
	var records []Record
	var numbers []int
	for range n {
		records, numbers = append(records, message(l.next)), append(numbers, l.next)
		l.next++
	}
	err := l.q.Append(l.t.Context(), records...)
	if err == nil {
		l.accepted = append(l.accepted, numbers...)
		return
	}
	if !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EMFILE) {
		l.t.Fatal(err)
	}
	for _, i := range numbers {
		l.maybe[i] = true
	}
}

func (l *life) ack() {
	records, err := l.q.Peek(1+l.random.IntN(40), 1<<20)
	if err != nil {
		l.t.Fatal(err)
	}
	if len(records) == 0 {
		return
	}
	r := records[l.random.IntN(len(records))]
	_ = l.q.Ack(r.Seq) // a cursor that is not written means a resend
	l.removed = number1(l.t, r)
	l.acked = max(l.acked, l.removed)
}

func (l *life) restart() {
	err := l.q.Close()
	if err != nil && !l.disk.armed {
		l.t.Fatal(err)
	}
	l.open()
	if err != nil {
		l.resent()
		return
	}
	l.check(true)
}

// check compares the queue with what must be in it. When it is exact, nothing that was acknowledged comes again.
func (l *life) check(exact bool) {
	l.t.Helper()
	got := ids(l.t, l.q)
	var there []int // accepted messages. Those of failed appends may stand anywhere among them, in any order
	for _, n := range got {
		_, accepted := slices.BinarySearch(l.accepted, n)
		switch {
		case accepted && len(there) > 0 && n <= there[len(there)-1]:
			l.t.Fatalf("%d after %d", n, there[len(there)-1])
		case accepted:
			there = append(there, n)
		case !l.maybe[n]:
			l.t.Fatalf("phantom %d", n)
		}
		if exact && accepted && n <= l.removed {
			l.t.Fatalf("%d was acknowledged, up to %d", n, l.removed)
		}
	}
	for _, n := range l.accepted {
		if _, found := slices.BinarySearch(there, n); n > l.acked && !found {
			l.t.Fatalf("%d is lost; acknowledged up to %d; there are %s; %+v", n, l.acked, ranges(got), l.q.Stats())
		}
	}
	if s := l.q.Stats(); s.Depth != uint64(len(got)) {
		l.t.Fatalf("depth %d of %d records", s.Depth, len(got))
	}
}
