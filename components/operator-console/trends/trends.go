// Package trends keeps how machines' values went: the last minutes as they came, in memory, and roll-ups by the minute and by the hour in
// files of fixed size. It is bounded by bytes and age, and is no history database.
package trends

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"edgepdm/shared/event"
)

// Names of the series that each machine has; others are sensors.
const (
	Score = "score" // probability of a fault
	Life  = "life"  // the median of the remaining life
)

const (
	minutesKept = 24 * 60
	maxSlots    = 10 * 366 * 24
	rawKept     = 300              // rows of a machine, in memory, at most
	rawSpan     = 10 * time.Minute // that they are asked for, and kept
	suffix      = ".trend"
	seekEvery   = time.Minute // a machine that was silent for a day is looked for, to make room
)

// Options of a Store.
type Options struct {
	Dir   string
	Bytes int64         // of all files; 0 keeps none
	Age   time.Duration // of what is kept by the hour
	Log   *slog.Logger
}

// Store keeps the trends. For several goroutines.
type Store struct {
	options Options

	mu      sync.Mutex
	things  map[string]*thing
	bytes   int64
	problem error
	unkept  uint64
	sought  time.Time // when nobody had to make room
}

// thing is what is in memory of a machine.
type thing struct {
	layout layout
	heard  time.Time
	on     bool // it has a file
	size   int64
	raw    recent
	minute slot
	hour   slot
}

// recent are the last rows of a machine. There are ten thousand machines: what has no pointers is small, and costs the collector nothing.
type recent struct {
	times  []int64   // milliseconds since 1970, oldest first from start
	values []float32 // of each row those of all series
	start  int
}

// keep adds a row. It takes the place of the oldest one that nobody asks for, or for which there is no room.
func (r *recent) keep(at int64, values []float32) {
	n := len(r.times)
	if n < rawKept && (n == 0 || at-r.times[r.start] <= rawSpan.Milliseconds()) {
		if r.start != 0 {
			turn := r.start * len(values)
			r.times = slices.Concat(r.times[r.start:], r.times[:r.start])
			r.values, r.start = slices.Concat(r.values[turn:], r.values[:turn]), 0
		}
		r.times, r.values = append(r.times, at), append(r.values, values...)
		return
	}
	r.times[r.start] = at
	copy(r.values[r.start*len(values):], values)
	r.start = (r.start + 1) % n
}

// slot is a minute, or an hour, that is under way.
type slot struct {
	number uint32
	sums   []sum
}

type sum struct {
	total     float64
	n         int
	low, high float32
}

func (s *sum) add(x float32) {
	if x != x {
		return
	}
	if s.n == 0 || x < s.low {
		s.low = x
	}
	if s.n == 0 || x > s.high {
		s.high = x
	}
	s.total += float64(x)
	s.n++
}

func (s *sum) span() span {
	if s.n == 0 {
		return nothing
	}
	return span{float32(s.total / float64(s.n)), s.low, s.high}
}

// Open reads which trends there are. What is wrong with a file is told when it is read; the store can always be used.
func Open(o Options) *Store {
	s := &Store{options: o, things: make(map[string]*thing)}
	if o.Bytes == 0 {
		return s
	}
	if s.problem = os.MkdirAll(o.Dir, 0o700); s.problem != nil {
		return s
	}
	entries, err := os.ReadDir(o.Dir)
	s.problem = err
	for _, e := range entries {
		name, is := strings.CutSuffix(e.Name(), suffix)
		info, err := e.Info()
		if !is || err != nil || !info.Mode().IsRegular() || event.CheckName(name) != nil {
			continue
		}
		t := &thing{heard: info.ModTime(), on: true, size: info.Size()}
		if t.layout, err = s.layoutOf(name); err != nil {
			s.remove(name)
			continue
		}
		s.things[name], s.bytes = t, s.bytes+t.size
	}
	return s
}

func (s *Store) path(name string) string { return filepath.Join(s.options.Dir, name+suffix) }

func (s *Store) layoutOf(name string) (layout, error) {
	f, err := os.Open(s.path(name))
	if err != nil {
		return layout{}, err
	}
	defer func() { _ = f.Close() }()
	l, err := readHead(f)
	if err != nil {
		s.options.Log.Warn("a trend file cannot be used, and is removed", "thing", name, "error", err)
	}
	return l, err
}

func (s *Store) remove(name string) {
	if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.problem = err
	}
}

// Problem says what keeps trends from the disk; nil: nothing does.
func (s *Store) Problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem
}

// Unkept counts machines' minutes that found no room on disk.
func (s *Store) Unkept() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unkept
}

// Add takes the values of a machine's row: the score, the median of the remaining life (NaN: it is not known), and those that are watched.
func (s *Store) Add(name string, at time.Time, score, life float64, watched event.Watched) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.things[name]
	if t == nil {
		t = &thing{}
		s.things[name] = t
	}
	if !t.fits(life, watched) {
		s.lay(name, t, life, watched)
	}
	values := make([]float32, len(t.layout.series))
	for i, series := range t.layout.series {
		switch series {
		case Score:
			values[i] = float32(score)
		case Life:
			values[i] = float32(life)
		default:
			v, there := watched[series]
			if values[i] = v; !there {
				values[i] = nan
			}
		}
	}
	t.heard = at
	t.raw.keep(at.UnixMilli(), values)
	s.roll(name, t, &t.minute, minutely, at, values)
	s.roll(name, t, &t.hour, hourly, at, values)
}

// fits says whether the series of a machine have room for what its row has.
func (t *thing) fits(life float64, watched event.Watched) bool {
	if len(t.layout.series) == 0 || life == life && !slices.Contains(t.layout.series, Life) {
		return false
	}
	for sensor := range watched {
		if !slices.Contains(t.layout.series, sensor) {
			return false
		}
	}
	return true
}

// lay lays a machine's file out for more series. What the old file has of them is taken over.
func (s *Store) lay(name string, t *thing, life float64, watched event.Watched) {
	series := slices.Clone(t.layout.series)
	want := func(one string) {
		if !slices.Contains(series, one) && len(series) < MaxSeries {
			series = append(series, one)
		}
	}
	want(Score)
	if life == life {
		want(Life)
	}
	sensors := make([]string, 0, len(watched))
	for sensor := range watched {
		sensors = append(sensors, sensor)
	}
	slices.Sort(sensors)
	for _, sensor := range sensors {
		want(sensor)
	}
	hours := max(1, min(int(s.options.Age/time.Hour), maxSlots))
	next := layout{minutesKept, hours, series}
	old := t.layout
	t.layout, t.raw = next, recent{}
	for _, under := range []*slot{&t.minute, &t.hour} { // new series come after the old ones
		if under.number != 0 {
			under.sums = append(under.sums, make([]sum, len(series)-len(under.sums))...)
		}
	}
	if t.on {
		s.bytes -= t.size
		t.on = false
		if err := s.rewrite(name, old, next); err != nil {
			s.problem = fmt.Errorf("lay out the trends of %s: %w", name, err)
			return
		}
		t.on, t.size = true, next.size()
		s.bytes += t.size
	}
}

// rewrite makes a file of another layout of one.
func (s *Store) rewrite(name string, old, next layout) error {
	from, err := os.Open(s.path(name))
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := create(s.path(name)+".new", next)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	before, after := make([]span, len(old.series)), make([]span, len(next.series))
	b := make([]byte, old.slotSize())
	for _, of := range []ring{minutely, hourly} {
		n := uint32(old.minutes)
		if of == hourly {
			n = uint32(old.hours)
		}
		for i := range n {
			if _, err := from.ReadAt(b, old.offset(of, i)); err != nil {
				break
			}
			number, ok := old.decode(b, before)
			if !ok {
				continue
			}
			for k, series := range next.series {
				after[k] = nothing
				if at := slices.Index(old.series, series); at >= 0 {
					after[k] = before[at]
				}
			}
			if _, err := to.WriteAt(next.encode(number, after), next.offset(of, number)); err != nil {
				return err
			}
		}
	}
	return os.Rename(s.path(name)+".new", s.path(name))
}

// create makes an empty file.
func create(path string, l layout) (*os.File, error) {
	head, err := l.head()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err = f.WriteAt(head, 0); err == nil {
		err = f.Truncate(l.size())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}

// roll adds values to the slot under way. When another one begins the last is written. A row of an earlier slot is too late.
func (s *Store) roll(name string, t *thing, under *slot, of ring, at time.Time, values []float32) {
	number := uint32(at.Unix() / of.seconds())
	if number < under.number {
		return
	}
	if number > under.number {
		s.finish(name, t, under, of)
		*under = slot{number, make([]sum, len(values))}
	}
	for i, x := range values {
		under.sums[i].add(x)
	}
}

// finish writes the slot under way.
func (s *Store) finish(name string, t *thing, under *slot, of ring) {
	if under.number == 0 || s.options.Bytes == 0 {
		return
	}
	if !t.on && !s.admit(name, t) {
		s.unkept++
		return
	}
	values := make([]span, len(under.sums))
	for i := range values {
		values[i] = under.sums[i].span()
	}
	f, err := os.OpenFile(s.path(name), os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt(t.layout.encode(under.number, values), t.layout.offset(of, under.number))
		err = errors.Join(err, f.Close())
	}
	s.problem = err
	if errors.Is(err, fs.ErrNotExist) { // somebody removed it
		t.on, s.bytes = false, s.bytes-t.size
	}
}

// admit makes a machine's file. The one that was not heard longest makes room, if that is a day at least.
func (s *Store) admit(name string, t *thing) bool {
	size := t.layout.size()
	for s.bytes+size > s.options.Bytes {
		if since := t.heard.Sub(s.sought); since >= 0 && since < seekEvery {
			return false
		}
		var oldest string
		for other, o := range s.things {
			if o.on && t.heard.Sub(o.heard) >= 24*time.Hour && (oldest == "" || o.heard.Before(s.things[oldest].heard)) {
				oldest = other
			}
		}
		if oldest == "" {
			s.sought = t.heard
			return false
		}
		s.remove(oldest)
		s.bytes -= s.things[oldest].size
		delete(s.things, oldest)
	}
	f, err := create(s.path(name), t.layout)
	if err != nil {
		s.problem = fmt.Errorf("make the trends of %s: %w", name, err)
		return false
	}
	if s.problem = f.Close(); s.problem != nil {
		return false
	}
	t.on, t.size = true, size
	s.bytes += size
	return true
}

// Close writes what is under way.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, t := range s.things {
		s.finish(name, t, &t.minute, minutely)
		s.finish(name, t, &t.hour, hourly)
	}
}

// Values are those of a series, of each time; nil is a missing one.
type Values struct {
	Mean []*float32 `json:"mean"`
	Min  []*float32 `json:"min"`
	Max  []*float32 `json:"max"`
}

// Trend is how a machine's values went.
type Trend struct {
	Times  []float64          `json:"times"` // seconds since 1970, ascending
	Series map[string]*Values `json:"series"`
}

// Of returns a machine's trend of a span until now: as rows came, by the minute, or by the hour, whatever has it all.
func (s *Store) Of(name string, length time.Duration, now time.Time) Trend {
	s.mu.Lock()
	defer s.mu.Unlock()
	trend := Trend{Times: []float64{}, Series: make(map[string]*Values)}
	t := s.things[name]
	if t == nil {
		return trend
	}
	for _, series := range t.layout.series {
		trend.Series[series] = &Values{}
	}
	from := now.Add(-length)
	if n, width := len(t.raw.times), len(t.layout.series); length <= rawSpan && n > 0 {
		values := make([]span, width)
		for i := range n {
			row := (t.raw.start + i) % n
			if at := t.raw.times[row]; at >= from.UnixMilli() {
				for k, x := range t.raw.values[row*width:][:width] {
					values[k] = span{x, x, x}
				}
				trend.add(float64(at)/1000, t.layout.series, values)
			}
		}
		return trend
	}
	of, under := minutely, &t.minute
	if length > minutesKept*time.Minute {
		of, under = hourly, &t.hour
	}
	s.read(name, t, of, from, now, &trend)
	if under.number != 0 {
		values := make([]span, len(under.sums))
		for i := range values {
			values[i] = under.sums[i].span()
		}
		trend.add(float64(int64(under.number)*of.seconds()), t.layout.series, values)
	}
	return trend
}

// read adds what a file has from one time to another.
func (s *Store) read(name string, t *thing, of ring, from, to time.Time, trend *Trend) {
	if !t.on {
		return
	}
	f, err := os.Open(s.path(name))
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	b, values := make([]byte, t.layout.slotSize()), make([]span, len(t.layout.series))
	for number := uint32(from.Unix() / of.seconds()); number <= uint32(to.Unix()/of.seconds()); number++ {
		if _, err := f.ReadAt(b, t.layout.offset(of, number)); err != nil {
			return
		}
		if at, ok := t.layout.decode(b, values); ok && at == number {
			trend.add(float64(int64(number)*of.seconds()), t.layout.series, values)
		}
	}
}

func (t *Trend) add(at float64, series []string, values []span) {
	if n := len(t.Times); n > 0 && at <= t.Times[n-1] {
		return
	}
	t.Times = append(t.Times, at)
	some := func(x float32) *float32 {
		if x != x || math.IsInf(float64(x), 0) {
			return nil
		}
		return &x
	}
	for i, name := range series {
		v := t.Series[name]
		v.Mean, v.Min, v.Max = append(v.Mean, some(values[i].mean)), append(v.Min, some(values[i].low)), append(v.Max, some(values[i].high))
	}
}
