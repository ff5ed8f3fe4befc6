package alarm_test

import (
	"testing"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/test/must"
)

// Intervals are by the site's clocks, across midnight and the change to summer time.
func TestWeekly(t *testing.T) {
	w, err := alarm.NewWeekly("Europe/Berlin", []alarm.Interval{
		{Days: []string{"sat"}, From: "22:00", To: "06:00"}, {Days: []string{"wed"}, From: "12:00", To: "13:00"},
	})
	must.OK(t, err)
	for at, want := range map[string]bool{
		"2026-03-28T20:59:00Z": false, "2026-03-28T21:00:00Z": true, // Saturday 22:00
		"2026-03-29T03:59:00Z": true, "2026-03-29T04:00:00Z": false, // Sunday 06:00 in summer time
		"2026-11-25T11:30:00Z": true, "2026-11-26T11:30:00Z": false,
	} {
		now, err := time.Parse(time.RFC3339, at)
		must.OK(t, err)
		if got := w.Contains(now); got != want {
			t.Errorf("%s: %v", at, got)
		}
	}
	for text, bad := range map[string]alarm.Interval{
		"[0].from": {From: "25:00", To: "06:00"}, "[0].to": {From: "22:00"}, "[0].days[0]": {Days: []string{"someday"}, From: "22:00", To: "06:00"},
	} {
		if _, err := alarm.NewWeekly("UTC", []alarm.Interval{bad}); err == nil || err.Error()[:len(text)] != text {
			t.Errorf("%+v: %v, want %s", bad, err, text)
		}
	}
	if _, err := alarm.NewWeekly("Mars", nil); err == nil {
		t.Error("Mars is a time zone")
	}
}
