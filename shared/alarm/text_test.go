package alarm_test

import (
	"strings"
	"testing"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

func TestTexts(t *testing.T) {
	c := alarm.Default()
	c.TimeZone = "Europe/Berlin"
	c.Rules = []alarm.Rule{{Fault: "oil-temp-high", Text: map[string]string{
		"en": "Oil of {thing} on {line} is too hot: {detail}. Priority {priority}, since {since}.", "de": "Öl von {thing} zu heiß: {detail}. Priorität {priority}.",
	}}}
	p := newSiteOf(t, c)
	say := func(kind alarm.Kind, language string, a alarm.Alarm) string {
		return p.s.Text(alarm.Change{Kind: kind, Alarm: a, Count: 12}, language, alarm.Insight{})
	}
	hot := alarm.Alarm{
		Key: alarm.Key{Thing: "press-4", Fault: "oil-temp-high"}, Line: "line-2", Priority: event.SeverityHigh, Detail: "118 > {line}", Since: t0,
		Text: "of the observation", Lasted: 3 * minute,
	}
	plain := alarm.Alarm{Key: alarm.Key{Thing: "pump_1", Fault: "f"}, Priority: event.SeverityLow}
	own := plain
	own.Text, own.Simulated, own.Lasted = "Nothing is heard of {thing}.", true, second
	for _, c := range []struct {
		kind     alarm.Kind
		language string
		a        alarm.Alarm
		want     string
	}{
		{alarm.Raised, "en", hot, "Oil of press 4 on line 2 is too hot: 118 > {line}. Priority high, since 09:00."},
		{alarm.Raised, "de", hot, "Öl von press 4 zu heiß: 118 > {line}. Priorität hoch."},
		{alarm.Raised, "de-AT", hot, "Öl von press 4 zu heiß: 118 > {line}. Priorität hoch."},
		{alarm.Returned, "de-AT", hot, "line 2, press 4 ist nach 3 Minuten wieder normal."},
		{alarm.Raised, "it", hot, "Oil of press 4 on line 2 is too hot: 118 > {line}. Priority high, since 09:00."},
		{alarm.Returned, "de", hot, "line 2, press 4 ist nach 3 Minuten wieder normal."},
		{alarm.Raised, "en", plain, "Alarm f on pump 1."},
		{alarm.Raised, "fr", plain, "Alarme f sur pump 1."},
		{alarm.Raised, "de", own, "Simulation: Nothing is heard of {thing}."},
		{alarm.Returned, "es", own, "Simulación: pump 1 vuelve a la normalidad después de 1 segundo."},
		{alarm.Chattering, "en", plain, "The alarm f on pump 1 keeps coming and going."},
		{alarm.Escalated, "en", plain, "Not acknowledged: Alarm f on pump 1."},
		{alarm.Unshelved, "en", plain, "Still: Alarm f on pump 1."},
		{alarm.Summary, "en", alarm.Alarm{Line: "line-3"}, "12 more alarms on line 3."},
		{alarm.Summary, "de", alarm.Alarm{}, "12 weitere Alarme."},
	} {
		if got := say(c.kind, c.language, c.a); got != c.want {
			t.Errorf("%s in %s: %q, want %q", c.kind, c.language, got, c.want)
		}
	}
}

func TestWhichLanguagesHaveTexts(t *testing.T) {
	c := alarm.Default()
	c.Rules = []alarm.Rule{{Fault: "f"}, {Fault: "g", Text: map[string]string{"it": "Allarme."}}}
	for tag, want := range map[string]bool{"en": true, "de-AT": true, "fr": true, "it": true, "it-IT": true, "pt": false, "Deutsch": false} {
		if c.Speaks(tag) != want {
			t.Errorf("%s: %v", tag, !want)
		}
	}
}

// A machine with two alarms is not back to normal when one of them is over.
func TestTheEndOfOneOfTwoAlarms(t *testing.T) {
	p := newSiteOf(t, alarm.Default())
	p.observe("a-1", "doubt", true)
	p.observe("a-1", "fault", true)
	p.observe("a-2", "fault", true)
	p.wait(10 * minute)
	for _, restart := range []bool{false, true} {
		if restart {
			p.restart(p.now)
		}
		end := alarm.Change{Kind: alarm.Returned, Alarm: p.find("a-1", "doubt")}
		for language, want := range map[string]string{
			"en": "The alarm doubt on a, a 1 is over after 10 minutes. Another one stands.",
			"de": "Der Alarm doubt an a, a 1 ist nach 10 Minuten vorbei. Ein anderer steht an.",
			"es": "La alarma doubt en a, a 1 ha terminado después de 10 minutos. Hay otra activa.",
			"fr": "L'alarme doubt sur a, a 1 est terminée après 10 minutes. Une autre est active.",
		} {
			if got := p.s.Text(end, language, alarm.Insight{}); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
	p.observe("a-1", "fault", false)
	if got := p.s.Text(alarm.Change{Kind: alarm.Returned, Alarm: p.find("a-1", "doubt")}, "en", alarm.Insight{}); got != "a, a 1 is back to normal after 10 minutes." {
		t.Error(got)
	}
}

// The sentences of why and when are where a template has them, or else at the end; without them no gap is left.
func TestTextsWithAnInsight(t *testing.T) {
	c := alarm.Default()
	c.Rules = []alarm.Rule{
		{Fault: "placed", Text: map[string]string{"en": "{reasons} {life} Fault on {thing}."}},
		{Fault: "when", Text: map[string]string{"en": "Fault on {thing}. {life}"}},
		{Fault: "long", Text: map[string]string{"en": strings.Repeat("x", 480)}},
	}
	p := newSiteOf(t, c)
	const why, when = "Points to it: oil 96.", "Likely in 2 days."
	for _, c := range []struct {
		kind alarm.Kind
		a    alarm.Alarm
		i    alarm.Insight
		want string
	}{
		{alarm.Raised, alarm.Alarm{Key: alarm.Key{Thing: "p", Fault: "placed"}}, alarm.Insight{why, when}, why + " " + when + " Fault on p."},
		{alarm.Raised, alarm.Alarm{Key: alarm.Key{Thing: "p", Fault: "placed"}}, alarm.Insight{Life: when}, when + " Fault on p."},
		{alarm.Raised, alarm.Alarm{Key: alarm.Key{Thing: "p", Fault: "placed"}}, alarm.Insight{}, "Fault on p."},
		{alarm.Raised, alarm.Alarm{Key: alarm.Key{Thing: "p", Fault: "when"}}, alarm.Insight{why, when}, "Fault on p. " + when},
		{alarm.Raised, alarm.Alarm{Key: alarm.Key{Thing: "p", Fault: "other"}}, alarm.Insight{why, when}, "Alarm other on p. " + why + " " + when},
		{alarm.Escalated, alarm.Alarm{Key: alarm.Key{Thing: "p", Fault: "x"}, Text: "Hot."}, alarm.Insight{why, when}, "Not acknowledged: Hot. " + why + " " + when},
		{alarm.Returned, alarm.Alarm{Key: alarm.Key{Thing: "p", Fault: "x"}}, alarm.Insight{why, when}, "p is back to normal after 1 second."},
		{alarm.Raised, alarm.Alarm{Key: alarm.Key{Thing: "p", Fault: "long"}}, alarm.Insight{strings.Repeat("y", 600), when}, strings.Repeat("x", 480) + " " + when},
	} {
		if got := p.s.Text(alarm.Change{Kind: c.kind, Alarm: c.a}, "en", c.i); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
