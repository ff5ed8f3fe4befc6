package ledger

import (
	"math"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// clocked is a ledger in memory whose time the test gives.
func clocked() (l *Ledger, now *time.Time) {
	l = Memory(10)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l.now = func() time.Time { return at }
	return l, &at
}

type heard struct {
	epoch string
	seq   uint64
	want  Gap
}

func hear(t *testing.T, l *Ledger, rows []heard) {
	t.Helper()
	for _, c := range rows {
		got, err := l.Record("press-1", c.epoch, c.seq)
		if err != nil || got != c.want {
			t.Errorf("%s %d: %+v, %v; want %+v", c.epoch, c.seq, got, err, c.want)
		}
	}
}

// The last rows of a sequence may come after the first ones of the next: no row is missed, nor is another sender told.
func TestLastRowsAfterTheFirstOfTheNextSequence(t *testing.T) {
	l, _ := clocked()
	for seq := range uint64(10) {
		hear(t, l, []heard{{"a", seq + 1, Gap{}}})
	}
	hear(t, l, []heard{
		{"b", 1, Gap{}}, {"a", 11, Gap{}}, {"b", 2, Gap{}}, {"a", 13, Gap{Missed: 1}}, {"b", 3, Gap{}},
		{"a", 12, Gap{Late: true}}, {"a", 11, Gap{Repeated: true}}, {"b", 5, Gap{Missed: 1}},
	})
}

// A row that was overtaken is missed no more, once.
func TestOvertakenRows(t *testing.T) {
	l, _ := clocked()
	var missed atomic.Uint64
	for _, c := range []struct{ seq, want uint64 }{
		{1, 0}, {5, 3}, {3, 2}, {3, 2}, {4, 1}, {2, 0}, {2, 0}, {1, 0}, {70, 64}, {6, 63}, {5, 63}, {69, 62}, {200, 62 + 129}, {136, 62 + 128},
		{135, 62 + 128}, {201, 62 + 128}, {136, 62 + 128}, {199, 62 + 127},
	} {
		g, err := l.Record("press-1", "a", c.seq)
		if err != nil {
			t.Fatal(err)
		}
		if g.Tally(&missed); missed.Load() != c.want {
			t.Errorf("after %d: %d missed, want %d", c.seq, missed.Load(), c.want)
		}
	}
	hear(t, l, []heard{{"b", 3, Gap{Missed: 2}}, {"b", 1, Gap{Late: true}}})
}

// A shadow's versions are a sequence of their own, which does not disturb that of the rows.
func TestShadowBesideRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := open(t, path, 10)
	hear(t, l, []heard{
		{"a", 1, Gap{}}, {"a", 2, Gap{}}, {"shadow", 12, Gap{}}, {"a", 3, Gap{}}, {"shadow", 14, Gap{Missed: 1}}, {"shadow", 13, Gap{Late: true}},
		{"shadow", 12, Gap{Repeated: true}}, {"a", 6, Gap{Missed: 2}},
	})
	l = open(t, path, 10) // as a killed process leaves it
	hear(t, l, []heard{
		{"shadow", 15, Gap{Resumed: true}}, {"a", 8, Gap{Missed: 1, Resumed: true}}, {"shadow", 1 << 40, Gap{Jump: true}}, {"a", 9, Gap{}},
		{"shadow", 1<<40 + 2, Gap{Missed: 1}},
	})
	l = Memory(10)
	hear(t, l, []heard{{"shadow", 700, Gap{}}, {"a", 3, Gap{Unheard: 2}}})
}

// Two senders under one name are told, and no row is missed.
func TestTwins(t *testing.T) {
	for name, c := range map[string]struct {
		between time.Duration
		told    int // at which row
	}{"fast": {time.Millisecond, 2 + turnsOfTwins}, "slow": {30 * time.Second, 3}} {
		t.Run(name, func(t *testing.T) {
			l, now := clocked()
			for i := range 200 {
				*now = now.Add(c.between)
				epoch, seq := "aaaa", 100_000+uint64(i/2)
				if i%2 == 1 {
					epoch, seq = "bbbb", 200_000+uint64(i/2)
				}
				g, err := l.Record("press-1", epoch, seq)
				if err != nil || g.Missed != 0 || g.Twin != (i+1 >= c.told) {
					t.Fatalf("row %d: %+v, %v", i+1, g, err)
				}
			}
			*now = now.Add(2 * turnTime) // one of them is gone
			hear(t, l, []heard{{"bbbb", 200_100, Gap{}}, {"bbbb", 200_102, Gap{Missed: 1}}})
		})
	}
}

// Producers that start again, seldom or often, are one sender.
func TestOneSenderThatStartsAgain(t *testing.T) {
	l, now := clocked()
	for i := range 200 {
		epoch := string([]byte{'a' + byte(i/26), 'a' + byte(i%26)})
		for seq := range uint64(3) {
			*now = now.Add(2 * time.Second)
			hear(t, l, []heard{{epoch, seq + 1, Gap{}}})
		}
	}
}

// One number that cannot be does not blind the counting of gaps, and no counter wraps.
func TestNumbersThatCannotBe(t *testing.T) {
	for _, wild := range []uint64{math.MaxUint64, math.MaxInt64, 1 << 32, maxStep + 8} {
		l, _ := clocked()
		hear(t, l, []heard{
			{"a", 6, Gap{Unheard: 5}}, {"a", wild, Gap{Jump: true}}, {"a", 7, Gap{}}, {"a", 9, Gap{Missed: 1}}, {"a", wild, Gap{Repeated: true}},
			{"b", wild, Gap{Jump: true}}, {"a", 11, Gap{Missed: 1}}, {"b", 2, Gap{Jump: true}}, {"b", 4, Gap{Missed: 1}}, {"a", 12, Gap{}},
		})
	}
	l, _ := clocked()
	hear(t, l, []heard{{"a", math.MaxUint64, Gap{Jump: true}}, {"a", 1, Gap{Jump: true}}, {"a", 3, Gap{Missed: 1}}})
	l, _ = clocked()
	hear(t, l, []heard{ // a producer that goes on from there is followed
		{"a", 1, Gap{}}, {"a", 5_000_000, Gap{Jump: true}}, {"a", 5_000_001, Gap{}}, {"a", 5_000_003, Gap{Missed: 1}},
	})
}

// After a restart of the producer, its first number tells what was missed, unless nobody can have sent so many meanwhile.
func TestFirstNumberOfTheNextSequence(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		seq   uint64
		want  Gap
	}{
		{time.Millisecond, 4, Gap{Missed: 3}},
		{time.Millisecond, 200_000, Gap{Unheard: 199_999}},
		{10 * time.Minute, 200_000, Gap{Missed: 199_999}},
		{10 * time.Minute, 1 << 50, Gap{Jump: true}},
	} {
		l, now := clocked()
		hear(t, l, []heard{{"a", 1, Gap{}}})
		*now = now.Add(c.after)
		hear(t, l, []heard{{"b", c.seq, c.want}})
	}
}

// However many sequences a thing's rows have, the ledger remembers a few.
func TestSequencesAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := open(t, path, 1)
	for i := range uint64(1000) {
		if _, err := l.Record("press-1", "a", i<<40+1); err != nil {
			t.Fatal(err)
		}
	}
	hear(t, l, []heard{{"a", 999<<40 + 3, Gap{Missed: 1}}})
	l = open(t, path, 1)
	hear(t, l, []heard{{"a", 999<<40 + 5, Gap{Missed: 1, Resumed: true}}})
}
