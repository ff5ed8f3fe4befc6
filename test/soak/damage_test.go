package soak

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/test/coretest"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
	"edgepdm/test/plant"
)

const (
	lastGoodName = "last-good-configuration.json"
	patience     = 1500 * time.Millisecond // until what a component reports is final
)

// outcome is what a start came to.
type outcome struct {
	report string          // what the component does and says, as far as it does not depend on the time
	tells  map[string]bool // its conditions, its warnings, and what it counts as lost
}

// damageTest is a plant whose state is damaged on disk.
type damageTest struct {
	*plant.Plant
	w        *witness
	l        *load
	name     string   // of the component that is damaged
	pristine string   // its work directory as it was when the plant ended
	logged   int64    // how much of its log was looked at
	bad      bool     // the configuration is refused, so that the last good one matters
	enough   int      // length of what is said where nothing is damaged
	arrives  []string // ids that arrive where nothing is damaged
}

// A bit that flips, or an end that is missing, in any file of any component: the real program starts, and tells of the damage
// or does what it does without. `make soak-damage` sets how often that is tried.
func TestDamage(t *testing.T) {
	tries, seed := number(t, "SOAK_DAMAGE", 48), number(t, "SOAK_SEED", 1)
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := prepareDamage(t, name)
			d.damage(max(1, tries/len(names)), rand.New(rand.NewPCG(uint64(seed), uint64(i))), seed)
		})
	}
}

// prepareDamage lets a plant work, and ends it with something to lose in each file.
func prepareDamage(t *testing.T, name string) *damageTest {
	t.Helper()
	w := newWitness()
	d := &damageTest{w: w, name: name, pristine: t.TempDir(), Plant: plant.Start(t, plant.Options{
		Stage: stage(t),
		Core: func(o *localcore.Options) {
			o.ErrorReset = 1
			o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
		},
		Cloud: func(o *localcloud.Options) { o.Publish = w.delivered },
	})}
	w.watch(t, d.Plant)
	c := quick(d.Plant)
	c[event.AlarmManager]["silence"], c[event.AlarmManager]["uplinkDown"] = "0s", "0s"
	begun := time.Now()
	d.Deploy(c, names...)
	d.PublishModel("1.1.0")
	d.until("model 1.1.0 is active", func() bool {
		d.Command("model-fetch", `{"v":1}`)
		h, _ := w.state(event.InferenceEngine, begun)
		return h.Model != nil && h.Model.Version == "1.1.0"
	})
	d.l = startLoad(t, d.Plant, w)
	d.until("alerts arrive", func() bool { f := w.figures(); return f.alerts > 0 && f.arrived > 20 })
	d.Cloud.SetUplink(false)
	before := w.figures()
	d.until("records wait", func() bool { return w.figures().accepted > before.accepted+40 })
	d.stop(event.CloudForwarder)
	d.l.failing.Store(true) // each thing has an alarm in the end
	before = w.figures()
	d.Command("test-alarm", `{"v":1,"thing":"press-1"}`)
	d.until("an alert waits", func() bool { f := w.figures(); return f.alerts > before.alerts && f.sent > before.sent+inBlock*things })
	d.l.stop()
	<-d.l.done
	if d.l.err != nil {
		t.Fatal(d.l.err)
	}
	d.until("the last rows are scored", func() bool { return w.figures().unscored == 0 })
	for _, other := range []string{event.ModelFetcher, event.AlarmManager, event.InferenceEngine} {
		d.stop(other)
	}
	must.OK(t, os.CopyFS(d.pristine, os.DirFS(d.work())))
	return d
}

func (d *damageTest) until(what string, condition func() bool) {
	d.T.Helper()
	if !plant.Until(time.Minute, condition) {
		d.T.Fatalf("never: %s; %+v", what, d.w.newest)
	}
}

func (d *damageTest) stop(name string) {
	d.T.Helper()
	must.OK(d.T, d.Core.StopComponent(d.T.Context(), name))
}

func (d *damageTest) work() string { return filepath.Join(d.Root, "work", d.name) }

// files returns the component's files that have bytes.
func (d *damageTest) files() (paths []string) {
	d.T.Helper()
	err := filepath.WalkDir(d.pristine, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Size() > 0 {
			path, err = filepath.Rel(d.pristine, path)
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) == 0 {
		d.T.Fatalf("files of %s: %v, %v", d.name, paths, err)
	}
	return paths
}

// tally is what came of the tries with one file.
type tally struct{ tries, told, same, between, silent int }

// damage damages one file after the other.
func (d *damageTest) damage(tries int, random *rand.Rand, seed int) {
	files := d.files()
	sound := map[bool]outcome{false: d.start(nil)}
	d.enough = len(d.w.said())
	tallies := make(map[string]*tally)
	begun := time.Now()
	for i := range tries {
		if late(d.T) {
			d.T.Logf("%d of %d tries: the time is over", i, tries)
			break
		}
		file := files[i%len(files)]
		d.refuse(filepath.Base(file) == lastGoodName)
		want, known := sound[d.bad]
		if !known {
			want = d.start(nil)
			sound[d.bad] = want
		}
		data := must.Read(d.T, filepath.Join(d.pristine, file))
		damaged, what := harm(data, random)
		got, tell := d.start(map[string][]byte{file: damaged}), []string(nil)
		for again := range 2 { // a machine that is busy may not have come to all of it
			tell = slices.Sorted(maps.Keys(got.tells))
			tell = slices.DeleteFunc(tell, func(s string) bool { return want.tells[s] })
			if again > 0 || len(tell) > 0 || got.report == want.report {
				break
			}
			got = d.start(map[string][]byte{file: damaged})
		}
		if len(tell) == 0 && got.report != want.report { // time may have brought it: what an alarm was waiting for is over by now
			want = d.start(nil)
			sound[d.bad] = want
		}
		y := tallies[kind(file)]
		if y == nil {
			y = &tally{}
			tallies[kind(file)] = y
		}
		y.tries++
		switch {
		case len(tell) > 0:
			y.told++
		case got.report == want.report:
			y.same++
		case betweenEntries(file, data, len(damaged)):
			y.between++
		default:
			y.silent++
			d.T.Errorf("SOAK_SEED=%d, try %d: %s of %s: it says nothing, and differs:\n%s\nfrom\n%s", seed, i, what, file, got.report, want.report)
		}
	}
	var table strings.Builder
	for _, file := range slices.Sorted(maps.Keys(tallies)) {
		y := tallies[file]
		fmt.Fprintf(&table, "%-40s%5d tries:%5d told,%5d as without it,%5d cut between entries,%5d silently different\n",
			file, y.tries, y.told, y.same, y.between, y.silent)
	}
	d.T.Logf("%s, seed %d, in %v\n%s", d.name, seed, time.Since(begun).Round(time.Second), &table)
}

// kind names a file without what is random in its path.
func kind(file string) string {
	parts := strings.Split(filepath.ToSlash(file), "/")
	for i, part := range parts {
		if len(part) > 30 {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

// harm flips a bit, or cuts the end off.
func harm(data []byte, random *rand.Rand) (damaged []byte, what string) {
	if random.IntN(4) == 0 {
		n := random.IntN(len(data))
		return data[:n], fmt.Sprintf("only %d of %d bytes", n, len(data))
	}
	damaged = bytes.Clone(data)
	at, bit := random.IntN(len(data)), random.IntN(8)
	damaged[at] ^= 1 << bit
	return damaged, fmt.Sprintf("bit %d of byte %d of %d", bit, at, len(data))
}

// betweenEntries tells whether a file that entries are added to was cut to n bytes, behind a whole one: it looks as it did when
// that was the last.
func betweenEntries(file string, data []byte, n int) bool {
	const ledgerHead, segmentHead = 8, 32
	switch name := filepath.Base(file); {
	case n == len(data):
		return false
	case n == 0:
		return true
	case name == "alarms.log":
		return data[n-1] == '\n'
	case name == "sequence-numbers":
		return n >= ledgerHead && (n-ledgerHead)%((len(data)-ledgerHead)/things) == 0
	case filepath.Ext(name) == ".seg":
		return n <= segmentHead || bytes.HasPrefix(data[n:], []byte("\xf5SP\xf6"))
	}
	return false
}

// refuse makes the configuration one that is refused, or one that is not.
func (d *damageTest) refuse(bad bool) {
	if d.bad == bad {
		return
	}
	d.bad = bad
	level := "info"
	if bad {
		level = "loud"
	}
	coretest.Configure(d.T, d.Core, d.name, map[string]any{"logLevel": level})
}

// start starts the component on its old state, with some files replaced, and returns what came of it. It is stopped then.
func (d *damageTest) start(replaced map[string][]byte) outcome {
	d.T.Helper()
	err := os.RemoveAll(d.work())
	if err == nil {
		err = os.CopyFS(d.work(), os.DirFS(d.pristine))
	}
	for file, data := range replaced {
		if err == nil {
			err = os.WriteFile(filepath.Join(d.work(), file), data, 0o600)
		}
	}
	must.OK(d.T, err)
	d.w.forget()
	d.Cloud.SetUplink(d.name == event.CloudForwarder || d.name == event.ModelFetcher)
	begun := time.Now()
	must.OK(d.T, d.Core.RestartComponent(d.T.Context(), d.name))
	o := outcome{tells: make(map[string]bool)}
	o.report = d.report(begun)
	d.stop(d.name)
	h, _ := d.w.state(d.name, begun)
	for _, c := range h.Conditions {
		o.tells[string(c.Code)+" "+c.Place] = true
	}
	if h.State == event.StateNoModel || strings.Contains(h.Detail, "damaged") {
		o.tells[string(h.State)+" "+h.Detail] = true
	}
	for name, n := range h.Counters {
		if n > 0 && slices.ContainsFunc([]string{"lost", "dropped", "damaged", "failed", "rejected", "rolled-back"}, func(end string) bool { return strings.HasSuffix(name, end) }) {
			o.tells["counter "+name] = true
		}
	}
	must.OK(d.T, d.warnings(o.tells))
	return o
}

// warnings reads the messages of level WARN and above from the component's log.
func (d *damageTest) warnings(into map[string]bool) error {
	f, err := os.Open(filepath.Join(d.Root, "logs", d.name+".log"))
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(d.logged, io.SeekStart); err != nil {
		return err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	d.logged += int64(len(text))
	for line := range strings.Lines(string(text)) {
		if _, message, ok := strings.Cut(line, "msg="); ok && (strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR")) {
			if quoted, found := strings.CutPrefix(message, `"`); found {
				message, _, _ = strings.Cut(quoted, `"`)
			} else {
				message, _, _ = strings.Cut(message, " ")
			}
			into["log: "+message] = true
		}
	}
	return nil
}

// report waits until the component is at work, and returns what it does.
func (d *damageTest) report(begun time.Time) string {
	if d.bad {
		return d.refusedReport(begun)
	}
	var h event.Health
	if !plant.Until(10*time.Second, func() bool {
		var known bool
		h, known = d.w.state(d.name, begun)
		return known && h.State != event.StateStarting
	}) {
		return fmt.Sprintf("it does not come to work: %+v", h)
	}
	switch d.name {
	case event.InferenceEngine:
		return d.engineReport(begun)
	case event.AlarmManager:
		return d.managerReport(begun)
	case event.CloudForwarder:
		return d.forwarderReport(begun)
	}
	return d.fetcherReport(begun)
}

// refusedReport is of a component that works by its last good configuration, if that is so.
func (d *damageTest) refusedReport(begun time.Time) string {
	var h event.Health
	plant.Until(patience, func() bool {
		h, _ = d.w.state(d.name, begun)
		return h.State == event.StateBadConfig && len(h.Counters) > 0
	})
	return fmt.Sprintf("%s %s; works: %v; every %d ms", h.State, h.Detail, len(h.Counters) > 0, h.IntervalMS)
}
