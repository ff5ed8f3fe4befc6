package alarm_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"edgepdm/shared/alarm"
	"edgepdm/test/must"
)

// Records of a newer version, and others that no System writes, are refused; what is right of them is taken.
func TestRefusedRecords(t *testing.T) {
	const head = `{"v":1,"run":7200000000000,`
	for text, want := range map[string]bool{
		head + `"alarm":{"key":{"thing":"a","fault":"f"},"state":"NORMAL"}}`:                                                     true,
		head + `"alarm":{"key":{"thing":"a","fault":"f"},"state":"UNACKNOWLEDGED","priority":"low","active":true,"level":true}}`: true,
		head + `"alarm":{"key":{"thing":"a","fault":"f"},"state":"UNACKNOWLEDGED","priority":"low"}}`:                            false,
		head + `"alarm":{"key":{"thing":"a","fault":"f"},"state":"UNACKNOWLEDGED","active":true,"level":true}}`:                  false,
		head + `"alarm":{"key":{"thing":"a","fault":"f"},"state":"NORMAL","active":true,"level":true}}`:                          false,
		head + `"alarm":{"key":{"thing":"a","fault":"f"},"state":"BROKEN"}}`:                                                     false,
		head + `"alarm":{"key":{"thing":"a b","fault":"f"},"state":"NORMAL"}}`:                                                   false,
		head + `"alarm":{"key":{"thing":"a","fault":"f"},"state":"NORMAL","release":7200000000001}}`:                             false,
		head + `"alarm":{"key":{"thing":"a","fault":"f"},"state":"NORMAL","shelved_end":9223372036854775807}}`:                   false,
		head + `"alarm":{"key":{"thing":"a","fault":"f"},"state":"NORMAL","edge":7200000000001}}`:                                false,
		head + `"alarm":{"key":{"thing":"a","fault":"f"},"state":"NORMAL","step":3}}`:                                            false,
		head + `"gone":{"thing":"a","fault":"f"}}`:                                                                               true,
		head + `"gone":{"thing":"a","fault":"f"},"place":{"thing":"a","since":"2026-11-28T08:00:00Z"}}`:                          false,
		head + `"place":{"thing":"a","line":"b","since":"2026-11-28T08:00:00Z"}}`:                                                false,
		head + `"flood":{"name":"site","times":[-1]}}`:                                                                           false,
		head + `"figures":{"minute":1000}}`:                                                                                      false,
		`{"v":1,"run":-1,"gone":{"thing":"a","fault":"f"}}`:                                                                      false,
		`{"v":1,"run":9223372036854775807,"gone":{"thing":"a","fault":"f"}}`:                                                     false,
		`{"v":0,"run":7200000000000,"gone":{"thing":"a","fault":"f"}}`:                                                           false,
		`{}`: false, `[]`: false, ``: false,
	} {
		_, err := alarm.DecodeRecord([]byte(text))
		if (err == nil) != want || errors.Is(err, alarm.ErrNewer) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := alarm.DecodeRecord([]byte(`{"v":2,"run":"an hour"}`)); !errors.Is(err, alarm.ErrNewer) {
		t.Error(err)
	}
	p := newSite(t)
	p.observe("a-1", "f", true)
	records := append(p.s.Snapshot(), alarm.Record{V: 7})
	s, _, err := alarm.Restore(p.config, records, p.now)
	if err == nil || len(s.List()) != 1 {
		t.Errorf("%v, %+v", err, s.List())
	}
}

// Each change is recorded once, and observations that change nothing are not.
func TestChanged(t *testing.T) {
	p := newSite(t, alarm.Rule{Fault: "slow", OnDelay: minute})
	records := func() int { return len(p.s.Changed()) }
	p.observe("a-1", "f", true)
	if n := records(); n != 3 { // the alarm, and the floods of its line and of the site
		t.Errorf("%d records of an alarm", n)
	}
	for range 100 {
		p.observe("a-1", "f", true)
		p.observe("a-1", "slow", true)
		p.observe("a-1", "slow", false)
		p.observe("a-2", "f", false)
	}
	if n := records(); n != 0 {
		t.Errorf("%d records of nothing", n)
	}
	p.order(alarm.Command{Do: alarm.TakeOutOfService, Line: "z"})
	p.order(alarm.Command{Do: alarm.ReturnToService, Line: "z"})
	if n := records(); n != 1 {
		t.Errorf("%d records of a line", n)
	}
	p.observe("a-1", "f", false)
	p.order(alarm.Command{Do: alarm.Acknowledge, Alarms: key("a-1")})
	p.wait(48 * hour)
	gone := 0
	for _, r := range p.s.Changed() {
		if r.Gone != nil {
			gone++
		}
	}
	if gone != 1 || len(p.s.List()) != 0 {
		t.Errorf("%d are gone", gone)
	}
}

// Whatever records say, a System that takes them goes on, and what it writes can be read.
func FuzzRecord(f *testing.F) {
	p := newSite(f, alarm.Rule{Latched: yes(), OnDelay: second, ReAlarm: hour})
	p.observe("a-1", "f", true)
	p.wait(minute)
	p.order(alarm.Command{Do: alarm.Shelve, Line: "a", For: hour})
	p.observe("core", "engine-down", true)
	p.wait(second)
	p.observe("a-2", "silence", true)
	p.order(alarm.Command{Do: alarm.TakeOutOfService, Line: "b"})
	for _, r := range p.s.Snapshot() {
		data, err := json.Marshal(r)
		must.OK(f, err)
		f.Add(data, []byte(`{"v":1,"run":7200000000000,"gone":{"thing":"a","fault":"f"}}`))
	}
	f.Add([]byte(`{"v":1,"run":7200000000000,"at":"9999-12-31T23:59:59-23:00","place":{"line":"a","since":"0001-01-01T00:00:00+23:00"}}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		var records []alarm.Record
		for _, data := range [][]byte{one, two} {
			if r, err := alarm.DecodeRecord(data); err == nil {
				records = append(records, r)
			}
		}
		s, _, err := alarm.Restore(p.config, records, t0)
		must.OK(t, err)
		q := &site{t: t, config: p.config, s: s, now: t0}
		q.observe("a-1", "f", true)
		q.wait(minute)
		for _, a := range s.List() {
			_, _ = s.Command(alarm.Command{Do: alarm.Acknowledge, Alarms: []alarm.Key{a.Key}}, q.now)
		}
		for range 40 { // ends of all delays
			q.now = q.now.Add(24 * hour)
			s.Tick(q.now)
		}
		s.KPIs(q.now)
		q.restart(q.now)
	})
}

// Whatever rules say, they are refused, or a System works by them.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"timeZone":"Europe/Berlin","rules":[{"thing":"a*","votes":2,"window":3,"onDelay":"1s","mute":[{"days":["sat"],"from":"22:00","to":"06:00"}]}]}`))
	f.Add([]byte(`{"inhibit":[{"source":"f","faults":["g"],"same":"line"}],"rules":[{"group":"line","escalate":["1m"],"text":{"en":"{thing}"}}]}`))
	f.Add([]byte(`{"maxPerLine":1,"rules":[{"latched":true,"tell":["voice"],"reAlarm":"1m","cooldown":"1h"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var raw map[string]any
		if json.Unmarshal(data, &raw) != nil {
			return
		}
		config, err := decodeConfig(raw)
		if err != nil {
			return
		}
		p := newSiteOf(t, config)
		for i := range 20 {
			p.observe("a-1", "f", i%3 > 0)
			p.observe("a-2", "g", i%2 > 0)
			p.now = p.now.Add(10 * minute)
			for _, c := range p.s.Tick(p.now) {
				_ = p.s.Text(c, "en", alarm.Insight{})
			}
			if next := p.s.Next(p.now); !next.IsZero() && next.Before(p.now) {
				t.Fatalf("next is %v at %v", next, p.now)
			}
		}
		p.restart(p.now)
	})
}

// Whatever comes, what is kept is bounded.
func TestBounds(t *testing.T) {
	c := alarm.Default()
	c.MaxAlarms, c.MaxPerSite = 100, 1000
	c.Rules = []alarm.Rule{{Group: "thing"}}
	p := newSiteOf(t, c)
	most := 0
	for i := range 20_000 {
		thing := fmt.Sprintf("l%d-%d", i%5000, i)
		if _, err := p.s.Observe(alarm.Observation{Thing: thing, Line: lineOf(thing), Fault: "f", Active: i%3 > 0}, p.now); err != nil {
			p.observe(p.s.List()[50].Thing, "f", false)
		}
		p.now = p.now.Add(second)
		if i%500 == 0 {
			most = max(most, len(p.s.Snapshot()))
		}
	}
	if most > 2500 { // 100 alarms, and the floods of ten minutes
		t.Errorf("%d records", most)
	}
}
