package simulator_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/components/sensor-simulator/simulator"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
)

// start runs the simulator with its real recipe on the embedded core; the client plays everybody else.
func start(t *testing.T, config map[string]any) (client *ipc.Client, rows func() event.Telemetry) {
	t.Helper()
	core := coretest.Start(t)
	client = coretest.Client(t, core)
	env := coretest.Environment(t, core, event.SensorSimulator, "sensor-simulator", slog.New(slog.DiscardHandler))
	config["healthInterval"] = "100ms"
	coretest.Configure(t, core, event.SensorSimulator, config)
	sub, err := client.Subscribe(t.Context(), "pdm/v1/#", "")
	must.OK(t, err)
	coretest.Run(t, env, component.Spec[simulator.Config]{Name: event.SensorSimulator, Default: simulator.Default, Run: simulator.Run},
		coretest.HealthOf(t, client, event.SensorSimulator))
	var queue []event.Telemetry
	rows = func() event.Telemetry {
		t.Helper()
		timeout := time.After(time.Minute)
		for len(queue) == 0 {
			select {
			case m := <-sub.Events():
				queue = append(queue, decode(t, m)...)
			case <-timeout:
				t.Fatal("no row")
			}
		}
		row := queue[0]
		queue = queue[1:]
		return row
	}
	return client, rows
}

func decode(t *testing.T, m ipc.TopicMessage) []event.Telemetry {
	t.Helper()
	switch {
	case event.TelemetryThing(m.Topic) != "":
		row, err := event.DecodeTelemetry(m.Payload)
		must.OK(t, err)
		return []event.Telemetry{row}
	case m.Topic == event.TopicTelemetryBatch:
		batch, err := event.DecodeTelemetryBatch(m.Payload)
		must.OK(t, err)
		var rows []event.Telemetry
		for _, r := range batch {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			rows = append(rows, r.Telemetry)
		}
		return rows
	}
	return nil // health
}

func TestPublishesNumberedRowsOfEveryMachine(t *testing.T) {
	for name, batch := range map[string]int{"one by one": 1, "in batches": 4} {
		t.Run(name, func(t *testing.T) {
			_, rows := start(t, map[string]any{"things": 3, "rate": 100, "batch": batch, "waitFor": ""})
			seq := make(map[string]uint64)
			for range 30 {
				row := rows()
				seq[row.Thing]++
				if row.Seq != seq[row.Thing] || len(row.Values) != plant.SensorCount || !row.Simulated || row.Faulty == nil ||
					row.Schema != event.SchemaOf(plant.Sensors()) || !strings.HasPrefix(row.Line, "line-") {
					t.Fatalf("row %+v, want seq %d", row, seq[row.Thing])
				}
			}
			if len(seq) != 3 {
				t.Errorf("rows of %v", seq)
			}
		})
	}
}

func TestEqualSeedsGiveEqualRows(t *testing.T) {
	run := func(seed int) [][]float32 {
		_, rows := start(t, map[string]any{"things": 1, "rate": 200, "seed": seed, "waitFor": ""})
		var values [][]float32
		for range 5 {
			row := rows().Values
			for i, x := range row {
				if x != x {
					row[i] = -1e30 // NaN is not equal to itself
				}
			}
			values = append(values, row)
		}
		return values
	}
	first := run(3)
	if !reflect.DeepEqual(first, run(3)) {
		t.Error("the same seed gave other rows")
	}
	if reflect.DeepEqual(first, run(4)) {
		t.Error("another seed gave the same rows")
	}
}

func TestInjectedFaultsBecomeTheTruth(t *testing.T) {
	_, rows := start(t, map[string]any{
		"things": 1, "rate": 200, "waitFor": "",
		"faults": []any{map[string]any{"thing": "compressor-1", "fault": "overheating", "after": "50ms", "for": "100ms"}},
	})
	var seen []bool
	for range 60 {
		if faulty := *rows().Faulty; len(seen) == 0 || faulty != seen[len(seen)-1] {
			seen = append(seen, faulty)
		}
	}
	if !reflect.DeepEqual(seen, []bool{false, true, false}) {
		t.Errorf("the truth went %v", seen)
	}
}

// A drift of a line reaches its machines, at its time and for as long, and is no fault.
func TestDriftsReachTheirMachines(t *testing.T) {
	offset := slices.Index(plant.Sensors(), "ambient_pressure")
	pressures := func(drifts ...any) map[string][]float64 {
		_, rows := start(t, map[string]any{"things": 3, "lines": 2, "rate": 200, "waitFor": "", "drifts": drifts})
		values := make(map[string][]float64)
		for range 3 * 60 {
			row := rows()
			if *row.Faulty {
				t.Fatal("a drift is a fault")
			}
			values[row.Thing] = append(values[row.Thing], float64(row.Values[offset]))
		}
		return values
	}
	drift := func(more map[string]any) map[string]any {
		d := map[string]any{"drift": "recalibrated", "sensor": "ambient_pressure", "after": "50ms", "for": "100ms", "size": 3}
		maps.Copy(d, more)
		return d
	}
	usual := pressures()
	for name, test := range map[string]struct {
		where map[string]any
		who   []string
	}{
		"a line": {map[string]any{"line": "line-1"}, []string{"compressor-1", "compressor-3"}},
		"one":    {map[string]any{"thing": "compressor-2"}, []string{"compressor-2"}},
		"all":    {nil, []string{"compressor-1", "compressor-2", "compressor-3"}},
	} {
		for thing, values := range pressures(drift(test.where)) {
			for i, v := range values[:50] {
				before, now := usual[thing][i], v
				if before != before || now != now {
					continue
				}
				if moved := now-before > 4; moved != (i >= 10 && i < 30 && slices.Contains(test.who, thing)) {
					t.Errorf("%s: row %d of %s shows %v instead of %v", name, i, thing, now, before)
				}
			}
		}
	}
}

// The truth of remaining life is in the rows, in hours of simulated time, and only where machines wear.
func TestRemainingLifeIsInTheRows(t *testing.T) {
	_, rows := start(t, map[string]any{
		"things": 2, "rate": 50, "timeScale": 18000, "waitFor": "", "life": true, // a row is 6 simulated minutes
		"lives": []any{map[string]any{"thing": "compressor-2", "fault": "bearing-wear", "remaining": "1h"}},
	})
	for range 30 {
		row := rows()
		if row.Remaining == nil || *row.Remaining < 0 {
			t.Fatalf("row %+v", row)
		}
		if want := math.Round(max(0, 1-0.1*float64(row.Seq))*1000) / 1000; row.Thing == "compressor-2" && (*row.Remaining != want || *row.Faulty != (want == 0)) {
			t.Errorf("row %d: %v h remain, want %v; faulty %v", row.Seq, *row.Remaining, want, *row.Faulty)
		}
	}
	_, rows = start(t, map[string]any{"things": 1, "rate": 50, "waitFor": ""})
	if row := rows(); row.Remaining != nil {
		t.Errorf("%v h remain of a machine that does not wear", *row.Remaining)
	}
}

func TestWaitsForAHealthyConsumer(t *testing.T) {
	client, rows := start(t, map[string]any{"things": 1, "rate": 100, "waitFor": "com.example.Consumer"})
	for _, state := range []event.State{event.StateNoModel, event.StateOK} {
		payload, err := json.Marshal(event.Health{V: 1, Component: "com.example.Consumer", State: state, TS: time.Now()})
		must.OK(t, err)
		health := coretest.HealthOf(t, client, event.SensorSimulator)
		health.Await("that it waits", func(h event.Health) bool {
			return h.State == event.StateDegraded && strings.Contains(h.Detail, "com.example.Consumer")
		})
		must.OK(t, client.Publish(t.Context(), event.HealthTopic("com.example.Consumer"), payload))
	}
	if row := rows(); row.Seq != 1 {
		t.Errorf("first row %+v", row)
	}
}

// A consumer that works on with its last good configuration is worth rows.
func TestABadConfigurationOfTheConsumerIsNoReasonToWait(t *testing.T) {
	for state, model := range map[event.State]*event.ModelRef{event.StateBadConfig: {Version: "1"}, event.StateDegraded: {Version: "1"}, event.StateOK: nil} {
		client, rows := start(t, map[string]any{"things": 1, "rate": 100, "waitFor": "com.example.Consumer", "waitLimit": "1h"})
		health := coretest.HealthOf(t, client, event.SensorSimulator)
		health.Await("a condition", func(h event.Health) bool { return len(h.Conditions) == 1 }) // it listens, or soon will
		h := event.Health{V: 1, Component: "com.example.Consumer", State: state, Model: model, TS: time.Now()}
		payload, err := json.Marshal(h)
		must.OK(t, err)
		for working := false; !working; {
			must.OK(t, client.Publish(t.Context(), event.HealthTopic("com.example.Consumer"), payload))
			health.Await("any state", func(h event.Health) bool { working = h.State == event.StateOK; return true })
		}
		if row := rows(); row.Seq != 1 {
			t.Errorf("%s: first row %+v", state, row)
		}
	}
}

// A consumer that never says that it works is waited for so long, and no longer; that it does not work is said until it does.
func TestWaitsForABoundedTime(t *testing.T) {
	client, rows := start(t, map[string]any{"things": 1, "rate": 100, "waitFor": "com.example.Consumer", "waitLimit": "200ms"})
	health := coretest.HealthOf(t, client, event.SensorSimulator)
	if row := rows(); row.Seq != 1 {
		t.Errorf("first row %+v", row)
	}
	health.Await("a wait that is over", func(h event.Health) bool {
		return h.State == event.StateDegraded && h.Conditions[0].Code == event.CodeWaitsForOthers && strings.Contains(h.Detail, "com.example.Consumer") &&
			strings.Contains(h.Detail, "published all the same")
	})
	payload, err := json.Marshal(event.Health{V: 1, Component: "com.example.Consumer", State: event.StateOK, TS: time.Now()})
	must.OK(t, err)
	must.OK(t, client.Publish(t.Context(), event.HealthTopic("com.example.Consumer"), payload))
	health.Await("OK", func(h event.Health) bool { return h.State == event.StateOK })
}

// Rows of a wide table go in the compact form, and in smaller batches; those that no message carries are counted, and end
// nothing.
func TestWideTables(t *testing.T) {
	table := func(columns int) string {
		var b strings.Builder
		for i := range columns {
			fmt.Fprintf(&b, ",sensor-%d", i)
		}
		for range 4 {
			b.WriteString("\nneg" + strings.Repeat(",123.45678", columns))
		}
		path := filepath.Join(t.TempDir(), "rows.csv")
		must.OK(t, os.WriteFile(path, []byte("class"+b.String()+"\n"), 0o600))
		return path
	}
	for _, batch := range []int{1, 4} {
		_, rows := start(t, map[string]any{"things": 4, "rate": 100, "batch": batch, "input": table(700), "waitFor": ""})
		for range 8 {
			if row := rows(); len(row.Values) != 700 {
				t.Fatalf("%d values", len(row.Values))
			}
		}
		client, _ := start(t, map[string]any{"things": 1, "rate": 100, "batch": batch, "input": table(2000), "waitFor": ""})
		health := coretest.HealthOf(t, client, event.SensorSimulator)
		health.Await("a wait that is over", func(h event.Health) bool {
			return h.State == event.StateDegraded && h.Conditions[0].Code == event.CodeInput && h.Counters["telemetry.oversized"] > 2
		})
	}
}

// An input of which no row can be read is not OK.
func TestAnUnreadableInputIsTold(t *testing.T) {
	table := filepath.Join(t.TempDir(), "rows.csv")
	must.OK(t, os.WriteFile(table, []byte("class,a\nPOS,1\nNEG,2\n"), 0o600))
	client, _ := start(t, map[string]any{"things": 1, "rate": 200, "input": table, "waitFor": ""})
	health := coretest.HealthOf(t, client, event.SensorSimulator)
	health.Await("a wait that is over", func(h event.Health) bool {
		return h.State == event.StateDegraded && h.Conditions[0].Code == event.CodeInput && strings.Contains(h.Detail, "unreadable")
	})
}

// Rows that the nucleus refuses are told.
func TestRefusedRowsAreTold(t *testing.T) {
	client, _ := start(t, map[string]any{"things": 1, "rate": 200, "waitFor": "", "accessControl": map[string]any{
		"aws.greengrass.ipc.pubsub": map[string]any{"com.edgepdm.SensorSimulator:pubsub:2": map[string]any{
			"operations": []any{"aws.greengrass#PublishToTopic"}, "resources": []any{event.HealthTopic(event.SensorSimulator)},
		}},
	}})
	health := coretest.HealthOf(t, client, event.SensorSimulator)
	health.Await("a wait that is over", func(h event.Health) bool {
		return h.State == event.StateDegraded && h.Conditions[0].Code == event.CodeNotAuthorized && h.Counters["telemetry.refused"] > 2
	})
}

func TestReplaysATable(t *testing.T) {
	table := filepath.Join(t.TempDir(), "rows.csv")
	must.OK(t, os.WriteFile(table, []byte("licence\n\nclass,a,b\nneg,1,na\nbroken,x,y\npos,2,3\n"), 0o600))
	_, rows := start(t, map[string]any{"things": 1, "rate": 200, "input": table, "waitFor": ""})
	var got []bool
	for i := range 4 {
		row := rows()
		if row.Seq != uint64(i+1) || len(row.Values) != 2 || row.Schema != event.SchemaOf([]string{"a", "b"}) {
			t.Fatalf("row %+v", row)
		}
		got = append(got, *row.Faulty)
	}
	if !reflect.DeepEqual(got, []bool{false, true, false, true}) { // it loops, and skips the broken line
		t.Errorf("labels %v", got)
	}
}

func TestValidateNamesTheField(t *testing.T) {
	for want, change := range map[string]func(*simulator.Config){
		"things:":          func(c *simulator.Config) { c.Things = 0 },
		"lines:":           func(c *simulator.Config) { c.Lines = 0 },
		"rate:":            func(c *simulator.Config) { c.Rate = 0 },
		"timeScale:":       func(c *simulator.Config) { c.TimeScale = -1 },
		"batch:":           func(c *simulator.Config) { c.Batch = 5 },
		"output:":          func(c *simulator.Config) { c.Output = "mqtt" },
		"lines: 500":       func(c *simulator.Config) { c.Things, c.Lines = 1000, 500 },
		"waitLimit:":       func(c *simulator.Config) { c.WaitLimit = 0 },
		"meanTimeBF:":      func(c *simulator.Config) { c.MeanTimeBF = -1 },
		"prefix:":          func(c *simulator.Config) { c.Prefix = "a/b" },
		"faults[0].fault:": func(c *simulator.Config) { c.Faults = []simulator.Injection{{Thing: "compressor-1", Fault: "rust"}} },
		"faults[0].thing:": func(c *simulator.Config) { c.Faults = []simulator.Injection{{Thing: "x", Fault: "air-leak"}} },
		"faults[0]:": func(c *simulator.Config) {
			c.Faults = []simulator.Injection{{Thing: "compressor-1", Fault: "air-leak", After: -1}}
		},
		"lives[0].thing:": func(c *simulator.Config) {
			c.Life, c.Lives = true, []simulator.Wear{{Thing: "x", Fault: "overheating"}}
		},
		"lives[1].fault:": func(c *simulator.Config) {
			c.Life, c.Lives = true, []simulator.Wear{{Thing: "compressor-1", Fault: "overheating"}, {Thing: "compressor-1", Fault: "air-leak"}}
		},
		"lives[0].remaining:": func(c *simulator.Config) {
			c.Life, c.Lives = true, []simulator.Wear{{Thing: "compressor-1", Fault: "overheating", Remaining: 71 * time.Hour}}
		},
		"lives:": func(c *simulator.Config) {
			c.Lives = []simulator.Wear{{Thing: "compressor-1", Fault: "overheating"}}
		},
		"life:":             func(c *simulator.Config) { c.Input, c.Life = "x.csv", true },
		"drifts[0].drift:":  func(c *simulator.Config) { c.Drifts = []simulator.Drift{{Drift: "rust"}} },
		"drifts[0].sensor:": func(c *simulator.Config) { c.Drifts = []simulator.Drift{{Drift: "recalibrated", Sensor: "x"}} },
		"drifts[0].sensor: is for": func(c *simulator.Config) {
			c.Drifts = []simulator.Drift{{Drift: "new-oil", Sensor: "oil_temp"}}
		},
		"drifts[0].size:": func(c *simulator.Config) { c.Drifts = []simulator.Drift{{Drift: "new-oil", Size: 3.1}} },
		"drifts[1].thing:": func(c *simulator.Config) {
			c.Drifts = []simulator.Drift{{Drift: "new-oil"}, {Drift: "new-oil", Thing: "x"}}
		},
		"drifts[0].line: \"line-3\"": func(c *simulator.Config) { c.Drifts = []simulator.Drift{{Drift: "new-oil", Line: "line-3"}} },
		"drifts[0].line: is not": func(c *simulator.Config) {
			c.Drifts = []simulator.Drift{{Drift: "new-oil", Thing: "compressor-1", Line: "line-1"}}
		},
		"drifts[0]:":   func(c *simulator.Config) { c.Drifts = []simulator.Drift{{Drift: "new-oil", Grow: -1}} },
		"drifts: rows": func(c *simulator.Config) { c.Input, c.Drifts = "x.csv", []simulator.Drift{{Drift: "new-oil"}} },
		"faults: cannot": func(c *simulator.Config) {
			c.Input, c.Faults = "x.csv", []simulator.Injection{{Thing: "compressor-1", Fault: "air-leak"}}
		},
	} {
		c := simulator.Default()
		must.OK(t, c.Validate())
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A batch of the largest rows fits a local message.
func TestTheLargestBatchFits(t *testing.T) {
	row := event.Telemetry{
		V: 1, Thing: strings.Repeat("x", 128), Line: "line-100", Epoch: "01234567", Seq: 1 << 63, TS: time.Now(), Schema: "0123456789abcdef",
		Packed: make(event.Packed, plant.SensorCount), Simulated: true, Faulty: new(bool),
	}
	c := simulator.Default()
	for c.Validate() == nil {
		c.Batch++
	}
	batch := event.TelemetryBatch{V: 1}
	for range c.Batch - 1 {
		batch.Rows = append(batch.Rows, row)
	}
	payload, err := json.Marshal(batch)
	must.OK(t, err)
	if err := event.Local.Check(payload); err != nil {
		t.Error(err)
	}
}
