package engine_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
)

// slow puts a proxy between the engine and the core, which calls pass before each message of the engine goes on.
func (r *rig) slow(pass func()) {
	r.t.Helper()
	there := r.env.Getenv(ipc.EnvSocket)
	here := filepath.Join(r.t.TempDir(), "ipc.socket")
	listener, err := net.Listen("unix", here)
	must.OK(r.t, err)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			engine, err := listener.Accept()
			if err != nil {
				return
			}
			core, err := net.Dial("unix", there)
			if err != nil {
				r.t.Error(err)
				return
			}
			work.Go(func() {
				defer func() { _ = core.Close() }()
				for {
					head := make([]byte, 4) // a frame's length
					if _, err := io.ReadFull(engine, head); err != nil {
						return
					}
					pass()
					if _, err := core.Write(head); err != nil {
						return
					}
					if _, err := io.CopyN(core, engine, int64(binary.BigEndian.Uint32(head))-4); err != nil {
						return
					}
				}
			})
			work.Go(func() {
				defer func() { _ = engine.Close() }()
				_, _ = io.Copy(engine, core)
			})
		}
	})
	r.t.Cleanup(func() {
		r.stop()
		_ = listener.Close()
		work.Wait()
	})
	getenv := r.env.Getenv
	r.env.Getenv = func(name string) string {
		if name == ipc.EnvSocket {
			return here
		}
		return getenv(name)
	}
}

// gate lets messages pass, or holds them.
type gate struct {
	mu   sync.Mutex
	cond *sync.Cond
	shut bool
}

func newGate() *gate {
	g := new(gate)
	g.cond = sync.NewCond(&g.mu)
	return g
}

func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.shut {
		g.cond.Wait()
	}
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	g.cond.Broadcast()
}

// collected are the predictions that leave, by the way they take.
type collected struct {
	single, batched []event.Prediction
	batches         int
}

func (r *rig) collect(batches *ipc.Subscription[ipc.TopicMessage], n int) (c collected) {
	r.t.Helper()
	timeout := time.After(20 * time.Second)
	for len(c.single)+len(c.batched) < n {
		select {
		case m := <-r.predictions.Events():
			p, err := event.DecodePrediction(m.Payload)
			must.OK(r.t, err)
			c.single = append(c.single, p)
		case m := <-batches.Events():
			list, err := event.DecodePredictionBatch(m.Payload)
			must.OK(r.t, err)
			c.batches++
			for _, p := range list {
				c.batched = append(c.batched, p.Prediction)
			}
		case <-timeout:
			r.t.Fatalf("%d single and %d batched predictions, want %d in all", len(c.single), len(c.batched), n)
		}
	}
	return c
}

func (r *rig) batches() *ipc.Subscription[ipc.TopicMessage] {
	r.t.Helper()
	sub, err := r.client.Subscribe(r.t.Context(), event.TopicPredictionBatch, "")
	must.OK(r.t, err)
	return sub
}

// While the nucleus is slower than the rows, predictions wait for each other and leave together; none is lost. Where batches
// are off each leaves by itself all the same.
func TestPredictionsLeaveTogetherWhenTheNucleusIsSlow(t *testing.T) {
	const n = 40
	for mode, together := range map[engine.BatchMode]bool{engine.BatchAuto: true, engine.BatchOff: false} {
		t.Run(string(mode), func(t *testing.T) {
			r := newRig(t)
			coretest.Configure(t, r.core, engineName, map[string]any{"predictionBatch": string(mode)})
			batches := r.batches()
			g := newGate()
			r.slow(g.pass)
			t.Cleanup(func() { g.set(false) })
			runtimes := make(chan *component.Runtime, 2) // of the run, and of the one with another configuration
			e := engine.Engine{ShippedModel: shippedModel, Now: time.Now}
			r.startRun(func(ctx context.Context, rt *component.Runtime, config engine.Config) error {
				runtimes <- rt
				return e.Run(ctx, rt, config)
			})
			r.await("a model", ok)
			_, rows, _ := golden(t)
			r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(1, rows[0])))
			if c := r.collect(batches, 1); len(c.single) != 1 {
				t.Errorf("a single row gave %+v", c)
			}
			g.set(true)
			for seq := uint64(2); seq <= n; seq++ {
				r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(seq, rows[0])))
			}
			heard := (<-runtimes).Counter(engine.CounterRows)
			ticker := time.NewTicker(time.Millisecond)
			defer ticker.Stop()
			for deadline := time.Now().Add(20 * time.Second); heard.Load() < n; <-ticker.C {
				if time.Now().After(deadline) {
					t.Fatalf("%d rows were heard", heard.Load())
				}
			}
			g.set(false)
			c := r.collect(batches, n-1)
			if together != (len(c.batched) > 0) {
				t.Errorf("%d single, %d in %d batches", len(c.single), len(c.batched), c.batches)
			}
			if together && len(c.batched) < 2*c.batches {
				t.Errorf("%d in %d batches", len(c.batched), c.batches)
			}
			h := r.await("all", func(h event.Health) bool { return h.Counters[engine.CounterPredictions] == n })
			if h.Counters[event.CounterTelemetryMissed] != 0 || h.Counters[engine.CounterBatches] != uint64(c.batches) {
				t.Errorf("%v", h.Counters)
			}
		})
	}
}

// Rows that came in one message leave in one, beside invalid ones; a batch of one leaves as that of a thing.
func TestRowsOfABatchLeaveTogether(t *testing.T) {
	r := newRig(t)
	batches := r.batches()
	r.start(shippedModel)
	r.await("a model", ok)
	_, rows, _ := golden(t)
	batch := func(seqs ...uint64) []byte {
		b := event.TelemetryBatch{V: 1}
		for _, seq := range seqs {
			row := telemetry(seq, nil)
			row.Packed = rows[0]
			b.Rows = append(b.Rows, row)
		}
		return encode(t, b)
	}
	r.publish(event.TopicTelemetryBatch, batch(1, 2, 3))
	if c := r.collect(batches, 3); len(c.batched) != 3 || c.batches != 1 || c.batched[2].ID != "press-1-e1-3" {
		t.Errorf("%+v", c)
	}
	r.publish(event.TopicTelemetryBatch, batch(4))
	if c := r.collect(batches, 1); len(c.single) != 1 {
		t.Errorf("%+v", c)
	}
	coretest.Configure(t, r.core, engineName, map[string]any{"predictionBatch": "off"})
	for seq := uint64(5); ; seq += 2 { // until the change has arrived
		r.publish(event.TopicTelemetryBatch, batch(seq, seq+1))
		if c := r.collect(batches, 2); len(c.single) == 2 {
			break
		}
	}
}

// A deployment that grants no batches, as one of a version before, costs no prediction.
func TestPredictionsLeaveSinglyWhereBatchesAreNotGranted(t *testing.T) {
	r := newRig(t)
	coretest.Configure(t, r.core, engineName, map[string]any{"accessControl": map[string]any{
		"aws.greengrass.ipc.pubsub": map[string]any{"com.edgepdm.InferenceEngine:pubsub:2": map[string]any{
			"operations": []any{"aws.greengrass#PublishToTopic"},
			"resources":  []any{"pdm/v1/prediction/*", "pdm/v1/health/com.edgepdm.InferenceEngine"},
		}},
	}})
	r.start(shippedModel)
	r.await("a model", ok)
	_, rows, _ := golden(t)
	for i := range uint64(2) {
		b := event.TelemetryBatch{V: 1}
		for j := range uint64(2) {
			row := telemetry(2*i+j+1, nil)
			row.Packed = rows[0]
			b.Rows = append(b.Rows, row)
		}
		r.publish(event.TopicTelemetryBatch, encode(t, b))
		for j := range uint64(2) {
			if p := r.prediction(); p.Seq != 2*i+j+1 {
				t.Errorf("prediction %d", p.Seq)
			}
		}
	}
	h := r.await("all", func(h event.Health) bool { return h.Counters[engine.CounterPredictions] == 4 })
	if h.State != event.StateOK || h.Counters[engine.CounterRefused] != 0 || h.Counters[event.CounterTelemetryMissed] != 0 {
		t.Errorf("%+v", h)
	}
}

// Where the nucleus refuses predictions the state says so.
func TestRefusedPredictionsAreTold(t *testing.T) {
	r := newRig(t)
	coretest.Configure(t, r.core, engineName, map[string]any{"accessControl": map[string]any{
		"aws.greengrass.ipc.pubsub": map[string]any{"com.edgepdm.InferenceEngine:pubsub:2": map[string]any{
			"operations": []any{"aws.greengrass#PublishToTopic"}, "resources": []any{"pdm/v1/health/com.edgepdm.InferenceEngine"},
		}},
	}})
	r.start(shippedModel)
	r.await("a model", ok)
	_, rows, _ := golden(t)
	r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(1, rows[0])))
	r.await("the refusal", func(h event.Health) bool {
		return h.State == event.StateDegraded && len(h.Conditions) == 1 && h.Conditions[0].Code == event.CodeNotAuthorized &&
			h.Counters[engine.CounterRefused] == 1
	})
}
