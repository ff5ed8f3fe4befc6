package alarms

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

var insightStart = time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)

// insightRun is a manager without a core.
func insightRun(t *testing.T) *run {
	t.Helper()
	config := Default()
	config.Languages = []string{"en", "de-DE"}
	s, err := alarm.New(config.managed(), insightStart)
	if err != nil {
		t.Fatal(err)
	}
	w, err := openWatch(t.TempDir()+"/"+watchName, insightStart)
	if err != nil {
		t.Fatal(err)
	}
	return &run{config: config, list: &alarmList{system: s}, watch: w, now: func() time.Time { return insightStart }}
}

func pointing(sensor string) []event.Contributor {
	value, low, high := float32(96), float32(60), float32(82)
	return []event.Contributor{{
		Sensor: sensor, Name: sensor, Names: map[string]string{"de": "Öl", "fr": "huile"}, Value: &value, Low: &low, High: &high, Unit: "°C", Direction: event.DirectionAbove, Share: 1,
	}}
}

// insightRow is a row of press-1.
func insightRow(probability float64, model string, why []event.Contributor) *event.Prediction {
	return &event.Prediction{Thing: "press-1", Threshold: 0.5, Probability: probability, Model: event.ModelRef{Version: model}, Contributors: why}
}

// What points to a fault is that of the last row that told it, until the model is another one, the machine is healthy for a
// window of rows, or it is old by rows and by time.
func TestReasonsAreForgotten(t *testing.T) {
	faulty, healthy := insightRow(0.9, "m", nil), insightRow(0.1, "m", nil)
	noData := insightRow(0, "m", nil)
	noData.Label = event.LabelNoData
	repeat := func(n int, p *event.Prediction) (rows []*event.Prediction) {
		for range n {
			rows = append(rows, p)
		}
		return rows
	}
	for name, c := range map[string]struct {
		rows  []*event.Prediction
		every time.Duration
		known bool
	}{
		"the rate limit leaves them out":            {repeat(2000, faulty), 100 * time.Millisecond, true},
		"a healthy row between":                     {append(repeat(4, healthy), faulty), time.Second, true},
		"healthy rows now and then":                 {append(append(repeat(4, healthy), faulty), repeat(4, healthy)...), 10 * time.Second, true},
		"a healthy window":                          {repeat(5, healthy), 4 * time.Second, false},
		"a fault that flickers":                     {repeat(50, healthy), 100 * time.Millisecond, true},
		"a healthy row that somebody asked about":   {append(repeat(20, healthy), insightRow(0.1, "m", pointing("asked"))), time.Second, false},
		"rows without a verdict are not healthy":    {repeat(20, noData), time.Second, true},
		"another model":                             {repeat(1, insightRow(0.9, "m2", nil)), time.Second, false},
		"another model that tells them":             {repeat(1, insightRow(0.9, "m2", pointing("oil"))), time.Second, true},
		"eleven minutes of rows":                    {repeat(660, faulty), time.Second, false},
		"slow rows: the last window has still them": {repeat(4, faulty), 10 * time.Minute, true},
		"slow rows, beyond the window":              {repeat(5, faulty), 10 * time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, th, now := insightRun(t), &thing{}, insightStart
			r.learn(th, insightRow(0.9, "m", pointing("oil")), now)
			for _, p := range c.rows {
				now = now.Add(c.every)
				r.learn(th, p, now)
			}
			if known := len(th.insight.why) > 0; known != c.known {
				t.Errorf("known: %v", known)
			}
		})
	}
}

// Names in languages that are not spoken here are not remembered.
func TestNamesOfOtherLanguagesAreNotRemembered(t *testing.T) {
	r, th := insightRun(t), &thing{}
	r.learn(th, insightRow(0.9, "m", pointing("oil")), insightStart)
	if got := th.insight.why[0].Names; !reflect.DeepEqual(got, map[string]string{"de": "Öl"}) {
		t.Errorf("%v", got)
	}
}

// A life is told while it is nearly true.
func TestLifeAges(t *testing.T) {
	for _, c := range []struct {
		high  float64
		unit  string
		after time.Duration
		known bool
	}{
		{30, "hours", 3 * time.Hour, true},
		{30, "hours", 3*time.Hour + time.Second, false},
		{5, "minutes", time.Minute, true},
		{5, "minutes", time.Minute + time.Second, false},
		{100, "cycles", time.Minute, true},
		{100, "cycles", time.Hour, false},
		{1e9, "weeks", 24 * time.Hour, true},
		{1e9, "weeks", 25 * time.Hour, false},
	} {
		i := insight{life: &event.Life{High: c.high, Unit: c.unit}, lifeAt: insightStart}
		if known := i.lifeNow(insightStart.Add(c.after)) != nil; known != c.known {
			t.Errorf("%+v: %v", c, known)
		}
	}
}

// A life is forgotten when a window of rows has none: its model is gone, or lacks values.
func TestLifeIsForgotten(t *testing.T) {
	r, th := insightRun(t), &thing{}
	with := insightRow(0.9, "m", nil)
	with.Life = &event.Life{High: 300, Unit: "hours"}
	r.learn(th, with, insightStart)
	for n := range 5 {
		if th.insight.lifeNow(insightStart) == nil {
			t.Errorf("forgotten after %d rows", n)
		}
		r.learn(th, insightRow(0.9, "m", nil), insightStart)
	}
	if th.insight.lifeNow(insightStart) != nil {
		t.Error("it is known for ever")
	}
}

// An alarm keeps its reasons while the same model tells no others, as after a restart of the manager; the life is the newest.
func TestAnAlarmKeepsItsReasons(t *testing.T) {
	r, now := insightRun(t), insightStart
	row := func(model string, why []event.Contributor, life *event.Life) event.Alert {
		th := r.watch.things["press-1"]
		p := insightRow(0.9, model, why)
		p.TS, p.Life = now, life
		r.learn(th, p, now)
		changes, err := r.list.system.Observe(alarm.Observation{
			Thing: "press-1", Fault: event.FaultMachine, Active: true, Data: r.rowData(p, event.FaultMachine, now),
		}, now)
		if err != nil || len(changes) > 1 {
			t.Fatalf("%+v, %v", changes, err)
		}
		a, _ := r.list.system.Find(alarm.Key{Thing: "press-1", Fault: event.FaultMachine})
		return r.alert(alarm.Change{Kind: alarm.ReAlarmed, Alarm: a, At: now})
	}
	r.watch.things["press-1"] = &thing{}
	row("m", pointing("oil"), &event.Life{Low: 12, Median: 20, High: 31, Coverage: 0.9, Unit: "hours"})
	row("m", nil, nil)
	got := row("m", nil, nil)
	const want = "Still: Fault found on press 1. Immediate attention required. Points to it: oil 96 °C, usually 60 to 82. Likely to need maintenance in 12 to 31 hours."
	const german = "Weiterhin: Fehler an press 1 gefunden. Sofort prüfen. Darauf deutet hin: Öl 96 °C, üblich sind 60 bis 82. Wartung wahrscheinlich in 12 bis 31 Stunden nötig."
	if got.Text != want || got.Texts["de-DE"] != german {
		t.Errorf("%q, %q", got.Text, got.Texts)
	}
	if !reflect.DeepEqual(got.Reasons, []string{"oil 96 °C, usually 60 to 82"}) || len(got.Contributors) != 1 || got.Life == nil {
		t.Errorf("%+v", got)
	}
	r.watch.things["press-1"] = &thing{} // another process
	now = now.Add(time.Hour)
	if got = row("m", nil, nil); len(got.Reasons) != 1 || got.Life != nil {
		t.Errorf("%+v", got)
	}
	if got = row("m2", nil, &event.Life{Low: 1, Median: 2, High: 3, Coverage: 0.9, Unit: "hours"}); len(got.Reasons) != 0 || got.Life == nil {
		t.Errorf("%+v", got)
	}
	if strings.Contains(got.Text, "Points to it") || !strings.HasSuffix(got.Text, "in 1 to 3 hours.") {
		t.Errorf("%q", got.Text)
	}
	now = now.Add(19 * time.Minute) // no row since
	a, _ := r.list.system.Find(alarm.Key{Thing: "press-1", Fault: event.FaultMachine})
	if got = r.alert(alarm.Change{Kind: alarm.Escalated, Alarm: a, At: now}); got.Life != nil || strings.Contains(got.Text, "Likely") {
		t.Errorf("an old life is told: %q", got.Text)
	}
	row("m2", nil, &event.Life{Low: 100, Median: 200, High: 300, Coverage: 0.9, Unit: "hours"})
	a, _ = r.list.system.Find(alarm.Key{Thing: "press-1", Fault: event.FaultMachine})
	for range 5 { // neither faulty nor healthy: what is kept with the alarm stays as it is
		r.learn(r.watch.things["press-1"], insightRow(0.4, "m2", nil), now)
	}
	if got = r.alert(alarm.Change{Kind: alarm.Escalated, Alarm: a, At: now}); got.Life != nil {
		t.Errorf("a life that no model tells any more is told: %q", got.Text)
	}
}

// What is kept with an alarm, and an alert, stay within their bounds: names of other languages go first, then the last reasons.
func TestReasonsFit(t *testing.T) {
	long := pointing(strings.Repeat("n", 60))[0]
	long.Names = map[string]string{"de": strings.Repeat("ö", 150)}
	five := []event.Contributor{long, long, long, long, long}
	var d rowData
	if err := json.Unmarshal(encodeData(rowData{Contributors: five}), &d); err != nil || len(d.Contributors) != 5 || d.Contributors[0].Names != nil {
		t.Errorf("%+v, %v", d, err)
	}
	for i := range five {
		five[i].Name = strings.Repeat("x", 500)
	}
	data := encodeData(rowData{Contributors: five})
	if err := json.Unmarshal(data, &d); err != nil || len(d.Contributors) != 3 || len(data) > maxData {
		t.Errorf("%d bytes, %+v, %v", len(data), d, err)
	}

	texts := map[string]string{"de": strings.Repeat("t", 400)}
	a := event.Alert{Text: strings.Repeat("t", 900), Contributors: five, Reasons: []string{"1", "2", "3", "4", "5"}, Texts: texts}
	if fit(&a); len(a.Contributors) != len(a.Reasons) || len(a.Reasons) < 2 || len(a.Reasons) > 4 || a.Texts == nil || five[0].Names == nil {
		t.Errorf("%d contributors, %q, %d texts", len(a.Contributors), a.Reasons, len(a.Texts))
	}
	if payload, err := event.Encode(a); err != nil || event.IoTCoreIPC.Check(payload) != nil {
		t.Errorf("%d bytes, %v", len(payload), err)
	}
	a = event.Alert{Text: strings.Repeat("t", 900), Texts: map[string]string{"de": strings.Repeat("t", 4000)}}
	if fit(&a); a.Texts != nil || a.Text == "" {
		t.Errorf("%+v", a)
	}
}

// A healthy row without a life costs no memory.
func TestHealthyRowsLearnForNothing(t *testing.T) {
	r, th, p := insightRun(t), &thing{}, insightRow(0.1, "m", nil)
	if n := testing.AllocsPerRun(1000, func() { r.learn(th, p, insightStart) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// An alert names the language of its text and the site's time zone; English and UTC are not named. Whatever they are, it fits.
func TestAnAlertNamesLanguageAndZone(t *testing.T) {
	for _, c := range []struct{ language, zone, wantLanguage, wantZone string }{
		{"en", "UTC", "", ""},
		{"de-AT", "Europe/Vienna", "de-AT", "Europe/Vienna"},
		{"xx", "America/Argentina/ComodRivadavia", "xx", "America/Argentina/ComodRivadavia"},
	} {
		r := insightRun(t)
		r.config.Languages, r.config.TimeZone = []string{c.language, "fr"}, c.zone
		a := r.alert(alarm.Change{Kind: alarm.Returned, Alarm: alarm.Alarm{Key: alarm.Key{Thing: "press-1", Fault: event.FaultSilence}}, At: insightStart})
		if a.Language != c.wantLanguage || a.TimeZone != c.wantZone {
			t.Errorf("%+v: %q, %q", c, a.Language, a.TimeZone)
		}
		a.V, a.ID = event.Version, "press-1-e-1"
		payload, err := event.Encode(a)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := event.DecodeAlert(payload); err != nil {
			t.Error(err)
		}
	}
}
