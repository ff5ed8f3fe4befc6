package metrics_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"edgepdm/components/operator-console/metrics"
	"edgepdm/shared/event"
	"edgepdm/test/must"
)

var at = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func written(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	model := &event.ModelRef{Version: `1.2.0 "x"` + "\n" + `\`, SHA256: "9f2c"}
	must.OK(t, metrics.Write(&out, map[string]event.Health{
		event.InferenceEngine: {Version: "1.2.3", State: event.StateOK, TS: at, IntervalMS: 5000, Model: model, MemoryKB: 10, Started: at.Add(-time.Hour), Counters: map[string]uint64{"telemetry.rows": 7}},
		event.CloudForwarder: {
			State: event.StateDegraded, TS: at, IntervalMS: 5000, Uplink: event.UplinkDown, Conditions: make([]event.Condition, 2),
			Counters: map[string]uint64{"streams": 3, "stream.alerts-iot.depth": 12, "stream.alerts-iot.accepted": 120},
		},
		event.AlarmManager: {State: event.StateOK, TS: at.Add(-time.Minute), IntervalMS: 5000, Counters: map[string]uint64{"alarm.standing": 2}},
	}, metrics.Plant{Things: 5, Faulty: 1, Alarms: map[event.Severity]int{event.SeverityHigh: 1}, Drifting: 1}, at))
	return out.String()
}

// The text is what Prometheus' own linter wants, and has the figures.
func TestTextIsPrometheus(t *testing.T) {
	text := written(t)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	must.OK(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, line := range []string{
		`edgepdm_component_up{component="InferenceEngine"} 1`, `edgepdm_component_up{component="CloudForwarder"} 1`, `edgepdm_component_up{component="AlarmManager"} 0`,
		`edgepdm_component_events_total{component="InferenceEngine",counter="telemetry.rows"} 7`, `edgepdm_component_memory_bytes{component="InferenceEngine"} 10240`,
		`edgepdm_component_level{component="CloudForwarder",counter="stream.alerts-iot.depth"} 12`, `edgepdm_component_events_total{component="CloudForwarder",counter="stream.alerts-iot.accepted"} 120`,
		`edgepdm_component_level{component="AlarmManager",counter="alarm.standing"} 2`, `edgepdm_model_info{role="fault",version="1.2.0 \"x\"\n\\",sha256="9f2c"} 1`,
		`edgepdm_uplink_up 0`, `edgepdm_machines{verdict="sound"} 4`, `edgepdm_alarms{priority="high"} 1`, `edgepdm_lines_drifting 1`, `edgepdm_component_conditions{component="CloudForwarder"} 2`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no %s in\n%s", line, text)
		}
	}
}

// The dashboard asks for metrics that there are, and is one that Grafana can import.
func TestDashboardAsksForWhatThereIs(t *testing.T) {
	text := written(t)
	var board struct {
		Title, UID string
		Panels     []struct {
			Title, Type string
			Targets     []struct{ Expr string }
		}
	}
	data, err := os.ReadFile("grafana.json")
	must.OK(t, err)
	must.OK(t, json.Unmarshal(data, &board))
	if board.Title == "" || board.UID == "" || len(board.Panels) < 8 {
		t.Errorf("%q %q with %d panels", board.Title, board.UID, len(board.Panels))
	}
	asked := 0
	for _, p := range board.Panels {
		if p.Title == "" || p.Type == "" || len(p.Targets) == 0 {
			t.Errorf("panel %+v", p)
		}
		for _, target := range p.Targets {
			for _, name := range regexp.MustCompile(`edgepdm_\w+`).FindAllString(target.Expr, -1) {
				asked++
				if !strings.Contains(text, "# TYPE "+name+" ") {
					t.Errorf("%s: there is no %s", p.Title, name)
				}
			}
		}
	}
	if asked < 8 {
		t.Errorf("it asks for %d metrics", asked)
	}
}
