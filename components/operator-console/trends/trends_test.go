package trends

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/test/must"
)

var begin = time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)

func open(dir string, bytes int64) *Store {
	return Open(Options{Dir: dir, Bytes: bytes, Age: 90 * 24 * time.Hour, Log: slog.New(slog.DiscardHandler)})
}

// What was kept outlives the process, by the minute and by the hour; a series that comes later is kept from then on.
func TestTrendsOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	s := open(dir, 1<<30)
	for i := range 3 * 3600 {
		at := begin.Add(time.Duration(i) * time.Second)
		var watched event.Watched
		if i >= 3600 {
			watched = event.Watched{"oil_temp": float32(i)}
		}
		s.Add("press-1", at, float64(i%60)/60, math.NaN(), watched)
	}
	s.Close()
	must.OK(t, s.Problem())
	now := begin.Add(3 * time.Hour)
	for name, s := range map[string]*Store{"the same": s, "another process": open(dir, 1<<30)} {
		day := s.Of("press-1", 24*time.Hour, now)
		if len(day.Times) != 180 || day.Times[0] != float64(begin.Unix()) {
			t.Fatalf("%s: %d minutes from %v", name, len(day.Times), day.Times[:min(1, len(day.Times))])
		}
		score, oil := day.Series[Score], day.Series["oil_temp"]
		if got := *score.Mean[7]; math.Abs(float64(got)-29.5/60) > 1e-6 || *score.Min[7] != 0 || *score.Max[7] != float32(59./60) {
			t.Errorf("%s: %v", name, got)
		}
		if oil.Mean[59] != nil || *oil.Min[61] != 3660 || *oil.Max[61] != 3719 || day.Series[Life] != nil {
			t.Errorf("%s: %v %v", name, oil.Mean[59], *oil.Min[61])
		}
		if month := s.Of("press-1", 30*24*time.Hour, now); len(month.Times) != 3 || *month.Series["oil_temp"].Max[2] != 10799 {
			t.Errorf("%s: %+v", name, month)
		}
	}
	if raw := s.Of("press-1", 10*time.Minute, now); len(raw.Times) != rawKept || raw.Times[len(raw.Times)-1] != float64(now.Unix()-1) {
		t.Errorf("%d rows", len(raw.Times))
	}
	if none := s.Of("press-2", time.Hour, now); len(none.Times) != 0 || none.Times == nil {
		t.Errorf("%+v", none)
	}
}

// Old slots are not taken for new ones when the ring has come round, and a clock that goes back spoils nothing.
func TestTheRingComesRound(t *testing.T) {
	s := open(t.TempDir(), 1<<30)
	s.Add("a", begin, 1, math.NaN(), nil)
	s.Add("a", begin.Add(25*time.Hour), 0.5, math.NaN(), nil)
	s.Add("a", begin.Add(-time.Hour), 0.1, math.NaN(), nil)
	now := begin.Add(25 * time.Hour)
	if day := s.Of("a", 24*time.Hour, now); len(day.Times) != 1 || *day.Series[Score].Mean[0] != 0.5 {
		t.Errorf("%+v", day)
	}
	if week := s.Of("a", 7*24*time.Hour, now); len(week.Times) != 2 {
		t.Errorf("%+v", week)
	}
}

// A flipped bit, and a file that was cut, cost the slots they hit, or the file; no value is made up.
func TestDamageIsHarmless(t *testing.T) {
	dir := t.TempDir()
	s := open(dir, 1<<30)
	for i := range 120 {
		s.Add("a", begin.Add(time.Duration(i)*time.Minute), float64(i), math.NaN(), nil)
	}
	s.Close()
	path := filepath.Join(dir, "a"+suffix)
	good := must.Read(t, path)
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		bad := append([]byte(nil), good...)
		if bit := random.IntN(len(bad) * 8); random.IntN(4) > 0 {
			bad[bit/8] ^= 1 << (bit % 8)
		} else {
			bad = bad[:bit/8]
		}
		must.OK(t, os.WriteFile(path, bad, 0o600))
		s := open(dir, 1<<30)
		day := s.Of("a", 24*time.Hour, begin.Add(2*time.Hour))
		for i, at := range day.Times {
			if want := float32(math.Round((at - float64(begin.Unix())) / 60)); *day.Series[Score].Mean[i] != want {
				t.Fatalf("%v at %v", *day.Series[Score].Mean[i], at)
			}
		}
		s.Add("a", begin.Add(3*time.Hour), 1, math.NaN(), nil)
		s.Close()
	}
}

// The files never take more than they may; a machine that is gone for a day makes room, one that is there does not.
func TestBytesAreBounded(t *testing.T) {
	dir := t.TempDir()
	one := layout{minutesKept, 90 * 24, []string{Score}}.size()
	s := open(dir, 3*one+one/2)
	row := func(name string, at time.Time) {
		s.Add(name, at, 0.5, math.NaN(), nil)
		s.Add(name, at.Add(time.Minute), 0.5, math.NaN(), nil)
	}
	for i := range 5 {
		row(fmt.Sprint("m-", i), begin)
	}
	files := func() (n int, bytes int64) {
		entries, err := os.ReadDir(dir)
		must.OK(t, err)
		for _, e := range entries {
			info, err := e.Info()
			must.OK(t, err)
			n, bytes = n+1, bytes+info.Size()
		}
		return n, bytes
	}
	if n, bytes := files(); n != 3 || bytes != 3*one || s.Unkept() != 2 {
		t.Errorf("%d files of %d bytes, %d unkept", n, bytes, s.Unkept())
	}
	later := begin.Add(25 * time.Hour)
	row("m-1", later.Add(-time.Hour))
	row("m-4", later)
	if n, _ := files(); n != 3 || len(s.Of("m-4", 24*time.Hour, later).Times) == 0 {
		t.Errorf("%d files", n)
	}
	if _, err := os.Stat(filepath.Join(dir, "m-1"+suffix)); err != nil {
		t.Error(err)
	}
	s.Close()
	if s = open(dir, 3*one+one/2); s.bytes != 3*one {
		t.Errorf("%d bytes known after a restart", s.bytes)
	}
}

func BenchmarkAdd(b *testing.B) {
	s := open(b.TempDir(), 1<<30)
	watched := event.Watched{"a": 1, "b": 2, "c": 3}
	at := begin
	b.ReportAllocs()
	for i := range b.N {
		if i%1000 == 0 {
			at = at.Add(time.Second)
		}
		s.Add(fmt.Sprintf("m-%d", i%1000), at, 0.5, 12, watched)
	}
}

// In memory are the rows of the span that is asked for, in their order, however often they come.
func TestRecentRowsAreThoseThatAreAskedFor(t *testing.T) {
	s := open(t.TempDir(), 0)
	at, sent := begin, []float64{}
	add := func(rows int, every time.Duration) {
		for range rows {
			at = at.Add(every)
			sent = append(sent, float64(at.Unix()))
			s.Add("press-1", at, 0.5, 100, nil)
		}
	}
	check := func(when string, want int) {
		t.Helper()
		raw := s.Of("press-1", rawSpan, at)
		if n := len(raw.Times); n != want || !slices.Equal(raw.Times, sent[len(sent)-n:]) || *raw.Series[Life].Mean[n-1] != 100 {
			t.Errorf("%s: %d rows, want the last %d", when, n, want)
		}
	}
	add(700, 10*time.Second)
	check("slow", 61)
	if n := len(s.things["press-1"].raw.times); n > 62 {
		t.Errorf("%d rows in memory of 61 that are asked for", n)
	}
	add(40, time.Second)
	check("sooner", 40+57)
	add(1000, time.Second)
	check("fast", rawKept)
	add(1, time.Hour)
	check("after a pause", 1)
}
