package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// slowModel makes a model that takes long for a row, and finds those faulty whose first feature is above a half.
func slowModel(t *testing.T, trees int) (path string) {
	t.Helper()
	const (
		depth    = 6
		splits   = 1<<depth - 1
		nodes    = 2*splits + 1
		features = 4
	)
	list := func(n int, of func(i int) string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = of(i)
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	child := func(side int) func(i int) string {
		return func(i int) string {
			if i >= splits {
				return "-1"
			}
			return strconv.Itoa(2*i + side)
		}
	}
	zeros := func(int) string { return "0" }
	right := func(i int) bool { // of the first split
		for i > 2 {
			i = (i - 1) / 2
		}
		return i == 2
	}
	left, rights := list(nodes, child(1)), list(nodes, child(2))
	all := list(trees, func(k int) string {
		indices := list(nodes, func(i int) string {
			if i == 0 || i >= splits {
				return "0"
			}
			return strconv.Itoa(1 + (i+k)%(features-1))
		})
		conditions := list(nodes, func(i int) string {
			switch {
			case i == 0:
				return "0.5"
			case i < splits:
				return fmt.Sprintf("%.3f", float64((i*31+k*17)%1000)/1000)
			case right(i):
				return "0.01"
			}
			return "-0.01"
		})
		return fmt.Sprintf(`{"id":%d,"tree_param":{"num_nodes":"%d","size_leaf_vector":"1"},"left_children":%s,"right_children":%s,"split_indices":%s,"split_conditions":%s,"default_left":%s}`,
			k, nodes, left, rights, indices, conditions, list(nodes, zeros))
	})
	text := fmt.Sprintf(`{"version":[3,0,5],"learner":{"attributes":{},"feature_names":["a","b","c","d"],"feature_types":["float","float","float","float"],
"gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_parallel_tree":"1","num_trees":"%d"},"iteration_indptr":%s,"tree_info":%s,"trees":%s}},
"learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"%d","num_target":"1"},
"objective":{"name":"binary:logistic","reg_loss_param":{"scale_pos_weight":"1"}}}}`,
		trees, list(trees+1, strconv.Itoa), list(trees, zeros), all, features)
	path = filepath.Join(t.TempDir(), "slow.json")
	must.OK(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// crowd are machines that send far more rows than are scored, in batches.
type crowd struct {
	t      *testing.T
	client *ipc.Client
	sent   map[string]uint64
	fails  bool // press-1 does
}

const (
	crowded = 12 // things that send a row in each batch
	chatter = 30 // rows of press-0 in each batch beside its own
	quiet   = "quiet"
)

// send publishes batches until ctx ends. The quiet thing has a row in each hundredth.
func (c *crowd) send(ctx context.Context, fails <-chan struct{}) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-fails:
			c.fails, fails = true, nil
		case <-tick.C:
		}
		b := event.TelemetryBatch{V: 1}
		for i := range crowded {
			b.Rows = append(b.Rows, c.row(fmt.Sprint("press-", i)))
		}
		for range chatter {
			b.Rows = append(b.Rows, c.row("press-0"))
		}
		if n%100 == 0 {
			b.Rows = append(b.Rows, c.row(quiet))
		}
		if err := c.client.Publish(context.WithoutCancel(ctx), event.TopicTelemetryBatch, must.JSON(c.t, b)); err != nil {
			c.t.Errorf("publish a batch: %v", err)
			return
		}
	}
}

func (c *crowd) row(thing string) event.Telemetry {
	c.sent[thing]++
	values := event.Values{0, 0.1, 0.2, 0.3}
	if c.fails && thing == "press-1" {
		values[0] = 1
	}
	return event.Telemetry{V: 1, Thing: thing, Epoch: "e1", Seq: c.sent[thing], TS: time.Now().UTC(), Values: values}
}

// scored counts the predictions of each thing.
type scored struct {
	t    *testing.T
	last map[string]uint64
	rows map[string]uint64
}

// take takes a prediction of a topic, on which those of a thing must come in order.
func (s *scored) take(topic string, p event.Prediction) {
	if key := topic + p.Thing; p.Seq <= s.last[key] {
		s.t.Errorf("the prediction of row %d of %s comes after that of row %d", p.Seq, p.Thing, s.last[key])
	} else {
		s.last[key] = p.Seq
	}
	s.last[p.Thing] = max(s.last[p.Thing], p.Seq)
	s.rows[p.Thing]++
}

// Many times as many rows as can be scored: every thing is scored, as often as the others however much one sends, and the rows of
// one that sends little all are. Each row is counted, memory is bounded, and the alarm of a machine that fails arrives.
func TestOverloadIsFair(t *testing.T) {
	need.Long(t)
	p := newPlant(t)
	coretest.Configure(t, p.core, event.InferenceEngine, map[string]any{"model": slowModel(t, 10_000), "reasonsPerSecond": 0})
	options := coretest.Granted(t, p.core, "com.edgepdm.Listener")
	options.Queue = 1 << 20 // this test is to hear all
	listener := coretest.Dial(t, options)
	single, batches := coretest.Subscribe(t, listener, event.FilterPrediction), coretest.Subscribe(t, listener, event.TopicPredictionBatch)
	alerts := coretest.Subscribe(t, listener, event.FilterAlert)

	manager := coretest.Environment(t, p.core, event.AlarmManager, "alarm-manager", slog.New(slog.DiscardHandler))
	managerHealth := coretest.HealthOf(t, p.client, event.AlarmManager)
	coretest.StartProgram(t, manager, nil, coretest.Build(t, "../alarm-manager"))
	managerHealth.Await("the manager", func(h event.Health) bool { return h.State != event.StateStarting })
	run := coretest.StartProgram(t, p.env, nil, p.program)
	p.health.Await("a model", func(h event.Health) bool { return h.State == event.StateOK && h.Model != nil })
	before, _ := memoryOf(t, run.Process.Pid)
	peak := before

	ctx, stop := context.WithCancel(t.Context())
	plant, failing, sending := &crowd{t: t, client: coretest.Dial(t, coretest.Granted(t, p.core, "com.edgepdm.Sender")), sent: make(map[string]uint64)}, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sending)
		plant.send(ctx, failing)
	}()
	t.Cleanup(func() {
		stop()
		<-sending
	})
	got := &scored{t, make(map[string]uint64), make(map[string]uint64)}
	collect := func(until func() bool, what string) {
		t.Helper()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for timeout := time.After(coretest.Patience); ; {
			select {
			case m := <-single.Events():
				one, err := event.DecodePrediction(m.Payload)
				must.OK(t, err)
				got.take(m.Topic, one)
			case m := <-batches.Events():
				list, err := event.DecodePredictionBatch(m.Payload)
				must.OK(t, err)
				for _, one := range list {
					must.OK(t, one.Err)
					got.take(m.Topic, one.Prediction)
				}
			case <-tick.C:
				now, _ := memoryOf(t, run.Process.Pid)
				if peak = max(peak, now); until() {
					return
				}
			case <-timeout:
				t.Fatalf("%s: never; %v were sent, %v scored, health is %+v", what, plant.sent, got, p.health.Await("any", func(event.Health) bool { return true }))
			}
		}
	}
	healths := coretest.Subscribe(t, listener, event.HealthTopic(event.InferenceEngine))
	var health event.Health
	hear := func() bool {
		for {
			select {
			case m := <-healths.Events():
				var err error
				health, err = event.DecodeHealth(m.Payload)
				must.OK(t, err)
			default:
				return health.Counters != nil
			}
		}
	}
	collect(func() bool {
		return hear() && health.Counters[engine.CounterSuperseded] > 10_000 && health.State == event.StateDegraded
	}, "overload")
	if len(health.Conditions) != 1 || health.Conditions[0].Code != event.CodeOverload || !strings.Contains(health.Conditions[0].Detail, "not scored") {
		t.Errorf("%+v", health.Conditions)
	}
	earlier := maps.Clone(got.rows)
	close(failing)
	began := time.Now()
	var alert event.Alert
	collect(func() bool {
		for {
			select {
			case m := <-alerts.Events():
				a, err := event.DecodeAlert(m.Payload)
				must.OK(t, err)
				if a.Thing == "press-1" && a.Fault == event.FaultMachine {
					alert = a
					return true
				}
			default:
				return false
			}
		}
	}, "the alarm")
	t.Logf("the alarm of %s came %v after it failed", alert.Thing, time.Since(began))
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("the alarm took %v", took)
	}
	least, most := uint64(math.MaxUint64), uint64(0)
	collect(func() bool {
		least, most = math.MaxUint64, 0
		for i := range crowded {
			n := got.rows[fmt.Sprint("press-", i)] - earlier[fmt.Sprint("press-", i)]
			least, most = min(least, n), max(most, n)
		}
		return most >= 1000
	}, "predictions of all")
	stop()
	<-sending
	var sum uint64
	for _, n := range plant.sent {
		sum += n
	}
	collect(func() bool {
		c := hear() && health.Counters[engine.CounterRows] == health.Counters[engine.CounterPredictions]+health.Counters[engine.CounterSuperseded]
		for thing, last := range plant.sent {
			c = c && got.last[thing] == last // the newest row of each is scored
		}
		return c
	}, "every row is accounted for")
	p.health.Await("the gaps", func(h event.Health) bool {
		c := h.Counters
		return c[engine.CounterPredictions]+c[event.CounterTelemetryMissed]+c[event.CounterTelemetryUnheard] == sum
	})
	c := health.Counters
	if c[engine.CounterRefused] > 0 || c[engine.CounterDropped] == 0 && c[engine.CounterRows] != sum {
		t.Errorf("%d rows were sent; %v", sum, c)
	}
	if sum < 3*c[engine.CounterPredictions] {
		t.Errorf("%d rows were sent and %d scored: that is no overload", sum, c[engine.CounterPredictions])
	}
	t.Logf("%d rows sent, %d scored, %d gave way, %d messages dropped; of a thing %d to %d scored; of the quiet one %d of %d; %.1f MiB before, at most %.1f",
		sum, c[engine.CounterPredictions], c[engine.CounterSuperseded], c[engine.CounterDropped], least, most, got.rows[quiet], plant.sent[quiet], before, peak)
	if float64(most) > 1.2*float64(least) {
		t.Errorf("of one thing %d rows are scored, of another %d", least, most)
	}
	if c[engine.CounterDropped] == 0 && got.rows[quiet] != plant.sent[quiet] {
		t.Errorf("of the quiet thing %d rows of %d are scored", got.rows[quiet], plant.sent[quiet])
	}
	if peak > before+64 {
		t.Errorf("%.1f MiB before, at most %.1f", before, peak)
	}
}
