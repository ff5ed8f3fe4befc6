package rows_test

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"edgepdm/components/ingest/mapping"
	"edgepdm/components/ingest/rows"
	"edgepdm/shared/event"
	"edgepdm/test/must"
)

// clock is a time that a test sets.
type clock struct{ now time.Time }

func (c *clock) add(d time.Duration) { c.now = c.now.Add(d) }

type fixture struct {
	*rows.Table
	*clock
	t      *testing.T
	counts map[string]int
}

// table makes a table of one thing with two sensors, a (tag 0) and b (tag 1).
func table(t *testing.T, change func(*mapping.Thing)) *fixture {
	thing := mapping.Thing{Thing: "press-1", Line: "l", Sensors: []mapping.Sensor{{Sensor: "a", Source: "s", Tag: "A"}, {Sensor: "b", Source: "s", Tag: "B"}}}
	if change != nil {
		change(&thing)
	}
	c := mapping.Config{
		Sources: []mapping.Source{{Name: "s", Modbus: &mapping.Modbus{Address: "h:502"}}},
		Things:  []mapping.Thing{thing},
	}
	must.OK(t, c.Validate())
	f := &fixture{t: t, clock: &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, counts: make(map[string]int)}
	f.Table = rows.New(c, "e1", func() time.Time { return f.now }, func(reason string, n int) { f.counts[reason] += n })
	return f
}

func (f *fixture) put(tag int, value float64) {
	f.Put(rows.Sample{Tag: tag, Value: value, Good: true})
}

// want compares the row that is due with "a b", - for a missing value and "" for no row.
func (f *fixture) want(want string) {
	f.t.Helper()
	due := f.Due(nil)
	got := ""
	if len(due) > 0 {
		text := func(name string) string {
			if x, ok := due[0].Readings[name]; ok && x == x {
				return fmt.Sprint(x)
			}
			return "-"
		}
		got = text("a") + " " + text("b")
	}
	if got != want || len(due) > 1 {
		f.t.Errorf("at %s: %q, %d rows; want %q", f.now.Format("15:04:05.000"), got, len(due), want)
	}
}

func TestRowEachPeriod(t *testing.T) {
	f := table(t, nil)
	f.want("") // nothing is known
	f.put(0, 1)
	f.add(time.Second)
	f.want("1 -")
	f.want("")
	f.put(1, 2)
	f.add(999 * time.Millisecond)
	f.want("")
	f.add(time.Millisecond)
	f.want("1 2")
	f.add(time.Hour) // everything is stale: no row, and that is counted
	f.want("")
	f.put(0, 3)
	f.add(time.Second)
	f.want("3 -")
	if f.counts[rows.ReasonGap] != 1 {
		t.Errorf("counted: %v", f.counts)
	}
}

// A ticker that is a little early or late takes no row away.
func TestJitterTakesNoRowAway(t *testing.T) {
	f := table(t, nil)
	n, start := 0, f.now
	for i := range 4 * 60 {
		f.now = start.Add(time.Duration(i)*f.Tick() + time.Duration(i*7919%100)*time.Millisecond)
		f.put(0, 1)
		n += len(f.Due(nil))
	}
	if n < 59 || n > 61 {
		t.Errorf("%d rows in a minute", n)
	}
}

func TestOnChangeWithDeadBand(t *testing.T) {
	f := table(t, func(m *mapping.Thing) { m.OnChange, m.Sensors[0].DeadBand = true, 0.5 })
	f.put(0, 1)
	f.add(time.Second)
	f.want("1 -")
	for range 9 {
		f.put(0, 1.5) // no more than the dead band
		f.add(time.Second)
		f.want("")
	}
	f.add(time.Second)
	f.want("1.5 -") // at least each 10 s
	f.put(0, 2.5)
	f.put(0, 2.6)
	f.want("") // at most one each second
	f.add(time.Second)
	f.want("2.6 -")
	f.add(100 * time.Millisecond)
	f.Put(rows.Sample{Tag: 0}) // bad: that is a change
	f.put(1, 7)
	f.add(time.Second)
	f.want("- 7")
	f.put(0, 2.6)
	f.add(time.Second)
	f.want("2.6 7")
}

func TestBadValuesAreMissingAndCounted(t *testing.T) {
	f := table(t, func(m *mapping.Thing) { m.Sensors[0].Factor, m.Sensors[0].Offset = 2, 1 })
	step := func(want string) {
		t.Helper()
		f.add(time.Second)
		f.want(want)
	}
	f.put(1, 1)
	f.put(0, 3)
	step("7 1")
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e39, math.MaxFloat64} {
		f.put(0, x)
		step("- 1")
	}
	f.Put(rows.Sample{Tag: 0, Value: 3})
	step("- 1")
	if f.counts[rows.ReasonNumber] != 5 || f.counts[rows.ReasonQuality] != 1 {
		t.Errorf("counted: %v", f.counts)
	}
}

func TestOlderSamplesAreNotUsed(t *testing.T) {
	f := table(t, nil)
	at := func(ago time.Duration, value float64) {
		f.Put(rows.Sample{Tag: 0, Value: value, Good: true, TS: f.now.Add(-ago)})
	}
	at(0, 1)
	at(time.Second, 2)
	f.add(time.Second)
	f.want("1 -")
	if f.counts[rows.ReasonOlder] != 1 {
		t.Errorf("counted: %v", f.counts)
	}
	// The source's clock is set back by an hour: it is believed after maxAge.
	for range 60 {
		at(time.Hour, 3)
		f.add(time.Second)
		f.Due(nil)
	}
	at(time.Hour, 3)
	f.add(time.Second)
	f.want("3 -")
	at(-time.Hour, 4) // a clock that is far ahead says nothing about order
	at(0, 5)
	f.add(time.Second)
	f.want("5 -")
	f.Missing("s") // a source that was away may have another clock
	at(time.Hour, 6)
	f.add(time.Second)
	f.want("6 -")
}

func TestOurClockIsSet(t *testing.T) {
	for _, step := range []time.Duration{-24 * time.Hour, -1500 * time.Millisecond, 24 * time.Hour} {
		f := table(t, nil)
		f.put(0, 1)
		f.add(time.Second)
		f.want("1 -")
		f.add(step)
		for range 3 {
			f.put(0, 2)
			f.add(time.Second)
			f.want("2 -")
		}
	}
}

func TestSourceThatTellsChangesOnly(t *testing.T) {
	f := table(t, nil)
	f.put(0, 1)
	f.put(1, 2)
	for range 300 {
		f.add(time.Second)
		f.Refresh(f.Tags("s")[:1])
		f.Due(nil)
	}
	f.add(time.Second)
	f.want("1 -") // b was not heard for 5 minutes
	f.Missing("s")
	f.Refresh(f.Tags("s")) // brings nothing back
	f.add(time.Second)
	f.want("")
	if got := f.Unheard(); len(got) != 2 || got[0] != "press-1/a" {
		t.Errorf("unheard: %v", got)
	}
}

func TestTwoSensorsOfOneTagAndOrder(t *testing.T) {
	f := table(t, func(m *mapping.Thing) { m.Sensors[1].Tag, m.Sensors[1].Factor = "A", 10 })
	if n := len(f.Tags("s")); n != 1 {
		t.Fatalf("%d tags", n)
	}
	for seq := uint64(1); seq < 5; seq++ {
		f.put(0, 4)
		f.add(time.Second)
		due := f.Due(nil)
		if len(due) != 1 || due[0].Seq != seq || due[0].Epoch != "e1" || due[0].Readings["a"] != 4 || due[0].Readings["b"] != 40 || !due[0].TS.Equal(f.now) {
			t.Fatalf("%+v", due)
		}
	}
}

func TestPackedRow(t *testing.T) {
	f := table(t, func(m *mapping.Thing) { m.Packed = true })
	f.put(1, 2)
	f.add(time.Second)
	due := f.Due(nil)
	if len(due) != 1 || len(due[0].Packed) != 2 || due[0].Readings != nil || due[0].Schema != event.SchemaOf([]string{"a", "b"}) {
		t.Fatalf("%+v", due)
	}
	if p := due[0].Packed; p[0] == p[0] || p[1] != 2 {
		t.Errorf("%v", p)
	}
	_, err := event.Encode(due[0])
	must.OK(t, err)
}

func TestPutAllocatesNothing(t *testing.T) {
	f := table(t, nil)
	samples := []rows.Sample{{Tag: 0, Value: 1, Good: true, TS: f.now}, {Tag: 1, Value: 2, Good: true}}
	if n := testing.AllocsPerRun(100, func() { f.Put(samples...); f.Refresh(f.Tags("s")) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSeveralGoroutines(t *testing.T) {
	f := table(t, nil)
	var wg sync.WaitGroup
	for tag := range 2 {
		wg.Go(func() {
			for range 1000 {
				f.put(tag, 1)
				f.Refresh(f.Tags("s"))
			}
		})
	}
	for range 100 {
		f.Due(nil)
		f.Unheard()
		f.Tick()
	}
	wg.Wait()
}
