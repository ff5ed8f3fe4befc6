package alarms_test

import (
	"testing"

	"edgepdm/shared/event"
)

// Sensors that are not to be trusted are one alarm of their own, of low priority, which names them and ends by itself. It is no fault of
// the machine, and is quiet where all of the machine's values are missing.
func TestDoubtfulValuesAreAnAlarm(t *testing.T) {
	for name, mode := range bothModes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := managedRig(t, mode, map[string]any{"languages": []any{"en", "de"}})
			r.start()
			row := func(q *event.Quality, change ...func(*event.Prediction)) {
				r.watched("line-1", "press-1", nil, append(change, func(p *event.Prediction) { p.Quality = q })...)
			}
			q := &event.Quality{Frozen: []string{"oil_temp"}, Missing: []string{"vib_1", "vib_2"}, Outside: []string{"flow"}, More: 3}
			row(nil)
			row(q)
			a := r.expect(event.FaultQuality, event.AlarmUnacknowledged)
			if want := "Doubtful values of line 1, press 1: oil_temp does not change; flow is far outside what the model knows; " +
				"vib_1, vib_2 are missing; 3 more. Check the sensors."; a.Text != want || a.Severity != event.SeverityLow || a.Model != nil || a.RowTS.IsZero() {
				t.Errorf("%+v", a)
			}
			if want := "Zweifelhafte Werte von line-1, press-1: oil_temp, flow, vib_1, vib_2 (+3). Die Sensoren prüfen."; spokenAs(a.Texts["de"]) != spokenAs(want) {
				t.Errorf("%q", a.Texts["de"])
			}
			row(q)
			row(&event.Quality{Frozen: []string{"oil_temp"}})
			r.nothingElse()
			row(nil, func(p *event.Prediction) { p.Seq = 1 }) // comes again: it ends nothing
			r.nothingElse()
			row(nil)
			if over := r.expect(event.FaultQuality, event.AlarmNormal); !over.Since.Equal(a.Since) {
				t.Errorf("%+v after %+v", over, a)
			}
		})
	}
}

// spokenAs leaves out what names read aloud lose.
func spokenAs(text string) string {
	out := []rune(text)
	for i, c := range out {
		if c == '-' {
			out[i] = ' '
		}
	}
	return string(out)
}

// Where all values are missing that is the alarm, and not each sensor.
func TestNoDataSuppressesDoubtfulValues(t *testing.T) {
	r := managedRig(t, bothModes["lite"], nil)
	r.start()
	blind := func(p *event.Prediction) { p.Label, p.Absent, p.Missing = event.LabelNoData, 160, "a" }
	for range 3 {
		r.watched("line-1", "press-1", nil, blind)
	}
	r.expect(event.FaultNoData, event.AlarmUnacknowledged)
	r.watched("line-1", "press-1", nil, blind, func(p *event.Prediction) { p.Quality = &event.Quality{Missing: []string{"a"}} })
	r.nothingElse()
}
