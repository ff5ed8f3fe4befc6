package alarm_test

import (
	"fmt"
	"testing"
	"time"

	"edgepdm/shared/alarm"
)

func TestKPIs(t *testing.T) {
	p := newSite(t)
	for i := range 3 { // three alarms, acknowledged after 1, 2 and 3 minutes
		p.observe(fmt.Sprintf("a-%d", i), "f", true)
	}
	for i := range 3 {
		p.wait(minute)
		p.order(alarm.Command{Do: alarm.Acknowledge, Alarms: key(fmt.Sprintf("a-%d", i))})
	}
	for i := range 15 { // b-0 comes again and again
		p.observe("b-0", "f", i%2 == 0)
		p.wait(30 * second)
	}
	k := p.s.KPIs(p.now)
	ten := k.TenMinutes
	if ten.Raised != 11 || ten.Acknowledged != 3 || ten.MeanTime != 2*minute || ten.MeanSeconds != 120 || k.Day != ten {
		t.Errorf("%+v, day %+v", ten, k.Day)
	}
	if k.Active != 4 || k.Unacknowledged != 1 || k.Stale != 0 || len(k.Worst) != 4 || k.Worst[0].Thing != "b-0" || k.Worst[0].Count != 8 {
		t.Errorf("%+v", k)
	}
	p.wait(20 * minute)
	p.restart(p.now)
	if k := p.s.KPIs(p.now); k.TenMinutes.Raised != 0 || k.Day.Raised != 11 || k.Day.FloodMinutes != 0 {
		t.Errorf("%+v", k)
	}
	p.wait(24 * time.Hour)
	if k := p.s.KPIs(p.now); k.Day.Raised != 0 || k.Stale != 4 || len(k.Worst) != 0 {
		t.Errorf("a day later %+v", k)
	}
}

// A flood begins with more than ten alarms in ten minutes, and ends below five.
func TestFloodMinutes(t *testing.T) {
	p := newSite(t)
	for i := range 11 {
		p.observe(fmt.Sprintf("a-%d", i), "f", true)
	}
	p.wait(10 * minute)
	for i := range 6 {
		p.observe(fmt.Sprintf("b-%d", i), "f", true)
	}
	p.wait(2 * hour)
	if got := p.s.KPIs(p.now).Day.FloodMinutes; got != 20 {
		t.Errorf("%d minutes", got)
	}
}

// Figures are right after a leap over many of their times.
func TestKPIsAfterALongTime(t *testing.T) {
	p := newSite(t)
	p.observe("a-1", "f", true)
	p.now = p.now.Add(20 * 24 * time.Hour)
	if k := p.s.KPIs(p.now); k.Day.Raised != 0 || k.Stale != 1 || k.Day.FloodMinutes != 0 {
		t.Errorf("%+v", k)
	}
}
