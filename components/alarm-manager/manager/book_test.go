package manager

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
)

func alert(thing string, fault event.Fault, state event.AlarmState) event.Alert {
	return event.Alert{Thing: thing, Fault: fault, State: state, Severity: event.SeverityHigh, Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func TestBookSurvivesARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alarms.json")
	b, err := openBook(path)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := b.enter(alert("p", event.FaultMachine, event.AlarmUnacknowledged))
	second, _ := b.enter(alert("q", event.FaultSilence, event.AlarmUnacknowledged))
	third, _ := b.enter(alert("p", event.FaultMachine, event.AlarmNormal))
	b.enter(alert("p", event.FaultTest, event.AlarmUnacknowledged)) // a test leaves no alarm behind
	if !b.acknowledge(first.ID) || b.acknowledge(first.ID) || b.acknowledge("unknown") {
		t.Error("acknowledge")
	}
	if err := b.save(); err != nil {
		t.Fatal(err)
	}
	again, err := openBook(path) // as a killed process leaves it
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.active, b.active) || !reflect.DeepEqual(again.outbox, b.outbox) {
		t.Errorf("%+v, want %+v", again, b)
	}
	if len(again.active) != 1 || again.active[0].Thing != "q" || len(again.outbox) != 3 || again.outbox[0].ID != second.ID || again.outbox[1].ID != third.ID {
		t.Errorf("active %+v, outbox %+v", again.active, again.outbox)
	}
	fifth, _ := again.enter(alert("r", event.FaultMachine, event.AlarmUnacknowledged))
	for _, earlier := range b.outbox {
		if fifth.ID == earlier.ID {
			t.Errorf("id %s is used twice", fifth.ID)
		}
	}
}

func TestBookIsBounded(t *testing.T) {
	b := &book{epoch: "e"}
	for range maxOutbox {
		if _, dropped := b.enter(alert("p", event.FaultTest, event.AlarmUnacknowledged)); len(dropped) != 0 {
			t.Fatal("dropped too early")
		}
	}
	oldest := b.outbox[0].ID
	if _, dropped := b.enter(alert("p", event.FaultTest, event.AlarmUnacknowledged)); len(dropped) != 1 || dropped[0] != oldest || len(b.outbox) != maxOutbox || b.outbox[0].ID == oldest {
		t.Errorf("dropped %v, outbox %d", dropped, len(b.outbox))
	}
}

func TestBookOfANewerVersionIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alarms.json")
	for _, newer := range []string{
		`{"format":2,"epoch":"e","what":"ever"}`, `{"epoch":7,"active":{"a":1},"outbox":"another file","format":3}`,
	} {
		if err := os.WriteFile(path, []byte(newer), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := openBook(path)
		if !errors.Is(err, errNewerFormat) {
			t.Errorf("%s: %v", newer, err)
		}
		b.enter(alert("p", event.FaultMachine, event.AlarmUnacknowledged)) // in memory
		if err := b.save(); err != nil || b.dirty || len(b.outbox) != 1 {
			t.Errorf("%v, %+v", err, b)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != newer {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestSpoiltBookIsSetAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "alarms.json")
	all := []string{`{"format":1,"ep`, `{"format":1,"active":[]}`, `{"format":1,"epoch":"e","active":7}`, `{"format":"2"}`, `[]`, ``}
	for i, spoilt := range all {
		if err := os.WriteFile(path, []byte(spoilt), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := openBook(path)
		if err != nil {
			t.Fatalf("%s: %v", spoilt, err)
		}
		if err := b.save(); err != nil {
			t.Fatal(err)
		}
		aside, err := os.ReadFile(b.aside)
		if err != nil || string(aside) != spoilt || !strings.HasPrefix(filepath.Base(b.aside), "alarms.json.spoilt-") {
			t.Errorf("%q: aside is %q, %v", spoilt, aside, err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != i+2 {
			t.Errorf("%v, %v", entries, err)
		}
	}
}

// A book that cannot be read is left alone, and one is kept in memory.
func TestUnreadableBookIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alarms.json") // a folder: reading fails, for root too
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := openBook(path)
	if err == nil || !strings.Contains(err.Error(), "read alarms") {
		t.Fatalf("%v", err)
	}
	b.enter(alert("p", event.FaultMachine, event.AlarmUnacknowledged))
	if err := b.save(); err != nil || b.dirty || len(b.active) != 1 || len(b.outbox) != 1 {
		t.Errorf("%v, %+v", err, b)
	}
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		t.Errorf("%v, %v", info, err)
	}
}

// An alert goes out although the book cannot be written; the next process does not give its id to another one.
func TestIDsAreNotUsedAgainAfterAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alarms.json")
	b, err := openBook(path)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := b.enter(alert("p", event.FaultMachine, event.AlarmUnacknowledged))
	if err := b.save(); err != nil {
		t.Fatal(err)
	}
	second, _ := b.enter(alert("p", event.FaultMachine, event.AlarmNormal)) // never saved
	again, err := openBook(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if next, _ := again.enter(alert("p", event.FaultSilence, event.AlarmUnacknowledged)); next.ID == first.ID || next.ID == second.ID {
			t.Errorf("id %s is used twice", next.ID)
		}
	}
	if again.outbox[0].ID != first.ID || !again.acknowledge(first.ID) {
		t.Errorf("%+v", again.outbox)
	}
}

// A book that cannot be written stays ahead in memory, and is written when it can be.
func TestBookTriesAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	b, err := openBook(filepath.Join(dir, "alarms.json"))
	if err != nil {
		t.Fatal(err)
	}
	b.enter(alert("p", event.FaultMachine, event.AlarmUnacknowledged))
	if err := b.save(); err == nil || !b.dirty {
		t.Errorf("%v, dirty %v", err, b.dirty)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := b.save(); err != nil || b.dirty {
		t.Errorf("%v, dirty %v", err, b.dirty)
	}
}

func TestTexts(t *testing.T) {
	since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for want, c := range map[string]struct {
		fault event.Fault
		state event.AlarmState
		after time.Duration
	}{
		"Fault found on line 1, press 2. Immediate attention required.":         {event.FaultMachine, event.AlarmUnacknowledged, 0},
		"line 1, press 2 is back to normal after 1 second.":                     {event.FaultMachine, event.AlarmNormal, 0},
		"line 1, press 2 is back to normal after 90 minutes.":                   {event.FaultMachine, event.AlarmNormal, 90 * time.Minute},
		"line 1, press 2 is back to normal after 50 hours.":                     {event.FaultSilence, event.AlarmNormal, 50 * time.Hour},
		"No data from line 1, press 2. Check its sensors and their connection.": {event.FaultSilence, event.AlarmUnacknowledged, 0},
		"This is a test alarm of line 1, press 2. No action is required.":       {event.FaultTest, event.AlarmUnacknowledged, 0},
	} {
		a := event.Alert{Thing: "press-2", Line: "line-1", Fault: c.fault, State: c.state, Since: since}
		if got := text(a, since.Add(c.after)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for name, wrong := range map[string]time.Time{
		"boot without a clock": time.Unix(100, 0), "a clock that was ahead": since.Add(time.Hour),
	} {
		a := event.Alert{Thing: "press-2", Line: "line-1", Fault: event.FaultSilence, State: event.AlarmNormal, Since: wrong}
		if got := text(a, since); got != "line 1, press 2 is back to normal." {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// An alert that was damaged on disk is dropped, and counted: those of its thing and fault would wait for it for ever.
func TestDamagedAlertsHoldNothingUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), bookName)
	b, err := openBook(path)
	if err != nil {
		t.Fatal(err)
	}
	good, _ := b.enter(event.Alert{Thing: "press-1", Fault: event.FaultMachine, State: event.AlarmUnacknowledged, Since: time.Now(), TS: time.Now()})
	for _, damage := range []func(*event.Alert){
		func(a *event.Alert) { a.ID = "" },
		func(a *event.Alert) { a.Thing = "a/b" },
		func(a *event.Alert) { a.V = 9 },
		func(a *event.Alert) { a.Text = strings.Repeat("x", 7000) },
		func(a *event.Alert) { a.TS = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		a := good
		damage(&a)
		b.outbox = append(b.outbox, a)
	}
	if err := b.save(); err != nil {
		t.Fatal(err)
	}
	if b, err = openBook(path); err != nil || b.bad != 5 || len(b.outbox) != 1 || b.outbox[0].ID != good.ID {
		t.Errorf("%d bad, %+v, %v", b.bad, b.outbox, err)
	}
}
