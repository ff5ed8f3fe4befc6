package engine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/request"
	"edgepdm/test/coretest"
	"edgepdm/test/need"
)

// ask gives the engine a command on the device, once it can be asked.
func (r *rig) ask(command, reason string) (string, error) {
	r.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		if _, err := os.Stat(filepath.Join(r.env.WorkDir, "requests")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			r.t.Fatal("the engine takes no requests")
		}
	}
	return request.Call{
		Component: event.InferenceEngine, WorkDir: r.env.WorkDir, Command: command, Arguments: event.Rollback{Reason: reason}, Timeout: 20 * time.Second,
	}.Do(r.t.Context())
}

// status asks for the engine's status and checks what it says.
func (r *rig) status(want ...string) {
	r.t.Helper()
	text, err := r.ask(event.CommandStatus, "")
	for _, w := range want {
		if err != nil || !strings.Contains(text, w) {
			r.t.Errorf("status is %q, %v, want %q", text, err, w)
		}
	}
}

// The answer to a rollback is the engine's: to what it went back, or why not. The status tells the last outcome, also
// after a restart.
func TestRollbackIsAnswered(t *testing.T) {
	need.Long(t)
	r, p, shipped := atWork(t)
	r.status("active model: simulated-compressor "+shipped+", shipped", "model before: none", "last outcome: none")
	refused := func(why string) {
		t.Helper()
		if text, err := r.ask(event.CommandRollback, ""); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q, %v, want %q", text, err, why)
		}
	}
	refused("there is no model before simulated-compressor " + shipped + ", which stays active")
	if _, err := r.ask("reboot", ""); err == nil || !strings.Contains(err.Error(), "does not know the command") {
		t.Errorf("%v", err)
	}

	p.deliver("1.1.0", nil, nil)
	r.modelEvent(event.ModelActivated)
	r.status("active model: simulated-compressor 1.1.0, signed", "model before: simulated-compressor "+shipped, "1.1.0 activated at")
	r.stop()
	r.start(shippedModel)
	r.await("the delivered model", func(h event.Health) bool { return ok(h) && h.Model.Version == "1.1.0" })
	r.status("active model: simulated-compressor 1.1.0", "last outcome: simulated-compressor 1.1.0 activated at")

	if text, err := r.ask(event.CommandRollback, ""); err != nil || !strings.Contains(text, "to simulated-compressor "+shipped+", which is active now") {
		t.Errorf("%q, %v", text, err)
	}
	if e := r.modelEvent(event.ModelRolledBack); e.Version != "1.1.0" || !strings.HasPrefix(e.Detail, "was sent back by ") {
		t.Errorf("%+v", e)
	}
	refused("there is no model before simulated-compressor " + shipped)
	r.stop()
	r.start(shippedModel)
	r.await("the shipped model", func(h event.Health) bool { return ok(h) && h.Model.Version == shipped })
	r.status("active model: simulated-compressor "+shipped, "last outcome: simulated-compressor 1.1.0 rolled-back at", "was sent back by")
}

// With a model of the configuration there is nothing to go back to; without publicKeys commands are answered all the same.
func TestCommandsWithoutAStore(t *testing.T) {
	need.Long(t)
	r := newRig(t)
	path, err := filepath.Abs(shippedModel)
	if err != nil {
		t.Fatal(err)
	}
	coretest.Configure(t, r.core, engineName, map[string]any{"model": path})
	r.start(shippedModel)
	r.await("a model", ok)
	r.status("active model: ", "of the file "+path)
	if _, err := r.ask(event.CommandRollback, ""); err == nil || !strings.Contains(err.Error(), "which the configuration names") {
		t.Errorf("%v", err)
	}
	coretest.Configure(t, r.core, engineName, map[string]any{"model": filepath.Join(t.TempDir(), "none")})
	r.await("no model", func(h event.Health) bool { return h.State == event.StateNoModel })
	r.status("active model: none")
}
