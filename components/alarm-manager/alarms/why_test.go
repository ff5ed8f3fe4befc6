package alarms_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/components/alarm-manager/alarms"
	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
	"edgepdm/test/localcore"
)

// explained publishes rows of press-1 for an alarm, of which the first one tells what points to it and all tell a life.
func (r *rig) explained(rows int) {
	r.t.Helper()
	value, low, high := float32(96.04), float32(60.2), float32(81.7)
	why := []event.Contributor{
		{
			Sensor: "oil_temp", Name: "oil return temperature", Names: map[string]string{"de": "Öltemperatur", "fr": "température d'huile"},
			Value: &value, Low: &low, High: &high, Unit: "°C", Direction: event.DirectionAbove, Share: 0.6,
		},
		{Sensor: "vessel_pressure", Direction: event.DirectionMissing, Share: 0.4},
	}
	for i := range rows {
		r.seq++
		p := event.Prediction{
			V: 1, ID: fmt.Sprintf("press-1-e-%d", r.seq), Thing: "press-1", Line: "line-1", Epoch: "e", Seq: r.seq, TS: time.Now(),
			Probability: 0.9, Threshold: 0.5, Model: event.ModelRef{Version: "m"},
			Life: &event.Life{Low: 12.2, Median: 20, High: 30.8, Coverage: 0.9, Unit: "hours"},
		}
		if i == 0 {
			p.Contributors = why
		}
		r.publish(event.PredictionTopic("press-1"), p)
	}
}

// An alarm says what points to it and when maintenance is likely: the alert in all languages, the event, the list, also of the next
// process, the voice, and what is told again.
func TestAnAlarmSaysWhyAndWhen(t *testing.T) {
	const fault = "Fault found on line 1, press 1. Immediate attention required."
	const insight = " Points to it: oil return temperature 96 °C, usually 60 to 82; vessel pressure, no value. Likely to need maintenance in 12 to 31 hours."
	const german = "Fehler an line 1, press 1 gefunden. Sofort prüfen. Darauf deutet hin: Öltemperatur 96 °C, üblich sind 60 bis 82; vessel pressure, kein Wert. " +
		"Wartung wahrscheinlich in 12 bis 31 Stunden nötig."
	reasons := []string{"oil return temperature 96 °C, usually 60 to 82", "vessel pressure, no value"}
	for name, mode := range bothModes {
		t.Run(name, func(t *testing.T) {
			r := managedRig(t, mode, map[string]any{"languages": []any{"en", "de"}})
			speaker := new(loudspeaker)
			r.announcer = speaker
			r.start()
			events := r.subscribe(event.TopicAlarmEvent)
			r.explained(3)
			a := r.alert()
			if a.Text != fault+insight || a.Texts["de"] != german || !slices.Equal(a.Reasons, reasons) || a.Life == nil || a.Life.Low != 12.2 {
				t.Errorf("%+v", a)
			}
			if len(a.Contributors) != 2 || *a.Contributors[0].Value != 96.04 || a.Contributors[0].Names["de"] == "" || a.Contributors[0].Names["fr"] != "" {
				t.Errorf("%+v", a.Contributors)
			}
			if e := next[alarms.Told](r, events); e.Text != fault || !slices.Equal(e.Reasons, reasons) || e.Life == nil {
				t.Errorf("%+v", e)
			}
			for range 2 { // of this process, and of the next one
				if l := r.list(); len(l.Alarms) != 1 || l.Alarms[0].Text != fault || !slices.Equal(l.Alarms[0].Reasons, reasons) || l.Alarms[0].Life == nil {
					t.Errorf("%+v", l)
				}
				r.stop()
				r.start()
			}
			if got := speaker.says; len(got) < 3 || !strings.Contains(got[0], fault+insight) || !strings.Contains(got[1], german) || !strings.Contains(got[2], "Still: "+fault+insight) {
				t.Errorf("%q", got)
			}
			changes, _, err := alarms.History(r.env.WorkDir, "press-1", 10)
			if err != nil || len(changes) != 1 || changes[0].Change != alarm.Raised || !slices.Equal(changes[0].Reasons, reasons) || changes[0].Text != "" {
				t.Errorf("%+v, %v", changes, err)
			}
		})
	}
}

// A rule's text has the sentences where it wants them; without reasons it leaves no gap, and nothing waits for them.
func TestARulePlacesWhyAndWhen(t *testing.T) {
	r := managedRig(t, localcore.Classic, map[string]any{"rules": []any{map[string]any{"fault": "machine-fault", "text": map[string]any{"en": "{life} {reasons} Fault on {thing}."}}}})
	r.start()
	r.predict(0.9, 0.9, 0.9)
	if a := r.alert(); a.Text != "Fault on press 1." || a.Reasons != nil || a.Life != nil {
		t.Errorf("%+v", a)
	}
}
