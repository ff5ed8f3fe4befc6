package engine_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// publisher makes signed deliveries of the shipped model, under other versions, and puts them into the engine's inbox.
type publisher struct {
	rig   *rig
	t     *testing.T
	key   ed25519.PrivateKey
	inbox inbox.Inbox
}

// newPublisher configures the rig's engine to trust a new key.
func newPublisher(r *rig) *publisher {
	key, err := envelope.GenerateKey(nil)
	must.OK(r.t, err)
	box := inbox.Inbox{Dir: filepath.Join(r.t.TempDir(), "inbox")}
	must.OK(r.t, inbox.Check(box.Dir))
	public := key.Public().(ed25519.PublicKey)
	coretest.Configure(r.t, r.core, engineName, map[string]any{
		"inbox": box.Dir, "publicKeys": []any{base64.StdEncoding.EncodeToString(public)},
	})
	return &publisher{r, r.t, key, box}
}

// deliver delivers a version; spoil, if not nil, changes the manifest before it is signed, or the envelope after.
func (p *publisher) deliver(version string, spoil func(*envelope.Manifest), tamper func([]byte) []byte) {
	p.t.Helper()
	p.deliverFile(shippedModel, "../model/golden.csv", version, spoil, tamper)
}

// gone waits until the inbox is empty.
func (p *publisher) gone() {
	p.t.Helper()
	p.rig.await("an empty inbox", func(event.Health) bool {
		ready, err := p.inbox.Ready()
		return err == nil && len(ready) == 0
	})
}

// deliverFile does that with another model.
func (p *publisher) deliverFile(model, golden, version string, spoil func(*envelope.Manifest), tamper func([]byte) []byte) {
	p.t.Helper()
	d, err := p.inbox.Begin("model-" + version)
	must.OK(p.t, err)
	var archive bytes.Buffer
	packed, err := envelope.Pack(&archive, model)
	must.OK(p.t, err)
	m, err := envelope.BuildManifest(model, golden, envelope.Build{
		Name: "simulated-compressor", Version: version, Created: time.Now(), Expires: time.Now().Add(time.Hour), Archive: packed.Archive,
	})
	must.OK(p.t, err)
	if spoil != nil {
		spoil(&m)
	}
	sealed, err := envelope.Sign(m, p.key)
	must.OK(p.t, err)
	if tamper != nil {
		sealed = tamper(sealed)
	}
	for name, data := range map[string][]byte{inbox.ArchiveFile: archive.Bytes(), envelope.EnvelopeFile: sealed} {
		must.OK(p.t, os.WriteFile(d.Path(name), data, 0o600))
	}
	must.OK(p.t, d.Commit())
}

// atWork returns a rig whose engine scores with the shipped model, and a publisher of others.
func atWork(t *testing.T) (r *rig, p *publisher, shipped string) {
	t.Helper()
	r = newRig(t)
	p = newPublisher(r)
	r.start(shippedModel)
	return r, p, r.await("a model", ok).Model.Version
}

// modelEvent waits for the next event of a model. One that nobody acknowledged comes again, under its id.
func (r *rig) modelEvent(step event.ModelStep) event.ModelEvent {
	r.t.Helper()
	select {
	case m := <-r.events.Events():
		e, err := event.DecodeModelEvent(m.Payload)
		must.OK(r.t, err)
		if r.heard[e.ID] {
			return r.modelEvent(step)
		}
		r.heard[e.ID] = true
		if e.Event != step || m.Topic != event.ModelTopic(step) {
			r.t.Fatalf("event %+v, want %s", e, step)
		}
		return e
	case <-time.After(time.Minute):
		r.t.Fatalf("no event %s", step)
		return event.ModelEvent{}
	}
}

// M3, M6, M7, M8: a signed model takes over between two rows; what is bad is refused and the old one stays; an operator
// rolls back.
func TestModelsAreDeliveredRefusedAndRolledBack(t *testing.T) {
	need.Long(t)
	r, p, shipped := atWork(t)
	_, rows, _ := golden(t)
	seq := uint64(0)
	// scoredBy publishes a row and checks which model scores it.
	scoredBy := func(version string) {
		t.Helper()
		seq++
		r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(seq, rows[0])))
		if got := r.prediction(); got.Seq != seq || got.Model.Version != version {
			t.Fatalf("row %d is scored by %+v, want model %s", seq, got.Model, version)
		}
	}
	scoredBy(shipped)

	p.deliver("1.1.0", nil, nil)
	if e := r.modelEvent(event.ModelActivated); e.Version != "1.1.0" || e.SHA256 == "" || e.ID == "" {
		t.Errorf("%+v", e)
	}
	r.await("the new model", func(h event.Health) bool { return h.Model != nil && h.Model.Version == "1.1.0" })
	scoredBy("1.1.0")

	for _, c := range []struct {
		why, version string
		spoil        func(*envelope.Manifest)
		tamper       func([]byte) []byte
	}{
		{"signature", "1.2.0", nil, func(envelope []byte) []byte {
			var e struct {
				PayloadType string            `json:"payloadType"`
				Payload     []byte            `json:"payload"`
				Signatures  []json.RawMessage `json:"signatures"`
			}
			must.OK(t, json.Unmarshal(envelope, &e))
			e.Payload = bytes.Replace(e.Payload, []byte("1.2.0"), []byte("9.2.0"), 1)
			return encode(t, e)
		}},
		{"golden row", "1.3.0", func(m *envelope.Manifest) { m.Golden[3].Margin += 0.001 }, nil},
		{"1.0.0", "1.0.0", nil, nil}, // a downgrade
		{"expire", "1.4.0", func(m *envelope.Manifest) {
			m.Created, m.Expires = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		}, nil},
	} {
		p.deliver(c.version, c.spoil, c.tamper)
		if e := r.modelEvent(event.ModelRejected); !strings.Contains(e.Detail, c.why) {
			t.Errorf("%s: %+v", c.why, e)
		}
		scoredBy("1.1.0")
		p.gone()
	}

	if text, err := r.ask(event.CommandRollback, "too many false alarms"); err != nil || !strings.Contains(text, "1.1.0 to simulated-compressor "+shipped) {
		t.Errorf("%q, %v", text, err)
	}
	if e := r.modelEvent(event.ModelRolledBack); e.Version != "1.1.0" || e.Detail != "too many false alarms" {
		t.Errorf("%+v", e)
	}
	r.await("the old model", func(h event.Health) bool { return h.Model != nil && h.Model.Version == shipped })
	scoredBy(shipped)
	h := r.await("the counters", func(h event.Health) bool { return h.Counters[engine.CounterModelsRolledBack] == 1 })
	if h.Counters[engine.CounterModelsActivated] != 1 || h.Counters[engine.CounterModelsRejected] != 4 {
		t.Errorf("%v", h.Counters)
	}
}

// The active model that is delivered again, in the same envelope or signed once more, is nothing at all.
func TestTheActiveModelDeliveredAgain(t *testing.T) {
	need.Long(t)
	r, p, _ := atWork(t)
	created := time.Now()
	same := func(m *envelope.Manifest) { m.Created, m.Expires = created, created.Add(time.Hour) }
	p.deliver("1.1.0", same, nil)
	r.modelEvent(event.ModelActivated)
	p.gone()
	p.deliver("1.1.0", same, nil)
	p.gone()
	p.deliver("1.1.0", nil, nil)
	p.gone()
	p.deliver("1.2.0", nil, nil)
	if e := r.modelEvent(event.ModelActivated); e.Version != "1.2.0" {
		t.Errorf("%+v", e)
	}
	h := r.await("1.2.0", func(h event.Health) bool { return ok(h) && h.Model.Version == "1.2.0" })
	if h.Counters[engine.CounterModelsRejected] != 0 || h.Counters[engine.CounterModelsActivated] != 2 {
		t.Errorf("%v", h.Counters)
	}
}

// A rollback needs no key: it is done also where no model is taken from the inbox.
func TestRollbackWithoutKeys(t *testing.T) {
	r, p, shipped := atWork(t)
	p.deliver("1.1.0", nil, nil)
	r.modelEvent(event.ModelActivated)
	r.stop()
	coretest.Configure(t, r.core, engineName, map[string]any{"publicKeys": []any{}, "allowUnsigned": false})
	r.start(shippedModel)
	r.await("1.1.0", func(h event.Health) bool { return ok(h) && h.Model.Version == "1.1.0" })
	if text, err := r.ask(event.CommandRollback, "false alarms"); err != nil || !strings.Contains(text, "1.1.0 to simulated-compressor "+shipped) {
		t.Errorf("%q, %v", text, err)
	}
	r.modelEvent(event.ModelRolledBack)
	r.await("the shipped model", func(h event.Health) bool { return ok(h) && h.Model.Version == shipped })
}

// The active model stays the active one in the next process.
func TestActiveModelSurvivesARestart(t *testing.T) {
	r, p, _ := atWork(t)
	p.deliver("2.0.0", nil, nil)
	r.modelEvent(event.ModelActivated)
	r.stop()
	r.start(shippedModel)
	r.await("the delivered model", func(h event.Health) bool { return ok(h) && h.Model.Version == "2.0.0" })
}

// M7: a model that is too slow is sent back by itself, and no row is lost over it.
func TestASlowModelIsSentBack(t *testing.T) {
	r := newRig(t)
	p := newPublisher(r)
	coretest.Configure(t, r.core, engineName, map[string]any{"maxScore": "1ns"})
	r.start(shippedModel)
	shipped := r.await("a model", ok).Model.Version
	p.deliver("1.1.0", nil, nil)
	r.modelEvent(event.ModelActivated)
	_, rows, _ := golden(t)
	back := false
	for seq := uint64(1); seq <= 40; seq++ {
		r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(seq, rows[0])))
		got := r.prediction()
		if got.Seq != seq {
			t.Fatalf("prediction %d, want %d", got.Seq, seq)
		}
		back = got.Model.Version == shipped
	}
	if !back {
		t.Error("the slow model is still active")
	}
	if e := r.modelEvent(event.ModelRolledBack); !strings.Contains(e.Detail, "took more than 1ns") {
		t.Errorf("%+v", e)
	}
}

// A process that runs the engine again, as after a lost connection, gives model events ids of their own, and forgets no
// message that was lost before.
func TestASecondRunOfAProcess(t *testing.T) {
	r := newRig(t)
	p := newPublisher(r)
	again, next := context.WithCancel(t.Context())
	defer next()
	r.startRun(func(ctx context.Context, rt *component.Runtime, config engine.Config) error {
		e := engine.Engine{ShippedModel: shippedModel, Now: time.Now}
		first, end := context.WithCancel(ctx)
		defer end()
		defer context.AfterFunc(again, end)()
		if err := e.Run(first, rt, config); err != nil {
			return err
		}
		rt.Counter(engine.CounterDropped).Add(5)
		rt.Counter(engine.CounterGarbled).Add(3)
		return e.Run(ctx, rt, config)
	})
	r.await("a model", ok)
	p.deliver("1.1.0", nil, nil)
	one := r.modelEvent(event.ModelActivated)
	next()
	p.deliver("1.2.0", nil, nil)
	if two := r.modelEvent(event.ModelActivated); one.ID == two.ID || two.Version != "1.2.0" {
		t.Errorf("%+v has the id of %+v", two, one)
	}
	h := r.await("the second run", func(h event.Health) bool { return ok(h) && h.Model.Version == "1.2.0" })
	if h.Counters[engine.CounterDropped] != 5 || h.Counters[engine.CounterGarbled] != 3 {
		t.Errorf("%v", h.Counters)
	}
}

// The detail of an event, and what the store remembers, end between two characters.
func TestDetailsAreCutBetweenCharacters(t *testing.T) {
	need.Long(t)
	r, p, shipped := atWork(t)
	for _, reason := range []string{strings.Repeat("€", 400), "a" + strings.Repeat("€", 400), "ab" + strings.Repeat("€", 400)} {
		version := fmt.Sprintf("1.%d.0", len(reason))
		p.deliver(version, nil, nil)
		r.modelEvent(event.ModelActivated)
		if _, err := r.ask(event.CommandRollback, reason); err != nil {
			t.Fatal(err)
		}
		if e := r.modelEvent(event.ModelRolledBack); !strings.HasPrefix(reason, e.Detail) || len(e.Detail) < 590 {
			t.Errorf("%q", e.Detail)
		}
		r.await(shipped, func(h event.Health) bool { return ok(h) && h.Model.Version == shipped })
	}
	r.stop()
	data, err := os.ReadFile(r.storePath("quarantine.json"))
	if err != nil || bytes.ContainsRune(data, '\ufffd') || bytes.Contains(data, []byte(`\ufffd`)) || !bytes.Contains(data, []byte("€…")) {
		t.Errorf("%s, %v", data, err)
	}
}
