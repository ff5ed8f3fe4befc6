package forwarder_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/shared/cloud"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/cloudtest"
	"edgepdm/test/coretest"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
)

const (
	forwarderName = event.CloudForwarder
	patience      = coretest.Patience
	envURL        = cloud.EnvCredentialsURL
	envToken      = cloud.EnvCredentialsToken
	envRegion     = cloud.EnvRegion
)

// rig is a forwarder on the embedded core, with its real recipe, the embedded cloud as AWS, and a client that plays the
// rest of the plant.
type rig struct {
	t      testing.TB
	core   *localcore.Core
	cloud  *localcloud.Cloud
	env    component.Environment
	vars   map[string]string // of the environment, above the core's
	client *ipc.Client
	health *coretest.Health
	acks   *ledger // ids that were acknowledged
	iot    *ledger // what IoT Core got
	log    string  // file
	stop   func()
	ahead  atomic.Int64 // of the forwarder's clock, nanoseconds

	mu    sync.Mutex
	onIoT func(topic string, payload []byte) error // called before IoT Core takes a message
}

// newRig makes a rig whose forwarder is not running, for a test that runs beside others.
func newRig(t *testing.T, set ...func(*localcore.Options)) *rig {
	t.Helper()
	t.Parallel()
	return newRigAlone(t, set...)
}

func newRigAlone(t testing.TB, set ...func(*localcore.Options)) *rig {
	t.Helper()
	core := coretest.Start(t, set...)
	r := &rig{t: t, core: core, client: coretest.Client(t, core), acks: newLedger(), iot: newLedger(), stop: func() {}}
	r.cloud = cloudtest.Start(t, func(o *localcloud.Options) { o.Publish = r.published })
	log := coretest.LogFile(t)
	r.log = log.Name()
	r.env = coretest.Environment(t, core, forwarderName, "cloud-forwarder", slog.New(slog.NewTextHandler(log, nil)))
	r.vars = cloudtest.Environment(r.cloud)
	coretest.Setenv(&r.env, r.vars)
	ends := r.cloud.Endpoints()
	r.configure(map[string]any{
		"healthInterval": "100ms", "retryMax": "100ms", "groupCommit": "20ms", "sample": "0s", "alertTopicArn": ends.TopicARN,
		"endpoints": map[string]any{"iotData": ends.IoTData, "sns": ends.SNS, "caFile": ends.CAFile},
	})
	r.health = coretest.HealthOf(t, r.client, forwarderName)
	for _, topic := range []string{event.TopicAckAlert, event.TopicAckLabel, event.TopicAckModel, event.TopicAckPrediction} {
		sub := r.subscribe(topic)
		go func() {
			for m := range sub.Events() {
				if a, err := event.DecodeAck(m.Payload); err == nil {
					r.acks.add(m.Topic, m.Payload, a.IDs...)
				}
			}
		}()
	}
	return r
}

// published is IoT Core's: it hears of a message before that is acknowledged.
func (r *rig) published(topic string, payload []byte) error {
	r.mu.Lock()
	hook := r.onIoT
	r.mu.Unlock()
	if hook != nil {
		if err := hook(topic, payload); err != nil {
			return err
		}
	}
	r.iot.add(topic, payload, idOf(payload))
	return nil
}

func (r *rig) hook(f func(topic string, payload []byte) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onIoT = f
}

func (r *rig) configure(merge map[string]any) {
	r.t.Helper()
	coretest.Configure(r.t, r.core, forwarderName, merge)
}

func (r *rig) subscribe(filter string) *ipc.Subscription[ipc.TopicMessage] {
	r.t.Helper()
	return coretest.Subscribe(r.t, r.client, filter)
}

// start runs the forwarder until stop or the end of the test, and returns once it is at work.
func (r *rig) start() {
	r.t.Helper()
	r.begin()
	r.await("a state", func(h event.Health) bool { return h.State != event.StateStarting })
}

// begin starts the forwarder and does not wait.
func (r *rig) begin() {
	f := &forwarder.Forwarder{Core: "core-1", Getenv: r.env.Getenv, Now: func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }}
	r.stop = coretest.Run(r.t, r.env, component.Spec[forwarder.Config]{Name: forwarderName, Default: forwarder.Default, Run: f.Run}, r.health)
}

// await reads health messages until one is as wanted.
func (r *rig) await(what string, wanted func(event.Health) bool) event.Health {
	r.t.Helper()
	return r.health.Await(what, wanted)
}

func (r *rig) awaitState(state event.State, detail string) event.Health {
	r.t.Helper()
	return r.await(fmt.Sprintf("%s and %q", state, detail), func(h event.Health) bool {
		return h.State == state && strings.Contains(h.Detail, detail)
	})
}

func (r *rig) awaitUplink(state event.Uplink) {
	r.t.Helper()
	r.await("uplink "+string(state), func(h event.Health) bool { return h.Uplink == state })
}

func (r *rig) awaitCounter(name string, want uint64) event.Health {
	r.t.Helper()
	return r.await(fmt.Sprintf("%s = %d", name, want), func(h event.Health) bool { return h.Counters[name] == want })
}

func (r *rig) publish(topic string, message any) {
	r.t.Helper()
	if err := r.client.Publish(r.t.Context(), topic, encode(r.t, message)); err != nil {
		r.t.Fatal(err)
	}
}

// predict publishes predictions for press-1 with the numbers from..to, and returns their ids.
func (r *rig) predict(from, to uint64, change ...func(*event.Prediction)) []string {
	r.t.Helper()
	var ids []string
	for seq := from; seq <= to; seq++ {
		p := prediction("press-1", seq)
		for _, f := range change {
			f(&p)
		}
		r.publish(event.PredictionTopic(p.Thing), p)
		ids = append(ids, p.ID)
	}
	return ids
}

func (r *rig) alert(id string, change ...func(*event.Alert)) event.Alert {
	r.t.Helper()
	a := alert(id)
	for _, f := range change {
		f(&a)
	}
	r.publish(event.AlertTopic(a.Thing), a)
	return a
}

// ontoDisk publishes predictions in portions that no queue on the way overruns, and waits until all are acknowledged.
func (r *rig) ontoDisk(from, to uint64) []string {
	r.t.Helper()
	var ids []string
	for ; from <= to; from += 500 {
		ids = append(ids, r.predict(from, min(from+499, to))...)
		r.acks.await(r.t, "acknowledgements", has(ids...))
	}
	return ids
}

func prediction(thing string, seq uint64) event.Prediction {
	return event.Prediction{
		V: 1, ID: fmt.Sprintf("%s-e-%d", thing, seq), Thing: thing, Line: "line-7", Epoch: "e", Seq: seq, TS: someTime.Add(time.Duration(seq) * time.Second),
		Model: event.ModelRef{Version: "m1"}, Probability: 0.1, Label: event.LabelNotFaulty, Threshold: 0.5, Platform: "linux/arm64",
	}
}

func alert(id string) event.Alert {
	return event.Alert{
		V: 1, ID: id, Thing: "press-1", Line: "line-7", Fault: event.FaultMachine, State: event.AlarmUnacknowledged, Severity: event.SeverityHigh,
		Since: someTime, TS: someTime.Add(time.Second), Probability: 0.971, Model: &event.ModelRef{Version: "m1"},
		Text: "Fault found on line 7, press 1. Immediate attention required.",
	}
}

var someTime = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func encode(t testing.TB, message any) []byte {
	t.Helper()
	payload, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func idOf(payload []byte) string {
	var m struct{ ID string }
	_ = json.Unmarshal(payload, &m) // none is ""
	return m.ID
}

// arrival is a message that arrived somewhere.
type arrival struct {
	topic   string
	payload []byte
	ids     []string
}

func (a arrival) replayed() bool { return strings.HasPrefix(string(a.payload), `{"replayed":true,`) }

// ledger is what arrived somewhere, in order. A test can wait for it.
type ledger struct {
	mu      sync.Mutex
	list    []arrival
	n       map[string]int // by id
	changed chan struct{}
}

func newLedger() *ledger { return &ledger{n: make(map[string]int), changed: make(chan struct{})} }

func (l *ledger) add(topic string, payload []byte, ids ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, arrival{topic, slices.Clone(payload), ids})
	for _, id := range ids {
		l.n[id]++
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *ledger) all() []arrival {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clip(l.list)
}

// counts returns how often each id arrived.
func (l *ledger) counts() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.n)
}

// await waits until what has arrived is as wanted. It gives up when nothing arrives any more: how long thousands of messages
// take on a busy machine says nothing.
func (l *ledger) await(t testing.TB, what string, condition func(map[string]int) bool) {
	t.Helper()
	for {
		l.mu.Lock()
		changed, met, n := l.changed, condition(l.n), len(l.n)
		l.mu.Unlock()
		if met {
			return
		}
		select {
		case <-changed:
		case <-time.After(patience):
			t.Fatalf("no %s: there are %d ids", what, n)
		}
	}
}

// has is the condition that all ids have arrived.
func has(ids ...string) func(map[string]int) bool {
	return func(n map[string]int) bool {
		for i := len(ids) - 1; i >= 0; i-- { // the last one comes last, mostly
			if n[ids[i]] == 0 {
				return false
			}
		}
		return true
	}
}

func times(id string, n int) func(map[string]int) bool {
	return func(counts map[string]int) bool { return counts[id] >= n }
}

// checkOrder demands that all ids arrived, nothing else did on the topics that contain part, each for the first time in this
// order, and a second time only with the mark (promises F2, F3 and F4).
func checkOrder(t testing.TB, l *ledger, part string, ids []string) {
	t.Helper()
	seen := make(map[string]bool)
	var order []string
	for _, a := range l.all() {
		if !strings.Contains(a.topic, part) {
			continue
		}
		id := a.ids[0]
		if seen[id] && !a.replayed() {
			t.Errorf("%s came again without the mark", id)
		}
		if !seen[id] {
			order = append(order, id)
		}
		seen[id] = true
	}
	if !slices.Equal(order, ids) {
		for i := range min(len(order), len(ids)) {
			if order[i] != ids[i] {
				t.Fatalf("%d of %d messages arrived; number %d is %s, want %s", len(order), len(ids), i, order[i], ids[i])
			}
		}
		t.Fatalf("%d messages arrived, want %d", len(order), len(ids))
	}
}

// awaitSNS waits for the alerts that arrive at the SNS topic, and returns how often each did.
func (r *rig) awaitSNS(condition func(map[string]int) bool) map[string]int {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	var counts map[string]int
	if err := r.cloud.Wait(ctx, func(j localcloud.Journal) bool {
		counts = j.IDs(localcloud.KindSNS)
		return condition(counts)
	}); err != nil {
		r.t.Fatal(err)
	}
	return maps.Clone(counts)
}

func (r *rig) path(parts ...string) string {
	return filepath.Join(append([]string{r.env.WorkDir}, parts...)...)
}
