package e2e

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
	"edgepdm/test/plant"
)

// program returns the path of a component's program below a folder of artifacts.
func program(t *testing.T, artifacts, component, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(artifacts, component, "*", name+"-linux-*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s of %s: %v, %v", name, component, found, err)
	}
	return found[0]
}

// person runs a program as a person does, and returns its exit code and what it says.
func person(t *testing.T, path string, args ...string) (code int, out string) {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), string(text)
	} else if err != nil {
		t.Fatal(err)
	}
	return 0, string(text)
}

// takes waits until the component takes requests in its work directory.
func takes(work string) bool {
	return plant.Until(30*time.Second, func() bool {
		_, err := os.Stat(filepath.Join(work, "requests"))
		return err == nil
	})
}

// Every command of a person, by the installed programs, which find the work directories by themselves.
func TestCommandsOfAPerson(t *testing.T) {
	p := startPlant(t, localcore.Classic)
	p.deploy()
	p.used("com.edgepdm.CloudForwarder", "pdm/v1/ack/prediction") // rows are scored, and on their way
	for _, name := range []string{"AlarmManager", "InferenceEngine", "ModelFetcher", "CloudForwarder"} {
		if !takes(filepath.Join(p.Root, "work", "com.edgepdm."+name)) {
			t.Fatalf("%s takes no requests", name)
		}
	}
	artifacts := filepath.Join(p.Root, "packages", "artifacts")
	manager := program(t, artifacts, "com.edgepdm.AlarmManager", "alarm-manager")
	fetcher := program(t, artifacts, "com.edgepdm.ModelFetcher", "model-fetcher")
	forwarder := program(t, artifacts, "com.edgepdm.CloudForwarder", "cloud-forwarder")
	expect := func(code int, says, path string, args ...string) {
		t.Helper()
		if got, out := person(t, path, args...); got != code || !strings.Contains(out, says) {
			t.Errorf("%s %v: exit code %d, want %d: %s (want %q)", filepath.Base(path), args, got, code, out, says)
		}
	}
	expect(0, "of press-1 is raised and on disk; the cloud forwarder has it", manager, "test-alarm", "-thing", "press-1", "-text", "Hello.")
	expect(2, "name", manager, "test-alarm", "-thing", "a/b")
	expect(1, "there is no such alarm", manager, "ack", "-thing", "press-77", "-fault", "machine-fault")
	expect(0, `"parts": 1`, manager, "list", "-json")
	expect(0, "retired: press-77", manager, "retire", "-thing", "press-77", "-by", "Ann")
	expect(0, "press-77 is retired since", manager, "list")
	expect(0, "tested", manager, "history")
	expect(0, "there are no dead letters", forwarder, "replay")

	expect(0, "model before: none", fetcher, "status")
	expect(1, "rollback failed: there is no model before", fetcher, "rollback")
	expect(0, "no model is published", fetcher, "look")
	p.PublishModel("1.1.0")
	expect(0, "simulated-compressor 1.1.0: delivered at", fetcher, "look")
	if !plant.Until(30*time.Second, func() bool {
		_, out := person(t, fetcher, "status")
		return strings.Contains(out, "active model: simulated-compressor 1.1.0") && strings.Contains(out, "last outcome: simulated-compressor 1.1.0 activated")
	}) {
		t.Error("the status does not show the new model")
	}
	expect(0, "rolled back from simulated-compressor 1.1.0 to", fetcher, "rollback", "-reason", "too many alarms")
	expect(0, "last outcome: simulated-compressor 1.1.0 rolled-back", fetcher, "status")

	must.OK(t, p.Core.StopComponent(t.Context(), "com.edgepdm.InferenceEngine"))
	expect(1, "com.edgepdm.InferenceEngine did not take the command in 300ms: nothing was done", fetcher, "rollback", "-timeout", "300ms")
	expect(1, "the active model is not known", fetcher, "status", "-timeout", "300ms")
	if left, err := filepath.Glob(filepath.Join(p.Root, "work", "com.edgepdm.InferenceEngine", "requests", "*")); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	nowhere := t.TempDir()
	expect(1, "tried "+filepath.Join(nowhere, "work", "com.edgepdm.AlarmManager"), manager, "test-alarm", "-root", nowhere)
}

// A person is root, and the component is not: what root leaves, the component can read.
func TestRootCommandsAnOrdinaryUsersComponent(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("takes root, to run the component as another user")
	}
	b := build()
	if b.err != nil {
		t.Fatal(b.err)
	}
	const user = 12345
	must.OK(t, os.Chmod(filepath.Dir(t.TempDir()), 0o755)) //nolint:gosec // another user gets in
	core := coretest.Start(t)
	must.OK(t, os.Chmod(core.SocketPath(), 0o666))
	env := coretest.Environment(t, core, "com.edgepdm.AlarmManager", "alarm-manager", slog.New(slog.DiscardHandler))
	work := filepath.Join(t.TempDir(), "work", "com.edgepdm.AlarmManager")
	must.OK(t, errors.Join(os.Mkdir(filepath.Dir(work), 0o755), os.Mkdir(work, 0o700), os.Chown(work, user, user))) //nolint:gosec // as a nucleus does
	path := program(t, filepath.Join(b.stage, "artifacts"), "com.edgepdm.AlarmManager", "alarm-manager")
	readable := filepath.Join(t.TempDir(), "alarm-manager") // the stage is root's
	if text, err := os.ReadFile(path); err != nil {
		t.Fatal(err)
	} else if err := os.WriteFile(readable, text, 0o755); err != nil { //nolint:gosec // another user runs it
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), readable)
	cmd.Dir, cmd.SysProcAttr = work, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	for _, name := range []string{"SVCUID", "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"} {
		cmd.Env = append(cmd.Env, name+"="+env.Getenv(name))
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	must.OK(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	root := filepath.Dir(filepath.Dir(work))
	if !takes(work) {
		t.Fatal("the component takes no requests")
	}
	code, out := person(t, readable, "test-alarm", "-root", root, "-timeout", "3s")
	if want := "its last word: test alarm greengrass-core-"; code != 1 || !strings.Contains(out, want) { // it took it, and there is no forwarder
		t.Errorf("exit code %d: %s", code, out)
	}
	// Neither the component's user nor root, but a third one: told what to do.
	third := exec.CommandContext(t.Context(), readable, "test-alarm", "-root", root, "-timeout", "3s")
	third.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user + 1, Gid: user + 1}}
	if text, err := third.CombinedOutput(); err == nil || !strings.Contains(string(text), "run this as root") {
		t.Errorf("%v: %s", err, text)
	}
}
