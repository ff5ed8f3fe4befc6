package alarm_test

import (
	"testing"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/test/must"
)

// Night is quiet for people, not for the cloud, and what stands in the morning is told then: also in the nights in which the
// clocks change.
func TestMute(t *testing.T) {
	night := alarm.Interval{From: "22:00", To: "06:00"}
	for name, c := range map[string]struct {
		zone  string
		mute  alarm.Interval
		raise string // when it is raised, UTC
		end   string // when the interval ends, UTC; "": it is told at once
	}{
		"evening":                     {"Europe/Berlin", night, "2026-11-28T21:00:00Z", "2026-11-29T05:00:00Z"},
		"before it":                   {"Europe/Berlin", night, "2026-11-28T20:59:59Z", ""},
		"after it":                    {"Europe/Berlin", night, "2026-11-29T05:00:00Z", ""},
		"past midnight":               {"Europe/Berlin", night, "2026-11-29T02:00:00Z", "2026-11-29T05:00:00Z"},
		"summer time begins":          {"Europe/Berlin", night, "2026-03-28T21:00:00Z", "2026-03-29T04:00:00Z"},
		"summer time ends":            {"Europe/Berlin", night, "2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z"},
		"ends in the hour left out":   {"Europe/Berlin", alarm.Interval{From: "01:00", To: "02:30"}, "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"},
		"begins in the hour left out": {"Europe/Berlin", alarm.Interval{From: "02:30", To: "04:00"}, "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"},
		"before the hour left out":    {"Europe/Berlin", alarm.Interval{From: "02:30", To: "04:00"}, "2026-03-29T00:59:59Z", ""},
		"ends in the hour twice":      {"Europe/Berlin", alarm.Interval{From: "01:00", To: "02:30"}, "2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z"},
		"in the hour's second time":   {"Europe/Berlin", alarm.Interval{From: "01:00", To: "02:30"}, "2026-10-25T01:15:00Z", ""},
		"begins in the hour twice":    {"Europe/Berlin", alarm.Interval{From: "02:30", To: "04:00"}, "2026-10-25T00:30:00Z", "2026-10-25T03:00:00Z"},
		"New York":                    {"America/New_York", night, "2026-11-01T02:30:00Z", "2026-11-01T11:00:00Z"},
		"half an hour, Lord Howe":     {"Australia/Lord_Howe", night, "2026-10-03T12:00:00Z", "2026-10-03T19:00:00Z"},
		"Kiritimati":                  {"Pacific/Kiritimati", night, "2026-11-28T08:00:00Z", "2026-11-28T16:00:00Z"},
		"a day of the week":           {"UTC", alarm.Interval{Days: []string{"Sat"}, From: "08:00", To: "24:00"}, "2026-11-28T08:00:00Z", "2026-11-29T00:00:00Z"},
		"another day":                 {"UTC", alarm.Interval{Days: []string{"sun", "fri"}, From: "08:00", To: "24:00"}, "2026-11-28T08:00:00Z", ""},
		"night after a day":           {"UTC", alarm.Interval{Days: []string{"fri"}, From: "22:00", To: "06:00"}, "2026-11-28T05:59:59Z", "2026-11-28T06:00:00Z"},
		"the clock is not set":        {"UTC", alarm.Interval{From: "00:00", To: "24:00"}, "1970-01-01T03:00:00Z", ""},
	} {
		t.Run(name, func(t *testing.T) {
			config := alarm.Default()
			config.TimeZone, config.Rules = c.zone, []alarm.Rule{{Mute: []alarm.Interval{c.mute}}}
			now, err := time.Parse(time.RFC3339, c.raise)
			must.OK(t, err)
			s, err := alarm.New(config, now)
			must.OK(t, err)
			p := &site{t: t, config: config, s: s, now: now}
			raised := p.observe("a-1", "f", true)
			if to := raised[0].To; !to.Cloud || to.SNS != (c.end == "") || to.Voice != (c.end == "") {
				t.Fatalf("told %+v", to)
			}
			if c.end == "" {
				return
			}
			end, err := time.Parse(time.RFC3339, c.end)
			must.OK(t, err)
			if next := p.s.Next(p.now); !next.Equal(end) {
				t.Fatalf("next is %v, want %v", next, end)
			}
			if told := p.wait(end.Sub(now)); len(told) != 1 || !told[0].To.Voice || !told[0].To.SNS || told[0].Kind != alarm.ReAlarmed {
				t.Errorf("in the morning %+v", told)
			}
		})
	}
}

// What came and went in the night is told to nobody but the cloud, and nobody is reminded at night.
func TestMutedEnd(t *testing.T) {
	p := newSite(t, alarm.Rule{Mute: []alarm.Interval{{From: "08:00", To: "20:00"}}, Escalate: []time.Duration{time.Minute}})
	p.observe("a-1", "f", true)
	p.wait(time.Hour)
	p.observe("a-1", "f", false)
	p.wait(24 * time.Hour)
	for _, c := range p.all {
		if c.To.SNS || c.To.Voice {
			t.Errorf("%s is told %+v", c.Kind, c.To)
		}
	}
	p.expect(p.all, "raised! returned!")
}

// Intervals that follow one another are one.
func TestMuteWithoutAGap(t *testing.T) {
	p := newSite(t, alarm.Rule{Mute: []alarm.Interval{{From: "08:00", To: "12:00"}, {From: "12:00", To: "14:00"}}})
	p.observe("a-1", "f", true)
	if next := p.s.Next(p.now); !next.Equal(t0.Add(6 * time.Hour)) {
		t.Errorf("next is %v", next)
	}
}
