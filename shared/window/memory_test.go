package window

import (
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"edgepdm/test/must"
)

// wide is 15 sensors with 60 inputs over 40 rows.
func wide() Spec {
	var s Spec
	for i := range 15 {
		name := fmt.Sprint("sensor_", i)
		s.Sensors = append(s.Sensors, name)
		for _, stat := range []Stat{Mean, Std, Slope, Max} {
			s.Inputs = append(s.Inputs, Input{Sensor: name, Stat: stat, Rows: 40})
		}
	}
	return s
}

// A ring that is warm takes no memory for a row.
func TestNoAllocations(t *testing.T) {
	s := wide()
	s.Inputs = append(s.Inputs, Input{Sensor: "sensor_3", Stat: Mean, Time: "30s"})
	w, err := New(s, 1<<20)
	must.OK(t, err)
	var features []float32
	values := make([]float32, 15)
	seq := uint64(0)
	add := func() {
		seq++
		features, _ = w.Add(features[:0], "p", Row{"e", seq, at(float64(seq)), values})
	}
	for range 100 {
		add()
	}
	if n := testing.AllocsPerRun(100, add); n != 0 {
		t.Errorf("%v allocations a row", n)
	}
}

// Ten thousand things take what Bytes says, give or take a fifth.
func TestMemoryIsWhatBytesSays(t *testing.T) {
	s := wide()
	for things, more := range map[int64][]Input{10_000: nil, 1000: {{Sensor: "sensor_3", Stat: Mean, Time: "40s"}}} {
		s.Inputs = append(wide().Inputs, more...)
		w, err := New(s, 1<<30)
		must.OK(t, err)
		before := heap()
		var features []float32
		values := make([]float32, 15)
		for seq := range uint64(60_000 / things) {
			for i := range things {
				features, _ = w.Add(features[:0], fmt.Sprintf("machine-%032d", i), Row{"0123456789abcdef", seq + 1, at(float64(seq)), values})
			}
		}
		used, stats := heap()-before, w.Stats()
		t.Logf("%d MB of heap, %d MB counted, %d MB by Bytes", used>>20, stats.Bytes>>20, things*s.Bytes()>>20)
		if d := float64(used) / float64(stats.Bytes); d < 0.8 || d > 1.2 {
			t.Errorf("%d bytes of heap, and %d are counted", used, stats.Bytes)
		}
		if int64(stats.Things) != things || stats.Bytes > things*s.Bytes() || more == nil && stats.Bytes != things*s.Bytes() {
			t.Errorf("%+v, and Bytes says %d", stats, things*s.Bytes())
		}
		runtime.KeepAlive(w)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A thing without room is counted, and has no statistics; those that are there go on. What was not heard for long makes room.
func TestMemoryIsBounded(t *testing.T) {
	s := wide()
	w, err := New(s, 2*s.Bytes())
	must.OK(t, err)
	row := func(seq uint64) Row { return Row{"e", seq, at(float64(seq)), make([]float32, 15)} }
	add := func(thing string, seq uint64, want Outcome) {
		t.Helper()
		got, outcome := w.Add(nil, thing, row(seq))
		if outcome != want || (got[0] == got[0]) != (want == Added) || len(got) != 60 {
			t.Errorf("%s, row %d: outcome %d, %v", thing, seq, outcome, got)
		}
	}
	add("a", 1, Added)
	add("b", 1, Added)
	add("c", 1, Full)
	add("a", 2, Added)
	now := start
	w.DropIdle(now, time.Hour)
	add("a", 3, Added)
	w.DropIdle(now.Add(time.Hour), time.Hour)
	add("c", 2, Full)
	add("a", 4, Added)
	w.DropIdle(now.Add(time.Hour+time.Second), time.Hour)
	add("c", 3, Added)
	add("d", 3, Full)
	if s := w.Stats(); s.Things != 2 || s.Full != 3 {
		t.Errorf("%+v", s)
	}
	for i := range 3 {
		w.DropIdle(now.Add(time.Duration(2+i)*24*time.Hour), time.Hour)
	}
	if s := w.Stats(); s.Things != 0 || s.Bytes != 0 {
		t.Errorf("%+v", s)
	}
}

// A window over a time that may not grow loses rows: they are counted, and missing as any lost row. It recovers when there is
// room.
func TestGrowthIsBounded(t *testing.T) {
	s := Spec{Sensors: []string{"a"}, Inputs: []Input{{Sensor: "a", Stat: Count, Time: "20s"}, {Sensor: "a", Stat: Count, Rows: 2}}}
	p := newPlan(&s)
	w, err := New(s, p.bytes(p.first)+1)
	must.OK(t, err)
	for i := range 17 {
		got, outcome := w.Add(nil, "p", Row{"e", uint64(i + 1), at(float64(i)), []float32{1}})
		if i < p.first && (outcome != Added || got[0] != float32(i+1)) || i >= p.first && (outcome != Full || got[0] == got[0]) {
			t.Errorf("row %d: outcome %d, %v", i+1, outcome, got)
		}
	}
	if got, outcome := w.Add(nil, "p", Row{"e", 22, at(21), []float32{1}}); outcome != Added || !same(got, []float32{15, 1}) {
		t.Errorf("outcome %d, %v", outcome, got)
	}
	if s := w.Stats(); s.Full != 1 || s.Bytes > w.memory {
		t.Errorf("%+v", s)
	}
}

// Rings are saved while rows come: each is as it was at one moment.
func TestSaveWhileRowsCome(t *testing.T) {
	w, err := New(fileSpec, 1<<20)
	must.OK(t, err)
	path := filepath.Join(t.TempDir(), "windows")
	var done sync.WaitGroup
	for g := range 3 {
		done.Go(func() {
			for seq := range uint64(2000) {
				w.Add(nil, fmt.Sprint(g), Row{"e", seq + 1, at(float64(seq)), []float32{1, 2}})
			}
		})
	}
	for range 5 {
		must.OK(t, w.Save(path))
		again, err := New(fileSpec, 1<<20)
		must.OK(t, err)
		if damage, err := again.Load(path); damage != nil || err != nil {
			t.Error(damage, err)
		}
		w.DropIdle(start, time.Hour)
	}
	done.Wait()
}

func BenchmarkAdd(b *testing.B) {
	w, err := New(wide(), 1<<30)
	must.OK(b, err)
	values := make([]float32, 15)
	for i := range values {
		values[i] = float32(i) * 1.1
	}
	var features []float32
	seq := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		features, _ = w.Add(features[:0], "p", Row{"e", seq, at(float64(seq)), values})
	}
}
