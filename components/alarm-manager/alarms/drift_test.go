package alarms_test

import (
	"testing"
	"time"

	"edgepdm/shared/event"
)

// Drift of a line is one alarm of low priority under the line's name; it says what differs, and ends by itself. The same event once
// more changes nothing.
func TestDriftIsAnAlarmOfTheLine(t *testing.T) {
	for name, mode := range bothModes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := managedRig(t, mode, map[string]any{"languages": []any{"en", "de"}})
			r.start()
			usual, now, share, rare := 66.04, 71.25, 0.031, 0.001
			d := event.Drift{
				V: 1, ID: "drift-1", Line: "Halle 1/Nord", Model: event.ModelRef{Version: "1.0.0"}, State: event.DriftFound,
				Since: time.Now().Add(-time.Hour), TS: time.Now(), Rows: 500, More: 2, Unknown: []string{"extra"},
				Found: []event.DriftFigure{
					{Kind: event.DriftSensor, Sensor: "oil_temp", Name: "oil return temperature", Unit: "°C", PSI: 0.4, Limit: 0.1, Usual: &usual, Now: &now},
					{Kind: event.DriftMissing, Sensor: "flow_1", Limit: 0.1, Usual: &rare, Now: &share},
					{Kind: event.DriftScore, PSI: 0.3, Limit: 0.2}, {Kind: event.DriftFaultRate, Limit: 8},
				},
			}
			r.publish(event.DriftTopic(d.Line), d)
			a := r.expect(event.FaultDrift, event.AlarmUnacknowledged)
			want := "The data of Halle 1/Nord are not what the model knows: oil return temperature 71.25 °C, usually 66.04; " +
				"flow 1 is missing in 3.1 % of the rows, usually 0.1; the model's scores; sensors that the model does not have: extra; 3 more. Find out what changed there."
			if a.Text != want || a.Severity != event.SeverityLow || a.Line != d.Line || !a.Since.Equal(d.Since) || event.CheckName(a.Thing) != nil {
				t.Errorf("%+v", a)
			}
			want = "Die Daten von Halle 1/Nord sind nicht, wie das Modell sie kennt: oil return temperature, flow_1, score, fault-rate, extra (+2). Herausfinden, was sich dort geändert hat."
			if a.Texts["de"] != want {
				t.Errorf("%q", a.Texts["de"])
			}
			r.publish(event.DriftTopic(d.Line), d)
			r.nothingElse()
			d.ID, d.State, d.Found = "drift-2", event.DriftOver, nil
			r.publish(event.DriftTopic(d.Line), d)
			over := r.expect(event.FaultDrift, event.AlarmNormal)
			if over.Thing != a.Thing || over.Text != "Halle 1/Nord is back to normal after 60 minutes." {
				t.Errorf("%+v", over)
			}
			d.ID, d.State, d.Line = "drift-3", event.DriftFound, ""
			r.publish(event.DriftTopic(""), d)
			if a := r.expect(event.FaultDrift, event.AlarmUnacknowledged); a.Line != "" || a.Thing == "" {
				t.Errorf("%+v", a)
			}
		})
	}
}

// An engine whose events nobody acknowledges tells all of them again: the old ones change nothing.
func TestOldDriftToldAgainChangesNothing(t *testing.T) {
	r := managedRig(t, bothModes["classic"], nil)
	r.start()
	found := event.Drift{V: 1, ID: "drift-1", Line: "line-1", State: event.DriftFound, Since: time.Now().Add(-time.Hour), TS: time.Now().Add(-time.Minute)}
	over := found
	over.ID, over.State, over.TS = "drift-2", event.DriftOver, time.Now()
	r.publish(event.DriftTopic(found.Line), found)
	r.expect(event.FaultDrift, event.AlarmUnacknowledged)
	r.publish(event.DriftTopic(over.Line), over)
	r.expect(event.FaultDrift, event.AlarmNormal)
	found.Replayed, over.Replayed = true, true
	r.publish(event.DriftTopic(found.Line), found)
	r.publish(event.DriftTopic(over.Line), over)
	r.nothingElse()
}
