package spool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"edgepdm/test/must"
)

// life is a queue through restarts, and what must be in it.
type life struct {
	t        *testing.T
	random   *rand.Rand
	disk     *disk
	faults   *faults // of the disk
	failing  bool
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
			l := &life{t: t, random: random, maybe: make(map[int]bool), next: 1}
			l.insert(newDisk(random))
			l.open()
			for range 60 {
				l.step()
			}
			l.fail(false)
			l.restart()
			l.check(true)
			closeQueue(t, l.q)
		})
	}
}

// insert gives the next queue a disk.
func (l *life) insert(d *disk) {
	l.disk, l.faults = d, &faults{files: d, counts: make(map[string]int)}
}

// fail makes the disk fail at random, or no more.
func (l *life) fail(on bool) {
	l.failing = on
	if !on {
		l.faults.set(nil)
		return
	}
	l.faults.set(func(op, _ string, n int) (int, error) {
		if op == "read" || op == "openread" || l.random.IntN(3) > 0 {
			return n, nil
		}
		switch op {
		case "open":
			return 0, syscall.EMFILE
		case "write":
			return l.random.IntN(n), syscall.ENOSPC
		}
		return 0, syscall.EIO
	})
}

func (l *life) open() {
	q, err := Open("/queue", Options{files: l.faults, SegmentSize: minSegmentSize})
	must.OK(l.t, err)
	l.q = q
}

func (l *life) step() {
	switch n := l.random.IntN(20); {
	case n < 9:
		l.append(1 + l.random.IntN(25))
	case n < 13:
		l.ack()
	case n < 15:
		l.fail(!l.failing)
	case n < 17:
		l.check(false)
	case n < 18:
		l.restart()
	default:
		after := l.disk.crash()
		l.fail(false) // the old queue ends in peace, on a disk that is gone
		closeQueue(l.t, l.q)
		l.insert(after)
		l.fail(l.random.IntN(4) == 0)
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
	must.OK(l.t, err)
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
	if err != nil && !l.failing {
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
