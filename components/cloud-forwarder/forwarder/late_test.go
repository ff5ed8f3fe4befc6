package forwarder

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
)

// What is delivered late says so, and what is over by then is not told as if it were new.
func TestLateAlerts(t *testing.T) {
	a := raised()
	over := a.TS.Add(5 * time.Minute)
	for _, c := range []struct {
		name, subject, text, body string
		at, over                  time.Time
		change                    func(*event.Alert)
		email                     []string
	}{
		{name: "fresh", at: a.TS.Add(time.Minute), subject: "[HIGH] machine-fault", text: "Fault found", body: `{"v":1`},
		{name: "the end is known, and it is fresh", at: a.TS.Add(time.Minute), over: over, subject: "[HIGH] machine-fault", text: "Fault found", body: `{"v":1`},
		{name: "late", at: a.TS.Add(3 * time.Hour), subject: "[LATE 3 hours] [HIGH] machine-fault", text: "3 hours late: Fault found", body: `{"late_s":10800,"v":1`,
			email: []string{"3 hours late: Fault found", "Delivered:   2026-11-23 13:00:01 UTC, 3 hours late", "What to do:"}},
		{name: "over", at: a.TS.Add(3 * time.Hour), over: over, subject: "[LATE 3 hours] [OVER] machine-fault", text: "Past alarm, 3 hours old and over: Fault found",
			body:  `{"late_s":10800,"over_since":"2026-11-23T10:05:01Z","v":1`,
			email: []string{"Since:       2026-11-23 10:00:00 UTC", "Over since:  2026-11-23 10:05:01 UTC"}},
		{name: "marked", at: a.TS.Add(3 * time.Hour), change: func(a *event.Alert) { a.Replayed = true }, subject: "[LATE 3 hours] [HIGH]", text: "3 hours late",
			body: `{"replayed":true,"late_s":10800,"v":1`, email: []string{"This message may have arrived before."}},
		{name: "an end", at: over, change: func(a *event.Alert) { a.State, a.TS, a.Text = event.AlarmNormal, over, "press 1 is back to normal." },
			subject: "[NORMAL] machine-fault", text: "press 1 is back to normal.", body: `{"v":1`, email: []string{"Over since:  2026-11-23 10:05:01 UTC"}},
		{name: "a clock that was not set", at: a.TS, change: func(a *event.Alert) { a.TS = time.Date(1970, 1, 1, 0, 0, 9, 0, time.UTC) }, subject: "[HIGH]", text: "Fault", body: `{"v":1`},
		{name: "a clock that was set back", at: a.TS.Add(-time.Hour), subject: "[HIGH]", text: "Fault found", body: `{"v":1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := raised()
			if c.change != nil {
				c.change(&a)
			}
			payload, err := json.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			subject, text, err := snsMessage(message{payload: payload, at: c.at, over: c.over})
			if err != nil {
				t.Fatal(err)
			}
			var parts map[string]string
			if err := json.Unmarshal([]byte(text), &parts); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(subject, c.subject) || !strings.HasPrefix(parts["sms"], c.text) || !strings.HasPrefix(parts["lambda"], c.body) {
				t.Errorf("%s\n%s\n%s", subject, parts["sms"], parts["lambda"])
			}
			if !json.Valid([]byte(parts["lambda"])) {
				t.Error(parts["lambda"])
			}
			for _, want := range c.email {
				if !strings.Contains(parts["email"], want) {
					t.Errorf("e-mail lacks %q:\n%s", want, parts["email"])
				}
			}
			if c.name == "over" && strings.Contains(parts["email"], "What to do") {
				t.Error("there is nothing to do")
			}
		})
	}
}

// The ends of so many alarms are remembered, and not more.
func TestEndingsAreBounded(t *testing.T) {
	e := newEndings()
	for i := range 2 * recentAlerts {
		a := raised()
		a.State, a.Since = event.AlarmNormal, a.Since.Add(time.Duration(i)*time.Second)
		e.add(a)
		e.add(a)
		a.State = event.AlarmUnacknowledged
		if e.of(a) != a.TS {
			t.Fatal("forgotten")
		}
	}
	if len(e.over) != recentAlerts {
		t.Errorf("%d", len(e.over))
	}
}

// Ids are known to the next process; the file of them is bounded, and a damaged line costs one id.
func TestAcceptedIDs(t *testing.T) {
	path := filepath.Join(t.TempDir(), acceptedName)
	a := openAccepted(path, "s")
	for i := range 3*recentAlerts + 100 {
		if err := a.add("s", fmt.Sprint("old-", i)); err != nil {
			t.Fatal(err)
		}
	}
	ids := []string{"a-1", "with a space", "and\na line", `"quoted"`, "ü"}
	for _, id := range ids {
		if err := a.add("s", id); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if n := bytes.Count(data, []byte("\n")); err != nil || n > recentAlerts+110 || n != a.lines {
		t.Errorf("%d lines, counted %d, %v", n, a.lines, err)
	}
	b := openAccepted(path, "s")
	for _, id := range ids {
		if !b.has("s", id) {
			t.Errorf("%q is forgotten", id)
		}
	}
	if b.has("s", "old-0") || b.has("other", "a-1") || len(b.streams["s"].ids) != recentAlerts {
		t.Errorf("%d are remembered", len(b.streams["s"].ids))
	}
	if err := os.WriteFile(path, bytes.Replace(data, []byte("a-1"), []byte("a-2"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := openAccepted(path, "s"); c.has("s", "a-1") || c.has("s", "a-2") || !c.has("s", "ü") {
		t.Error("a damaged line is taken, or spoils others")
	}
}
