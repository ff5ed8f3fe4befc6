package alarms

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
	"edgepdm/test/need"
)

// history is an alarm list with a snapshot and entries after it, and what it was after each of them.
type history struct {
	data     []byte
	snapshot int                    // bytes of the snapshot
	states   map[int]state          // by the length of the file
	alerts   map[string]event.Alert // all that there ever were
}

func newHistory(t *testing.T) history {
	t.Helper()
	dir := t.TempDir()
	h := history{states: make(map[int]state), alerts: make(map[string]event.Alert)}
	b := openTestList(t, dir)
	enter := func(thing string, fault event.Fault, state event.AlarmState) string {
		a := alert(thing, fault, state)
		a.Text = "Fault found on " + thing + `, with "quotes", ü and {"log":"`
		a = b.happen(a)
		h.alerts[a.ID] = a
		return a.ID
	}
	first := enter("p", event.FaultMachine, event.AlarmUnacknowledged)
	second := enter("q", event.FaultSilence, event.AlarmUnacknowledged)
	saved := func() {
		saveList(t, b)
		data, err := os.ReadFile(b.journal.path)
		if err != nil {
			t.Fatal(err)
		}
		h.data = data
		h.states[len(data)] = stateOf(b)
	}
	saved()
	h.snapshot = len(h.data)
	enter("r", event.FaultMachine, event.AlarmUnacknowledged)
	saved()
	b.acknowledge(first)
	b.acknowledge(second)
	saved()
	enter("p", event.FaultMachine, event.AlarmNormal)
	saved()
	enter("p", event.FaultMachine, event.AlarmUnacknowledged)
	saved()
	return h
}

// state is what an alarm list has.
type state struct {
	standing map[alarm.Key]string
	outbox   []event.Alert
}

func stateOf(b *alarmList) state {
	return state{b.standing(), append([]event.Alert(nil), b.outbox...)}
}

func (s state) is(b *alarmList) bool { return reflect.DeepEqual(s, stateOf(b)) }

// opened returns the alarm list that a file of these bytes makes.
func opened(t *testing.T, dir string, data []byte) *alarmList {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, listName), data, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := openList(dir, testConfig(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whichever bit of the alarms on disk is flipped, of which one in 13 is tried: they are the same alarms, or the damage is told, and what is whole survives.
// None is ever another alarm.
func TestNoFlippedBitMakesOtherAlarms(t *testing.T) {
	need.Long(t)
	h := newHistory(t)
	want := h.states[len(h.data)]
	dir := t.TempDir()
	told := 0
	const step = 13 // each bit of a byte has its turn
	for bit := 0; bit < 8*len(h.data); bit += step {
		flipped := bytes.Clone(h.data)
		flipped[bit/8] ^= 1 << (bit % 8)
		b := opened(t, dir, flipped)
		b.close()
		if b.damage == nil {
			if !want.is(b) {
				t.Fatalf("bit %d: %+v, want %+v", bit, b, want)
			}
			continue
		}
		told++
		if b.lost > 2 { // one entry, or two where their newline is damaged
			t.Fatalf("bit %d: %d entries are lost", bit, b.lost)
		}
		for _, a := range b.outbox {
			if !reflect.DeepEqual(a, h.alerts[a.ID]) {
				t.Fatalf("bit %d: another alert %+v", bit, a)
			}
		}
		for _, a := range b.system.List() {
			if a.Thing != "p" && a.Thing != "q" && a.Thing != "r" || a.Priority != event.SeverityHigh {
				t.Fatalf("bit %d: another alarm %+v", bit, a)
			}
		}
	}
	if told < 7*len(h.data)/step {
		t.Errorf("only %d of %d flips are told", told, 8*len(h.data)/step)
	}
}

// A damaged file is kept beside the one that takes its place, and is told of for a day, also by the next processes.
func TestDamageIsKeptAndTold(t *testing.T) {
	h := newHistory(t)
	for name, damage := range map[string]func([]byte) []byte{
		"a flipped bit":       func(b []byte) []byte { b[h.snapshot+20] ^= 4; return b },
		"a flipped head":      func(b []byte) []byte { b[30] ^= 1; return b },
		"a hole":              func(b []byte) []byte { return append(b[:h.snapshot], b[h.snapshot+500:]...) },
		"a snapshot cut":      func(b []byte) []byte { return b[:h.snapshot-200] },
		"empty":               func([]byte) []byte { return nil },
		"another file's line": func(b []byte) []byte { return append(b, newHistory(t).data[h.snapshot:]...) },
		"a sector of zeros":   func(b []byte) []byte { copy(b[512:], make([]byte, 512)); return b },
		"noise":               func([]byte) []byte { return bytes.Repeat([]byte("noise\n"), 1000) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			bad := damage(bytes.Clone(h.data))
			b := opened(t, dir, bad)
			defer b.close()
			if b.damage.Told(time.Now()) == nil {
				t.Fatal("it is not told")
			}
			aside := b.journal.aside
			saveList(t, b)
			if got, err := os.ReadFile(aside); err != nil || !bytes.Equal(got, bad) || !strings.Contains(b.damage.Text, filepath.Base(aside)) {
				t.Errorf("%v, %s", err, b.damage.Text)
			}
			again := openTestList(t, dir)
			if !sameList(again, b) || again.damage.Told(time.Now()) == nil || again.lost > 0 {
				t.Errorf("%+v, want %+v", again, b)
			}
			later, err := openList(dir, testConfig(), time.Now().Add(24*time.Hour+time.Hour))
			if err != nil || later.damage != nil {
				t.Errorf("after a day: %v, %v", later.damage, err)
			}
			later.close()
		})
	}
}

// Wherever the file is cut off, as by a kill or a loss of power in the middle of a write: what was saved before is there, and
// nothing is told of it. A snapshot is never cut off but by damage.
func TestAFileThatIsCutOff(t *testing.T) {
	need.Long(t)
	h := newHistory(t)
	dir := t.TempDir()
	for size := range len(h.data) {
		if at := bytes.IndexByte(h.data[size:], '\n'); size%11 > 0 && at > 2 && size > 0 && h.data[size-1] != '\n' {
			continue // near the ends of entries all are tried
		}
		for _, tail := range []string{"", "\x00\x00\x00"} {
			b := opened(t, dir, append(bytes.Clone(h.data[:size]), tail...))
			if size < h.snapshot-1 {
				if b.damage == nil {
					t.Fatalf("%d of %d bytes of the snapshot: not told", size, h.snapshot)
				}
				b.close()
				continue
			}
			before := 0
			for whole := range h.states {
				if whole <= size+1 && whole > before { // without the newline it is whole
					before = whole
				}
			}
			if b.damage != nil || !h.states[before].is(b) {
				t.Fatalf("%d bytes and %q: %+v, want %+v", size, tail, b, h.states[before])
			}
			saveList(t, b)
			if again := openTestList(t, dir); !sameList(again, b) || again.damage != nil {
				t.Fatalf("%d bytes: %+v after it was saved", size, again)
			}
			b.close()
		}
	}
}

// faultyDisk fails as its functions say; nil: it does not.
type faultyDisk struct {
	write, cut, sync, open_, replace_ func() error
	written                           int64
}

func failing(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

func (d *faultyDisk) open(path string) (appender, error) {
	if err := failing(d.open_); err != nil {
		return nil, err
	}
	f, err := osDisk{}.open(path)
	return &faultyFile{f, d}, err
}

func (d *faultyDisk) replace(path string, data []byte) error {
	if err := failing(d.replace_); err != nil {
		return err
	}
	d.written += int64(len(data))
	return osDisk{}.replace(path, data)
}

type faultyFile struct {
	appender
	disk *faultyDisk
}

// Write writes a half before it fails.
func (f *faultyFile) Write(b []byte) (int, error) {
	if err := failing(f.disk.write); err != nil {
		n, _ := f.appender.Write(b[:len(b)/2])
		return n, err
	}
	f.disk.written += int64(len(b))
	return f.appender.Write(b)
}

func (f *faultyFile) Truncate(size int64) error {
	if err := failing(f.disk.cut); err != nil {
		return err
	}
	return f.appender.Truncate(size)
}

func (f *faultyFile) Sync() error {
	if err := failing(f.disk.sync); err != nil {
		return err
	}
	return f.appender.Sync()
}

// A disk that is full or fails keeps what it has, whenever the process is killed, and takes all that came meanwhile later.
func TestFailingDisk(t *testing.T) {
	full, broken := func() error { return syscall.ENOSPC }, func() error { return syscall.EIO }
	for name, fault := range map[string]faultyDisk{
		"full":                              {write: full, replace_: full},
		"full, and nothing can be cut off":  {write: full, cut: broken, replace_: full},
		"failing":                           {write: broken, cut: broken, sync: broken, replace_: broken, open_: broken},
		"sync fails, and the next one":      {sync: broken, replace_: broken},
		"sync fails once":                   {sync: broken},
		"a file that cannot be opened":      {sync: broken, open_: broken},
		"full at a sync":                    {sync: full, replace_: full},
		"a write that fails, nothing after": {write: broken},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := &faultyDisk{}
			b, err := openListOn(d, dir, testConfig(), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			defer b.close()
			first := b.happen(alert("p", event.FaultMachine, event.AlarmUnacknowledged))
			saveList(t, b)
			*d = fault
			ids := []string{first.ID}
			for i := range 20 {
				a := b.happen(alert(fmt.Sprint("q-", i), event.FaultMachine, event.AlarmUnacknowledged))
				ids = append(ids, a.ID)
				err := b.save()
				if err != nil && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EIO) || (err != nil) != b.dirty {
					t.Fatalf("%v, dirty %v", err, b.dirty)
				}
				killed := openTestList(t, dir)
				if killed.damage != nil || len(killed.outbox) < 1 || err == nil && len(killed.outbox) != len(ids) {
					t.Fatalf("%d of %d alerts are on disk after %v; %v", len(killed.outbox), len(ids), err, killed.damage)
				}
				for i, a := range killed.outbox {
					if a.ID != ids[i] {
						t.Fatalf("alert %d is %s, want %s", i, a.ID, ids[i])
					}
				}
			}
			b.acknowledge(first.ID)
			*d = faultyDisk{}
			saveList(t, b)
			if again := openTestList(t, dir); !sameList(again, b) || len(again.outbox) != len(ids)-1 {
				t.Errorf("%d alerts, want %d", len(again.outbox), len(ids)-1)
			}
		})
	}
}

// Alarms of 1,000 machines, each put on disk alone, acknowledged alone, and cleared, cost about as many bytes as they have; the
// file does not grow with what is over.
func TestBytesWrittenAreBounded(t *testing.T) {
	need.Long(t)
	const things, mega = 1000, 1 << 20
	dir := t.TempDir()
	d := &faultyDisk{}
	b, err := openListOn(d, dir, alarm.Default(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	round := func(state event.AlarmState) {
		for i := range things {
			a := alert(fmt.Sprintf("press-%d", i), event.FaultSilence, state)
			a.Text = fmt.Sprintf("No data from line 12, press %d. Check its sensors and their connection.", i)
			b.happen(a)
			saveList(t, b)
		}
		if err := b.audit(); err != nil {
			t.Fatal(err)
		}
	}
	round(event.AlarmUnacknowledged)
	raised := d.written
	if raised > 4*mega {
		t.Errorf("%d bytes for %d alarms", raised, things)
	}
	for len(b.outbox) > 0 {
		b.acknowledge(b.outbox[0].ID)
		saveList(t, b)
	}
	acked := d.written - raised
	for range 3 {
		round(event.AlarmNormal)
		for len(b.outbox) > 0 {
			b.acknowledge(b.outbox[0].ID)
		}
		saveList(t, b)
		round(event.AlarmUnacknowledged)
	}
	info, err := os.Stat(b.journal.path)
	if err != nil || info.Size() > 4*mega || d.written > 18*mega {
		t.Errorf("%d bytes on disk, %d written, %v", info.Size(), d.written, err)
	}
	t.Logf("%d bytes written for %d alarms, %d for their acknowledgements, %d in all; %d on disk", raised, things, acked, d.written, info.Size())
	if again := openTestList(t, dir); !sameList(again, b) || len(again.standing()) != things {
		t.Errorf("%d alarms", len(again.standing()))
	}
}

// Nor does the file grow over restarts.
func TestTheFileIsBoundedOverRestarts(t *testing.T) {
	need.Long(t)
	dir := t.TempDir()
	largest := int64(0)
	for range 40 {
		b := openTestList(t, dir)
		for range 500 {
			a := b.happen(alert("press-1", event.FaultTest, event.AlarmUnacknowledged))
			b.acknowledge(a.ID)
		}
		saveList(t, b)
		b.close()
		info, err := os.Stat(b.journal.path)
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, info.Size())
	}
	if largest < minGrowth/2 || largest > 2*minGrowth {
		t.Errorf("%d bytes", largest)
	}
}

func writeLegacy(t *testing.T, dir string, file legacyFile) string {
	t.Helper()
	data, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, legacyName)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The file of older versions is taken over once, also when the process is killed before it is removed, and also one that an
// older version has written meanwhile.
func TestAlarmsOfOlderVersionsAreTakenOver(t *testing.T) {
	dir := t.TempDir()
	a := alert("p", event.FaultMachine, event.AlarmUnacknowledged)
	a.V, a.ID = 1, "p-e-1"
	old := legacyFile{Format: 1, Epoch: "e", Seq: 1, Active: []activeAlarm{{Thing: "p", Fault: event.FaultMachine, Since: a.Since}}, Outbox: []event.Alert{a}}
	path := writeLegacy(t, dir, old)
	b := openTestList(t, dir)
	if !b.isActive("p", event.FaultMachine) || !reflect.DeepEqual(b.outbox, old.Outbox) || b.damage != nil {
		t.Fatalf("%+v", b)
	}
	saveList(t, b)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old file: %v", err)
	}
	b.acknowledge(a.ID)
	saveList(t, b)
	writeLegacy(t, dir, old) // as if it had not been removed
	b = openTestList(t, dir)
	if saveList(t, b); len(b.outbox) != 0 || len(b.standing()) != 1 {
		t.Errorf("%+v", b)
	}
	other := alert("q", event.FaultMachine, event.AlarmUnacknowledged)
	other.V, other.ID = 1, "q-f-1"
	writeLegacy(t, dir, legacyFile{Format: 1, Epoch: "f", Seq: 1, Active: []activeAlarm{{Thing: "q", Fault: event.FaultMachine}}, Outbox: []event.Alert{other}})
	b = openTestList(t, dir)
	saveList(t, b)
	if again := openTestList(t, dir); !sameList(again, b) || len(again.standing()) != 2 || len(again.outbox) != 1 {
		t.Errorf("%+v", again)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

// A damaged file of an older version is set aside, and told.
func TestDamagedAlarmsOfOlderVersions(t *testing.T) {
	for _, text := range []string{`{"format":1,"ep`, `{"format":1,"active":[]}`, `{"format":1,"epoch":"e","active":7}`, `{"format":"2"}`, `[]`, ``} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, legacyName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b := openTestList(t, dir)
		saveList(t, b)
		aside, err := filepath.Glob(filepath.Join(dir, legacyName+".damaged-*"))
		if err != nil || len(aside) != 1 {
			t.Fatalf("%q: set aside: %v, %v", text, aside, err)
		}
		got, err := os.ReadFile(aside[0])
		if err != nil || string(got) != text || b.damage.Told(time.Now()) == nil {
			t.Errorf("%q: aside is %q, %v; told %v", text, got, err, b.damage)
		}
		if again := openTestList(t, dir); again.damage.Told(time.Now()) == nil {
			t.Errorf("%q: not told any more", text)
		}
	}
	dir := t.TempDir()
	writeLegacy(t, dir, legacyFile{Format: 1, Epoch: "e", Outbox: []event.Alert{{V: 1, ID: "", Thing: "p"}}})
	if b := openTestList(t, dir); b.lost != 1 || len(b.outbox) != 0 || b.damage.Told(time.Now()) == nil {
		t.Errorf("%+v", b)
	}
}

// The journal of a version before 0.3 is taken over: what was raised stands, and is not announced again, also with votes, delays and
// floods; what waits for the forwarder waits on. The old version leaves the new file alone.
func TestTheJournalOfFormat2IsTakenOver(t *testing.T) {
	dir, config := t.TempDir(), Default()
	config.Rules = []alarm.Rule{{OnDelay: time.Minute}}
	old := journal{id: "0123abcd"}
	var data []byte
	write := func(e entry) {
		line, err := old.number(e)
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, line...)
	}
	waiting, raised, over := alert("p", event.FaultMachine, event.AlarmUnacknowledged), alert("s", event.FaultSilence, event.AlarmUnacknowledged), alert("q", event.FaultMachine, event.AlarmNormal)
	for i, a := range []*event.Alert{&waiting, &raised, &over} {
		a.V, a.ID = 1, fmt.Sprint("old-", i)
	}
	const things = 30
	write(entry{Head: &head{Format: 2, Entries: things + 2}})
	for i := range things {
		write(entry{Alarm: &activeAlarm{Thing: fmt.Sprint("press-", i), Line: "line-1", Fault: event.FaultMachine, Severity: event.SeverityHigh, Since: waiting.Since}})
	}
	write(entry{Alarm: &activeAlarm{Thing: "q", Fault: event.FaultMachine, Severity: event.SeverityHigh, Since: waiting.Since}})
	write(entry{Waiting: &waiting})
	write(entry{Alert: &raised})
	write(entry{Alert: &over})
	write(entry{Gone: []string{over.ID}})
	if err := os.WriteFile(filepath.Join(dir, listName), data, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // before and behind the first save
		b, err := openList(dir, config.managed(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if len(b.standing()) != things+1 || !b.isActive("s", event.FaultSilence) || b.isActive("q", event.FaultMachine) || len(b.outbox) != 2 || b.damage != nil {
			t.Errorf("%v, %+v, %v", b.standing(), b.outbox, b.damage)
		}
		if len(b.overdue) > 0 {
			t.Errorf("%+v", b.overdue)
		}
		saveList(t, b)
		b.close()
	}
	if data, err := os.ReadFile(filepath.Join(dir, listName)); err != nil || !strings.Contains(string(data[:80]), `"format":3`) {
		t.Errorf("%s, %v", data[:80], err)
	}
}
