package alarm_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"edgepdm/shared/alarm"
)

// plant is a System of 10,000 things on 100 lines, of which 1,000 have an alarm.
func plant(b *testing.B) (s *alarm.System, observe func(i int, active bool), now func() time.Time) {
	b.Helper()
	s, err := alarm.New(alarm.Default(), t0)
	if err != nil {
		b.Fatal(err)
	}
	at := t0
	now = func() time.Time { return at }
	observe = func(i int, active bool) {
		at = at.Add(100 * time.Microsecond) // each thing once a second
		o := alarm.Observation{
			Thing: things[i], Line: lines[i%100], Fault: "machine-fault", Active: active, Text: "Fault found. Immediate attention required.",
		}
		if _, err := s.Observe(o, at); err != nil {
			b.Fatal(err)
		}
	}
	for i := range things {
		observe(i, i%10 == 0)
	}
	return s, observe, now
}

var (
	things = names("thing", 10_000)
	lines  = names("line", 100)
)

func names(of string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%d", of, i)
	}
	return all
}

// An observation that changes nothing.
func BenchmarkObserve(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s, observe, _ := plant(b)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := len(s.List()); n != 1000 {
		b.Fatalf("%d alarms", n)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		observe(i%len(things), i%10 == 0)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1000, "B/alarm")
}

// An alarm that is raised and returns, with what is to be written for it.
func BenchmarkChange(b *testing.B) {
	s, observe, _ := plant(b)
	s.Changed()
	for i := 0; b.Loop(); i++ {
		observe(i%len(things), i/len(things)%2 == i%2)
		for _, r := range s.Changed() {
			if _, err := json.Marshal(r); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkTick(b *testing.B) {
	s, _, now := plant(b)
	for b.Loop() {
		s.Tick(now())
		s.Next(now())
	}
}

// The whole state as JSON, and back.
func BenchmarkSnapshot(b *testing.B) {
	s, _, now := plant(b)
	for b.Loop() {
		if _, _, err := alarm.Restore(alarm.Default(), encoded(b, s.Snapshot()), now()); err != nil {
			b.Fatal(err)
		}
	}
}
