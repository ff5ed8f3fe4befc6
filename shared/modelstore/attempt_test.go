package modelstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/modelstore/internal/disk"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
)

// die has the process end while it tries a delivery, as for lack of memory, and opens the store again.
func (b *bench) die(d inbox.Delivery) {
	b.t.Helper()
	k := &modeltest.Killer{At: 1 << 30}
	b.store.disk.Before = func(op disk.Op, path, to string) error {
		if op == disk.OpSyncDir && path == b.dir { // the attempt is on disk
			k.At = 0
		}
		return k.Before(op, path, to)
	}
	if _, err := b.store.Take(d); !errors.Is(err, modeltest.ErrKilled) {
		b.t.Fatal(err)
	}
	b.open()
}

func (b *bench) deliverVersion(version string) inbox.Delivery {
	b.t.Helper()
	p := modeltest.Publish(b.t, modeltest.TinyModel, version)
	return b.deliver(&p.Manifest, p.Archive)
}

// takes takes a delivery and activates it.
func (b *bench) takes(d inbox.Delivery) {
	b.t.Helper()
	c, err := b.store.Take(d)
	must.OK(b.t, err)
	must.OK(b.t, b.store.Activate(c))
}

// TestCrashingModel has the process end again and again while it tries a model.
func TestCrashingModel(t *testing.T) {
	b := newBench(t)
	b.install("1.0.0")
	d := b.deliverVersion("1.1.0")
	for range maxDeaths {
		b.die(d)
	}
	_, err := b.store.Take(d)
	modeltest.Wants(t, err, ErrCrashed, "2 times in a row")
	b.open()
	_, err = b.store.Take(d)
	modeltest.Wants(t, err, ErrQuarantined, "2 times in a row")
	b.active("1.0.0", "")
	// Another one is not concerned.
	b.install("1.2.0")
	b.active("1.2.0", "1.0.0")
}

// Power that fails, again and again, is not the model's fault; when it fails each time that the model is tried, it is.
func TestLossOfPowerWhileAModelIsTried(t *testing.T) {
	b := newBench(t)
	d := b.deliverVersion("1.1.0")
	reboot := func(n int) {
		b.options.Boot = fmt.Sprintf("boot-%d", n)
		b.open()
	}
	for n := range maxReboots {
		reboot(n)
		b.die(d)
	}
	b.takes(d) // within the same running of the machine: that was one death
	b.active("1.1.0", "")

	next := b.deliverVersion("1.2.0")
	for n := range maxReboots {
		reboot(n)
		b.die(next)
	}
	reboot(maxReboots)
	_, err := b.store.Take(next)
	modeltest.Wants(t, err, ErrCrashed, "the machine")
	b.active("1.1.0", "")
}

// Deaths of the process count as before, also with a restart of the machine between them.
func TestDeathsOverARestart(t *testing.T) {
	b := newBench(t)
	d := b.deliverVersion("1.1.0")
	b.options.Boot = "a"
	b.open()
	b.die(d)
	b.die(d) // one death in a
	b.options.Boot = "b"
	b.open()
	b.die(d)
	_, err := b.store.Take(d) // and one in b
	modeltest.Wants(t, err, ErrCrashed, "2 times")
}

// TestOldAttempt takes over what a release wrote that knew nothing of the machine.
func TestOldAttempt(t *testing.T) {
	b := newBench(t)
	d := b.deliverVersion("1.1.0")
	b.die(d)
	source := b.store.attempted()[0].Source
	modeltest.Write(t, b.dir, attemptFile, fmt.Appendf(nil, `{"format":1,"source":%q,"count":2}`, source))
	b.options.Boot = "a"
	b.open()
	_, err := b.store.Take(d)
	modeltest.Wants(t, err, ErrCrashed, "2 times")
}

// A delivery that is tried between two deaths does not hide them.
func TestDeathsOfTwoDeliveries(t *testing.T) {
	b := newBench(t)
	b.install("1.0.0")
	other, d := b.deliverVersion("1.1.0"), b.deliverVersion("1.2.0")
	for range maxDeaths {
		b.store.disk.Before = fullAt(disk.OpCreate, envelope.EnvelopeFile)
		_, err := b.store.Take(other)
		modeltest.Wants(t, err, syscall.ENOSPC, "")
		b.die(d)
	}
	_, err := b.store.Take(d)
	modeltest.Wants(t, err, ErrCrashed, "2 times")
	b.takes(other)
	b.active("1.1.0", "1.0.0")
	b.open()
	tidy(t, b.store)
}

// fullAt is a disk that is full at one step.
func fullAt(at disk.Op, name string) func(disk.Op, string, string) error {
	return func(op disk.Op, path, _ string) error {
		if op == at && filepath.Base(path) == name {
			return syscall.ENOSPC
		}
		return nil
	}
}

// A full disk before the model is tried does not make up for a death.
func TestFullDiskEndsNoAttempt(t *testing.T) {
	b := newBench(t)
	d := b.deliverVersion("1.1.0")
	for range maxDeaths {
		b.die(d)
		b.store.disk.Before = fullAt(disk.OpMkdir, stagingDir)
		_, err := b.store.Take(d)
		modeltest.Wants(t, err, syscall.ENOSPC, "")
		b.store.disk.Before = nil
	}
	_, err := b.store.Take(d)
	modeltest.Wants(t, err, ErrCrashed, "2 times")
}

// What is dropped, or comes to nothing for the disk's sake, is no death: it may be taken again, however often.
func TestNoDeath(t *testing.T) {
	b := newBench(t)
	d := b.deliverVersion("1.1.0")
	for range maxDeaths + 2 {
		c, err := b.store.Take(d)
		must.OK(t, err)
		must.OK(t, b.store.Drop(c))
		b.store.disk.Before = fullAt(disk.OpCreate, envelope.EnvelopeFile)
		_, err = b.store.Take(d)
		modeltest.Wants(t, err, syscall.ENOSPC, "")
		b.store.disk.Before = nil
	}
	b.takes(d)
	b.open()
	b.active("1.1.0", "")
}

// A process that is told to stop may be killed before the test is over: that is no death either.
func TestStoppedWhileAModelIsTried(t *testing.T) {
	b := newBench(t)
	b.install("1.0.0")
	d := b.deliverVersion("1.1.0")
	for range maxDeaths + 1 {
		k := &modeltest.Killer{At: 1 << 30}
		b.store.disk.Before = func(op disk.Op, path, to string) error {
			if op == disk.OpCreate && filepath.Base(path) == envelope.EnvelopeFile {
				b.store.disk.Before = nil
				if err := b.store.Stop(); err != nil {
					t.Error(err)
				}
				b.store.disk.Before, k.At = k.Before, 0
			}
			return k.Before(op, path, to)
		}
		if _, err := b.store.Take(d); !errors.Is(err, modeltest.ErrKilled) {
			t.Fatal(err)
		}
		b.open()
	}
	must.OK(t, b.store.Stop())
	var refused *RefusedError
	if _, err := b.store.Take(d); !errors.Is(err, errStopping) || errors.As(err, &refused) {
		t.Errorf("taken after a stop: %v", err)
	}
	b.open()
	b.takes(d)
	b.active("1.1.0", "1.0.0")
}

// A process that ends between the test of a model and its activation counts against it: there the engine loads it.
func TestADeathBeforeTheActivation(t *testing.T) {
	b := newBench(t)
	b.install("1.0.0")
	d := b.deliverVersion("1.1.0")
	for range maxDeaths {
		if _, err := b.store.Take(d); err != nil {
			t.Fatal(err)
		}
		b.open()
	}
	_, err := b.store.Take(d)
	modeltest.Wants(t, err, ErrCrashed, "2 times in a row")
	b.active("1.0.0", "")
}
