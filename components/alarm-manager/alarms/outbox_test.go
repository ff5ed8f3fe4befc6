package alarms

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"edgepdm/shared/event"
)

func waitingAlerts(n int) []event.Alert {
	alerts := make([]event.Alert, n)
	for i := range alerts {
		alerts[i].ID, alerts[i].Thing = fmt.Sprintf("a-%d", i), fmt.Sprintf("press-%d", i)
	}
	return alerts
}

// F12: with more alerts than a round takes, each is published again in its turn, and a round is bounded.
func TestEveryAlertIsPublishedAgain(t *testing.T) {
	const n, republish = 1050, 5 * time.Second
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, left := range map[string][]event.Alert{"new ones": nil, "those that the last run left": waitingAlerts(n)} {
		t.Run(name, func(t *testing.T) {
			waiting := waitingAlerts(n)
			o := newOutbox(republish, left)
			times := make(map[string]int)
			rounds := 0
			for at := now; at.Before(now.Add(11 * 2 * republish)); at = at.Add(time.Second / 4) {
				next := o.next(waiting, at)
				if len(next.alerts) > roundLimit {
					t.Fatalf("a round of %d", len(next.alerts))
				}
				if next.again > 0 {
					rounds++
				}
				for _, a := range next.alerts {
					times[a.ID]++
				}
			}
			if rounds > 22 {
				t.Errorf("%d rounds of repeated alerts in 22 intervals", rounds)
			}
			least, most := n, 0
			for _, a := range waiting {
				least, most = min(least, times[a.ID]), max(most, times[a.ID])
			}
			if least < 2 || most > least+2 { // two by where the rounds ended
				t.Errorf("published from %d to %d times each", least, most)
			}
		})
	}
}

// New alerts do not wait, in bounded rounds; an alert is published again when its time has come, and not once it is gone.
func TestRounds(t *testing.T) {
	const republish = 5 * time.Second
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	waiting := waitingAlerts(roundLimit + 1)
	o := newOutbox(republish, nil)
	expect := func(after time.Duration, first, again int) {
		t.Helper()
		next := o.next(waiting, now.Add(after))
		if len(next.alerts)-next.again != first || next.again != again {
			t.Errorf("after %v: %d new, %d again; want %d and %d", after, len(next.alerts)-next.again, next.again, first, again)
		}
	}
	expect(0, roundLimit, 0)
	expect(0, 1, 0) // at once
	expect(time.Second, 0, 0)
	waiting = append(waiting[:2], event.Alert{ID: "new"})
	o.entered()
	expect(3*time.Second, 1, 0)
	expect(republish-1, 0, 0)
	expect(republish, 0, 2)
	expect(republish+time.Second, 0, 0)
	// Both are acknowledged: somebody listens, and the next need not wait for the round's time; but for its own.
	for _, a := range waiting[:2] {
		o.gone(a.ID)
	}
	waiting = waiting[2:]
	expect(republish+2*time.Second, 0, 0)
	expect(republish+3*time.Second, 0, 1)
}

// A forwarder that is back gets what waits round by round, as fast as it acknowledges.
func TestCatchingUp(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	waiting := waitingAlerts(1000)
	o := newOutbox(time.Hour, waiting)
	for rounds := 1; len(waiting) > 0; rounds++ {
		if rounds > 10 {
			t.Fatalf("%d are left after 10 rounds", len(waiting))
		}
		next := o.next(waiting, now)
		for _, a := range next.alerts {
			o.gone(a.ID)
		}
		waiting = waiting[len(next.alerts):]
	}
	if len(o.published) != 0 || len(o.awaited) != 0 {
		t.Errorf("%d and %d ids are remembered of alerts that are gone", len(o.published), len(o.awaited))
	}
}

// What happens to one alarm is published in its order, each after the one before it was acknowledged; other alarms do not
// wait for it. So it is for what the last run left.
func TestAlertsOfAnAlarmKeepTheirOrder(t *testing.T) {
	const republish = 5 * time.Second
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	alert := func(id, thing string, fault event.Fault) event.Alert {
		return event.Alert{ID: id, Thing: thing, Fault: fault}
	}
	waiting := []event.Alert{
		alert("raised", "press-1", event.FaultMachine), alert("over", "press-1", event.FaultMachine),
		alert("silent", "press-1", event.FaultSilence), alert("other", "press-2", event.FaultMachine),
	}
	for name, left := range map[string][]event.Alert{"new ones": nil, "those that the last run left": waiting} {
		t.Run(name, func(t *testing.T) {
			o, list, at := newOutbox(republish, left), append([]event.Alert(nil), waiting...), now
			expect := func(after time.Duration, want ...string) {
				t.Helper()
				at = at.Add(after)
				var got []string
				for _, a := range o.next(list, at).alerts {
					got = append(got, a.ID)
				}
				if !slices.Equal(got, want) {
					t.Errorf("published %q, want %q", got, want)
				}
			}
			acknowledge := func(id string) {
				list = slices.DeleteFunc(list, func(a event.Alert) bool { return a.ID == id })
				o.gone(id)
			}
			expect(0, "raised", "silent", "other")
			expect(time.Second)
			list = append(list, alert("raised again", "press-1", event.FaultMachine), alert("third", "press-3", event.FaultMachine))
			o.entered()
			expect(time.Second, "third") // at once, though nobody acknowledges
			expect(republish, "raised", "silent", "other", "third")
			for _, id := range []string{"silent", "other", "third", "raised"} {
				acknowledge(id)
			}
			expect(0, "over")
			expect(0)
			acknowledge("over")
			expect(0, "raised again")
			acknowledge("raised again")
			expect(republish)
		})
	}
}

// A fault of a machine does not wait behind hundreds of alerts that are less severe; nor does it behind what the last run left.
func TestSevereAlertsAreFirst(t *testing.T) {
	waiting := waitingAlerts(5 * roundLimit)
	for i := range waiting {
		waiting[i].Severity = event.SeverityMedium
	}
	waiting[0].Severity = event.SeverityLow
	waiting = append(waiting, event.Alert{ID: "fault", Thing: "press-0", Fault: event.FaultMachine, Severity: event.SeverityHigh})
	for name, left := range map[string][]event.Alert{"new ones": nil, "those that the last run left": waiting} {
		o := newOutbox(time.Second, left)
		next := o.next(waiting, time.Now())
		if len(next.alerts) != roundLimit || next.alerts[0].ID != "fault" || next.alerts[1].ID != "a-1" {
			t.Errorf("%s: %d alerts, %s first", name, len(next.alerts), next.alerts[0].ID)
		}
	}
}
