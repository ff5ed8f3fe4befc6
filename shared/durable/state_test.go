package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgepdm/test/must"
)

func newState(t *testing.T) State[state] {
	t.Helper()
	return State[state]{Path: filepath.Join(t.TempDir(), "state.json"), Format: 1, Limit: 1000}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	must.OK(t, os.WriteFile(path, []byte(text), 0o600))
}

func names(t *testing.T, path string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	must.OK(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestStateOutlivesTheProcess(t *testing.T) {
	s := newState(t)
	if _, err := s.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("without a file: %v", err)
	}
	if v, damage, err := s.Open(); err != nil || damage != nil || !reflect.DeepEqual(v, state{}) {
		t.Fatalf("without a file: %+v, %v, %v", v, damage, err)
	}
	must.OK(t, s.Save(example()))
	s.Format = 2 // a later version
	if v, damage, err := s.Open(); err != nil || damage != nil || !reflect.DeepEqual(v, example()) {
		t.Fatalf("%+v, %v, %v", v, damage, err)
	}
	if got := names(t, s.Path); len(got) != 1 {
		t.Errorf("there are %v", got)
	}
}

// The same content is not written again: a start costs no write.
func TestSameStateIsNotWritten(t *testing.T) {
	s := newState(t)
	must.OK(t, s.Save(example()))
	before, err := os.Stat(s.Path)
	must.OK(t, err)
	other := example()
	other.Name = "press-2"
	for _, c := range []struct {
		v    state
		same bool
	}{{example(), true}, {other, false}} {
		must.OK(t, s.Save(c.v))
		if after, err := os.Stat(s.Path); err != nil || os.SameFile(before, after) != c.same {
			t.Errorf("%s: %v", c.v.Name, err)
		}
	}
}

// A newer version's file is left alone; one that only has a damaged number is not taken for such a file. A damaged file,
// whatever is wrong with it, is set aside, and the next one takes its place.
func TestStateThatCannotBeUsed(t *testing.T) {
	for text, newer := range map[string]bool{
		string(Seal([]byte(`{"format":2,"name":"a"}`))):     true,
		string(Seal([]byte(`{"format":2,"name":{"a":1}}`))): true,
		`{"format":2,"names":["a"]}`:                        true,
		`{"format":2,"name":"a"}`:                           false,
		`{"format":0,"name":"a"}`:                           false,
		`{"name":"a"}`:                                      false,
		string(Seal([]byte(`{"format":1,"name":7}`))):       false,
		`{"format":1,"na`:                                   false,
		strings.Repeat(" ", 1001):                           false,
		``:                                                  false,
	} {
		s := newState(t)
		put(t, s.Path, text)
		v, damage, err := s.Open()
		if !reflect.DeepEqual(v, state{}) {
			t.Errorf("%.40q is taken as %+v", text, v)
		}
		left := names(t, s.Path)
		if len(left) != 1 {
			t.Fatalf("%.40q: there are %v", text, left)
		}
		if newer {
			if !errors.Is(err, ErrNewerFormat) || damage != nil || left[0] != "state.json" {
				t.Errorf("%.40q: %v, %v, there is %v", text, damage, err, left)
			}
			continue
		}
		aside := filepath.Join(filepath.Dir(s.Path), left[0])
		if got, readErr := os.ReadFile(aside); err != nil || !errors.Is(damage, ErrDamaged) || readErr != nil || string(got) != text ||
			!strings.HasPrefix(left[0], "state.json.damaged-") || !strings.Contains(damage.Error(), left[0]) {
			t.Errorf("%.40q: %v, %v, there is %v", text, damage, err, left)
		}
		must.OK(t, s.Save(example()))
		if v, err := s.Load(); err != nil || !reflect.DeepEqual(v, example()) {
			t.Errorf("%+v, %v", v, err)
		}
	}
}

func TestUnreadableStateIsNoDamage(t *testing.T) {
	s := newState(t)
	must.OK(t, os.Mkdir(s.Path, 0o700)) // nobody can read it as a file
	if _, damage, err := s.Open(); err == nil || damage != nil || errors.Is(err, ErrDamaged) {
		t.Errorf("%v, %v", damage, err)
	}
}

func TestDamageIsToldForADay(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	d := NewDamage(now, strings.Repeat("é", 400))
	if err := d.Told(now.Add(23 * time.Hour)); err == nil || len(err.Error()) > 300 || strings.Trim(err.Error(), "é") != "" {
		t.Errorf("%v", err)
	}
	for _, at := range []time.Time{now.Add(25 * time.Hour), now.Add(-25 * time.Hour)} { // the clock may have been wrong
		if err := d.Told(at); err != nil {
			t.Errorf("at %v: %v", at, err)
		}
	}
	if err := (*Damage)(nil).Told(now); err != nil {
		t.Error(err)
	}
}

// Damage that a program finds before the clock is set is told for a day by the monotonic reading, whatever the clock says later.
func TestDamageIsToldThoughTheClockIsSetLater(t *testing.T) {
	if now := time.Now(); NewDamage(now, "x").At != now {
		t.Error("the time of the damage has no monotonic reading")
	}
}

// A file of a version that wrote no number is taken over where the State says so; one with the number 0 is damaged all the same.
func TestStateWithoutANumber(t *testing.T) {
	for text, good := range map[string]bool{
		`{"name":"a"}`:                         true,
		string(Seal([]byte(`{"name":"a"}`))):   true,
		`{"format":0,"name":"a"}`:              false,
		`{"name":"a","sum":"00000000"}`:        false,
		string(Seal([]byte(`{"name":["a"]}`))): false,
	} {
		s := newState(t)
		s.Bare = true
		put(t, s.Path, text)
		if v, err := s.Load(); (err == nil) != good || v.Name != map[bool]string{true: "a"}[good] {
			t.Errorf("%s: %+v, %v", text, v, err)
		}
	}
}

// A writing that failed is repeated although the file has the same content: it may have failed when its folder was synced, after the file
// was replaced. One that succeeded is not.
func TestAFailedSaveIsRepeated(t *testing.T) {
	s := newState(t)
	folder := filepath.Dir(s.Path)
	s.Path = filepath.Join(folder, "sub", "state.json")
	v := state{Format: 1}
	if err := s.Save(v); err == nil {
		t.Fatal("there is no folder to save in")
	}
	data, err := Marshal(v)
	must.OK(t, err)
	must.OK(t, os.Mkdir(filepath.Dir(s.Path), 0o700))
	put(t, s.Path, string(data))
	replaced := func() bool {
		before, err := os.Stat(s.Path)
		must.OK(t, err)
		must.OK(t, s.Save(v))
		after, err := os.Stat(s.Path)
		must.OK(t, err)
		return !os.SameFile(before, after)
	}
	if !replaced() {
		t.Error("the file of a failed writing is left alone")
	}
	if replaced() {
		t.Error("it was written a third time")
	}
}
