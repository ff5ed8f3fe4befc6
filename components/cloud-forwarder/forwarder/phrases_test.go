package forwarder

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
)

// Every phrase is there in every language, with the same placeholders, and what is in subjects is ASCII.
func TestPhrasesAreComplete(t *testing.T) {
	english := reflect.ValueOf(*allPhrases["en"])
	for language, w := range allPhrases {
		v := reflect.ValueOf(*w)
		for i := range v.NumField() {
			name, f, e := v.Type().Field(i).Name, v.Field(i), english.Field(i)
			switch f.Kind() {
			case reflect.String:
				if f.String() == "" || strings.Count(f.String(), "%") != strings.Count(e.String(), "%") {
					t.Errorf("%s: %s is %q", language, name, f)
				}
			case reflect.Map:
				if f.Len() != e.Len() {
					t.Errorf("%s: %s has %d", language, name, f.Len())
				}
			default: // of the language
			}
		}
		subject := w.high + w.medium + w.low + w.step + w.comesAndGoes + w.more + w.simulated + w.late + w.over + w.connected + w.on + w.minutes + w.hours + w.days
		if strings.ContainsFunc(subject, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%s: %q is not ASCII", language, subject)
		}
	}
}

// An e-mail is in the language of its alert's text, with times of the site's zone; without a known one it is in English and UTC.
func TestAnEmailInItsLanguageAndZone(t *testing.T) {
	lateNight := time.Date(2026, 7, 1, 22, 30, 0, 0, time.UTC)
	for _, c := range []struct {
		language, zone string
		subject        string
		want           []string
		sms            string
	}{
		{
			"de", "Europe/Berlin", "[SIMULIERT] [VERZUG 3 h] [HOCH, NICHT QUITTIERT, STUFE 2] machine-fault: press-1 an line-7",
			[]string{
				"Seit:               2026-07-02 00:30:00 UTC+02:00\n", "Priorität:          hoch\n", "Wahrscheinlichkeit: 97,1 %\n",
				"Eskalation:         Stufe 2: niemand hat quittiert\n", "Wann:               Wartung wahrscheinlich in 12 bis 31 Stunden nötig.\n",
				"Von 2026-07-02 12:30 UTC+02:00 bis 2026-07-03 07:30 UTC+02:00, wenn sie weiterläuft. Nach der Kalibrierung treffen 99,7 % ",
				"Was tun:            Die Maschine so bald", `"by":"IHR NAME"} auf dem IoT-Topic p/pdm/`, "Die Maschine ist simuliert.",
			},
			"Text. Ausgelöst 00:30, zugestellt 03:30 (UTC+02:00). Diese Nachricht ist vielleicht schon einmal angekommen.",
		},
		{
			"es-MX", "America/Mexico_City", "[SIMULADA] [RETRASO 3 h] [ALTA, SIN RECONOCER, NIVEL 2] machine-fault: press-1 en line-7",
			[]string{"Desde:         2026-07-01 16:30:00 UTC-06:00\n", "Qué hacer:     Inspeccione", "dentro de 12 a 31 horas.\n"},
			"Activada 16:30, entregada 19:30 (UTC-06:00).",
		},
		{
			"fr", "UTC", "[SIMULATION] [RETARD 3 h] [HAUTE, NON ACQUITTEE, NIVEAU 2] machine-fault: press-1 sur line-7",
			[]string{"Depuis:      2026-07-01 22:30:00 UTC\n", "Que faire:   Inspectez"}, "Déclenchée 2026-07-01 22:30, transmise 01:30 (UTC).",
		},
		{
			"xx", "Mars/Base", "[SIMULATED] [LATE 3 h] [HIGH, NOT ACKNOWLEDGED, STEP 2] machine-fault: press-1 on line-7",
			[]string{"Since:       2026-07-01 22:30:00 UTC\n", "What to do:  Inspect"}, "Raised 2026-07-01 22:30, delivered 01:30 (UTC).",
		},
		{
			"", "Local", "[SIMULATED] [LATE 3 h] [HIGH, NOT ACKNOWLEDGED, STEP 2] machine-fault: press-1 on line-7",
			[]string{"Since:       2026-07-01 22:30:00 UTC\n", "Probability: 97.1 %"}, "(UTC).",
		},
		{"de", "../../etc/passwd", "", []string{"2026-07-01 22:30:00 UTC\n"}, "(UTC)."},
	} {
		a := raised()
		a.Language, a.TimeZone, a.Since, a.TS, a.Step, a.Simulated, a.Text = c.language, c.zone, lateNight, lateNight, 2, true, "Text."
		a.Life = &event.Life{Low: 12, Median: 20, High: 31, Unit: "hours", Coverage: 0.997}
		payload, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		status := func(event.Alert) alertStatus {
			return alertStatus{now: lateNight.Add(3 * time.Hour), raised: 3 * time.Hour, aged: true}
		}
		n, err := newNotice(message{payload: payload, replayed: true}, "core-1", "p", status)
		if err != nil {
			t.Fatal(err)
		}
		var parts map[string]string
		if err := json.Unmarshal([]byte(n.text), &parts); err != nil {
			t.Fatal(err)
		}
		if c.subject != "" && n.subject != c.subject {
			t.Errorf("subject %q, want %q", n.subject, c.subject)
		}
		for _, want := range c.want {
			if !strings.Contains(parts["email"], want) {
				t.Errorf("e-mail lacks %q:\n%s", want, parts["email"])
			}
		}
		if !strings.Contains(parts["sms"], c.sms) {
			t.Errorf("SMS %q, want %q", parts["sms"], c.sms)
		}
	}
}

// Over the end of summer time each time that has another offset says so.
func TestTimesOverTheEndOfSummerTime(t *testing.T) {
	berlin := zoneOf(event.Alert{TimeZone: "Europe/Berlin"})
	p := alertStatus{now: time.Date(2026, 10, 25, 2, 30, 0, 0, time.UTC), raised: 2 * time.Hour, aged: true, over: true, ended: time.Hour, endKnown: true}
	const want = "Raised 2026-10-25 02:30 UTC+02:00, delivered 03:30; over since 02:30 (UTC+01:00)."
	if got := p.note(event.AlarmUnacknowledged, phrasesOf("en"), berlin); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := overText(raised(), phrasesOf("de")); got != "Der Alarm machine-fault von press-1 an line-7 ist vorbei." {
		t.Errorf("%q", got)
	}
}
