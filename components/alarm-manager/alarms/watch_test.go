package alarms

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
	"edgepdm/test/need"
)

func openTestWatch(t *testing.T, path string, now time.Time) *watch {
	t.Helper()
	w, err := openWatch(path, now)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// What is heard all the time costs no writing; what is absent is on disk, with how long, in a few steps.
func TestWatchIsWrittenRarely(t *testing.T) {
	path := filepath.Join(t.TempDir(), "watched.json")
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	config := Config{Silence: 40 * time.Second, UplinkDown: 80 * time.Second}
	w := openTestWatch(t, path, begin)
	w.things["loud"] = &thing{absence: heard(begin)}
	w.things["quiet"] = &thing{line: "line-1", simulated: true, absence: heard(begin)}
	writes := 0
	for at := begin; at.Before(begin.Add(10 * time.Minute)); at = at.Add(time.Second) {
		w.things["loud"].absence, w.forwarder, w.engine = heard(at), heard(at), heard(at)
		before := w.saved.Things
		if err := w.save(at, config, false); err != nil {
			t.Fatal(err)
		}
		if reflect.ValueOf(before).Pointer() != reflect.ValueOf(w.saved.Things).Pointer() {
			writes++
		}
		if at.Equal(begin.Add(25 * time.Second)) { // killed here, and started an hour later
			again := openTestWatch(t, path, at.Add(time.Hour))
			quiet, loud := again.things["quiet"], again.things["loud"]
			if got := quiet.absence.lasts(at.Add(time.Hour)); got != 20*time.Second || !quiet.absence.since.Equal(begin) {
				t.Errorf("quiet for %v since %v", got, quiet.absence.since)
			}
			if quiet.line != "line-1" || !quiet.simulated || loud.absence.lasts(at.Add(time.Hour)) != 0 || !again.down.since.IsZero() {
				t.Errorf("%+v, %+v, %+v", quiet, loud, again)
			}
		}
	}
	if want := 1 + stepsKept - 1; writes != want { // the thing, and the three steps from the half on
		t.Errorf("written %d times in 10 minutes, want %d", writes, want)
	}
}

// Things that are heard now and then cost no writing when that is before half of the silence, and one in a step otherwise.
func TestWatchOfSlowProducers(t *testing.T) {
	const things, minutes = 100, 10
	config := Config{Silence: 40 * time.Second, UplinkDown: 80 * time.Second}
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for period, most := range map[int]int{15: 1, 30: 1 + minutes*60/10} {
		w := openTestWatch(t, filepath.Join(t.TempDir(), "watched.json"), begin)
		for i := range things {
			w.things[fmt.Sprint(i)] = &thing{absence: heard(begin)}
		}
		writes := 0
		for s := range minutes * 60 {
			now := begin.Add(time.Duration(s) * time.Second)
			w.forwarder, w.engine = heard(now), heard(now)
			for i := range things {
				if (s+i)%period == 0 {
					w.things[fmt.Sprint(i)].absence = heard(now)
				}
			}
			before := w.at
			if err := w.save(now, config, false); err != nil {
				t.Fatal(err)
			}
			if !w.at.Equal(before) {
				writes++
			}
		}
		if writes < 1 || writes > most {
			t.Errorf("heard every %d s: written %d times in %d minutes, want at most %d", period, writes, minutes, most)
		}
	}
}

// Time in which nobody listened is not silence; an absence is never less than none, and one that is none stays so.
func TestStallIsNoSilence(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w := openTestWatch(t, filepath.Join(t.TempDir(), "watched.json"), now.Add(-50*time.Second))
	w.things["p"] = &thing{absence: heard(now.Add(-40 * time.Second))}
	w.things["late"] = &thing{absence: heard(now.Add(-time.Second))} // its message was read between the stall and the tick
	w.skip(30*time.Second, now)
	got := [4]time.Duration{w.things["p"].absence.lasts(now), w.things["late"].absence.lasts(now), w.forwarder.lasts(now), w.down.lasts(now)}
	if got != [4]time.Duration{10 * time.Second, 0, 20 * time.Second, 0} {
		t.Errorf("%v", got)
	}
	if since := w.things["p"].absence.since; !since.Equal(now.Add(-40 * time.Second)) {
		t.Errorf("since %v", since)
	}
	w.down = heard(now.Add(-40 * time.Second))
	if w.skip(30*time.Second, now); w.down.lasts(now) != 10*time.Second {
		t.Errorf("down for %v", w.down.lasts(now))
	}
}

// A stop keeps the whole length of what is absent; it is no longer than until its alarm.
func TestWatchKeepsTheWholeLength(t *testing.T) {
	path := filepath.Join(t.TempDir(), "watched.json")
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	config := Config{Silence: 40 * time.Second, UplinkDown: 80 * time.Second}
	w := openTestWatch(t, path, begin)
	w.down = heard(begin.Add(time.Second))
	w.things["p"] = &thing{absence: heard(begin)}
	at := begin.Add(51 * time.Second)
	if err := w.save(at, config, true); err != nil {
		t.Fatal(err)
	}
	later := begin.Add(-time.Hour) // by a clock that was set meanwhile
	w = openTestWatch(t, path, later)
	if got := [3]time.Duration{w.things["p"].absence.lasts(later), w.forwarder.lasts(later), w.down.lasts(later)}; got !=
		[3]time.Duration{40 * time.Second, 51 * time.Second, 50 * time.Second} {
		t.Errorf("%v", got)
	}
}

// A file of a newer version is left alone, and a damaged one is set aside, which is told.
func TestWatchOfOtherVersions(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "watched.json")
	now := time.Now()
	for text, kept := range map[string]bool{`{"format":2,"things":["p"]}`: true, `{"format":1,"things":{"p":`: false} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w, problem := openWatch(path, now)
		if (problem != nil) != kept || (w.damage.Told(now) != nil) == kept || len(w.things) != 0 {
			t.Errorf("%s: %v, %v, %v", text, problem, w.damage, w.things)
		}
		w.things["q"] = &thing{absence: heard(now)}
		if err := w.save(now, Config{}, true); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || (string(got) == text) != kept {
			t.Errorf("%s became %s, %v", text, got, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || !strings.HasPrefix(entries[1].Name(), "watched.json.damaged-") {
		t.Errorf("%v, %v", entries, err)
	}
}

// A disk that does not take the file is tried again.
func TestWatchTriesAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	now := time.Now()
	w := openTestWatch(t, filepath.Join(dir, "watched.json"), now)
	w.things["p"] = &thing{absence: heard(now)}
	if err := w.save(now, Config{}, false); err == nil {
		t.Fatal("written into a folder that is not there")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := w.save(now, Config{}, false); err != nil {
		t.Fatal(err)
	}
	if again := openTestWatch(t, w.file.Path, now); again.things["p"] == nil {
		t.Error("the thing is not there")
	}
}

// What was gone for long makes room for what is heard.
func TestForget(t *testing.T) {
	now := time.Now()
	w := &watch{things: map[string]*thing{
		"loud": {absence: heard(now.Add(-5 * time.Hour))}, "old": {absence: heard(now.Add(-2 * time.Hour))}, "older": {absence: heard(now.Add(-3 * time.Hour))},
	}}
	silent := func(name string) bool { return name != "loud" }
	for _, want := range []string{"older", "old"} {
		if !w.forget(silent) || w.things[want] != nil {
			t.Errorf("%s is still there", want)
		}
	}
	if w.forget(silent) || w.things["loud"] == nil {
		t.Error("forgot what is not silent")
	}
}

// The level that ends an alarm is always below the one that raises it, whatever the model's threshold.
func TestLevels(t *testing.T) {
	now := time.Now()
	for _, c := range []struct{ raise, clear, threshold, wantRaise, wantClear float64 }{
		{0, 0, 0.5, 0.5, 0.25},
		{0.8, 0, 0.5, 0.8, 0.4},
		{0.8, 0.3, 0.5, 0.8, 0.3},
		{0, 0.3, 0.5, 0.5, 0.3},
		{0, 0.3, 0.2, 0.2, 0.1}, // of a model whose threshold is below the configured level
		{0, 0.3, 0.3, 0.3, 0.15},
		{0, 0.3, 0, 0, -1},
		{0, 0, 0, 0, -1},
	} {
		raise, clear := Config{Raise: c.raise, Clear: c.clear}.levels(c.threshold)
		if raise != c.wantRaise || clear != c.wantClear {
			t.Errorf("%+v: %v and %v", c, raise, clear)
		}
		// The same row, again and again, changes an alarm once at most.
		for p := 0.0; p <= 1; p += 0.05 {
			config := alarm.Default()
			config.Rules = []alarm.Rule{{Votes: 3, Window: 5}}
			s, err := alarm.New(config, now)
			if err != nil {
				t.Fatal(err)
			}
			changes := 0
			for range 50 {
				o := alarm.Observation{Thing: "p", Fault: event.FaultMachine}
				o.Active, o.Undecided = alarm.Band{Raise: raise, Clear: clear}.Judge(p)
				happened, err := s.Observe(o, now)
				if err != nil {
					t.Fatal(err)
				}
				changes += len(happened)
			}
			if changes > 1 {
				t.Errorf("%+v: rows of %v change the alarm %d times", c, p, changes)
			}
		}
	}
}

// Whichever bit of the file is flipped, the same is watched, or the damage is told and kept.
func TestNoFlippedBitChangesWhatIsWatched(t *testing.T) {
	need.Long(t)
	dir := t.TempDir()
	path := filepath.Join(dir, watchName)
	now := time.Now()
	w := openTestWatch(t, path, now)
	w.things["press-1"] = &thing{line: "line-1", absence: heard(now.Add(-time.Minute))}
	w.things["press-2"] = &thing{simulated: true, absence: heard(now)}
	w.down = heard(now.Add(-time.Minute))
	if err := w.save(now, Default(), true); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(data) {
		flipped := bytes.Clone(data)
		flipped[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		got, problem := openWatch(path, now)
		if problem != nil {
			t.Fatalf("bit %d: %v", bit, problem)
		}
		if got.damage == nil && !reflect.DeepEqual(got.saved, w.saved) {
			t.Fatalf("bit %d: %+v, want %+v", bit, got.saved, w.saved)
		}
		if aside, err := filepath.Glob(path + ".damaged-*"); err != nil || (len(aside) == 1) != (got.damage != nil) {
			t.Fatalf("bit %d: %v, %v", bit, aside, err)
		} else if len(aside) == 1 {
			if err := os.Remove(aside[0]); err != nil {
				t.Fatal(err)
			}
		}
	}
}
