package simulator_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/components/sensor-simulator/simulator"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/shadow"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
)

const (
	accepted = "$aws/things/+/shadow/update/accepted"
)

func withShadows(o *localcore.Options) { o.ShadowManager = true }

// site is a core with programs on it, and a client that hears them.
type site struct {
	t      *testing.T
	core   *localcore.Core
	client *ipc.Client
	health map[string]*coretest.Health
}

func newSite(t *testing.T, set ...func(*localcore.Options)) *site {
	t.Helper()
	core := coretest.Start(t, set...)
	return &site{t: t, core: core, client: coretest.Client(t, core), health: make(map[string]*coretest.Health)}
}

func (s *site) hear(filter string) *ipc.Subscription[ipc.TopicMessage] {
	s.t.Helper()
	return coretest.Subscribe(s.t, s.client, filter)
}

// run runs a component with its real recipe, the configuration that its README shows to merge, and config.
func run[C any](s *site, dir string, spec component.Spec[C], config ...map[string]any) {
	s.t.Helper()
	env := coretest.Environment(s.t, s.core, spec.Name, dir, slog.New(slog.DiscardHandler))
	coretest.Configure(s.t, s.core, spec.Name, map[string]any{"healthInterval": "100ms"})
	for _, c := range config {
		coretest.Configure(s.t, s.core, spec.Name, c)
	}
	s.health[spec.Name] = coretest.HealthOf(s.t, s.client, spec.Name)
	coretest.Run(s.t, env, spec, s.health[spec.Name])
}

func (s *site) simulator(config ...map[string]any) {
	s.t.Helper()
	run(s, "sensor-simulator", component.Spec[simulator.Config]{Name: event.SensorSimulator, Default: simulator.Default, Run: simulator.Run}, config...)
}

func (s *site) engine(config ...map[string]any) {
	s.t.Helper()
	model := filepath.Join("..", "..", "inference-engine", "model", "model.ubj")
	run(s, "inference-engine", component.Spec[engine.Config]{
		Name: event.InferenceEngine, Version: "1.2.3", Default: engine.Default, Run: (&engine.Engine{ShippedModel: model, Now: time.Now}).Run,
	}, config...)
}

func next(t *testing.T, sub *ipc.Subscription[ipc.TopicMessage]) ipc.TopicMessage {
	t.Helper()
	select {
	case m, open := <-sub.Events():
		if !open {
			t.Fatal(sub.Err())
		}
		return m
	case <-time.After(time.Minute):
		t.Fatal("no message")
		return ipc.TopicMessage{}
	}
}

// await reads health messages of a component until one is as wanted.
func (s *site) await(name string, wanted func(event.Health) bool) event.Health {
	s.t.Helper()
	return s.health[name].Await(name+" as wanted", wanted)
}

// As in the workshop: the sensor updates its shadow, the engine hears of it and predicts. With the grants that the READMEs show.
func TestRowsGoThroughShadows(t *testing.T) {
	s := newSite(t, withShadows)
	rows, predictions := s.hear(accepted), s.hear(event.FilterPrediction)
	results := s.hear("$aws/things/+/shadow/name/prediction/update/accepted")
	telemetry := s.hear(event.FilterTelemetry)
	s.engine(coretest.ShownMerge(t, "inference-engine"))
	s.simulator(map[string]any{"things": 2, "rate": 5}, coretest.ShownMerge(t, "sensor-simulator"))
	seq := make(map[string]uint64)
	labels := make(map[string]string) // by prediction
	for range 8 {
		m := next(t, rows)
		row, err := event.DecodeShadow(event.ShadowThing(m.Topic), m.Payload, time.Time{})
		must.OK(t, err)
		seq[row.Thing]++
		if row.Seq != seq[row.Thing] || !row.Simulated || len(row.Readings) != plant.SensorCount {
			t.Fatalf("row %d of %s with %d readings", row.Seq, row.Thing, len(row.Readings))
		}
		p, err := event.DecodePrediction(next(t, predictions).Payload)
		must.OK(t, err)
		if p.ID != row.ID() || p.Epoch != event.ShadowEpoch || !p.Simulated || p.Probability <= 0 || p.Probability >= 1 {
			t.Errorf("prediction %+v of row %s", p, row.ID())
		}
		labels[p.ID] = p.Label
	}
	if len(seq) != 2 {
		t.Errorf("rows of %v", seq)
	}
	var result struct {
		State struct {
			Reported struct{ ID, Label string }
		}
	}
	must.OK(t, json.Unmarshal(next(t, results).Payload, &result))
	if got := result.State.Reported; got.Label == "" || labels[got.ID] != got.Label {
		t.Errorf("shadow of predictions has %+v, the predictions are %v", got, labels)
	}
	for _, name := range []string{event.SensorSimulator, event.InferenceEngine} {
		h := s.await(name, func(h event.Health) bool { return h.Counters[shadow.CounterWritten] >= 8 })
		if h.State != event.StateOK || h.Counters[shadow.CounterRefused] != 0 {
			t.Errorf("%+v", h)
		}
	}
	select {
	case m := <-telemetry.Events():
		t.Errorf("a row on %s, too", m.Topic)
	default:
	}
	for _, g := range s.core.Grants() {
		if g.Service == "aws.greengrass.ShadowManager" && !g.Used {
			t.Errorf("grant that is not used: %+v", g)
		}
	}
	if denials := s.core.Denials(); len(denials) > 0 {
		t.Errorf("denials %+v", denials)
	}
}

// Where there are no shadows, the state says so and the rows, all of them, go to publish/subscribe.
func TestWithoutShadowsRowsAreTelemetry(t *testing.T) {
	for name, set := range map[string]func(*localcore.Options){
		"classic without the shadow manager": func(*localcore.Options) {},
		"lite":                               func(o *localcore.Options) { o.Mode = localcore.Lite },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, set)
			predictions := s.hear(event.FilterPrediction)
			s.engine(coretest.ShownMerge(t, "inference-engine"))
			s.simulator(map[string]any{"things": 1, "rate": 20}, coretest.ShownMerge(t, "sensor-simulator"))
			for i := range uint64(5) {
				p, err := event.DecodePrediction(next(t, predictions).Payload)
				must.OK(t, err)
				if p.Seq != i+1 || p.Epoch == event.ShadowEpoch {
					t.Fatalf("prediction %+v, want seq %d", p, i+1)
				}
			}
			for _, name := range []string{event.SensorSimulator, event.InferenceEngine} {
				s.await(name, func(h event.Health) bool {
					return h.State == event.StateDegraded && len(h.Conditions) > 0 && h.Conditions[0].Code == event.CodeShadow && h.Conditions[0].Detail == shadow.Unsupported
				})
			}
		})
	}
}

// Without the grant the reason is told, until a deployment brings it.
func TestAMissingGrantIsTold(t *testing.T) {
	s := newSite(t, withShadows)
	rows := s.hear(accepted)
	s.simulator(map[string]any{"things": 1, "rate": 20, "output": "shadow", "waitFor": ""})
	s.await(event.SensorSimulator, func(h event.Health) bool {
		return h.State == event.StateDegraded && strings.Contains(h.Detail, "shadow of compressor-1") &&
			strings.Contains(h.Detail, "not authorized") && h.Counters[shadow.CounterRefused] > 0
	})
	coretest.Configure(t, s.core, event.SensorSimulator, coretest.ShownMerge(t, "sensor-simulator"))
	s.await(event.SensorSimulator, func(h event.Health) bool { return h.State == event.StateOK })
	if m := next(t, rows); event.ShadowThing(m.Topic) != "compressor-1" {
		t.Errorf("message on %s", m.Topic)
	}
}

// A row that is larger than a shadow may be is counted, and the component goes on.
func TestRowsTooLargeForAShadowAreCounted(t *testing.T) {
	s := newSite(t, withShadows)
	table := filepath.Join(t.TempDir(), "rows.csv")
	name := strings.Repeat("x", 8<<10)
	must.OK(t, os.WriteFile(table, []byte("class,"+name+"\nneg,1\n"), 0o600))
	s.simulator(map[string]any{"things": 1, "rate": 20, "input": table, "waitFor": ""}, coretest.ShownMerge(t, "sensor-simulator"))
	s.await(event.SensorSimulator, func(h event.Health) bool { return h.State == event.StateOK && h.Counters["shadow.oversized"] >= 2 })
}
