package alarms

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
)

func alert(thing string, fault event.Fault, state event.AlarmState) event.Alert {
	since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return event.Alert{Thing: thing, Fault: fault, State: state, Severity: event.SeverityHigh, Since: since, TS: since}
}

// testConfig is of alarms that nothing holds back.
func testConfig() alarm.Config {
	c := alarm.Default()
	c.MaxPerLine, c.MaxPerSite = 1000, 1000
	return c
}

// happen lets an alarm come or go, with an alert.
func (b *alarmList) happen(a event.Alert) event.Alert {
	if a.Fault != event.FaultTest {
		changes, err := b.system.Observe(alarm.Observation{
			Thing: a.Thing, Line: a.Line, Fault: a.Fault, Active: a.State == event.AlarmUnacknowledged, Severity: a.Severity, Since: a.Since,
		}, time.Now())
		if err != nil {
			panic(err)
		}
		for _, c := range changes {
			b.change(newTold(c))
		}
	}
	entered, _ := b.enter(a)
	return entered
}

// openTestList opens an alarm list that must be readable.
func openTestList(t *testing.T, dir string) *alarmList {
	t.Helper()
	b, err := openList(dir, testConfig(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

func saveList(t *testing.T, b *alarmList) {
	t.Helper()
	if err := b.save(); err != nil || b.dirty {
		t.Fatalf("%v, dirty %v", err, b.dirty)
	}
}

// standing are the active alarms, by name, with what may not change.
func (b *alarmList) standing() map[alarm.Key]string {
	all := make(map[alarm.Key]string)
	for _, a := range b.system.List() {
		if a.Active {
			all[a.Key] = fmt.Sprint(a.Line, a.Priority, a.State, a.Since.UTC(), a.Count)
		}
	}
	return all
}

// sameList reports whether two alarm lists have the same alarms and alerts.
func sameList(a, b *alarmList) bool {
	return reflect.DeepEqual(a.standing(), b.standing()) && (len(a.outbox)+len(b.outbox) == 0 || reflect.DeepEqual(a.outbox, b.outbox))
}

func TestListSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	b := openTestList(t, dir)
	first := b.happen(alert("p", event.FaultMachine, event.AlarmUnacknowledged))
	second := b.happen(alert("q", event.FaultSilence, event.AlarmUnacknowledged))
	third := b.happen(alert("p", event.FaultMachine, event.AlarmNormal))
	saveList(t, b)
	b.enter(alert("p", event.FaultTest, event.AlarmUnacknowledged)) // a test leaves no alarm behind
	if !b.acknowledge(first.ID) || b.acknowledge(first.ID) || b.acknowledge("unknown") {
		t.Error("acknowledge")
	}
	saveList(t, b)
	again := openTestList(t, dir) // as a killed process leaves it
	if !sameList(again, b) || again.damage != nil || again.dirty {
		t.Errorf("%+v, want %+v", again, b)
	}
	if !again.isActive("q", event.FaultSilence) || len(again.standing()) != 1 {
		t.Errorf("active %+v", again.standing())
	}
	if len(again.outbox) != 3 || again.outbox[0].ID != second.ID || again.outbox[1].ID != third.ID {
		t.Errorf("outbox %+v", again.outbox)
	}
	fifth := again.happen(alert("r", event.FaultMachine, event.AlarmUnacknowledged))
	for _, earlier := range b.outbox {
		if fifth.ID == earlier.ID {
			t.Errorf("id %s is used twice", fifth.ID)
		}
	}
}

func TestListIsBounded(t *testing.T) {
	b := openTestList(t, t.TempDir())
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

// A newer version's file is left alone, and the alarm list is in memory.
func TestListOfANewerVersionIsLeftAlone(t *testing.T) {
	newest, err := (&journal{}).number(entry{Head: &head{Format: journalFormat + 1}})
	if err != nil {
		t.Fatal(err)
	}
	for name, newer := range map[string]string{
		legacyName: `{"epoch":7,"active":{"a":1},"outbox":"another file","format":4}`, listName: string(newest) + "what ever",
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(newer), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := openList(filepath.Dir(path), testConfig(), time.Now())
		if !errors.Is(err, durable.ErrNewerFormat) || !strings.Contains(err.Error(), "written by a newer version") {
			t.Errorf("%s: %v", newer, err)
		}
		b.enter(alert("p", event.FaultMachine, event.AlarmUnacknowledged)) // in memory
		saveList(t, b)
		if got, err := os.ReadFile(path); err != nil || string(got) != newer || len(b.outbox) != 1 {
			t.Errorf("%q, %v", got, err)
		}
		if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
			t.Errorf("%v, %v", entries, err)
		}
	}
}

// An alarm list that cannot be read is left alone, and one is kept in memory. When it can be read, both go on as one.
func TestUnreadableListIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	before := openTestList(t, dir)
	old := before.happen(alert("p", event.FaultMachine, event.AlarmUnacknowledged))
	saveList(t, before)
	path := filepath.Join(dir, listName)
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil { // a folder: reading fails, for root too
		t.Fatal(err)
	}
	b, err := openList(dir, testConfig(), time.Now())
	if err == nil || !strings.Contains(err.Error(), "read alarms") {
		t.Fatalf("%v", err)
	}
	late := b.happen(alert("q", event.FaultMachine, event.AlarmUnacknowledged))
	if saveList(t, b); len(b.standing()) != 1 || len(b.outbox) != 1 {
		t.Errorf("%+v", b)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	both := openTestList(t, dir)
	if err := both.adopt(b, time.Now()); err != nil {
		t.Fatal(err)
	}
	saveList(t, both)
	if again := openTestList(t, dir); !sameList(again, both) || len(again.standing()) != 2 || again.outbox[0].ID != old.ID || again.outbox[1].ID != late.ID {
		t.Errorf("%+v", again)
	}
	if next := both.happen(alert("q", event.FaultTest, event.AlarmUnacknowledged)); next.ID == late.ID {
		t.Errorf("id %s is used twice", next.ID)
	}
}

// An alert goes out although the alarm list cannot be written; the next process does not give its id to another one.
func TestIDsAreNotUsedAgainAfterAFullDisk(t *testing.T) {
	dir := t.TempDir()
	b := openTestList(t, dir)
	first := b.happen(alert("p", event.FaultMachine, event.AlarmUnacknowledged))
	saveList(t, b)
	second, _ := b.enter(alert("p", event.FaultMachine, event.AlarmNormal)) // never saved
	again := openTestList(t, dir)
	for range 3 {
		if next := again.happen(alert("p", event.FaultSilence, event.AlarmUnacknowledged)); next.ID == first.ID || next.ID == second.ID {
			t.Errorf("id %s is used twice", next.ID)
		}
	}
	if again.outbox[0].ID != first.ID || !again.acknowledge(first.ID) {
		t.Errorf("%+v", again.outbox)
	}
}

// An alarm list that cannot be written stays ahead in memory, and is written when it can be.
func TestListTriesAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	b := openTestList(t, dir)
	b.happen(alert("p", event.FaultMachine, event.AlarmUnacknowledged))
	if err := b.save(); err == nil || !b.dirty {
		t.Errorf("%v, dirty %v", err, b.dirty)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	saveList(t, b)
}

// What is spoken of an alarm, and of its end: how long it was, in running time and from when its condition began.
func TestTexts(t *testing.T) {
	since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	config := Default()
	for want, c := range map[string]struct {
		fault event.Fault
		kind  alarm.Kind
		after time.Duration
		lang  string
	}{
		"Fault found on line 1, press 2. Immediate attention required.":             {event.FaultMachine, alarm.Raised, 0, "en"},
		"Fehler an line 1, press 2 gefunden. Sofort prüfen.":                        {event.FaultMachine, alarm.Raised, 0, "de"},
		"line 1, press 2 is back to normal after 1 second.":                         {event.FaultMachine, alarm.Returned, time.Second, "en"},
		"line 1, press 2 is back to normal after 90 minutes.":                       {event.FaultMachine, alarm.Returned, 90 * time.Minute, "en"},
		"line 1, press 2 is back to normal after 20 hours.":                         {event.FaultSilence, alarm.Returned, 20 * time.Hour, "en"},
		"No data from line 1, press 2. Check its sensors and their connection.":     {event.FaultSilence, alarm.Raised, 0, "en"},
		"The inference engine of line 1, press 2 is back to normal after 20 hours.": {event.FaultEngineDown, alarm.Returned, 20 * time.Hour, "en"},
		"line 1, press 2 is retired.":                                               {event.FaultSilence, alarm.Retired, 0, "en"},
		"line 1, press 2 ist außer Betrieb genommen und wird nicht mehr überwacht.": {event.FaultSilence, alarm.Retired, 0, "de-AT"},
		"line 1, press 2 se ha dado de baja y ya no se vigila.":                     {event.FaultSilence, alarm.Retired, 0, "es"},
		"line 1, press 2 est retiré et n'est plus surveillé.":                       {event.FaultSilence, alarm.Retired, 0, "FR"}, //nolint:misspell // no English
		"This is a test alarm of line 1, press 2. No action is required.":           {event.FaultTest, alarm.Tested, 0, "xx"},
		"Dies ist ein Probealarm von line 1, press 2. Es ist nichts zu tun.":        {event.FaultTest, alarm.Tested, 0, "de"},
		"Esta es una alarma de prueba de line 1, press 2. No se requiere ninguna acción.": {
			event.FaultTest, alarm.Tested, 0, "es",
		},
		"Ceci est une alarme de test de line 1, press 2. Aucune action n'est requise.": {event.FaultTest, alarm.Tested, 0, "fr-FR"},
	} {
		s, err := alarm.New(config.managed(), since)
		if err != nil {
			t.Fatal(err)
		}
		r := &run{config: config, list: &alarmList{system: s}}
		a := alarm.Alarm{Key: alarm.Key{Thing: "press-2", Fault: c.fault}, Line: "line-1", Since: since, Raised: since.Add(c.after)}
		lengthen(&a)
		if got := r.text(alarm.Change{Kind: c.kind, Alarm: a}, c.lang, alarm.Insight{}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for language, want := range map[string]string{
		"en": "press 2 is called press 9 now.", "de": "press 2 heißt jetzt press 9.", "es": "press 2 se llama ahora press 9.",
		"fr": "press 2 s'appelle maintenant press 9.", "xx": "press 2 is called press 9 now.",
	} {
		c := alarm.Change{Kind: alarm.Renamed, Alarm: alarm.Alarm{Key: alarm.Key{Thing: "press-2", Fault: event.FaultSilence}}, Into: "press-9"}
		if got := new(run).text(c, language, alarm.Insight{}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for name, wrong := range map[string]time.Time{"boot without a clock": time.Unix(100, 0), "a clock that was ahead": since.Add(time.Hour)} {
		a := alarm.Alarm{Since: wrong, Raised: since, Lasted: time.Minute}
		if lengthen(&a); a.Lasted != time.Minute {
			t.Errorf("%s: it lasted %v", name, a.Lasted)
		}
	}
}

// An alert that no forwarder would take is dropped, and counted: those of its thing and fault would wait for it for ever.
func TestUndeliverableAlertsHoldNothingUp(t *testing.T) {
	dir := t.TempDir()
	b := openTestList(t, dir)
	good := b.happen(alert("press-1", event.FaultMachine, event.AlarmUnacknowledged))
	for _, change := range []func(*event.Alert){
		func(a *event.Alert) { a.ID = "" },
		func(a *event.Alert) { a.Thing = "a/b" },
		func(a *event.Alert) { a.V = 9 },
		func(a *event.Alert) { a.Text = strings.Repeat("x", 7000) },
		func(a *event.Alert) { a.TS = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		a := good
		change(&a)
		b.outbox = append(b.outbox, a)
		b.next.Alerts = append(b.next.Alerts, a)
	}
	saveList(t, b)
	if b = openTestList(t, dir); b.lost != 5 || len(b.outbox) != 1 || b.outbox[0].ID != good.ID {
		t.Errorf("%d lost, %+v", b.lost, b.outbox)
	}
}
