package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/table"
)

// A model of one tree over a feature, with the golden rows that its leaves give.
const (
	smallModel = `{"version":[3,0,5],"learner":{"attributes":{},"feature_names":["a"],"feature_types":["float"],
"gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_parallel_tree":"1","num_trees":"1"},"iteration_indptr":[0,1],"tree_info":[0],"trees":[
{"id":0,"tree_param":{"num_nodes":"3","size_leaf_vector":"1"},"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[0,0,0],
"split_conditions":[1.5,-0.5,0.25],"default_left":[0,0,0]}]}},
"learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"1","num_target":"1"},
"objective":{"name":"binary:logistic","reg_loss_param":{"scale_pos_weight":"1"}}}}`
	smallGolden = "margin,a\n-0.5,1\n0.25,2\n"
)

// plant is an engine as a nucleus starts it, and what is around it.
type plant struct {
	t       testing.TB
	core    *localcore.Core
	program string
	shell   string // a command that a shell gives before; "" = no shell
	env     component.Environment
	key     ed25519.PrivateKey
	inbox   inbox.Inbox
	client  *ipc.Client
	events  *ipc.Subscription[ipc.TopicMessage]
	health  *coretest.Health
}

func newPlant(t testing.TB) *plant {
	p := &plant{t: t, program: coretest.Build(t), inbox: inbox.Inbox{Dir: filepath.Join(t.TempDir(), "inbox")}}
	core := coretest.Start(t)
	p.core = core
	p.env = coretest.Environment(t, core, event.InferenceEngine, "inference-engine", slog.New(slog.DiscardHandler))
	var err error
	if p.key, err = envelope.GenerateKey(nil); err != nil {
		t.Fatal(err)
	}
	must.OK(t, inbox.Check(p.inbox.Dir))
	coretest.Configure(t, core, event.InferenceEngine, map[string]any{
		"inbox": p.inbox.Dir, "publicKeys": []any{base64.StdEncoding.EncodeToString(p.key.Public().(ed25519.PublicKey))}, "healthInterval": "100ms",
	})
	p.client = coretest.Client(t, core)
	p.events, p.health = coretest.Subscribe(t, p.client, event.FilterModel), coretest.HealthOf(t, p.client, event.InferenceEngine)
	return p
}

// start starts the engine; the end of the test kills it.
func (p *plant) start(env ...string) *exec.Cmd {
	p.t.Helper()
	line := []string{p.program, "-model", filepath.Join(need.Root(p.t), "components/inference-engine/model/model.ubj")}
	if p.shell != "" {
		line = append([]string{"/bin/bash", "-c", p.shell + ` && exec "$@"`, "bash"}, line...)
	}
	return coretest.StartProgram(p.t, p.env, env, line...)
}

// deliver delivers a signed model that white space makes so large.
func (p *plant) deliver(padding int) {
	p.t.Helper()
	dir := p.t.TempDir()
	model, golden := filepath.Join(dir, "model.json"), filepath.Join(dir, "golden.csv")
	text := append([]byte(smallModel[:1]), bytes.Repeat([]byte(" "), padding)...)
	for path, data := range map[string][]byte{model: append(text, smallModel[1:]...), golden: []byte(smallGolden)} {
		must.OK(p.t, os.WriteFile(path, data, 0o600))
	}
	d, err := p.inbox.Begin("large")
	must.OK(p.t, err)
	archive, err := os.Create(d.Path(inbox.ArchiveFile))
	must.OK(p.t, err)
	packed, err := envelope.Pack(archive, model)
	must.OK(p.t, errors.Join(err, archive.Close()))
	m, err := envelope.BuildManifest(model, golden, envelope.Build{
		Name: "simulated-compressor", Version: "9.0.0", Created: time.Now(), Expires: time.Now().Add(time.Hour), Archive: packed.Archive,
	})
	must.OK(p.t, err)
	sealed, err := envelope.Sign(m, p.key)
	must.OK(p.t, err)
	must.OK(p.t, errors.Join(os.WriteFile(d.Path(envelope.EnvelopeFile), sealed, 0o600), d.Commit()))
}

// refused waits for the refusal, and for an engine that works on with the model before.
func (p *plant) refused(texts ...string) {
	p.t.Helper()
	timeout := time.After(time.Minute)
	select {
	case m := <-p.events.Events():
		e, err := event.DecodeModelEvent(m.Payload)
		if err != nil || e.Event != event.ModelRejected || e.Version != "9.0.0" {
			p.t.Errorf("%+v, %v", e, err)
		}
		for _, text := range texts {
			if !strings.Contains(e.Detail, text) {
				p.t.Errorf("%q, want %q", e.Detail, text)
			}
		}
	case <-timeout:
		p.t.Fatal("no refusal")
	}
	p.health.Await("an engine that works on", func(h event.Health) bool {
		return h.State == event.StateOK && h.Model != nil && h.Model.Version != "9.0.0" && h.Counters[engine.CounterModelsRejected] == 1
	})
}

// A model that does not fit the memory limit is refused with the figures, before it is parsed, by a process that lives on.
func TestATooLargeModelIsRefused(t *testing.T) {
	need.Long(t)
	for name, c := range map[string]struct {
		env, shell string
		size       int // MiB
		says       []string
	}{
		"GOMEMLIMIT": {"GOMEMLIMIT=64MiB", "", 60, []string{"it needs 120.0 MiB", "of the 64.0 MiB that GOMEMLIMIT allows"}},
		"ulimit":     {"", "ulimit -d 200000", 120, []string{"it needs 240.0 MiB", "of the 195.3 MiB that ulimit -d allows"}}, // -v varies with the Go release
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlant(t)
			p.shell = c.shell
			var env []string
			if c.env != "" {
				env = append(env, c.env)
			}
			run := p.start(env...)
			p.deliver(c.size << 20)
			p.refused(append(c.says, "too large for the memory limit")...)
			must.OK(t, run.Process.Signal(os.Interrupt))
			if err := run.Wait(); err != nil {
				t.Errorf("stopped with %v", err)
			}
		})
	}
}

// A model that ends the process in its activation is refused after two deaths: the third would be the last that a nucleus
// forgives.
func TestTwoDeathsInAnActivation(t *testing.T) {
	need.Long(t)
	p := newPlant(t)
	p.deliver(100 << 20)
	attempt := filepath.Join(p.env.WorkDir, "models", "attempt.json")
	for death := range 2 {
		c := p.start()
		tick, timeout := time.NewTicker(time.Millisecond), time.After(time.Minute)
		for waiting := true; waiting; {
			select {
			case <-tick.C:
				text, err := os.ReadFile(attempt)
				waiting = errors.Is(err, fs.ErrNotExist) || !bytes.Contains(text, []byte(`"count":`+string(rune('1'+death))))
			case <-timeout:
				t.Fatal("no attempt is made")
			}
		}
		tick.Stop()
		must.OK(t, c.Process.Kill())
		if err := c.Wait(); err == nil {
			t.Fatal("it was not killed")
		}
	}
	p.start()
	p.refused("trying it ended the process: 2 times in a row")
}

// A limit that was lowered below what the active model needs does not end the process: the model before stands in, which
// is said, and the active one is used again when the limit allows it.
func TestALoweredLimit(t *testing.T) {
	p := newPlant(t)
	await := func(what string, wanted func(event.Health) bool) {
		t.Helper()
		p.health.Await(what, func(h event.Health) bool { return h.Model != nil && wanted(h) })
	}
	stop := func(c *exec.Cmd) {
		t.Helper()
		must.OK(t, errors.Join(c.Process.Signal(os.Interrupt), c.Wait()))
	}
	active := func(h event.Health) bool { return h.State == event.StateOK && h.Model.Version == "9.0.0" }
	first := p.start()
	p.deliver(30 << 20)
	await("the large model", active)
	stop(first)
	second := p.start("GOMEMLIMIT=48MiB")
	await("the model before", func(h event.Health) bool {
		return h.State == event.StateDegraded && h.Model.Version != "9.0.0" && len(h.Conditions) == 1 && h.Conditions[0].Code == event.CodeModelStore &&
			strings.Contains(h.Conditions[0].Detail, "it needs 60.0 MiB") && strings.Contains(h.Conditions[0].Detail, "scores")
	})
	stop(second)
	p.start()
	await("the large model again", active)
}

// The command explain asks the running engine, which answers with the thing's next row; a wrong command line is refused.
func TestExplainAsksTheEngine(t *testing.T) {
	p := newPlant(t)
	p.start()
	p.health.Await("a model", func(h event.Health) bool { return h.State == event.StateOK && h.Model != nil })
	explain := func(args ...string) *exec.Cmd {
		return exec.CommandContext(t.Context(), p.program, append([]string{"explain", "-dir", p.env.WorkDir}, args...)...)
	}
	for want, args := range map[string][]string{
		"-thing: required": nil, "-wait: 1ms is not": {"-thing", "a", "-wait", "1ms"}, "wait_s is 7200": {"-thing", "a", "-wait", "2h"}, `name "a/b"`: {"-thing", "a/b"},
	} {
		c := explain(args...)
		out, err := c.CombinedOutput()
		if err == nil || c.ProcessState.ExitCode() != cli.ExitUsage || !strings.Contains(string(out), want) {
			t.Errorf("%q: %v, %s", args, err, out)
		}
	}
	_, rows := table.Read(t, "model/golden.csv")
	answered := make(chan struct{})
	var text []byte
	var failed error
	go func() {
		defer close(answered)
		text, failed = explain("-thing", "press-1").CombinedOutput()
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for seq := uint64(1); ; seq++ {
		row := event.Telemetry{V: 1, Thing: "press-1", Epoch: "e1", Seq: seq, TS: time.Now().UTC(), Values: rows[0][1:]}
		must.OK(t, p.client.Publish(t.Context(), event.TelemetryTopic(row.Thing), must.JSON(t, row)))
		select {
		case <-tick.C:
			continue
		case <-answered:
		}
		break
	}
	if failed != nil || !strings.Contains(string(text), "press-1, row press-1-e1-") ||
		strings.Count(string(text), " %\n") != event.MaxContributors {
		t.Errorf("%v: %s", failed, text)
	}
}
