package ingest_test

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/components/ingest/ingest"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
	"edgepdm/test/plantpeers"
)

// rig is the component with its real recipe on the embedded core, a broker, and a client that plays the rest.
type rig struct {
	t      *testing.T
	core   *localcore.Core
	client *ipc.Client
	log    *coretest.Lines
	health *coretest.Health
	port   int    // of the broker
	kill   func() // the broker
	plant  mqtt.Client
}

func newRig(t *testing.T, mode localcore.Mode) *rig {
	t.Helper()
	r := &rig{t: t, log: new(coretest.Lines)}
	r.port, r.kill = plantpeers.Mosquitto(t, "allow_anonymous true")
	r.connect()
	r.core = coretest.Start(t, func(o *localcore.Options) { o.Mode = mode })
	r.client = coretest.Client(t, r.core)
	r.health = coretest.HealthOf(t, r.client, event.Ingest)
	return r
}

// connect is the plant's, to its own broker.
func (r *rig) connect() {
	r.t.Helper()
	r.plant = mqtt.NewClient(mqtt.NewClientOptions().AddBroker(r.broker()).SetClientID("plant"))
	token := r.plant.Connect()
	token.Wait()
	must.OK(r.t, token.Error())
	plant := r.plant
	r.t.Cleanup(func() { plant.Disconnect(0) })
}

func (r *rig) broker() string { return fmt.Sprintf("tcp://127.0.0.1:%d", r.port) }

// source is the broker as the configuration has it.
func (r *rig) source(name string) map[string]any {
	return map[string]any{"name": name, "mqtt": map[string]any{
		"broker": r.broker(), "topics": []any{map[string]any{"filter": "plant/#", "format": "json"}}}}
}

func (r *rig) start(config map[string]any) (stop func()) {
	r.t.Helper()
	env := coretest.Environment(r.t, r.core, event.Ingest, "ingest", slog.New(slog.NewTextHandler(r.log, nil)))
	config["healthInterval"] = "100ms"
	coretest.Configure(r.t, r.core, event.Ingest, config)
	return coretest.Run(r.t, env, ingest.Spec("1.2.3"), r.health)
}

// thing has sensors by name with their source and tag.
func thing(name string, sensors map[string][2]string) map[string]any {
	var list []any
	for _, sensor := range slices.Sorted(maps.Keys(sensors)) {
		list = append(list, map[string]any{"sensor": sensor, "source": sensors[sensor][0], "tag": sensors[sensor][1]})
	}
	return map[string]any{"thing": name, "line": "line-1", "every": "50ms", "maxAge": "2s", "sensors": list}
}

// feed publishes the plant's values until the function returns true of a message on a topic.
func (r *rig) feed(messages *ipc.Subscription[ipc.TopicMessage], payload string, wanted func(ipc.TopicMessage) bool) {
	r.t.Helper()
	tick, timeout := time.NewTicker(50*time.Millisecond), time.After(coretest.Patience)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.plant.Publish("plant/press", 0, false, payload)
		case m := <-messages.Events():
			if wanted(m) {
				return
			}
		case <-timeout:
			r.t.Fatalf("never came what was wanted; log:\n%s", r.log)
		}
	}
}

var modes = map[string]localcore.Mode{"classic": localcore.Classic, "lite": localcore.Lite}

const tinyModel = `{"version":[3,0,5],"learner":{"attributes":{},"feature_names":["pressure","speed","temp"],"feature_types":["float","float","float"],
"gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_parallel_tree":"1","num_trees":"1"},"iteration_indptr":[0,1],"tree_info":[0],"trees":[
{"id":0,"tree_param":{"num_nodes":"7","size_leaf_vector":"1"},"left_children":[1,3,5,-1,-1,-1,-1],"right_children":[2,4,6,-1,-1,-1,-1],"split_indices":[0,1,2,0,0,0,0],
"split_conditions":[5,1000,70,-4,-3,-2,3],"default_left":[1,1,1,0,0,0,0]}]}},
"learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"3","num_target":"1"},
"objective":{"name":"binary:logistic","reg_loss_param":{"scale_pos_weight":"1"}}}}`

// Values of an MQTT broker, an OPC UA server and a Modbus server become rows that the real engine scores; what the recipe
// grants is what it takes, on both nuclei.
func TestThreeServersToAPrediction(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			opcua, modbus := plantpeers.OPCUA(t), plantpeers.Modbus(t)
			modbus.Do("holding 40 2960")
			r := newRig(t, mode)
			predictions := coretest.Subscribe(t, r.client, event.FilterPrediction)
			model := filepath.Join(t.TempDir(), "model.json")
			must.OK(t, os.WriteFile(model, []byte(tinyModel), 0o600))
			env := coretest.Environment(t, r.core, event.InferenceEngine, "inference-engine", slog.New(slog.DiscardHandler))
			coretest.Configure(t, r.core, event.InferenceEngine, map[string]any{"healthInterval": "100ms"})
			coretest.Run(t, env, component.Spec[engine.Config]{
				Name: event.InferenceEngine, Default: engine.Default, Run: (&engine.Engine{ShippedModel: model, Now: time.Now}).Run,
			}, coretest.HealthOf(t, r.client, event.InferenceEngine))

			sensors := map[string][2]string{"pressure": {"broker", "plant/press#bar"}, "speed": {"plc", "holding:40:uint16"}, "temp": {"scada", "ns=2;s=Oil.Temp"}}
			press := thing("press-1", sensors)
			for _, s := range press["sensors"].([]any) {
				if s := s.(map[string]any); s["sensor"] == "speed" {
					s["factor"] = 0.5
				}
			}
			stop := r.start(map[string]any{
				"sources": []any{
					r.source("broker"),
					map[string]any{"name": "scada", "opcua": map[string]any{"endpoint": fmt.Sprintf("opc.tcp://127.0.0.1:%d", opcua.Port), "interval": "50ms"}},
					map[string]any{"name": "plc", "modbus": map[string]any{"address": fmt.Sprintf("127.0.0.1:%d", modbus.Port), "poll": "50ms"}},
				},
				"things": []any{press},
			})
			// Pressure above 5, temperature not below 70: the leaf 3. Each of the three has a say.
			const fault = 0.9525741
			r.feed(predictions, `{"bar":6}`, func(m ipc.TopicMessage) bool {
				p, err := event.DecodePrediction(m.Payload)
				must.OK(t, err)
				return p.Thing == "press-1" && p.Line == "line-1" && p.Probability > fault-1e-4 && p.Probability < fault+1e-4
			})
			opcua.Do("set Oil.Temp 60")
			const cold = 0.1192029
			r.feed(predictions, `{"bar":6}`, func(m ipc.TopicMessage) bool {
				p, _ := event.DecodePrediction(m.Payload)
				return p.Probability > cold-1e-4 && p.Probability < cold+1e-4
			})
			const slow, fast = 0.01798621, 0.04742587 // pressure below 5, then by the speed
			r.feed(predictions, `{"bar":4}`, func(m ipc.TopicMessage) bool {
				p, _ := event.DecodePrediction(m.Payload)
				return p.Probability > fast-1e-4 && p.Probability < fast+1e-4
			})
			modbus.Do("holding 40 100")
			r.feed(predictions, `{"bar":4}`, func(m ipc.TopicMessage) bool {
				p, _ := event.DecodePrediction(m.Payload)
				return p.Probability > slow-1e-4 && p.Probability < slow+1e-4
			})
			stop()
		})
	}
}

// Each grant of the recipe is used, and nothing else is asked for.
func TestRecipeGrantsWhatIsUsed(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, mode)
			batches, single := coretest.Subscribe(t, r.client, event.TopicTelemetryBatch), coretest.Subscribe(t, r.client, event.FilterTelemetry)
			sensors := map[string][2]string{"a": {"broker", "plant/press#a"}}
			config := map[string]any{"sources": []any{r.source("broker")}, "things": []any{thing("press-1", sensors), thing("press-2", sensors)}}
			r.start(config)
			r.feed(batches, `{"a":1}`, func(m ipc.TopicMessage) bool {
				rows, err := event.DecodeTelemetryBatch(m.Payload)
				must.OK(t, err)
				return len(rows) == 2 && rows[0].Err == nil && rows[0].Readings["a"] == 1
			})
			coretest.Configure(t, r.core, event.Ingest, map[string]any{"things": []any{thing("press-3", sensors)}})
			var last event.Telemetry
			for range 2 { // the numbers go on without a gap
				r.feed(single, `{"a":2}`, func(m ipc.TopicMessage) bool {
					row, err := event.DecodeTelemetry(m.Payload)
					must.OK(t, err)
					if row.Thing != "press-3" {
						return false
					}
					if last.Seq > 0 && (row.Epoch != last.Epoch || row.Seq != last.Seq+1) {
						t.Errorf("row %d of %s after %d of %s", row.Seq, row.Epoch, last.Seq, last.Epoch)
					}
					last = row
					return true
				})
			}
			h := r.health.Await("rows counted", func(h event.Health) bool { return h.Counters["telemetry.published"] > 2 })
			if h.State != event.StateOK || len(h.Conditions) > 0 {
				t.Errorf("%+v", h)
			}
			for _, g := range r.core.Grants() {
				if g.Component == event.Ingest && !g.Used {
					t.Errorf("not used: %+v", g)
				}
			}
			if denials := r.core.Denials(); len(denials) > 0 {
				t.Errorf("denied: %+v", denials)
			}
		})
	}
}

// A source that is away is a condition until it is back, or no longer in the configuration.
func TestASourceThatIsAwayIsACondition(t *testing.T) {
	r := newRig(t, localcore.Classic)
	rows := coretest.Subscribe(t, r.client, event.FilterTelemetry)
	sensors := map[string][2]string{"a": {"broker", "plant/press#a"}, "b": {"gone", "holding:1"}}
	gone := map[string]any{"name": "gone", "modbus": map[string]any{"address": fmt.Sprintf("127.0.0.1:%d", plantpeers.FreePort(t))}}
	r.start(map[string]any{"sources": []any{r.source("broker"), gone}, "things": []any{thing("press-1", sensors)}})
	wrong := func(place string) func(event.Health) bool {
		return func(h event.Health) bool {
			return slices.ContainsFunc(h.Conditions, func(c event.Condition) bool { return c.Code == event.CodeInput && c.Place == place && c.Detail != "" })
		}
	}
	r.health.Await("the server that is away", wrong("source gone"))
	r.feed(rows, `{"a":1}`, func(m ipc.TopicMessage) bool { // what is there comes all the same
		row, err := event.DecodeTelemetry(m.Payload)
		must.OK(t, err)
		b, there := row.Readings["b"]
		return row.Readings["a"] == 1 && there && b != b
	})
	r.kill()
	r.health.Await("the broker that is away", wrong("source broker"))
	plantpeers.MosquittoAt(t, r.port, "allow_anonymous true")
	r.connect()
	r.feed(rows, `{"a":2}`, func(m ipc.TopicMessage) bool {
		row, err := event.DecodeTelemetry(m.Payload)
		must.OK(t, err)
		return row.Readings["a"] == 2
	})
	coretest.Configure(t, r.core, event.Ingest, map[string]any{
		"sources": []any{r.source("broker")}, "things": []any{thing("press-1", map[string][2]string{"a": {"broker", "plant/press#a"}})},
	})
	r.health.Await("no condition", func(h event.Health) bool { return h.State == event.StateOK && len(h.Conditions) == 0 })
}

// What is not used is counted by reason and logged seldom; a configuration that is wrong leaves the last one in force.
func TestValuesThatAreNotUsedAreCountedAndLoggedSeldom(t *testing.T) {
	r := newRig(t, localcore.Classic)
	rows := coretest.Subscribe(t, r.client, event.FilterTelemetry)
	r.start(map[string]any{"sources": []any{r.source("broker")}, "things": []any{thing("press-1", map[string][2]string{"a": {"broker", "plant/press#a"}})}})
	r.feed(rows, `{"a":1}`, func(ipc.TopicMessage) bool { return true })
	for range 50 {
		r.plant.Publish("plant/press", 1, false, `{"a":"?"}`)
		r.plant.Publish("plant/press", 1, false, `{"a":`)
		r.plant.Publish("plant/other", 1, false, `{"a":1}`)
	}
	r.health.Await("all of them counted", func(h event.Health) bool {
		return h.Counters["value.type"] == 50 && h.Counters["value.quality"] == 50 && h.Counters["value.malformed"] == 50 && h.Counters["value.unknown-tag"] == 50
	})
	if n := strings.Count(r.log.String(), `reason=malformed`); n != 1 {
		t.Errorf("logged %d times", n)
	}
	err := r.core.Deploy(t.Context(), localcore.Deployment{ConfigurationUpdate: map[string]any{event.Ingest: map[string]any{
		"merge": map[string]any{"things": []any{thing("press-1", map[string][2]string{"a": {"broker", "no path"}})}}}}})
	if err == nil || !strings.Contains(err.Error(), `"no path" is not <topic>#<path>`) {
		t.Errorf("the configuration is taken: %v", err)
	}
	for len(rows.Events()) > 0 {
		<-rows.Events()
	}
	r.feed(rows, `{"a":3}`, func(m ipc.TopicMessage) bool {
		row, err := event.DecodeTelemetry(m.Payload)
		must.OK(t, err)
		return row.Readings["a"] == 3
	})
}

// Without sources it runs, and says so.
func TestNothingToRead(t *testing.T) {
	r := newRig(t, localcore.Lite)
	stop := r.start(map[string]any{})
	r.health.Await("it runs", func(h event.Health) bool { return h.State == event.StateOK })
	r.log.Await(t, "nothing to read")
	stop()
}
