package soak

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edgepdm/shared/event"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
	"edgepdm/test/plant"
)

// diskSize is that of each work directory.
const diskSize = "size=24m"

// toldWithin is how long a component may take to tell of its disk, and to be well again: the engine tests a delivered model
// again after a minute.
const toldWithin = 90 * time.Second

// diskFault is something that goes wrong with a work directory. Both functions return when it is so.
type diskFault struct {
	name        string
	begin, ends func(*diskTest, string) error
}

var diskFaults = []diskFault{
	{"disk full", (*diskTest).fill, (*diskTest).empty},
	{"read-only at the start", func(d *diskTest, name string) error { return d.remount(name, unix.MS_RDONLY, true) },
		func(d *diskTest, name string) error { return d.remount(name, 0, false) }},
	{"no permission at the start", func(d *diskTest, name string) error { return d.permit(name, 0o500, 0o400, true) },
		func(d *diskTest, name string) error { return d.permit(name, 0o700, 0o600, false) }},
}

type diskTest struct {
	*plant.Plant
	w      *witness
	models int
	table  strings.Builder
}

// Each component's disk in turn is full, read-only and without permissions: the component lives, says so, and is well again
// once the disk is. Nothing that was acknowledged is lost, and every alert arrives. `make soak-disks` repeats it.
func TestDisks(t *testing.T) {
	rounds := number(t, "SOAK_DISKS", 1)
	if os.Geteuid() != 0 {
		t.Skip("takes root, to mount small file systems")
	}
	begun := time.Now()
	w := newWitness()
	d := &diskTest{w: w, Plant: plant.Start(t, plant.Options{
		Stage: stage(t),
		Core: func(o *localcore.Options) {
			o.ErrorReset = 1
			o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
		},
		Cloud: func(o *localcloud.Options) { o.Publish = w.delivered },
	})}
	for _, name := range names {
		d.mount(name)
	}
	w.watch(t, d.Plant)
	c := quick(d.Plant)
	c[event.CloudForwarder]["minFreeMB"] = 0 // the disk is to be full
	d.Deploy(c, names...)
	d.PublishModel("1.0.1")
	l := startLoad(t, d.Plant, w)
	for _, name := range names {
		if _, ok := d.await(name, time.Now(), event.StateOK); !ok {
			t.Fatalf("%s does not come to work: %+v", name, w.newest)
		}
	}
	for range rounds {
		for _, name := range names {
			for _, fault := range diskFaults {
				d.try(name, fault)
			}
		}
	}
	l.finish(t)
	newest := d.newest()
	if !plant.Until(toldWithin, func() bool {
		h, _ := w.state(event.InferenceEngine, begun)
		return h.Model != nil && h.Model.Version == newest
	}) {
		t.Errorf("model %s is not active in the end: %+v", newest, w.newest[event.InferenceEngine])
	}
	ended := time.Now()
	drained := plant.Until(2*time.Minute, func() bool {
		f := w.figures()
		return w.drained(ended) && len(f.lost)+len(f.undelivered) == 0
	})
	f := w.figures()
	t.Logf("%d rounds in %v\n%s\n%s", rounds, time.Since(begun).Round(time.Second), &d.table, f)
	if !drained {
		t.Errorf("not all is settled: %+v", w.newest)
	}
	f.judge(t)
}

// mount puts a small file system under a component's work directory, or skips the test.
func (d *diskTest) mount(name string) {
	d.T.Helper()
	dir := d.work(name)
	must.OK(d.T, os.Mkdir(dir, 0o700))
	err := unix.Mount("none", dir, "tmpfs", 0, diskSize+",mode=0700")
	if errors.Is(err, unix.EPERM) {
		d.T.Skip("this machine lets root mount no file systems")
	}
	must.OK(d.T, err)
	d.T.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // the core still runs
}

func (d *diskTest) work(name string) string { return filepath.Join(d.Root, "work", name) }

// newest is the version of the model that was published last.
func (d *diskTest) newest() string { return fmt.Sprintf("1.1.%d", d.models) }

// try lets a fault come and go.
func (d *diskTest) try(name string, fault diskFault) {
	d.T.Helper()
	begun := time.Now()
	if err := fault.begin(d, name); err != nil {
		d.T.Fatalf("%s of %s: %v", fault.name, name, err)
	}
	d.models++
	d.PublishModel(d.newest())
	told, isTold := d.await(name, begun, event.StateDegraded)
	telling := time.Since(begun)
	running := slices.ContainsFunc(d.Core.Components(), func(c localcore.Status) bool { return c.Name == name && c.PID > 0 })
	if err := fault.ends(d, name); err != nil {
		d.T.Fatalf("end of %s of %s: %v", fault.name, name, err)
	}
	ended := time.Now()
	last, isWell := d.await(name, ended, event.StateOK)
	var said []string
	for _, c := range told.Conditions {
		said = append(said, string(c.Code)+" "+c.Place)
	}
	fmt.Fprintf(&d.table, "%-30s%-30stold in %-8v%-60s well again in %v\n", name, fault.name, telling.Round(100*time.Millisecond),
		strings.Join(said, ", "), time.Since(ended).Round(100*time.Millisecond))
	if !isTold || !running {
		d.T.Errorf("%s of %s: it runs: %v; it said %+v", fault.name, name, running, told)
	}
	if !isWell {
		d.T.Errorf("%s of %s is over, and it says %+v", fault.name, name, last)
	}
}

// await commands until the component is in the state, for the sake of its disk if it is DEGRADED.
func (d *diskTest) await(name string, after time.Time, state event.State) (h event.Health, ok bool) {
	next := time.Now()
	ok = plant.Until(toldWithin, func() bool {
		if now := time.Now(); !now.Before(next) {
			next = now.Add(time.Second)
			d.Command("test-alarm", `{"v":1,"thing":"press-1"}`)
			d.Command("model-fetch", `{"v":1}`)
		}
		var known bool
		if h, known = d.w.state(name, after); !known || h.State != state {
			return false
		}
		return state == event.StateOK || slices.ContainsFunc(h.Conditions, func(c event.Condition) bool {
			return c.Code == event.CodeDisk || c.Code == event.CodeStateOnDisk || c.Code == event.CodeModelStore
		})
	})
	return h, ok
}

// fill leaves no room.
func (d *diskTest) fill(name string) error {
	f, err := os.OpenFile(d.ballast(name), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for page := make([]byte, 4096); ; {
		if _, err := f.Write(page); errors.Is(err, unix.ENOSPC) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (d *diskTest) ballast(name string) string { return filepath.Join(d.work(name), "ballast") }

func (d *diskTest) empty(name string) error { return os.Remove(d.ballast(name)) }

// remount changes the file system, while the component does not run if restart says so: Linux makes none read-only that has
// files open for writing.
func (d *diskTest) remount(name string, flags uintptr, restart bool) error {
	if restart {
		if err := d.Core.StopComponent(d.T.Context(), name); err != nil {
			return err
		}
	}
	if err := unix.Mount("none", d.work(name), "tmpfs", unix.MS_REMOUNT|flags, diskSize); err != nil {
		return err
	}
	if restart {
		return d.Core.RestartComponent(d.T.Context(), name)
	}
	return nil
}

// permit sets the permissions of all that is in the work directory, and kills the component if kill says so.
func (d *diskTest) permit(name string, ofFolders, ofFiles fs.FileMode, kill bool) error {
	err := filepath.WalkDir(d.work(name), func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the component has removed it
		}
		if err != nil {
			return err
		}
		mode := ofFiles
		if e.IsDir() {
			mode = ofFolders
		}
		if err := os.Chmod(path, mode); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	if err != nil || !kill {
		return err
	}
	for _, c := range d.Core.Components() {
		if c.Name == name && c.PID > 0 {
			return syscall.Kill(c.PID, syscall.SIGKILL)
		}
	}
	return errors.New("it does not run")
}
