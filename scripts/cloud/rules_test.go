package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/test/cloudtest"
	"edgepdm/test/coretest"
	"edgepdm/test/localcloud"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// arrived is what the forwarder published to AWS IoT Core.
type arrived struct {
	mu      sync.Mutex
	topics  []string
	bodies  [][]byte
	changed chan struct{}
}

func (a *arrived) publish(topic string, payload []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.topics, a.bodies = append(a.topics, topic), append(a.bodies, bytes.Clone(payload))
	select {
	case a.changed <- struct{}{}:
	default:
	}
	return nil
}

// await waits until so many messages are there.
func (a *arrived) await(t *testing.T, n int) {
	t.Helper()
	for {
		a.mu.Lock()
		there := len(a.topics)
		a.mu.Unlock()
		if there >= n {
			return
		}
		select {
		case <-a.changed:
		case <-time.After(coretest.Patience):
			t.Fatalf("%d messages have arrived, want %d", there, n)
		}
	}
}

// forwarded has the real forwarder take messages of a plant, and returns what arrives.
func forwarded(t *testing.T, messages map[string][]any) *arrived {
	t.Helper()
	core := coretest.Start(t)
	client := coretest.Client(t, core)
	a := &arrived{changed: make(chan struct{}, 1)}
	cloud := cloudtest.Start(t, func(o *localcloud.Options) { o.Publish = a.publish })
	env := coretest.Environment(t, core, event.CloudForwarder, "cloud-forwarder", slog.New(slog.DiscardHandler))
	coretest.Setenv(&env, cloudtest.Environment(cloud))
	ends := cloud.Endpoints()
	coretest.Configure(t, core, event.CloudForwarder, map[string]any{
		"telemetrySample": "24h", "sample": "0s", "heartbeat": "0s", "healthInterval": "100ms",
		"endpoints": map[string]any{"iotData": ends.IoTData, "sns": ends.SNS, "caFile": ends.CAFile},
	})
	health := coretest.HealthOf(t, client, event.CloudForwarder)
	f := &forwarder.Forwarder{Core: "core-1", Getenv: env.Getenv, Now: time.Now}
	coretest.Run(t, env, component.Spec[forwarder.Config]{Name: event.CloudForwarder, Default: forwarder.Default, Run: f.Run}, health)
	health.Await("a state", func(h event.Health) bool { return h.State != event.StateStarting })
	n := 0
	for topic, list := range messages {
		for _, m := range list {
			must.OK(t, client.Publish(t.Context(), topic, must.JSON(t, m)))
			n++
		}
	}
	a.await(t, n)
	return a
}

// rule is what one of the template's rules for raw messages does.
type rule struct {
	filter *regexp.Regexp
	core   int // the level of the topic
	kind   string
}

func ruleOf(t *testing.T, c *cloudTemplate, name string) rule {
	t.Helper()
	sql := c.text1(object(c.resources[name].Properties["TopicRulePayload"])["Sql"])
	m := regexp.MustCompile(`^SELECT \*, topic\((\d)\) AS core, '([a-z]+)' AS kind FROM '([^']+)'$`).FindStringSubmatch(sql)
	if m == nil {
		t.Fatalf("%s: this test does not read %s", name, sql)
	}
	return rule{regexp.MustCompile("^" + strings.ReplaceAll(m[3], "+", "[^/]+") + "$"), int(m[1][0] - '0'), m[2]}
}

// apply is what AWS IoT Core makes of a message; false: the rule does not take it.
func (r rule) apply(t *testing.T, topic string, payload []byte) ([]byte, bool) {
	t.Helper()
	if !r.filter.MatchString(topic) {
		return nil, false
	}
	var m map[string]json.RawMessage
	must.OK(t, json.Unmarshal(payload, &m))
	for _, name := range []string{"core", "kind"} {
		if _, taken := m[name]; taken {
			t.Errorf("the message has %s already: %s", name, payload)
		}
	}
	m["core"], m["kind"] = must.JSON(t, strings.Split(topic, "/")[r.core-1]), must.JSON(t, r.kind)
	return must.JSON(t, m), true
}

// partition is where Firehose puts a message, by its own jq.
func partition(t *testing.T, c *cloudTemplate, message []byte) string {
	t.Helper()
	s3 := object(c.resources["RawStream"].Properties["ExtendedS3DestinationConfiguration"])
	query := ""
	for _, processor := range list(object(s3["ProcessingConfiguration"])["Processors"]) {
		for _, parameter := range list(object(processor)["Parameters"]) {
			if p := object(parameter); p["ParameterName"] == "MetadataExtractionQuery" {
				query = c.text1(p["ParameterValue"])
			}
		}
	}
	cmd := exec.CommandContext(t.Context(), need.Tool(t, "jq", "Debian: apt-get install jq"), "-c", query)
	cmd.Stdin = bytes.NewReader(message)
	out, err := cmd.Output()
	must.OK(t, err)
	var keys map[string]string
	must.OK(t, json.Unmarshal(out, &keys))
	return regexp.MustCompile(`!\{partitionKeyFromQuery:(\w+)\}`).ReplaceAllStringFunc(c.text1(s3["Prefix"]), func(key string) string {
		name := strings.TrimSuffix(strings.TrimPrefix(key, "!{partitionKeyFromQuery:"), "}")
		if keys[name] == "" {
			t.Errorf("%s has no %s", message, name)
		}
		return keys[name]
	})
}

// read is features.py's own reading of lines, without Spark: of each line the thing, the epoch, the number, the day and the values of a, b
// and c.
func read(t *testing.T, lines [][]byte) string {
	t.Helper()
	const script = `
import sys, unittest.mock
for name in ("pyspark", "pyspark.errors", "pyspark.sql"):
    sys.modules[name] = unittest.mock.MagicMock()
sys.path.insert(0, sys.argv[1])
import features
for line in sys.stdin:
    for pair in features.parsed(line, "rows", features.telemetry_row, ["a", "b", "c"]):
        print(pair)
`
	cmd := exec.CommandContext(t.Context(), need.Tool(t, "python3", "Debian: apt-get install python3"), "-B", "-c", script, filepath.Join(need.Root(t), "scripts", "cloud", "loop"))
	cmd.Stdin = bytes.NewReader(append(bytes.Join(lines, []byte("\n")), '\n'))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// What the forwarder sends is what the template's rules take, Firehose divides and the loop reads.
func TestRulesTakeWhatTheForwarderSends(t *testing.T) {
	at := time.Date(2026, 11, 23, 23, 59, 0, 0, time.UTC)
	row := func(thing, line string) event.Telemetry {
		return event.Telemetry{V: 1, Thing: thing, Line: line, Epoch: "5f3a", Seq: 7, TS: at}
	}
	values, readings, packed, batched := row("press-1", "line 7/ä"), row("press-2", ""), row("press-3", "line-1"), row("press-4", "line-1")
	nan := float32(math.NaN())
	values.Values, readings.Readings, packed.Packed = event.Values{1, nan, 3}, event.Readings{"a": 4, "c": 6}, event.Packed{7, nan, 9}
	batched.Values = event.Values{10, 11, 12}
	prediction := event.Prediction{V: 1, ID: "press-1-5f3a-7", Thing: "press-1", Line: "line-1", Epoch: "5f3a", Seq: 7, TS: at, Model: event.ModelRef{Version: "m"}, Label: event.LabelNotFaulty, Threshold: 0.5}
	a := forwarded(t, map[string][]any{
		event.TelemetryTopic("press-1"): {values}, event.TelemetryTopic("press-2"): {readings}, event.TelemetryTopic("press-3"): {packed},
		event.TopicTelemetryBatch: {event.TelemetryBatch{V: 1, Rows: []event.Telemetry{batched}}}, event.PredictionTopic("press-1"): {prediction},
	})
	c := readTemplate(t, nil)
	rules := map[string]rule{"telemetry": ruleOf(t, c, "TelemetryRule"), "predictions": ruleOf(t, c, "PredictionsRule")}
	var keys, ids []string
	var rows [][]byte
	for i, topic := range a.topics {
		if len(a.bodies[i]) > event.IoTCoreHTTPS.Limit() {
			t.Errorf("%d bytes", len(a.bodies[i]))
		}
		taken := 0
		for kind, r := range rules {
			message, ok := r.apply(t, topic, a.bodies[i])
			if !ok {
				continue
			}
			taken++
			var m struct{ ID, Core, Kind string }
			must.OK(t, json.Unmarshal(message, &m))
			if m.Core != "core-1" || m.Kind != kind {
				t.Errorf("%s: %s", kind, message)
			}
			ids = append(ids, m.ID)
			keys = append(keys, partition(t, c, message))
			if kind == "telemetry" {
				rows = append(rows, message)
			}
		}
		if taken != 1 {
			t.Errorf("%d rules take %s", taken, topic)
		}
	}
	slices.Sort(keys)
	slices.Sort(ids)
	want := []string{
		"raw/predictions/line=line-1/date=2026-11-23/", "raw/telemetry/line=__HIVE_DEFAULT_PARTITION__/date=2026-11-23/", "raw/telemetry/line=line%207%2F%C3%A4/date=2026-11-23/",
		"raw/telemetry/line=line-1/date=2026-11-23/", "raw/telemetry/line=line-1/date=2026-11-23/",
	}
	if !slices.Equal(keys, want) {
		t.Errorf("partitions are\n%s", strings.Join(keys, "\n"))
	}
	if fmt.Sprint(ids) != "[press-1-5f3a-7 press-1-5f3a-7 press-2-5f3a-7 press-3-5f3a-7 press-4-5f3a-7]" {
		t.Errorf("%v", ids)
	}
	wantRows := `('ok', ('press-1', '5f3a', 7, '2026-11-23', [1.0, None, 3.0]))
('ok', ('press-2', '5f3a', 7, '2026-11-23', [4.0, None, 6.0]))
('ok', ('press-3', '5f3a', 7, '2026-11-23', [7.0, None, 9.0]))
('ok', ('press-4', '5f3a', 7, '2026-11-23', [10.0, 11.0, 12.0]))
`
	got := slices.Sorted(strings.Lines(read(t, rows)))
	if strings.Join(got, "") != wantRows {
		t.Errorf("the loop reads\n%s", strings.Join(got, ""))
	}
}
