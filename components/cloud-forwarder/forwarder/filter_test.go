package forwarder

import (
	"fmt"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

var filterBegin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func judged(f *filter, thing, label string, after time.Duration) verdict {
	v, _ := f.judge(ipc.TopicMessage{}, &event.Prediction{Thing: thing, Label: label}, filterBegin.Add(after))
	return v
}

func TestFilterTakesChangesAndSamples(t *testing.T) {
	f := newFilter(time.Minute, 10)
	for _, c := range []struct {
		what, thing, label string
		after              time.Duration
		want               verdict
	}{
		{"the first", "p", event.LabelNotFaulty, 0, sampled},
		{"no change", "p", event.LabelNotFaulty, time.Second, stays},
		{"a change", "p", event.LabelFaulty, 2 * time.Second, changed},
		{"no change", "p", event.LabelFaulty, 61 * time.Second, stays},
		{"a sample", "p", event.LabelFaulty, 62 * time.Second, sampled},
		{"another thing", "q", event.LabelNotFaulty, 62 * time.Second, sampled},
	} {
		if got := judged(f, c.thing, c.label, c.after); got != c.want {
			t.Errorf("%s of %s: %v", c.what, c.thing, got)
		}
	}
	all := newFilter(0, 1)
	for i, want := range []verdict{sampled, sampled, changed, changed, changed} {
		if got := judged(all, "p", []string{"a", "a", "b", "a", "b"}[i], 0); got != want {
			t.Errorf("%d: with a sample of 0 it is %v, want %v", i, got, want)
		}
	}
}

func TestFilterForgets(t *testing.T) {
	f := newFilter(time.Hour, 1)
	if judged(f, "p", "a", 0) != sampled || judged(f, "p", "a", 0) != stays {
		t.Error("the filter does not sample")
	}
	f.forget("p")
	if judged(f, "p", "a", 0) != sampled {
		t.Error("a prediction that did not get to the disk was counted as sent")
	}
	f.forget("never seen")
}

// A change that is held back outlives a prediction that did not get to the disk: it leaves next, or a newer one does.
func TestFilterKeepsWhatIsHeldBack(t *testing.T) {
	begin := func() *filter {
		f := newFilter(time.Hour, 1)
		for i, want := range []verdict{sampled, changed, held} {
			if got := judged(f, "p", []string{"a", "b", "c"}[i], 0); got != want {
				t.Fatalf("%d: %v, want %v", i, got, want)
			}
		}
		f.forget("p") // b was lost
		return f
	}
	if due := begin().due(filterBegin, false); len(due) != 1 || due[0].prediction.Label != "c" {
		t.Errorf("%+v left", due)
	}
	f := begin()
	v, dropped := f.judge(ipc.TopicMessage{}, &event.Prediction{Thing: "p", Label: "b"}, filterBegin)
	if due := f.due(filterBegin, true); v != changed || !dropped || len(due) > 0 {
		t.Errorf("%v, dropped %v, and %+v left", v, dropped, due)
	}
}

// A filter that holds nothing back has nothing to look for.
func TestFilterTick(t *testing.T) {
	for _, c := range []struct {
		every   time.Duration
		changes int
		want    time.Duration
	}{{0, 10, 0}, {time.Hour, 0, 0}, {time.Millisecond, 1, 10 * time.Millisecond}, {10 * time.Second, 1, 100 * time.Millisecond}, {time.Hour, 1, time.Second}} {
		if got := newFilter(c.every, c.changes).tick(); got != c.want {
			t.Errorf("%v, %d changes: %v, want %v", c.every, c.changes, got, c.want)
		}
	}
}

// Labels that alternate leave at the rate of the setting, however fast they come; the last state is withheld for less than
// the sample time, and every prediction is either sent or counted.
func TestFilterBoundsLabelChanges(t *testing.T) {
	const every, changes = time.Minute, 10
	for _, step := range []time.Duration{time.Millisecond, 100 * time.Millisecond, time.Second, 7 * time.Second} {
		t.Run(step.String(), func(t *testing.T) {
			f := newFilter(every, changes)
			sent, dropped, skipped, rows := 0, 0, 0, 300
			last, since := "", time.Duration(0) // what left, and since when it differs from the last row
			at := time.Duration(0)
			check := func(label string) {
				switch {
				case label == last:
					since = at
				case at-since > every/changes+step:
					t.Fatalf("%v: %s is withheld since %v", at, label, since)
				}
			}
			for i := range rows {
				at = time.Duration(i) * step
				label := fmt.Sprint(i % 2)
				for _, c := range f.due(filterBegin.Add(at), false) {
					sent++
					last = c.prediction.Label
				}
				v, d := f.judge(ipc.TopicMessage{}, &event.Prediction{Thing: "p", Label: label}, filterBegin.Add(at))
				switch v {
				case sampled, changed:
					sent++
					last = label
				case stays:
					skipped++
				case held:
				}
				if d {
					dropped++
				}
				check(label)
			}
			end := at
			for ; at <= end+every; at += step { // nothing comes any more
				for _, c := range f.due(filterBegin.Add(at), false) {
					sent++
					last = c.prediction.Label
				}
				check("1")
			}
			if last != "1" || sent+dropped+skipped != rows {
				t.Errorf("%s is the last state; %d sent, %d dropped, %d skipped of %d", last, sent, dropped, skipped, rows)
			}
			if limit := 1 + changes + int((end+every)*changes/every) + 1; sent > limit {
				t.Errorf("%d left, at most %d may", sent, limit)
			}
		})
	}
}

func TestFilterWithoutABoundOfChanges(t *testing.T) {
	f := newFilter(time.Hour, 0)
	judged(f, "p", "", 0)
	for i := range 100 {
		if v := judged(f, "p", fmt.Sprint(i), 0); v != changed {
			t.Fatalf("%d: %v", i, v)
		}
	}
}

// What is held back when the forwarder stops leaves then.
func TestFilterReleasesAllAtTheEnd(t *testing.T) {
	f := newFilter(time.Hour, 1)
	for _, thing := range []string{"p", "q"} {
		for _, label := range []string{"a", "b", "c", "d"} {
			judged(f, thing, label, 0)
		}
	}
	due := f.due(filterBegin, true)
	if len(due) != 2 || due[0].prediction.Label != "d" || due[1].prediction.Label != "d" || len(f.due(filterBegin, true)) != 0 {
		t.Errorf("%+v", due)
	}
}
