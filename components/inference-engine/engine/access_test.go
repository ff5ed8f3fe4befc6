package engine_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
	"edgepdm/test/must"
)

func (r *rig) storePath(names ...string) string {
	return filepath.Join(append([]string{r.env.WorkDir, "models"}, names...)...)
}

// whichScores waits for a state, and for a condition whose detail has a text.
func (r *rig) whichScores(version string, code event.Code, texts ...string) {
	r.t.Helper()
	r.await(version+" and "+string(code), func(h event.Health) bool {
		if h.Model == nil || h.Model.Version != version || h.State != event.StateDegraded {
			return false
		}
		for _, c := range h.Conditions {
			missing := false
			for _, text := range texts {
				missing = missing || !strings.Contains(c.Detail, text)
			}
			if c.Code == code && !missing {
				return true
			}
		}
		return false
	})
}

// A store that cannot be opened leaves the last active model in force, which is said; once it can, all goes on without a
// restart, deliveries too.
func TestAClosedStoreIsSaidAndTriedAgain(t *testing.T) {
	newer := durable.Seal([]byte(`{"format":2}`))
	for name, c := range map[string]struct {
		err   error             // of the open; nil: close says what is wrong
		close func(*rig) func() // breaks the store, and returns what mends it
		code  event.Code
		text  string
	}{
		"EIO":       {&os.PathError{Op: "read", Path: "models/current", Err: syscall.EIO}, nil, event.CodeDisk, "input/output error"},
		"EACCES":    {&os.PathError{Op: "open", Path: "models", Err: syscall.EACCES}, nil, event.CodeDisk, "permission denied"},
		"full disk": {&os.PathError{Op: "write", Path: "models/format", Err: syscall.ENOSPC}, nil, event.CodeDisk, "no space left"},
		"read-only": {&os.PathError{Op: "mkdir", Path: "models", Err: syscall.EROFS}, nil, event.CodeDisk, "read-only file system"},
		"lock": {nil, func(r *rig) func() {
			f, err := os.Open(r.storePath())
			if err == nil {
				err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
			}
			must.OK(r.t, err)
			return func() { _ = f.Close() }
		}, event.CodeModelStore, "in use elsewhere"},
		"newer format": {nil, func(r *rig) func() {
			path := r.storePath("format")
			before, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, newer, 0o600)
			}
			must.OK(r.t, err)
			return func() {
				if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, newer) {
					r.t.Errorf("the store's format became %q, %v", got, err)
				}
				if err := os.WriteFile(path, before, 0o600); err != nil {
					r.t.Error(err)
				}
			}
		}, event.CodeStateOnDisk, "newer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits for the next try
			r, p, _ := atWork(t)
			p.deliver("1.1.0", nil, nil)
			r.modelEvent(event.ModelActivated)
			r.stop()

			mend := func() {}
			var broken atomic.Bool
			if broken.Store(c.err != nil); c.close != nil {
				mend = c.close(r)
			}
			e := &engine.Engine{ShippedModel: shippedModel, Now: time.Now, OpenStore: func(dir string, o modelstore.Options) (*modelstore.Store, error) {
				if broken.Load() {
					return nil, c.err
				}
				return modelstore.OpenStore(dir, o)
			}}
			r.startRun(e.Run)
			r.whichScores("1.1.0", c.code, c.text, "1.1.0 scores")
			if _, err := r.ask(event.CommandRollback, ""); err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("a rollback is answered with %v", err)
			}
			r.status("stands in", c.text)
			p.deliver("1.2.0", nil, nil)
			mend()
			broken.Store(false)
			if e := r.modelEvent(event.ModelActivated); e.Version != "1.2.0" {
				t.Errorf("%+v", e)
			}
			r.await("the delivered model", func(h event.Health) bool { return ok(h) && h.Model.Version == "1.2.0" && len(h.Conditions) == 0 })
		})
	}
}

// A disk that is slow when the store is opened again holds up no row.
func TestASlowDiskHoldsUpNoRow(t *testing.T) {
	r := newRig(t)
	opening, release := make(chan struct{}), make(chan struct{})
	opens := 0
	e := &engine.Engine{ShippedModel: shippedModel, Now: time.Now, OpenStore: func(dir string, o modelstore.Options) (*modelstore.Store, error) {
		if o.Role == event.RoleLife {
			return modelstore.OpenStore(dir, o)
		}
		switch opens++; opens {
		case 1:
			return nil, &os.PathError{Op: "read", Path: "models/current", Err: syscall.EIO}
		case 2:
			close(opening)
			<-release
		}
		return modelstore.OpenStore(dir, o)
	}}
	r.startRun(e.Run)
	mend := sync.OnceFunc(func() { close(release) })
	t.Cleanup(mend)
	select {
	case <-opening:
	case <-time.After(time.Minute):
		t.Fatal("the store is not opened again")
	}
	_, rows, _ := golden(t)
	r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(1, rows[0])))
	r.prediction()
	mend()
	r.await("the store", func(h event.Health) bool { return ok(h) && len(h.Conditions) == 0 })
}

// With no model to be read, the shipped one scores, and that is said too.
func TestTheShippedModelStandsIn(t *testing.T) {
	r := newRig(t)
	must.OK(t, os.WriteFile(r.storePath(), []byte("a file"), 0o600))
	r.start(shippedModel)
	shipped := r.await("the shipped model", func(h event.Health) bool { return h.Model != nil }).Model.Version
	r.whichScores(shipped, event.CodeDisk, "not a directory", "the shipped model "+shipped+" scores")
	must.OK(t, os.Remove(r.storePath()))
	r.await("the store", func(h event.Health) bool { return ok(h) && len(h.Conditions) == 0 })
}

// An active model that is damaged beyond repair does not give way to another one unsaid.
func TestALostActiveModelIsSaid(t *testing.T) {
	r, p, shipped := atWork(t)
	p.deliver("1.1.0", nil, nil)
	r.modelEvent(event.ModelActivated)
	r.stop()
	found, err := filepath.Glob(r.storePath("versions", "1.1.0-*"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	must.OK(t, os.RemoveAll(found[0]))
	r.start(shippedModel)
	r.whichScores(shipped, event.CodeStateOnDisk, "1.1.0", "is lost", shipped+" scores")
	p.deliver("1.2.0", nil, nil)
	r.modelEvent(event.ModelActivated)
	r.await("another model", func(h event.Health) bool { return ok(h) && h.Model.Version == "1.2.0" })
}

// A delivery that cannot be tested for the disk's sake is said, and tried again.
func TestADeliveryThatTheDiskRefusesIsSaid(t *testing.T) {
	r, p, _ := atWork(t)
	must.OK(t, os.RemoveAll(r.storePath("versions")))
	must.OK(t, os.WriteFile(r.storePath("versions"), nil, 0o600))
	p.deliver("1.1.0", nil, nil)
	r.await("the delivery's fault", func(h event.Health) bool {
		return h.State == event.StateDegraded && len(h.Conditions) == 1 && h.Conditions[0].Place == "delivered model" &&
			strings.Contains(h.Conditions[0].Detail, "not a directory")
	})
	if ready, err := p.inbox.Ready(); err != nil || len(ready) != 1 {
		t.Errorf("the inbox has %v, %v", ready, err)
	}
}
