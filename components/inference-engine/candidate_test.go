package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/table"
)

// deliverCandidate delivers the demo's second model, which proves itself first.
func (p *plant) deliverCandidate(version string) {
	p.t.Helper()
	dir := filepath.Join(need.Root(p.t), "scripts/demo/second-model")
	must.OK(p.t, p.prepare(filepath.Join(dir, "model.ubj"), filepath.Join(dir, "golden.csv"), version, &envelope.Rollout{Mode: envelope.ModeShadow}).Commit())
}

// prepare makes the delivery of a signed model, which its Commit delivers.
func (p *plant) prepare(model, golden, version string, rollout *envelope.Rollout) *inbox.Delivery {
	p.t.Helper()
	d, err := p.inbox.Begin("candidate-" + version)
	must.OK(p.t, err)
	archive, err := os.Create(d.Path(inbox.ArchiveFile))
	must.OK(p.t, err)
	packed, err := envelope.Pack(archive, model)
	must.OK(p.t, errors.Join(err, archive.Close()))
	m, err := envelope.BuildManifest(model, golden, envelope.Build{
		Name: "simulated-compressor", Version: version, Created: time.Now(), Expires: time.Now().Add(time.Hour), Archive: packed.Archive, Rollout: rollout,
	})
	must.OK(p.t, err)
	sealed, err := envelope.Sign(m, p.key)
	must.OK(p.t, err)
	must.OK(p.t, os.WriteFile(d.Path(envelope.EnvelopeFile), sealed, 0o600))
	return d
}

// rows publishes rows of a thing, a hundred in a second.
func (p *plant) rows(first uint64, n int, rows [][]float32) {
	p.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range uint64(n) {
		seq := first + i
		row := event.Telemetry{V: 1, Thing: "press-1", Epoch: "e1", Seq: seq, TS: time.Now().UTC(), Values: rows[seq%uint64(len(rows))][1:]}
		must.OK(p.t, p.client.Publish(p.t.Context(), event.TelemetryTopic(row.Thing), must.JSON(p.t, row)))
		<-tick.C
	}
}

// compared waits for a comparison as wanted.
func compared(t *testing.T, from *ipc.Subscription[ipc.TopicMessage], wanted func(event.Comparison) bool) event.Comparison {
	t.Helper()
	for timeout := time.After(time.Minute); ; {
		select {
		case m := <-from.Events():
			c, err := event.DecodeComparison(m.Payload)
			must.OK(t, err)
			if wanted(c) {
				return c
			}
		case <-timeout:
			t.Fatal("no such comparison")
		}
	}
}

// M9: a process that is killed while a candidate is compared, again and again, loses nothing that it told, and the next one goes on.
func TestAKillLosesNoEvidence(t *testing.T) {
	need.Long(t)
	p := newPlant(t)
	comparisons := coretest.Subscribe(t, p.client, event.TopicComparison)
	coretest.Configure(t, p.core, event.InferenceEngine, map[string]any{"candidate": map[string]any{"report": "1s", "time": "1h", "cpuShare": 1}})
	_, rows := table.Read(t, "model/golden.csv")
	run := p.start()
	p.health.Await("a model", func(h event.Health) bool { return h.State == event.StateOK && h.Model != nil })
	p.deliverCandidate("2.0.0")
	var told, agree uint64
	seq := uint64(1)
	for kill := range 4 {
		c := compared(t, comparisons, func(c event.Comparison) bool { return kill == 0 || c.Rows > 0 })
		if c.Rows < told || uint64(c.Agreement*float64(c.Rows)+0.5) < agree {
			t.Fatalf("after kill %d there are %d rows, %d were told", kill, c.Rows, told)
		}
		p.rows(seq, 150, rows)
		seq += 150
		c = compared(t, comparisons, func(c event.Comparison) bool { return c.Rows > told+50 })
		told, agree = c.Rows, uint64(c.Agreement*float64(c.Rows)+0.5)
		kept := c
		must.OK(t, run.Process.Signal(syscall.SIGKILL))
		if err := run.Wait(); err == nil {
			t.Fatal("it was not killed")
		}
		for drained := false; !drained; { // what it told last
			select {
			case m := <-comparisons.Events():
				last, err := event.DecodeComparison(m.Payload)
				must.OK(t, err)
				told, kept = last.Rows, last
			default:
				drained = true
			}
		}
		run = p.start()
		c = compared(t, comparisons, func(event.Comparison) bool { return true })
		if c.Rows < told || !c.Since.Equal(kept.Since) {
			t.Fatalf("%d rows were told, since %v; after kill %d there are %d since %v", told, kept.Since, kill, c.Rows, c.Since)
		}
		told = c.Rows
	}
	if _, most := memoryOf(t, run.Process.Pid); most > 40 {
		t.Errorf("two models of 100 trees take %.1f MiB", most)
	}
	if told > seq {
		t.Errorf("%d rows of %d: some count twice", told, seq)
	}
}
