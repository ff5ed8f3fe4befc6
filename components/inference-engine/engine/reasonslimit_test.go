package engine

import (
	"fmt"
	"testing"
	"time"

	"edgepdm/shared/ledger"
)

func limited(every time.Duration, perSecond int) *reasonsLimit {
	return newReasonsLimit(Config{ReasonsEvery: every, ReasonsPerSecond: perSecond})
}

// give asks for reasons and takes them, and returns "" or the counter that counts that there are none.
func give(l *reasonsLimit, thing string, now time.Time, took time.Duration) string {
	counter := l.refuse(thing, now)
	if counter == "" {
		l.took(thing, now, took)
	}
	return counter
}

// A thing has reasons at once and then once in a while, whatever the others have.
func TestReasonsOfAThingAreSpaced(t *testing.T) {
	l, start := limited(10*time.Second, 100), time.Now()
	for _, c := range []struct {
		at    time.Duration
		thing string
		want  string
	}{
		{0, "a", ""}, {0, "b", ""}, {time.Second, "a", CounterReasonsSpaced}, {9999 * time.Millisecond, "b", CounterReasonsSpaced}, {10 * time.Second, "a", ""},
		{15 * time.Second, "a", CounterReasonsSpaced}, {15 * time.Second, "b", ""}, {20 * time.Second, "a", ""},
	} {
		if got := give(l, c.thing, start.Add(c.at), time.Microsecond); got != c.want {
			t.Errorf("%s after %v: %q, want %q", c.thing, c.at, got, c.want)
		}
	}
}

// All things together have no more than reasonsPerSecond.
func TestReasonsOfAllAreLimited(t *testing.T) {
	l, now := limited(time.Millisecond, 5), time.Now()
	given := 0
	for i := range 100 { // ten seconds
		for k := range 3 {
			switch got := give(l, fmt.Sprint(i, k), now, time.Microsecond); got {
			case "":
				given++
			case CounterReasonsWithheld:
			default:
				t.Fatal(got)
			}
		}
		now = now.Add(100 * time.Millisecond)
	}
	if given < 50 || given > 55 {
		t.Errorf("%d in ten seconds, want 5 a second and 5 more at once", given)
	}
}

// However few they are, they take no more than a share of the processor's time.
func TestReasonsTakeAShareOfTheTime(t *testing.T) {
	l, start := limited(time.Millisecond, 1000), time.Now()
	const took = 50 * time.Millisecond
	now, spent := start, time.Duration(0)
	for i := 0; now.Sub(start) < 10*time.Second; i++ {
		if give(l, fmt.Sprint(i), now, took) == "" {
			spent += took
		}
		now = now.Add(10 * time.Millisecond)
	}
	if spent < 900*time.Millisecond || spent > 1200*time.Millisecond {
		t.Errorf("%v of ten seconds", spent)
	}
}

// What is remembered of things is bounded, and a time before the last one does no harm.
func TestReasonsOfManyThings(t *testing.T) {
	l, now := limited(time.Hour, 1000), time.Now()
	for i := range ledger.MaxThings + 10 {
		now = now.Add(time.Second)
		if got := give(l, fmt.Sprint(i), now, 0); got != "" {
			t.Fatal(got)
		}
		if len(l.given) > ledger.MaxThings {
			t.Fatalf("%d things", len(l.given))
		}
	}
	if give(l, "new", now, 0) != "" || give(l, "newer", now.Add(-time.Minute), 0) != "" {
		t.Error("an older time stops reasons")
	}
	for _, off := range []*reasonsLimit{limited(0, 100), limited(time.Second, 0)} {
		if off.every != 0 {
			t.Errorf("%+v is not off", off)
		}
	}
}
