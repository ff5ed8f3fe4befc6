package forwarder

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
)

// Late or over, an alert says so in subject, text and SMS, and programs get it as members.
func TestLateAlertSaysSo(t *testing.T) {
	at := func(hour, minute int) time.Time { return time.Date(2026, 11, 23, hour, minute, 0, 0, time.UTC) }
	normal := func(ts time.Time) *event.Alert {
		end := raised()
		end.ID, end.State, end.TS, end.Text = "end", event.AlarmNormal, ts, "line 7, press 1 is back to normal."
		return &end
	}
	for _, c := range []struct {
		name      string
		ts        time.Time
		end       *event.Alert // heard behind it
		only      bool         // it is the end that is delivered
		now       time.Time
		simulated bool
		subject   string
		note      string // in text and SMS; "" = none
		members   string
	}{
		{name: "in time", ts: at(10, 0), now: at(10, 2), subject: "[HIGH] machine-fault: press-1 on line-7"},
		{
			name: "late", ts: at(10, 0), now: at(13, 0), subject: "[LATE 3 h] [HIGH] machine-fault: press-1 on line-7",
			note: "Raised 10:00, delivered 13:00 (UTC).", members: `"late_s":10800,`,
		},
		{
			name: "late and over", ts: at(10, 0), end: normal(at(10, 5)), now: at(13, 0),
			subject: "[LATE 3 h] [OVER] [HIGH] machine-fault: press-1 on line-7",
			note:    "The alarm machine-fault of press-1 on line-7 is over. Raised 10:00, delivered 13:00; over since 10:05 (UTC).",
			members: `"late_s":10800,"over":true,"over_since":"2026-11-23T10:05:00Z",`,
		},
		{
			name: "simulated", ts: at(10, 0), end: normal(at(10, 5)), now: at(13, 0), simulated: true,
			subject: "[SIMULATED] [LATE 3 h] [OVER] [HIGH] machine-fault: press-1 on line-7",
			note:    "Simulation: The alarm machine-fault of press-1 on line-7 is over.",
			members: `"late_s":10800,"over":true,"over_since":"2026-11-23T10:05:00Z",`,
		},
		{
			name: "over at once", ts: at(10, 0), end: normal(at(10, 1)), now: at(10, 2), subject: "[OVER] [HIGH] machine-fault: press-1 on line-7",
			note: "Raised 10:00, delivered 10:02; over since 10:01 (UTC).", members: `"over":true,"over_since":"2026-11-23T10:01:00Z",`,
		},
		{
			name: "days", ts: at(10, 0), now: at(10, 0).AddDate(0, 0, 3), subject: "[LATE 3 days] [HIGH] machine-fault: press-1 on line-7",
			note: "Raised 2026-11-23 10:00, delivered 10:00 (UTC).", members: `"late_s":259200,`,
		},
		{
			name: "the end, late", ts: at(10, 0), end: normal(at(10, 5)), only: true, now: at(11, 5),
			subject: "[LATE 60 min] [NORMAL] machine-fault: press-1 on line-7",
			note:    "line 7, press 1 is back to normal. Over since 10:05, delivered 11:05 (UTC).", members: `"late_s":3600,`,
		},
		// Clocks that were wrong, or are.
		{name: "not set then", ts: time.Unix(60, 0).UTC(), now: at(13, 0), subject: "[HIGH] machine-fault: press-1 on line-7"},
		{
			name: "not set then, and over", ts: time.Unix(60, 0).UTC(), end: normal(time.Unix(90, 0).UTC()), now: at(13, 0),
			subject: "[OVER] [HIGH] machine-fault: press-1 on line-7", note: "is over. It is over.", members: `"over":true,`,
		},
		{name: "not set now", ts: at(10, 0), now: time.Unix(90, 0).UTC(), subject: "[HIGH] machine-fault: press-1 on line-7"},
		{name: "ahead", ts: at(14, 0), now: at(13, 0), subject: "[HIGH] machine-fault: press-1 on line-7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := fileOf(t, t.TempDir(), c.ts, c.end)
			a := raised()
			a.TS, a.Simulated = c.ts, c.simulated
			if c.only {
				a = *c.end
			}
			payload, err := json.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			n, err := newNotice(message{payload: payload, replayed: true}, "", "", func(a event.Alert) alertStatus { return k.status(a, c.now) })
			if err != nil || n.subject != c.subject {
				t.Errorf("subject %q, want %q: %v", n.subject, c.subject, err)
			}
			var parts map[string]string
			if err := json.Unmarshal([]byte(n.text), &parts); err != nil {
				t.Fatal(err)
			}
			for _, kind := range []string{"email", "sms"} {
				said, _, _ := strings.Cut(parts[kind], "\n")
				if !strings.Contains(said, c.note) || c.note == "" && said != a.Text+" This message may have arrived before." {
					t.Errorf("%s says %q, want %q", kind, said, c.note)
				}
				if over := strings.Contains(c.members, "over"); strings.Contains(said, "Immediate attention") == (over || c.only) {
					t.Errorf("%s says %q", kind, said)
				}
			}
			if want := `{"replayed":true,` + c.members + string(payload[1:]); parts["lambda"] != want {
				t.Errorf("programs get\n%s\nwant\n%s", parts["lambda"], want)
			}
		})
	}
}

// An alert that the cloud cannot be reached, and had to wait for it, says that it has arrived.
func TestUplinkAlertThatHadToWait(t *testing.T) {
	for _, c := range []struct {
		name     string
		age      time.Duration
		replayed bool
		fault    event.Fault
		back     bool
	}{
		{"at once", time.Second, false, event.FaultUplinkDown, false}, // another service of the cloud cannot be reached
		{"behind others", time.Minute, false, event.FaultUplinkDown, true},
		{"tried before", time.Second, true, event.FaultUplinkDown, true},
		{"another fault", time.Minute, true, event.FaultEngineDown, false},
	} {
		a := raised()
		a.Fault = c.fault
		payload, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		n, err := newNotice(message{payload: payload, replayed: c.replayed}, "", "", func(event.Alert) alertStatus {
			return alertStatus{now: a.TS.Add(c.age), raised: c.age, aged: true}
		})
		if err != nil || strings.HasPrefix(n.subject, "[CONNECTED AGAIN] [HIGH] ") != c.back || strings.Contains(n.text, "a connection again.") != c.back ||
			strings.Contains(n.text, `\"reconnected\":true,`) != c.back {
			t.Errorf("%s: %q, %v\n%s", c.name, n.subject, err, n.text)
		}
	}
}

// fileOf returns what a process knows that was started after another one had heard an alert, and its end.
func fileOf(t *testing.T, dir string, ts time.Time, end *event.Alert) *dedup {
	t.Helper()
	before, err := openDedup(dir, 10)
	if err != nil {
		t.Fatal(err)
	}
	a := raised()
	a.TS = ts
	if _, err := before.note(seenAlert(a), ts); err != nil {
		t.Fatal(err)
	}
	if end != nil {
		if _, err := before.note(seenAlert(*end), end.TS); err != nil {
			t.Fatal(err)
		}
	}
	k, err := openDedup(dir, 10)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A clock that is set while an alert waits makes it no older than it is.
func TestAgeByAClockThatIsSet(t *testing.T) {
	k, err := openDedup(t.TempDir(), 10)
	if err != nil {
		t.Fatal(err)
	}
	heardAt := time.Now()
	a := raised()
	a.TS = heardAt.Add(-time.Second).UTC()
	if _, err := k.note(seenAlert(a), heardAt); err != nil {
		t.Fatal(err)
	}
	if p := k.status(a, heardAt.Add(time.Minute)); p.raised != 61*time.Second || !p.aged || p.delayed() {
		t.Errorf("%+v", p)
	}
	// The alert manager's clock, and this one's, was of 1970 when it was heard: its age is known all the same.
	b := raised()
	b.ID, b.TS = "b", time.Unix(60, 0).UTC()
	if _, err := k.note(seenAlert(b), heardAt); err != nil {
		t.Fatal(err)
	}
	if p := k.status(b, heardAt.Add(time.Hour)); p.raised != time.Hour || !p.delayed() {
		t.Errorf("%+v", p)
	}
}

func TestAlarmThatIsRaisedAgainIsNotOver(t *testing.T) {
	k, err := openDedup(t.TempDir(), 10)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	alert := func(id string, state event.AlarmState, since time.Time) event.Alert {
		a := raised()
		a.ID, a.State, a.Since = id, state, since
		if _, err := k.note(seenAlert(a), now); err != nil {
			t.Fatal(err)
		}
		return a
	}
	first := raised().Since
	one := alert("1", event.AlarmUnacknowledged, first)
	alert("2", event.AlarmNormal, first)
	three := alert("3", event.AlarmUnacknowledged, first.Add(time.Hour))
	for id, want := range map[*event.Alert]bool{&one: true, &three: false} {
		if p := k.status(*id, now); p.over != want {
			t.Errorf("%s: over is %v", id.ID, p.over)
		}
	}
	alert("4", event.AlarmUnacknowledged, first)
	if k.status(one, now).over {
		t.Error("over, although it was raised again")
	}
}

// Where the clock is not set there are no times to tell.
func TestNoteByAClockThatIsNotSet(t *testing.T) {
	p := alertStatus{now: time.Date(1970, 1, 1, 1, 0, 0, 0, time.UTC), raised: time.Hour, aged: true}
	if note := p.note(event.AlarmUnacknowledged, phrasesOf(""), time.UTC); note != "" {
		t.Errorf("%q", note)
	}
}
