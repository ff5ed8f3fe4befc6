package engine_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/event"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// undecided are settings of a rule that does not decide in a test.
func undecided() map[string]any { return map[string]any{"report": "1s", "cpuShare": 1} }

// compareSome has rows scored until a comparison has some of them.
func (d *duel) compareSome(what string, wanted func(event.Comparison) bool) event.Comparison {
	d.t.Helper()
	for range 200 {
		d.score()
	}
	return d.compared(what, wanted)
}

// Promotion and rejection by command say how far the rule is; who did it and why goes with the event.
func TestPromoteAndRejectByCommand(t *testing.T) {
	d := newDuel(t, undecided())
	for _, do := range []string{event.CommandPromote, event.CommandReject} {
		if text, err := d.ask(do, ""); err == nil || !strings.Contains(err.Error(), do+" failed: there is no candidate") {
			t.Errorf("%s: %q, %v", do, text, err)
		}
	}
	d.hold("2.0.0")
	d.compareSome("rows", func(c event.Comparison) bool { return c.Rows >= 150 })
	status, err := d.ask(event.CommandStatus, "")
	for _, part := range []string{"active model: simulated-compressor " + d.shipped, "\ncandidate: simulated-compressor 2.0.0, accepted at ", " rows in ", "\n  rows        ", "(2,000): not yet", "(at least 95 %): holds"} {
		if err != nil || !strings.Contains(status, part) {
			t.Errorf("%v: %q is not in\n%s", err, part, status)
		}
	}
	text, err := d.ask(event.CommandPromote, "checked on line 1")
	if err != nil || !strings.HasPrefix(text, "promoted simulated-compressor 2.0.0, which is active now, in place of "+d.shipped) || !strings.Contains(text, "(24h): not yet") {
		t.Errorf("%q, %v", text, err)
	}
	if e := d.until(event.ModelActivated); e.Version != "2.0.0" || !strings.HasPrefix(e.Detail, "promoted by ") || !strings.Contains(e.Detail, ": checked on line 1 (") {
		t.Errorf("%+v", e)
	}
	d.await("2.0.0", func(h event.Health) bool { return ok(h) && h.Model.Version == "2.0.0" })
	d.shipped = "2.0.0"
	d.hold("2.1.0")
	text, err = d.ask(event.CommandReject, "")
	if err != nil || !strings.HasPrefix(text, "rejected the candidate simulated-compressor 2.1.0; 2.0.0 stays active") {
		t.Errorf("%q, %v", text, err)
	}
	if e := d.until(event.ModelRejected); e.Version != "2.1.0" || !strings.HasPrefix(e.Detail, "rejected by ") {
		t.Errorf("%+v", e)
	}
}

// An engineer's command over IPC is answered on the reply's topic, and one that comes again is answered and not done again.
func TestCommandsOverIPC(t *testing.T) {
	d := newDuel(t, undecided())
	replies := coretest.Subscribe(t, d.client, event.ReplyTopic(event.TopicEngineerModel))
	order := func(c event.ModelCommand) event.Reply {
		t.Helper()
		c.V = 1
		d.publish(event.TopicEngineerModel, encode(t, c))
		select {
		case m := <-replies.Events():
			var r event.Reply
			must.OK(t, json.Unmarshal(m.Payload, &r))
			if r.ID != c.ID {
				t.Fatalf("%+v to %+v", r, c)
			}
			return r
		case <-time.After(time.Minute):
			t.Fatal("no reply")
			return event.Reply{}
		}
	}
	if r := order(event.ModelCommand{Do: "destroy", ID: "1"}); r.OK || !strings.Contains(r.Text, "do is") {
		t.Errorf("%+v", r)
	}
	if r := order(event.ModelCommand{Do: event.CommandPromote, ID: "2"}); r.OK || !strings.Contains(r.Text, "there is no candidate") {
		t.Errorf("%+v", r)
	}
	d.hold("2.0.0")
	if r := order(event.ModelCommand{Do: event.CommandStatus, ID: "3"}); !r.OK || !strings.Contains(r.Text, "candidate: simulated-compressor 2.0.0") {
		t.Errorf("%+v", r)
	}
	if r := order(event.ModelCommand{Do: event.CommandPromote, ID: "2"}); r.OK { // it was answered before
		t.Errorf("%+v", r)
	}
	first := order(event.ModelCommand{Do: event.CommandReject, ID: "4", By: "Ann", Reason: "wrong data"})
	again := order(event.ModelCommand{Do: event.CommandReject, ID: "4", By: "Ann", Reason: "wrong data"})
	if !first.OK || first.Text != again.Text || first.OK != again.OK {
		t.Errorf("%+v, then %+v", first, again)
	}
	if e := d.until(event.ModelRejected); !strings.HasPrefix(e.Detail, "rejected by Ann: wrong data") {
		t.Errorf("%+v", e)
	}
	d.hold("2.0.1")
	if r := order(event.ModelCommand{Do: event.CommandPromote, ID: "5"}); !r.OK {
		t.Errorf("%+v", r)
	}
	d.until(event.ModelActivated)
	if r := order(event.ModelCommand{Do: event.CommandRollback, ID: "6", By: "Ann"}); !r.OK || !strings.Contains(r.Text, "rolled back from simulated-compressor 2.0.1") {
		t.Errorf("%+v", r)
	}
	if e := d.until(event.ModelRolledBack); e.Detail != "was sent back by Ann" {
		t.Errorf("%+v", e)
	}
	if n := d.await("the counter", func(h event.Health) bool { return h.Counters[engine.CounterOrdersInvalid] > 0 }).Counters[engine.CounterOrdersInvalid]; n != 1 {
		t.Errorf("%d invalid commands", n)
	}
}

// The comparison begins again when the active model changes, and ends when a model above the candidate takes over.
func TestTheActiveModelChanges(t *testing.T) {
	need.Long(t)
	d := newDuel(t, undecided())
	d.hold("2.0.0")
	d.compareSome("rows", func(c event.Comparison) bool { return c.Rows >= 150 && c.Active.Version == d.shipped })
	d.p.deliver("1.5.0", nil, nil)
	d.until(event.ModelActivated)
	d.compared("the end", func(c event.Comparison) bool {
		return c.Decision == event.DecisionReplaced && c.Active.Version == d.shipped && c.Rows >= 150
	})
	d.compareSome("rows beside 1.5.0", func(c event.Comparison) bool { return c.Active.Version == "1.5.0" && c.Rows > 0 && c.Rows < 350 })
	if _, err := d.ask(event.CommandRollback, "test"); err != nil {
		t.Fatal(err)
	}
	d.until(event.ModelRolledBack)
	d.compareSome("rows beside the shipped model", func(c event.Comparison) bool {
		return c.Active.Version == d.shipped && c.Rows > 0 && c.Decision == event.DecisionOpen
	})
	d.p.deliver("3.0.0", nil, nil)
	if e := d.until(event.ModelRejected); e.Version != "2.0.0" || e.Detail != "replaced by simulated-compressor 3.0.0" {
		t.Errorf("%+v", e)
	}
	d.until(event.ModelActivated)
	if status, err := d.ask(event.CommandStatus, ""); err != nil || strings.Contains(status, "candidate:") {
		t.Errorf("%q, %v", status, err)
	}
	d.shipped = "3.0.0"
	d.hold("4.0.0")
	d.p.deliverFile(secondModel, secondGolden, "4.1.0", proving, nil)
	if e := d.until(event.ModelRejected); e.Version != "4.0.0" || e.Detail != "replaced by simulated-compressor 4.1.0" {
		t.Errorf("%+v", e)
	}
	d.until(event.ModelShadowing)
}

// What is known goes on over a restart and over changes of the configuration that do not concern it; another threshold begins again.
// A candidate that waits stays one, whatever the mode becomes.
func TestTheConfigurationChanges(t *testing.T) {
	need.Long(t)
	d := newDuel(t, undecided())
	d.hold("2.0.0")
	before := d.compareSome("rows", func(c event.Comparison) bool { return c.Rows >= 150 })
	d.stop()
	d.start(shippedModel)
	d.await("a model", ok)
	d.compared("what was known before", func(c event.Comparison) bool { return c.Rows >= before.Rows && c.Since.Equal(before.Since) })
	settings := undecided()
	settings["mode"], settings["agreement"] = "direct", 0.5
	coretest.Configure(t, d.core, engineName, map[string]any{"candidate": settings})
	d.compareSome("the new limit", func(c event.Comparison) bool {
		return c.Rules[2].Need == "at least 50 %" && c.Rows > before.Rows && c.Since.Equal(before.Since)
	})
	coretest.Configure(t, d.core, engineName, map[string]any{"threshold": 0.77})
	for d.score().Threshold != 0.77 {
	}
	d.compareSome("rows since then", func(c event.Comparison) bool { return c.Rows > 0 && c.Since.After(before.Since) })
}

// What people find at an alarm counts for the candidate, once.
func TestLabelsCount(t *testing.T) {
	d := newDuel(t, undecided())
	d.hold("2.0.0")
	d.compareSome("rows", func(c event.Comparison) bool { return c.Rows >= 150 })
	label := event.Label{
		V: 1, ID: "label-1", Thing: "press-1", Outcome: "confirmed", Since: time.Now().UTC(), TS: time.Now().UTC(),
		Rows: &event.RowSpan{First: event.RowRef{Epoch: "e1", Seq: d.seq - 50}, Last: event.RowRef{Epoch: "e1", Seq: d.seq}},
	}
	for range 2 {
		d.publish(event.LabelTopic("press-1"), encode(t, label))
	}
	label.ID, label.Outcome = "label-2", "planned"
	d.publish(event.LabelTopic("press-1"), encode(t, label))
	label.ID, label.Outcome = "label-3", "no-fault-found"
	d.publish(event.LabelTopic("press-1"), encode(t, label))
	c := d.compareSome("labels", func(c event.Comparison) bool { return c.Labeled >= 2 })
	if c.Labeled != 2 || c.Cost == nil || len(c.Rules) != 7 || c.Rules[6].Rule != "cost" {
		t.Errorf("%+v", c)
	}
}

// Where the evidence cannot be written the comparison goes on, and the health messages say so until it can.
func TestEvidenceThatCannotBeWritten(t *testing.T) {
	d := newDuel(t, quick())
	must.OK(t, os.Mkdir(filepath.Join(d.env.WorkDir, "candidate-journal"), 0o700)) // root may write wherever it is not a folder
	must.OK(t, os.WriteFile(filepath.Join(d.env.WorkDir, "candidate-journal", "x"), nil, 0o600))
	d.hold("2.0.0")
	d.await("the condition", func(h event.Health) bool {
		return h.State == event.StateDegraded && len(h.Conditions) == 1 && h.Conditions[0].Code == event.CodeDisk && h.Conditions[0].Place == "candidate"
	})
	d.until(event.ModelActivated)
	d.await("no condition", func(h event.Health) bool { return ok(h) && h.Model.Version == "2.0.0" && len(h.Conditions) == 0 })
}
